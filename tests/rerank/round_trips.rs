//! What is written reads back as itself: any texts, through every format that holds texts.

use proptest::prelude::*;
use serde_json::{Value, json};

use crate::fixture::{Files, Run, rerank, rerank_on};

/// A query's or a candidate's text, made of what tables and lines trip over.
fn text() -> impl Strategy<Value = String> {
    let part = prop::sample::select(vec![
        "\"",
        "\"\"",
        "\t",
        "\n",
        "\r\n",
        "\r",
        "\0",
        "\u{feff}",
        ",",
        ";",
        " ",
        "\\",
        "\\n",
        "\\\"",
        "'",
        "\u{2028}",
        "a",
        "word",
        "\u{5e9}\u{5dc}",
        "\u{202e}",
        "\u{1f5fc}",
        "é",
        "sep=;",
        "query_id",
        "{",
        "}",
        "\u{a0}",
        "#",
    ]);
    prop::collection::vec(part, 0..8).prop_map(|parts| parts.concat())
}

/// The identifiers and texts of all results, in the order of their ranks.
fn said(run: &Run) -> Vec<Value> {
    let mut said = Vec::new();
    for ranking in run.rankings() {
        for result in ranking["results"].as_array().unwrap() {
            said.push(json!([
                ranking["query_id"],
                ranking["query"],
                result["id"],
                result["title"],
                result["text"],
                result["note"]
            ]));
        }
    }
    said
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_text_survives_every_format(
        queries in prop::collection::vec((text(), prop::collection::vec((text(), text(), text()), 1..4)), 1..4),
    ) {
        let lines: String = queries.iter().enumerate().map(|(index, (query, candidates))| {
            let candidates: Vec<Value> = candidates.iter().enumerate().map(|(index, (text, title, note))| {
                json!({"id": format!("d{index}"), "text": text, "title": format!("t{title}"), "note": note})
            }).collect();
            format!("{}\n", json!({"query_id": format!("q{index}"), "query": format!("q{query}"), "candidates": candidates}))
        }).collect();
        let first = rerank_on(lines, &["--model", "fake"]);
        let expected = said(&first);
        let files = Files::new();
        let ranked = files.write("ranked.jsonl", &first.stdout);
        for name in ["again.csv", "again.tsv", "again.jsonl"] {
            let output = files.name(name);
            let run = rerank(&["--model", "fake", "--input", &ranked, "--output", &output]);
            prop_assert_eq!(run.status, 0, "{}", run.stderr);
            prop_assert_eq!(&said(&rerank(&["--model", "fake", "--input", &output])), &expected, "{}", name);
        }
    }
}

#[test]
fn white_space_in_a_carried_name_does_not_trim_the_cells() {
    let line = r#"{"query":"red","candidates":[{"id":"a","text":" red ","\tnote ":" x "}]}"#;
    for format in ["csv", "tsv"] {
        let table = rerank_on(line, &["--model", "fake", "--output-format", format]);
        let again = rerank_on(&table.stdout, &["--model", "fake", "--input-format", format]).rankings();
        assert_eq!(again[0]["results"][0]["text"], " red ");
    }
}
