//! Takes prefixes that can't be named out of an answer to a list. The library ends a list at the first of them, though nothing that is
//! listed with a delimiter is in a deeper prefix.

use object_store::path::Path as Key;
use ureq::http::Uri;

const BEGINNING: &str = "<CommonPrefixes>";
const END: &str = "</CommonPrefixes>";

/// Whether a request lists what is directly under a prefix, so that its answer has deeper prefixes, in the form of S3 and Google Cloud
/// Storage ([`ListObjectsV2`](https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html)).
pub(super) fn are_listed(uri: &Uri) -> bool {
    uri.query().is_some_and(|query| query.contains("list-type=2") && query.contains("delimiter="))
}

/// An answer in XML without the prefixes that are no keys: `a//`, `a/./`, or one with a control character.
pub(super) fn without_odd(answer: &str) -> String {
    let (mut kept, mut rest) = (String::with_capacity(answer.len()), answer);
    while let Some((before, (block, after))) =
        rest.split_once(BEGINNING).and_then(|(before, after)| Some((before, after.split_once(END)?)))
    {
        kept += before;
        let prefix = block.split_once("<Prefix>").and_then(|(_, text)| text.split_once("</Prefix>"));
        if prefix.is_none_or(|(prefix, _)| Key::parse(unescaped(prefix)).is_ok()) {
            kept.extend([BEGINNING, block, END]);
        }
        rest = after;
    }
    kept + rest
}

/// A text of XML as it was, as far as control characters matter.
fn unescaped(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, (name, after))) =
        rest.split_once('&').and_then(|(before, after)| Some((before, after.split_once(';')?)))
    {
        let number = match name.strip_prefix("#x") {
            Some(digits) => u32::from_str_radix(digits, 16).ok(),
            None => name.strip_prefix('#').and_then(|digits| digits.parse().ok()),
        };
        plain += before;
        // What is escaped by a name is no control character.
        plain.push(number.and_then(char::from_u32).unwrap_or('&'));
        rest = after;
    }
    plain + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_that_is_no_key_is_taken_out() {
        let block = |prefix: &str| format!("<CommonPrefixes><Prefix>{prefix}</Prefix></CommonPrefixes>");
        let kept = ["a/b/", "a &amp; b/", "a/.b/"].map(block).concat();
        let odd = ["a//", "a/./", "../", "a/&#9;/", "a/&#x1;b/"].map(block).concat();
        let whole = |blocks: &str| format!("<R><Contents><Key>a//b</Key></Contents>{blocks}<Z/></R>");
        assert_eq!(without_odd(&whole(&[&*kept, &odd, &kept].concat())), whole(&[&*kept, &kept].concat()));
        assert_eq!(without_odd("<CommonPrefixes>"), "<CommonPrefixes>");
    }
}
