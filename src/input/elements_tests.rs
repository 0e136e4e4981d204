use std::io::{BufReader, Read};

use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::input::findings::Findings;

fn elements(text: &str, chunk: usize, limit: usize) -> Elements {
    let bytes: Box<dyn Read + Send> = Box::new(std::io::Cursor::new(text.as_bytes().to_vec()));
    let reader = Box::new(BufReader::with_capacity(chunk, bytes));
    Elements::new(
        Source { name: "x.json".into(), reader, position: None, lines_skipped: 0, findings: Findings::default() },
        limit,
    )
}

fn read(text: &str, chunk: usize, limit: usize) -> (Vec<(u64, Option<String>)>, Option<String>) {
    let mut elements = elements(text, chunk, limit);
    let mut pieces = Vec::new();
    loop {
        match elements.next() {
            Ok(Some(piece)) => {
                pieces.push((piece.line, piece.bytes.map(|bytes| String::from_utf8_lossy(bytes).into_owned())));
            }
            Ok(None) => return (pieces, None),
            Err(error) => return (pieces, Some(error.to_string())),
        }
    }
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "[a-z\\\\\"\\[\\]{},: \n\u{e9}]{0,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 20, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec(("[a-z\"\\\\{]{0,4}", inner), 0..4)
                .prop_map(|entries| Value::Object(entries.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn the_elements_are_those_that_a_parser_finds(
        values in prop::collection::vec(value(), 0..6),
        chunk in 1_usize..20,
        pretty in any::<bool>(),
        listed in any::<bool>(),
    ) {
        let list = Value::from(values.clone());
        let text = match (listed, pretty) {
            (true, true) => serde_json::to_string_pretty(&list).unwrap(),
            (true, false) => list.to_string(),
            // A value that is itself a list would be taken for the list of elements.
            (false, _) if values.first().is_some_and(Value::is_array) => return Ok(()),
            (false, _) => values.iter().map(|value| format!("{value:#}\n")).collect(),
        };
        let (pieces, error) = read(&text, chunk, 1_000_000);
        prop_assert_eq!(error, None);
        let parsed: Vec<Value> =
            pieces.iter().map(|(_, piece)| serde_json::from_str(piece.as_deref().unwrap()).unwrap()).collect();
        prop_assert_eq!(parsed, values);
    }
}

#[test]
fn an_element_knows_the_line_on_which_it_starts() {
    let (pieces, error) = read("\n[\n {\"a\":\n 1}\n,\n 2 ,{}]\n\n", 3, 100);
    assert_eq!(pieces.iter().map(|(line, _)| *line).collect::<Vec<_>>(), [3, 6, 6]);
    assert_eq!(error, None);
}

#[test]
fn a_long_element_is_skipped_and_the_next_one_read() {
    let (pieces, _) = read("[{\"a\": \"0123456789\"}, {}]", 4, 10);
    assert_eq!(pieces, [(1, None), (1, Some("{}".into()))]);
}

#[test]
fn a_string_that_is_never_closed_spoils_its_own_element_only() {
    let (pieces, error) = read("[\n{\"a\": \"x\n},\n{\"b\": 1}\n]", 7, 100);
    assert_eq!(pieces[1], (4, Some("{\"b\": 1}".into())));
    assert_eq!((pieces.len(), error), (2, None));
}

#[test]
fn a_broken_list_is_an_error_that_names_the_line() {
    for (text, message) in [
        ("[{}", "truncated"),
        ("[{},\n", "truncated"),
        ("[{}\n{}]", "x.json:2: `{` stands between"),
        ("[{},\n\n]", "x.json:3: `]`"),
        ("[{}]\n7", "x.json:2: `7`"),
        ("{}, {}", "x.json:1: `,`"),
        ("[}", "x.json:1: `}`"),
    ] {
        let error = read(text, 5, 100).1.unwrap_or_default();
        assert!(error.contains(message), "{text}: {error}");
    }
}
