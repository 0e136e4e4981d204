//! Messages for text that should be JSON: what is wrong with it, and the remedy.

use serde_json::Error;
use serde_json::value::RawValue;

use super::run_line::RunFormat;
use super::values::TOO_MANY_FIELDS;
use crate::slices::first;

/// Whether the text is the beginning of a JSON value that goes on behind it.
pub fn is_incomplete(text: &str) -> bool {
    serde_json::from_str::<&RawValue>(text).is_err_and(|error| error.is_eof())
}

/// The message for text that is not JSON.
pub fn not_json(text: &str, error: &Error) -> String {
    let (line, column) = (error.line(), error.column());
    let place =
        if line > 1 { format!("line {line} of the record, column {column}") } else { format!("column {column}") };
    let around = text.lines().nth(line.saturating_sub(1)).unwrap_or_default().as_bytes();
    let from = |start: usize| {
        let bytes = around.get(start..).unwrap_or_default();
        String::from_utf8_lossy(first(bytes, 20)).into_owned()
    };
    let (near, here) = (from(column.saturating_sub(6)), from(column.saturating_sub(1)));
    let message = error.to_string();
    let hint = run_hint(text).or_else(|| hint(&message, near.as_str(), here.trim_start()));
    let hint = hint.map(|hint| format!("; {hint}")).unwrap_or_default();
    format!("is not JSON: {} ({place}){hint}", in_words(&message))
}

/// The parser's messages in plain words. The parser may change them: a message that is not in this list is used as it is,
/// without the place and without the names of types.
fn in_words(message: &str) -> &str {
    const WORDS: [(&str, &str); 18] = [
        (TOO_MANY_FIELDS, TOO_MANY_FIELDS),
        ("EOF while parsing an object", "it ends inside an object"),
        ("EOF while parsing a list", "it ends inside a list"),
        ("EOF while parsing a string", "it ends inside a string"),
        ("EOF while parsing a value", "it ends where a value is expected"),
        ("expected `:`", "a colon is expected"),
        ("expected `,` or `]`", "a comma or `]` is expected"),
        ("expected `,` or `}`", "a comma or `}` is expected"),
        ("expected ident", "a value is expected"),
        ("expected value", "a value is expected"),
        (
            "invalid escape",
            "a backslash stands before a character that has no escape; one that belongs to the text is doubled",
        ),
        ("invalid number", "a number is malformed"),
        ("number out of range", "a number is out of range"),
        (
            "control character",
            "a line break, a tab or another control character stands in a string: write \\n, \\t or \\u0000",
        ),
        ("key must be a string", "a name in double quotes is expected"),
        ("trailing comma", "a comma stands before a closing bracket: remove the comma"),
        ("trailing characters", "something stands behind the end of the value"),
        ("invalid unicode code point", SURROGATE),
    ];
    const SURROGATE: &str = "a name holds half of a surrogate pair";
    let known = WORDS.iter().find(|(theirs, _)| message.starts_with(theirs)).map(|(_, ours)| *ours);
    known.unwrap_or(if message.contains("hex escape") { SURROGATE } else { "it can't be understood" })
}

/// What helps where the text is a line of a run.
fn run_hint(text: &str) -> Option<&'static str> {
    Some(match RunFormat::of(text.lines().next()?)? {
        RunFormat::Trec => "it looks like a line of a TREC run, which --input-format trec reads",
        RunFormat::Msmarco => "it looks like a line of a run of MS MARCO, which --input-format msmarco reads",
        RunFormat::Tevatron => "it looks like a line of a run of Tevatron, which --input-format tevatron reads",
        // No line of text is recognised as one.
        RunFormat::Columns => return None,
    })
}

fn hint(message: &str, near: &str, here: &str) -> Option<&'static str> {
    let (has, starts) = (
        |words: &[&str]| words.iter().any(|word| near.contains(word)),
        |words: &[&str]| words.iter().any(|word| here.starts_with(word)),
    );
    if message.starts_with("EOF") {
        None
    } else if has(&["NaN", "Infinity"]) {
        Some("NaN and Infinity, which Python writes, are not JSON: write null or leave the field out")
    } else if starts(&["'", "None", "True", "False"]) || has(&[": None", ": True", ": False"]) {
        Some("it looks like a Python dictionary that was printed: write it with `json.dumps`")
    } else if starts(&["//", "/*", "#"]) {
        Some("JSON has no comments: remove them")
    } else if message.starts_with("key must") && starts(&["}"]) {
        Some("remove the comma in front of it")
    } else if starts(&["\0"]) {
        Some(
            "NUL bytes stand there: the file was most likely cut off while it was written, or copied in part; fetch it again",
        )
    } else if starts(&["\u{1e}"]) {
        Some("it is a JSON text sequence: remove the record separators, for example with `tr -d '\\036'`")
    } else if starts(&["undefined"]) {
        Some("JavaScript's undefined is not JSON: write null or leave the field out")
    } else if message.starts_with("trailing characters") && starts(&["{", "["]) {
        Some("several values stand on one line: put each on its own line, or use --input-format json")
    } else if message.starts_with("trailing characters") && starts(&[","]) {
        Some(
            "several values with commas between them are JSON in a list only: put `[` and `]` around them, or each on its own \
              line without the comma",
        )
    } else {
        None
    }
}

