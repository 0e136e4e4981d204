//! Rankings without texts that are ranked again, with the files that have their texts.

use crate::fixture::{Files, rerank};

const INPUT: &str = r#"{"query_id":"q","query":"red planet","candidates":[{"id":"a","text":"blue"},{"id":"b","text":"red"}]}
"#;

/// Writes rankings without texts to a file of this name, and the files of their texts. Returns the options that name these.
fn written(files: &Files, name: &str) -> [String; 3] {
    let (input, output) = (files.write("in.jsonl", INPUT), files.name(name));
    let run = rerank(&["--model", "fake", "--input", &input, "--output", &output, "--no-text"]);
    assert_eq!(run.status, 0, "{}", run.stderr);
    let collection = "{\"_id\":\"a\",\"text\":\"blue\"}\n{\"_id\":\"b\",\"text\":\"red\"}\n";
    [output, files.write("queries.tsv", "q\tred planet\n"), files.write("corpus.jsonl", collection)]
}

#[test]
fn those_that_cannot_be_read_are_refused_with_what_can() {
    for (name, has_conversion) in [("out.jsonl", true), ("out.csv", false), ("out.tsv", false)] {
        let files = Files::in_memory();
        let [ranked, queries, collection] = &written(&files, name);
        const REMEDY: &str = "are read again, with --queries and --collection, from a TREC run or from Parquet";
        let alone = rerank(&["--model", "fake", ranked]);
        assert!(alone.status != 0 && alone.stderr.contains(REMEDY), "{name}: {}", alone.stderr);
        for texts in [&["--collection", collection][..], &["--queries", queries, "--collection", collection]] {
            let run = rerank(&[&["--model", "fake", ranked], texts].concat());
            run.fails(2, &[REMEDY, name]);
            assert_eq!(run.stderr.contains("jq -r '.query_id as $query"), has_conversion, "{}", run.stderr);
        }
    }
    // A file that has its texts needs no other files.
    let files = Files::in_memory();
    let [_, queries, collection] = written(&files, "out.jsonl");
    let run = rerank(&["--model", "fake", &files.name("in.jsonl"), "--queries", &queries, "--collection", &collection]);
    run.fails(2, &["leave them out"]);
    assert!(!run.stderr.contains("--no-text"), "{}", run.stderr);
}

#[test]
fn those_of_which_the_message_speaks_are_read_again() {
    let names: &[&str] = if cfg!(feature = "parquet") { &["out.trec", "out.parquet"] } else { &["out.trec"] };
    for name in names {
        let files = Files::in_memory();
        let [ranked, queries, collection] = &written(&files, name);
        let run = rerank(&["--model", "fake", ranked, "--queries", queries, "--collection", collection]);
        let results = &run.rankings()[0]["results"];
        assert_eq!((&results[0]["id"], &results[0]["text"]), (&"b".into(), &"red".into()), "{name}");
    }
}
