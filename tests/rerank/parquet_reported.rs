//! What Parquet and Arrow files have that can't be read or kept is reported with the file, the row or the column, and a remedy.

use std::fs::File;
use std::sync::Arc;

use arrow_array::builder::{ListBuilder, StringBuilder};
use arrow_array::cast::AsArray;
use arrow_array::types::Float64Type;
use arrow_array::{ArrayRef, Float64Array, Int16Array, RecordBatch, StringArray};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use crate::fixture::{Files, Run, rankings, rerank};

fn testdata(name: &str) -> String {
    format!("testdata/parquet/{name}")
}

fn ranked(input: &str, arguments: &[&str]) -> Run {
    rerank(&[&["--model", "fake", "--input", input], arguments].concat())
}

/// A column of texts.
pub(crate) fn texts<const N: usize>(texts: [&str; N]) -> ArrayRef {
    Arc::new(StringArray::from(texts.to_vec()))
}

/// Writes a Parquet file, and returns its name.
pub(crate) fn written<const N: usize>(files: &Files, name: &str, columns: [(&str, ArrayRef); N]) -> String {
    let columns = columns.map(|(name, column)| (name, column, true));
    let (path, batch) = (files.name(name), RecordBatch::try_from_iter_with_nullable(columns).unwrap());
    let mut writer = ArrowWriter::try_new(File::create(&path).unwrap(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    path
}

#[test]
fn a_row_that_is_too_long_is_named_with_its_column() {
    let files = Files::in_memory();
    let long = "x".repeat(65 << 20);
    let columns = [("query", texts(["red"; 3])), ("text", texts(["blue", &long, "red"])), ("note", texts([""; 3]))];
    let input = written(&files, "long.parquet", columns);
    let run = ranked(&input, &["--on-error", "skip"]);
    run.fails(1, &["long.parquet:2: ", "its column `text` has 65.00 MiB", "shorten its text"]);
    assert_eq!(rankings(&run.stdout)[0]["results"].as_array().unwrap().len(), 2);
}

#[test]
fn a_column_beside_the_one_that_is_read_is_named_where_its_type_is_not_kept() {
    let files = Files::in_memory();
    let year = || Arc::new(Int16Array::from(vec![2026])) as ArrayRef;
    let columns = [("query", texts(["red"])), ("text", texts(["red"])), ("Text", year()), ("year", year())];
    let (input, output) = (written(&files, "in.parquet", columns), files.name("out.parquet"));
    let run = ranked(&input, &["--output", &output]);
    assert_eq!(run.status, 0, "{}", run.stderr);
    assert!(run.stderr.contains("follow their values: `Text` (Int16)\n"), "{}", run.stderr);
}

#[test]
fn an_encrypted_column_is_named_if_it_is_read() {
    let input = testdata("encrypted.parquet");
    ranked(&input, &[]).fails(1, &["encrypted.parquet: its column `author` is encrypted", "without encryption"]);
    let run = ranked(&input, &["--output-format", "trec"]);
    assert_eq!(run.status, 0, "{}", run.stderr);
}

#[test]
fn a_stream_without_the_mark_of_its_end_is_read_with_a_warning() {
    const WARNING: &str = "lacks the mark of its end";
    let files = Files::new();
    let bytes = std::fs::read(testdata("pairs.stream.arrow")).unwrap();
    let messages: Vec<usize> = (0..bytes.len()).step_by(8).filter(|&at| bytes[at..].starts_with(&[0xff; 4])).collect();
    let [_schema, _first, _second, third, .., end] = messages[..] else { panic!("{messages:?}") };
    assert_eq!(end, bytes.len() - 8);

    assert!(!ranked(&testdata("pairs.stream.arrow"), &[]).stderr.contains(WARNING));
    let cut = files.write("cut.arrows", &bytes[..third]);
    let run = ranked(&cut, &[]);
    assert_eq!(run.rankings().len(), 2);
    for part in ["cut.arrows: the stream ends behind 2 batches with 4 rows, and lacks", WARNING] {
        assert!(run.stderr.contains(part), "{}", run.stderr);
    }
    let unmarked = files.write("unmarked.arrows", &bytes[..end]);
    assert!(ranked(&unmarked, &[]).stderr.contains("4 batches with 7 rows"));
    // The same goes for the texts of a run.
    let queries = files.write("queries.tsv", "q1\tred\n");
    let run = files.write("run.trec", "q1 Q0 d1 1 3 x\n");
    let run = ranked(&run, &["--queries", &queries, "--collection", &unmarked]);
    assert!(run.stderr.contains("unmarked.arrows: the stream ends"), "{}", run.stderr);
    let eval = rerank(&["eval", "--qrels", &testdata("qrels.parquet"), &cut]);
    eval.fails(0, &["cut.arrows: the stream ends behind 2 batches"]);
}

#[test]
fn numbers_beside_lists_of_candidates_become_null_whatever_they_are_called() {
    let files = Files::in_memory();
    let infinite = || Arc::new(Float64Array::from(vec![f64::INFINITY])) as ArrayRef;
    for name in ["price_id", "scores", "my_scores"] {
        let mut lists = ListBuilder::new(StringBuilder::new());
        lists.append_value([Some("red planet")]);
        let columns =
            [("query", texts(["red"])), ("documents", Arc::new(lists.finish()) as ArrayRef), (name, infinite())];
        let run = ranked(&written(&files, "in.parquet", columns), &[]);
        run.fails(0, &[&format!("the carried column `{name}` has a NaN or an infinite number")]);
        assert!(run.stdout.contains(&format!("\"{name}\":null")), "{}", run.stdout);
    }
}

#[test]
fn numbers_that_json_lacks_become_null_with_one_note() {
    const NOTE: &str = "the carried column `weight` has a NaN or an infinite number";
    let files = Files::new();
    let weights = Float64Array::from(vec![1.5, f64::INFINITY, f64::NEG_INFINITY, f64::NAN]);
    let columns = [
        ("query_id", texts(["q1", "q1", "q2", "q2"])),
        ("query", texts(["red"; 4])),
        ("id", texts(["a", "b", "a", "b"])),
        ("text", texts(["red planet", "\"x\":1e999", "red", "blue"])),
        ("weight", Arc::new(weights)),
    ];
    let input = written(&files, "in.parquet", columns);
    let single = ranked(&input, &[]);
    single.fails(0, &["in.parquet:2: ", NOTE, "--output FILE.parquet"]);
    assert_eq!((single.stderr.matches(NOTE).count(), single.stdout.matches("\"weight\":null").count()), (1, 3));
    assert!(!ranked(&input, &["--output-format", "trec"]).stderr.contains(NOTE));

    let [parts, lines, rows] = ["parts", "merged.jsonl", "merged.parquet"].map(|name| files.name(name));
    for shard in ["0/2", "1/2"] {
        ranked(&input, &["--output", &parts, "--shard", shard]).fails(0, &[]);
    }
    rerank(&["merge", &parts, "--output", &lines]).fails(0, &["2 queries have infinite numbers", "Parquet keeps them"]);
    assert_eq!(files.read("merged.jsonl"), single.stdout);
    rerank(&["merge", &parts, "--output", &rows]).fails(0, &[]);
    let mut reader = ParquetRecordBatchReaderBuilder::try_new(File::open(&rows).unwrap()).unwrap().build().unwrap();
    let batch = reader.next().unwrap().unwrap();
    let mut weights: Vec<_> = batch["weight"].as_primitive::<Float64Type>().iter().collect();
    weights.sort_by(|one, other| one.partial_cmp(other).unwrap());
    assert_eq!(weights, [None, Some(f64::NEG_INFINITY), Some(1.5), Some(f64::INFINITY)]);
}
