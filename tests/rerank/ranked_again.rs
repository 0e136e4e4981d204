//! Fields of rerank's own output that is ranked again.

use std::collections::BTreeMap;
use std::fs::File;
use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch, StringArray};
use arrow_json::LineDelimitedWriter;
use arrow_schema::DataType;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::{Map, Value, json};

use crate::fixture::{Files, Run, rerank, rerank_on};

#[track_caller]
fn succeed(arguments: &[&str]) -> Run {
    let run = rerank(&[&["--model", "fake"], arguments].concat());
    assert_eq!(run.status, 0, "{}", run.stderr);
    run
}

/// Writes a batch as a Parquet file.
fn write(path: &str, batch: &RecordBatch) {
    let mut writer = ArrowWriter::try_new(File::create(path).unwrap(), batch.schema(), None).unwrap();
    writer.write(batch).unwrap();
    writer.close().unwrap();
}

/// The columns of a Parquet file, and its rows without nulls by their candidates' ids.
fn read(path: &str) -> (BTreeMap<String, DataType>, BTreeMap<String, Map<String, Value>>) {
    let builder = ParquetRecordBatchReaderBuilder::try_new(File::open(path).unwrap()).unwrap();
    let columns = builder.schema().fields().iter().map(|field| (field.name().clone(), field.data_type().clone()));
    let columns = columns.collect();
    let mut lines = LineDelimitedWriter::new(Vec::new());
    builder.build().unwrap().for_each(|batch| lines.write(&batch.unwrap()).unwrap());
    lines.finish().unwrap();
    let lines = String::from_utf8(lines.into_inner()).unwrap();
    let rows = lines.lines().map(|line| serde_json::from_str::<Map<String, Value>>(line).unwrap());
    (columns, rows.map(|row| (row["id"].as_str().unwrap().to_owned(), row)).collect())
}

const EARLIER: &str = concat!(
    r#"{"query_id":"q","query":"red","id":"d","text":"red","best_passage":5,"fused":6,"mine":7}"#,
    "\n",
    r#"{"query_id":"q","query":"red","id":"e","text":"red","best_passage":5,"fused":6,"mine":7}"#,
);

#[test]
fn results_of_an_earlier_run_are_left_out_by_name() {
    for format in ["jsonl", "csv"] {
        let run = rerank_on(EARLIER, &["--model", "fake", "--output-format", format]);
        for (name, option) in [("best_passage", "--long"), ("fused", "--fuse")] {
            let note = format!("standard input:1: the field `{name}` is left out: rerank writes it with {option},");
            assert_eq!(run.stderr.matches(&note).count(), 1, "{}", run.stderr);
            assert!(!run.stdout.contains(name), "{}", run.stdout);
        }
        assert!(run.stdout.contains("mine"), "{}", run.stdout);
    }
    let run = rerank_on(EARLIER, &["--model", "fake", "--output-format", "trec"]);
    assert!(run.status == 0 && !run.stderr.contains("left out"), "{}", run.stderr);
    let run = rerank_on(EARLIER, &["--model", "fake", "--fuse", "rrf"]);
    assert!(!run.stderr.contains("`fused`") && run.stdout.contains("\"fused\":0.0"), "{}", run.stderr);
}

#[test]
fn results_of_an_earlier_run_have_no_empty_columns() {
    let files = Files::new();
    let (input, output) = (files.name("in.parquet"), files.name("out.parquet"));
    let text = || Arc::new(StringArray::from(vec!["red"])) as ArrayRef;
    let names = ["query", "id", "text", "best_passage", "fused", "mine"];
    write(&input, &RecordBatch::try_from_iter(names.map(|name| (name, text()))).unwrap());
    let run = succeed(&[&input, "--output", &output]);
    assert!(run.stderr.contains("`best_passage` is left out") && run.stderr.contains("`fused` is left out"));
    let (columns, rows) = read(&output);
    assert!(!columns.contains_key("best_passage") && !columns.contains_key("fused"), "{columns:?}");
    assert_eq!(rows["red"]["mine"], "red");
}

#[test]
fn a_fusion_names_a_score_that_may_be_the_reranker_s() {
    let files = Files::new();
    let candidates = |scores: bool| -> String {
        let candidates = ["red", "blue", "reds"].map(|text| match scores {
            true => json!({"id": text, "text": text, "score": text.len()}),
            false => json!({"id": text, "text": text}),
        });
        json!({"query_id": "q", "query": "red", "candidates": candidates}).to_string()
    };
    let (plain, scored) =
        (files.write("plain.jsonl", candidates(false)), files.write("scored.jsonl", candidates(true)));
    let fused = |input: &str, more: &[&str]| {
        succeed(&[&[input, "--fuse", "alpha=0.5"], more].concat())
            .stderr
            .contains("takes this score as the first stage's")
    };
    for name in ["one.jsonl", "one.parquet"] {
        let output = files.name(name);
        succeed(&[&plain, "--fuse", "rrf", "--output", &output]);
        let run = succeed(&[&output, "--fuse", "alpha=0.5", "--output-format", "trec"]);
        let note =
            ":1: `logit` and `fused` beside the score: rerank writes that, and --fuse alpha=0.5 takes this score as";
        assert_eq!(run.stderr.matches(note).count(), 1, "{}", run.stderr);
    }
    let output = files.name("two.jsonl");
    succeed(&[&scored, "--output", &output]);
    assert!(fused(&output, &[]));
    assert!(!fused(&output, &["--columns", "score=original_score,rank=original_rank"]));
    assert!(!fused(&scored, &[]));
}
