//! Infinite numbers in the parts of shards: parts keep those of carried columns, of which Parquet is made, and a single run writes
//! null in their place where it writes text.

use memchr::memchr;
use memchr::memmem::find;

use crate::column_types::INFINITE;
use crate::slices::behind;

/// Replaces infinite numbers in a line of JSON by null. Returns whether there was one.
pub(super) fn to_null(line: &mut Vec<u8>) -> bool {
    if find(line, INFINITE.as_bytes()).is_none() {
        return false;
    }
    let (mut written, mut rest, mut is_found) = (Vec::with_capacity(line.len()), line.as_slice(), false);
    while let Some(&byte) = rest.first() {
        let token = match byte {
            b'"' => string(rest),
            b'-' | b'0'..=b'9' => number(rest),
            _ => 1,
        };
        let (token, behind) = rest.split_at_checked(token).unwrap_or((rest, &[]));
        let is_infinite = token.strip_prefix(b"-").unwrap_or(token) == INFINITE.as_bytes();
        written.extend_from_slice(if is_infinite { b"null" } else { token });
        is_found |= is_infinite;
        rest = behind;
    }
    *line = written;
    is_found
}

/// The bytes of the string that begins here.
fn string(text: &[u8]) -> usize {
    let mut at = 1;
    while let Some(quote) = memchr(b'"', behind(text, at)).map(|offset| at + offset) {
        let escapes = text.iter().take(quote).rev().take_while(|&&byte| byte == b'\\').count();
        at = quote + 1;
        if escapes % 2 == 0 {
            return at;
        }
    }
    text.len()
}

/// The bytes of the number that begins here.
fn number(text: &[u8]) -> usize {
    text.iter().take_while(|byte| matches!(byte, b'-' | b'+' | b'.' | b'e' | b'E' | b'0'..=b'9')).count()
}

#[cfg(test)]
mod tests {
    use super::to_null;

    #[test]
    fn numbers_are_replaced_and_texts_are_kept() {
        for (line, expected) in [
            (r#"{"a":1e999,"b":[-1e999,1.5]}"#, r#"{"a":null,"b":[null,1.5]}"#),
            (r#"{"1e999":"-1e999","a":11e999,"b":1e9990}"#, r#"{"1e999":"-1e999","a":11e999,"b":1e9990}"#),
            (r#"{"a\"":"1e999\\","b":1e999}"#, r#"{"a\"":"1e999\\","b":null}"#),
            (r#"{"a":"1e999"#, r#"{"a":"1e999"#),
        ] {
            let mut replaced = line.as_bytes().to_vec();
            assert_eq!(to_null(&mut replaced), line != expected, "{line}");
            assert_eq!(String::from_utf8(replaced).unwrap(), expected);
        }
    }
}
