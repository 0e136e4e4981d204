//! How pairs share batches, and what is scored once.

use serde_json::Value;

use crate::fixture::{Files, rerank};

fn line(query: usize, text: &str, documents: &[String]) -> String {
    format!("{}\n", serde_json::json!({"query_id": query.to_string(), "query": text, "documents": documents}))
}

fn stats(directory: &Files) -> Value {
    serde_json::from_str(&directory.read("stats.json")).unwrap()
}

#[test]
fn equal_pairs_are_scored_once_and_every_candidate_keeps_its_line() {
    let directory = Files::new();
    let documents = |count: usize| (0..count).map(|index| format!("red w{}", index % 3)).collect::<Vec<_>>();
    let many = directory.write("many.jsonl", line(1, "red w1", &documents(30)) + &line(2, "w2", &documents(4)));
    let few = directory.write("few.jsonl", line(1, "red w1", &documents(3)) + &line(2, "w2", &documents(3)));
    for model in ["fake", "testdata/tiny-reranker"] {
        let rank = |input: &str| {
            let run = rerank(&["--model", model, input, "--stats", &directory.name("stats.json")]);
            assert_eq!(run.status, 0, "{}", run.stderr);
            (run.rankings(), run.stderr)
        };
        let (repeated, messages) = rank(&many);
        let figures = stats(&directory);
        assert_eq!([&figures["pairs"], &figures["duplicates"], &figures["queries"]], [34, 28, 2]);
        assert!(messages.contains("34 pairs (0 truncated, 28 equal to others)"), "{messages}");
        let (single, messages) = rank(&few);
        assert_eq!(stats(&directory)["duplicates"], 0);
        assert!(messages.contains("6 pairs (0 truncated)"), "{messages}");
        for (repeated, single) in repeated.iter().zip(&single) {
            let score_of = |result: &Value| {
                let same = |other: &&Value| other["text"] == result["text"];
                single["results"].as_array().unwrap().iter().find(same).unwrap()["logit"].clone()
            };
            for result in repeated["results"].as_array().unwrap() {
                assert_eq!(result["logit"], score_of(result));
            }
        }
        assert_eq!(repeated[0]["results"].as_array().unwrap().len(), 30);
    }
}

#[test]
fn queries_with_one_candidate_fill_batches() {
    let directory = Files::new();
    let lines: String = (0..2000).map(|query| line(query, "red", &[format!("red {query}")])).collect();
    let input = directory.write("input.jsonl", lines);
    let run = rerank(&["--model", "fake", &input, "--batch-size", "500", "--stats", &directory.name("stats.json")]);
    assert_eq!(run.rankings().len(), 2000);
    // A machine that is very busy may bring the file's lines late.
    let batches = stats(&directory)["batches"].as_u64().unwrap();
    assert!((4..20).contains(&batches), "{batches} batches");
}
