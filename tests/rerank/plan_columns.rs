//! `rerank plan` on files of columns: the rest is extrapolated by rows, however these are divided into batches and files.

use std::fs::{self, File};
use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch, StringArray};
use arrow_ipc::writer::{FileWriter, StreamWriter};

use crate::fixture::Files;
use crate::parquet_reported::written;
use crate::plan::{number, plan};

/// The columns of pairs with these numbers, ten of them for a query.
fn columns(numbers: std::ops::Range<usize>) -> [(&'static str, ArrayRef); 4] {
    let texts =
        |text: fn(usize) -> String| Arc::new(StringArray::from_iter_values(numbers.clone().map(text))) as ArrayRef;
    [
        ("query_id", texts(|number| format!("q{}", number / 10))),
        ("query", texts(|_| "red".to_owned())),
        ("id", texts(|number| format!("d{number}"))),
        ("text", texts(|number| format!("red planet {number}"))),
    ]
}

/// Batches of pairs, of so many rows each.
fn batches(sizes: &[usize]) -> Vec<RecordBatch> {
    let mut first = 0;
    let batch = |&size: &usize| {
        first += size;
        RecordBatch::try_from_iter(columns(first - size..first)).unwrap()
    };
    sizes.iter().map(batch).collect()
}

#[test]
fn rows_are_extrapolated_however_uneven_the_batches_are() {
    let files = Files::in_memory();
    let name = files.name("in.arrow");
    for is_stream in [false, true] {
        let batches = batches(&[[22_000].as_slice(), &[900; 20], &[10; 100]].concat());
        let (file, schema) = (File::create(&name).unwrap(), batches[0].schema());
        if is_stream {
            let mut writer = StreamWriter::try_new(file, &schema).unwrap();
            batches.iter().for_each(|batch| writer.write(batch).unwrap());
            writer.finish().unwrap();
        } else {
            let mut writer = FileWriter::try_new(file, &schema).unwrap();
            batches.iter().for_each(|batch| writer.write(batch).unwrap());
            writer.finish().unwrap();
        }
        let plan = plan(&[name.as_str(), "--pairs-per-second", "100"]);
        let share = number(&plan, "share_read");
        assert!(share > 0.48 && share < 0.5, "{plan}");
        assert!((number(&plan, "pairs") / 41_000. - 1.).abs() < 0.01, "{plan}");
    }
}

#[test]
fn several_files_are_counted_while_they_are_read() {
    let files = Files::in_memory();
    let first = written(&files, "a.parquet", columns(0..30_000));
    let second = written(&files, "b.parquet", columns(30_000..60_000));
    let plan = plan(&[first.as_str(), &second, "--pairs-per-second", "100"]);
    assert!((number(&plan, "pairs") / 60_000. - 1.).abs() < 0.05, "{plan}");
}

#[test]
fn every_worker_reads_the_texts_of_a_run() {
    let [run, queries, corpus] = ["run", "queries", "corpus"].map(|name| format!("testdata/parquet/{name}.parquet"));
    let arguments =
        [run.as_str(), "--queries", &queries, "--collection", &corpus, "--pairs-per-second", "1", "--shards", "2"];
    let plan = plan(&arguments);
    let [run, queries, corpus] = [run, queries, corpus].map(|name| fs::metadata(name).unwrap().len() as f64);
    assert_eq!([number(&plan, "input_bytes"), number(&plan, "texts_bytes")], [run, queries + corpus]);
    assert_eq!(number(&plan, "shard_bytes_read"), run + queries + corpus);
}