/// Finds an escape in the text of a JSON string that is one half of a surrogate pair without the other: its number among
/// the characters, from 1, and the escape itself.
pub fn lone_surrogate(string: &str) -> Option<(usize, &str)> {
    let mut rest = string.strip_prefix('"')?;
    let mut characters = 0;
    // The closing quote is no character of the string.
    while rest.len() > 1 {
        characters += 1;
        let Some((unit, escape, behind)) = unit(rest) else {
            rest = behind_character(rest);
            continue;
        };
        let second = self::unit(behind).filter(|(second, ..)| (0xdc00..0xe000).contains(second));
        rest = match second {
            Some((_, _, behind)) if (0xd800..0xdc00).contains(&unit) => behind,
            _ if (0xd800..0xe000).contains(&unit) => return Some((characters, escape)),
            _ => behind,
        };
    }
    None
}

/// The text behind its first character, which may be escaped.
fn behind_character(text: &str) -> &str {
    let mut characters = text.chars();
    if characters.next() == Some('\\') {
        characters.next();
    }
    characters.as_str()
}

/// The unit of UTF-16 that an escape at the start of this text stands for, the escape, and what stands behind it.
fn unit(text: &str) -> Option<(u16, &str, &str)> {
    let (escape, behind) = text.split_at_checked(r"\u0000".len())?;
    let unit = u16::from_str_radix(escape.strip_prefix(r"\u")?, 16).ok()?;
    Some((unit, escape, behind))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(text: &str) -> String {
        serde_json::from_str::<&RawValue>(text).map_err(|error| not_json(text, &error)).unwrap_err()
    }

    #[test]
    fn each_mistake_is_named_with_its_remedy() {
        for (text, parts) in [
            ("{'query': 'q'}", ["a name in double quotes is expected (column 2)", "json.dumps"]),
            ("{\"query\": None}", ["a value is expected", "json.dumps"]),
            ("{\"query\": \"q\", \"x\": True}", ["a value is expected", "json.dumps"]),
            ("{\"query\": \"q\"} {\"query\": \"r\"}", ["behind the end of the value", "--input-format json"]),
            ("{\"query\": \"q\"}, {\"query\": \"r\"}", ["behind the end of the value", "put `[` and `]` around them"]),
            ("{\"query\": \"q\", // comment", ["a name in double quotes is expected", "JSON has no comments"]),
            ("{query: 1}", ["a name in double quotes", "column 2"]),
            ("{\"query\": \"q\",}", ["a name in double quotes is expected (column 15)", "remove the comma"]),
            ("{\"query\": \"a\tb\"}", ["control character stands in a string", "\\t"]),
            ("{\"query\": \"\\x\"}", ["a backslash", "is doubled"]),
            ("{\"query\": 01}", ["a number is malformed", "column"]),
            ("{\"a\": NaN}", ["which Python writes", "null"]),
            ("{\"a\": undefined}", ["undefined is not JSON", "null"]),
            ("\0\0", ["a value is expected", "NUL bytes"]),
            ("\u{1e}{}", ["a value is expected", "tr -d"]),
            ("{\"a\": [1, 2", ["it ends inside a list", "column"]),
        ] {
            for part in parts {
                assert!(problem(text).contains(part), "{text}: {}", problem(text));
            }
        }
    }

    #[test]
    fn half_a_surrogate_pair_is_found_with_its_place() {
        assert_eq!(lone_surrogate(r#""a \ud83d b""#), Some((3, r"\ud83d")));
        assert_eq!(lone_surrogate(r#""\\ud83d é\n\uD83D\uDE00\udc00""#), Some((11, r"\udc00")));
        assert_eq!(lone_surrogate(r#""\ud83d\ud83d\ude00""#), Some((1, r"\ud83d")));
        assert_eq!(lone_surrogate(r#""\"\\\u00e9\ud83d\ude00""#), None);
        assert_eq!(lone_surrogate(r#""""#), None);
    }
}
