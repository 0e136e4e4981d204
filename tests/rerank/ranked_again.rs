//! What is carried where names collide: with rerank's own, in its output that is ranked again, and of a query with its candidates'.

use std::collections::BTreeMap;
use std::fs::File;
use std::sync::Arc;

use arrow_array::builder::{Int64Builder, ListBuilder, StringBuilder, StructBuilder};
use arrow_array::{ArrayRef, DurationSecondArray, RecordBatch, StringArray};
use arrow_json::LineDelimitedWriter;
use arrow_schema::{DataType, Field, TimeUnit};
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

/// The rows of a table in CSV, each by its candidate's id with its cells by their columns.
fn cells(table: &str) -> BTreeMap<String, BTreeMap<String, String>> {
    let mut reader = csv::Reader::from_reader(table.as_bytes());
    let rows = reader.deserialize::<BTreeMap<String, String>>().map(Result::unwrap);
    rows.map(|row| (row["id"].clone(), row)).collect()
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

/// A query whose field collides with its first candidate's, and one before it whose does not.
const QUERIES: [&str; 2] = [
    r#"{"query_id":"b","query":"red","m":8,"candidates":[{"id":"3","text":"red"}]}"#,
    r#"{"query_id":"a","query":"red","m":7,"title":"T","candidates":[{"id":"1","text":"red","m":1.5},{"id":"2","text":"x"}]}"#,
];

#[test]
fn a_query_s_field_and_a_candidate_s_have_columns_of_their_own_in_any_order() {
    let files = Files::new();
    for (number, lines) in [QUERIES.join("\n"), [QUERIES[1], QUERIES[0]].join("\n")].iter().enumerate() {
        let input = files.write(&format!("in{number}.jsonl"), lines);
        let output = files.name(&format!("out{number}.parquet"));
        succeed(&[&input, "--output", &output]);
        let rows = read(&output).1;
        let found = ["1", "2", "3"].map(|id| ["m", "query_m", "query_title"].map(|name| rows[id].get(name).cloned()));
        let number = |number: f64| Some(Value::from(number));
        assert_eq!(found[0], [number(1.5), Some(json!(7)), Some(json!("T"))]);
        assert_eq!(found[1], [None, Some(json!(7)), Some(json!("T"))]);
        assert_eq!(found[2], [None, Some(json!(8)), None]);
        let table = cells(&succeed(&[&input, "--output-format", "csv"]).stdout);
        assert_eq!(["1", "2", "3"].map(|id| table[id]["query_m"].as_str()), ["7", "7", "8"]);
        assert!(["2", "3"].iter().all(|id| table[*id].get("m").is_none_or(String::is_empty)), "{table:?}");
    }
}

#[test]
fn a_merge_has_the_columns_of_a_single_run() {
    let files = Files::new();
    let (input, parts) = (files.write("in.jsonl", QUERIES.join("\n")), files.name("parts"));
    for shard in ["0/2", "1/2"] {
        succeed(&[&input, "--output", &parts, "--shard", shard]);
    }
    let merged = files.name("merged.csv");
    assert_eq!(rerank(&["merge", &parts, "--output", &merged]).status, 0);
    assert_eq!(files.read("merged.csv"), succeed(&[&input, "--output-format", "csv"]).stdout);
}

#[test]
fn a_query_s_field_whose_column_is_taken_is_named() {
    let files = Files::new();
    let line = concat!(
        r#"{"query_id":"a","query":"red","m":7,"query_k":1,"k":2,"#,
        r#""candidates":[{"id":"1","text":"red","query_m":1.5},{"id":"2","text":"x"}]}"#
    );
    let input = files.write("in.jsonl", line);
    let output = files.name("out.parquet");
    for arguments in [&["--output-format", "csv"][..], &["--output", &output]] {
        let run = succeed(&[&[input.as_str()], arguments].concat());
        assert!(
            run.stderr.contains("are left out: `m` of the query (its column would be `query_m`);"),
            "{}",
            run.stderr
        );
    }
    let rows = read(&output).1;
    assert_eq!((&rows["1"]["query_m"], rows["2"].get("query_m")), (&json!(1.5), None));
    assert_eq!((&rows["1"]["query_k"], &rows["2"]["query_query_k"]), (&json!(2), &json!(1)));
}

#[test]
fn columns_of_queries_and_of_candidates_keep_their_types() {
    let files = Files::new();
    let (input, output) = (files.name("in.parquet"), files.name("out.parquet"));
    let members = ["id", "text", "took"].map(|name| {
        let data_type = if name == "took" { DataType::Int64 } else { DataType::Utf8 };
        Arc::new(Field::new(name, data_type, true))
    });
    let builders: Vec<Box<dyn arrow_array::builder::ArrayBuilder>> =
        vec![Box::new(StringBuilder::new()), Box::new(StringBuilder::new()), Box::new(Int64Builder::new())];
    let mut list = ListBuilder::new(StructBuilder::new(members.to_vec(), builders));
    for index in [0, 1] {
        list.values().field_builder::<StringBuilder>(index).unwrap().append_value("red");
    }
    list.values().field_builder::<Int64Builder>(2).unwrap().append_value(5);
    list.values().append(true);
    list.append(true);
    let columns = [
        ("query", Arc::new(StringArray::from(vec!["red"])) as ArrayRef),
        ("took", Arc::new(DurationSecondArray::from(vec![90])) as ArrayRef),
        ("candidates", Arc::new(list.finish()) as ArrayRef),
    ];
    write(&input, &RecordBatch::try_from_iter(columns).unwrap());
    succeed(&[&input, "--output", &output]);
    let (columns, rows) = read(&output);
    assert_eq!(columns["took"], DataType::Int64);
    assert_eq!(columns["query_took"], DataType::Duration(TimeUnit::Second));
    assert_eq!((&rows["red"]["took"], &rows["red"]["query_took"]), (&json!(5), &json!("PT90S")));
}
