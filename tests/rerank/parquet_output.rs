//! Parquet as output: what is written is read back, and what can't be written is refused by name.

use std::fs::File;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, RecordBatch, StringArray, TimestampMillisecondArray};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::{Value, json};

use crate::fixture::{Files, rankings, rerank};

const INPUT: &str = r#"{"query_id":"q1","query":"red","topic":{"year":2026,"tags":["a"]},"candidates":[{"id":"a","text":"red one","score":2.5,"url":"u","n":1},{"id":"b","text":"blue","title":"T","url":null,"n":2.5,"mixed":[1,"x"]}]}
{"query_id":"q2","query":"no candidates","candidates":[]}
{"query_id":"q3","query":"green","instruction":"find it","candidates":[{"id":"c","text":"green \\ \"two\"\nlines","n":3}]}
"#;

/// What a query's results have, without what a rank by itself changes.
fn cells(rankings: &[Value]) -> Vec<Value> {
    let results = rankings.iter().flat_map(|ranking| {
        let query = ranking.clone();
        let of = move |result: &Value| {
            let mut cells = result.clone();
            let known = ["query_id", "query", "instruction", "topic"];
            for name in known.into_iter().filter(|name| query.get(name).is_some()) {
                cells[name] = query[name].clone();
            }
            // A table has the query's own fields under their names behind `query_`.
            if cells.get("query_topic").is_some() {
                cells["topic"] = cells["query_topic"].clone();
            }
            cells["truncated"] = json!(result["truncated"] == true);
            cells
        };
        ranking["results"].as_array().unwrap().iter().map(of).collect::<Vec<_>>()
    });
    results.collect()
}

#[test]
fn every_field_is_read_back() {
    let files = Files::new();
    let (input, output) = (files.write("in.jsonl", INPUT), files.name("out.parquet"));
    let expected = cells(&rerank(&["--model", "fake", &input]).rankings());
    let written = rerank(&["--model", "fake", &input, "--output", &output]);
    assert_eq!(written.status, 0, "{}", written.stderr);
    let again = rerank(&["--model", "fake", &output, "--columns", "rank=original_rank,score=original_score"]);
    for (expected, found) in expected.iter().zip(cells(&again.rankings())) {
        for name in [
            "query_id",
            "query",
            "id",
            "text",
            "rank",
            "logit",
            "original_rank",
            "original_score",
            "title",
            "url",
            "topic",
        ] {
            if name != "logit" || found.get("logit").is_some() {
                assert_eq!(found[name], expected[name], "{name} of {expected}");
            }
        }
        assert_eq!(found["n"].as_f64(), expected["n"].as_f64());
        // What has values of several types is JSON text.
        if let Some(mixed) = expected.get("mixed") {
            assert_eq!(found["mixed"], mixed.to_string());
        }
    }
    assert_eq!(again.rankings().len(), 2);
    assert!(!files.path("out.parquet.run.json").exists());
}

#[test]
fn a_file_is_there_when_it_is_whole() {
    let files = Files::new();
    let output = files.name("out.parquet");
    let input = files.write("in.jsonl", format!("{INPUT}{{\"query\": 1}}\n"));
    rerank(&["--model", "fake", &input, "--output", &output]).fails(1, &["in.jsonl:4", "out.parquet is not written"]);
    assert!(!files.path("out.parquet").exists());
    let left: Vec<_> = std::fs::read_dir(files.path("")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["in.jsonl"]);
}

#[test]
fn what_can_t_be_written_is_refused() {
    let files = Files::new();
    let (input, output) = (files.write("in.jsonl", INPUT), files.name("out.parquet"));
    let run = |arguments: &[&str]| rerank(&[&["--model", "fake", &input], arguments].concat());
    run(&["--output", &output, "--resume"]).fails(2, &["--resume: a Parquet file", "write JSONL"]);
    run(&["--output", &files.name("a.parquet.gz")]).fails(2, &["Parquet is compressed inside its file"]);
    assert_eq!(run(&["--output", &output]).status, 0);
    run(&["--output", &output]).fails(2, &["exists already"]);
    assert_eq!(run(&["--output", &output, "--overwrite", "--no-text"]).status, 0);
    rerank(&["--model", "fake", &output]).fails(1, &["there is no text"]);
}

#[test]
fn rankings_in_parquet_are_evaluated_as_in_jsonl() {
    let files = Files::new();
    let run = |output: &str| {
        let output = files.name(output);
        let arguments = ["--model", "fake", "--input", "testdata/candidates.jsonl", "--output", &output];
        assert_eq!(rerank(&arguments).status, 0);
        rerank(&["eval", "--qrels", "testdata/candidates.qrels", "--format", "jsonl", &output])
            .rankings()
            .into_iter()
            .map(|mut values| {
                values.as_object_mut().unwrap().remove("run");
                values
            })
            .collect::<Vec<_>>()
    };
    assert_eq!(run("ranked.parquet"), run("ranked.jsonl"));
    let rankings = rankings(&files.read("ranked.jsonl"));
    assert!(!rankings.is_empty());
}

/// The column `other_fields` of a Parquet file, in the order of the candidates' ids.
fn other_fields(path: &str) -> Vec<Option<String>> {
    let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(path).unwrap()).unwrap().build().unwrap();
    let mut rows = Vec::new();
    for batch in reader.map(|batch| batch.unwrap()) {
        let texts = |name: &str| batch.column_by_name(name).unwrap().as_string::<i32>().clone();
        let (ids, others) = (texts("id"), texts("other_fields"));
        rows.extend(
            (0..batch.num_rows())
                .map(|row| (ids.value(row).to_owned(), others.is_valid(row).then(|| others.value(row).to_owned()))),
        );
    }
    rows.sort();
    rows.into_iter().map(|(_, others)| others).collect()
}

#[test]
fn other_fields_are_there_however_often_they_are_ranked() {
    let files = Files::new();
    let values = [r#""{\"late\":[1.10],\"n\":1}""#, r#""{\"n\": null}""#, "7", r#""{""#, "null"];
    let lines: String = (0..)
        .zip(values)
        .map(|(row, value)| {
            format!(
                "{{\"query_id\":\"q\",\"query\":\"red\",\"id\":\"d{row}\",\"text\":\"red\",\"other_fields\":{value}}}\n"
            )
        })
        .collect();
    let mut input = files.write("in.jsonl", lines);
    for name in ["one.parquet", "two.parquet", "three.parquet"] {
        let output = files.name(name);
        let run = rerank(&["--model", "fake", &input, "--output", &output]);
        assert_eq!(run.status, 0, "{}", run.stderr);
        let expected = [
            Some(r#"{"late":[1.10],"n":1}"#),
            Some(r#"{"n":null}"#),
            Some(r#"{"other_fields":7}"#),
            Some(r#"{"other_fields":"{"}"#),
            None,
        ];
        assert_eq!(other_fields(&output), expected.map(|text| text.map(str::to_owned)), "{name}");
        input = output;
    }
}

#[test]
fn a_column_of_the_name_other_fields_stands_in_the_object_whatever_its_type_is() {
    let files = Files::new();
    let (input, output) = (files.name("in.parquet"), files.name("out.parquet"));
    let text = || Arc::new(StringArray::from(vec!["red"])) as ArrayRef;
    let times = Arc::new(TimestampMillisecondArray::from(vec![1500])) as ArrayRef;
    let columns = [("query", text()), ("id", text()), ("text", text()), ("other_fields", times)];
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let mut writer = ArrowWriter::try_new(File::create(&input).unwrap(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    assert_eq!(rerank(&["--model", "fake", &input, "--output", &output]).status, 0);
    assert_eq!(other_fields(&output), [Some(r#"{"other_fields":"1970-01-01T00:00:01.500"}"#.to_owned())]);
}
