//! Carried columns keep their types and values from Parquet and Arrow files to Parquet, to the bit.

use std::fs::File;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Int8Type, Int32Type};
use arrow_array::{
    Array, ArrayRef, Date32Array, Date64Array, DictionaryArray, RecordBatch, StringArray, TimestampMillisecondArray,
};
use arrow_cast::cast;
use arrow_ipc::reader::FileReader;
use arrow_schema::DataType;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::file::properties::WriterProperties;
use serde_json::{Value, json};

use crate::fixture::{Files, Run, rerank};

/// What is not carried: these columns become ours.
const KNOWN: [&str; 5] = ["query_id", "query", "id", "text", "score"];

fn testdata(name: &str) -> String {
    format!("testdata/parquet/{name}")
}

#[track_caller]
fn succeed(arguments: &[&str]) -> Run {
    let run = rerank(&[&["--model", "fake"], arguments].concat());
    assert_eq!(run.status, 0, "{}", run.stderr);
    run
}

/// The rows of a Parquet file, in one batch.
pub(crate) fn rows(path: &str) -> RecordBatch {
    let builder = ParquetRecordBatchReaderBuilder::try_new(File::open(path).unwrap()).unwrap();
    builder.with_batch_size(1000).build().unwrap().next().unwrap().unwrap()
}

/// The batches of a Parquet or an Arrow file.
fn batches(name: &str) -> Vec<RecordBatch> {
    if name.ends_with(".parquet") {
        return vec![rows(&testdata(name))];
    }
    let reader = FileReader::try_new(File::open(testdata(name)).unwrap(), None).unwrap();
    reader.map(|batch| batch.unwrap()).collect()
}

/// Fails unless the carried columns of a batch stand in another one, but for these.
#[track_caller]
fn assert_kept(source: &RecordBatch, output: &RecordBatch, without: &[&str]) {
    let schema = source.schema();
    let names = schema.fields().iter().map(|field| field.name().as_str());
    let mut count = 0;
    for name in names.filter(|name| !KNOWN.contains(name) && !without.contains(name)) {
        let [before, after] =
            [source, output].map(|batch| batch.column_by_name(name).unwrap_or_else(|| panic!("{name}")));
        // An index of 8 bits becomes one of 32.
        let before = if name == "numbered" { &cast(before, after.data_type()).unwrap() } else { before };
        assert_eq!(before.data_type(), after.data_type(), "{name}");
        // Values are compared by their bits, so that a NaN is equal to itself.
        assert_eq!(before.to_data(), after.to_data(), "{name}");
        count += 1;
    }
    assert!(count > 20, "{count} columns");
}

#[test]
fn every_type_is_kept_to_the_bit() {
    let files = Files::new();
    for name in ["kept.parquet", "kept.feather"] {
        let output = files.name(&format!("{name}.out.parquet"));
        let run = succeed(&[&testdata(name), "--output", &output]);
        assert!(!run.stderr.contains("types"), "{}", run.stderr);
        let written = rows(&output);
        assert_eq!(written.column_by_name("other_fields").unwrap().null_count(), 5);
        // What was written is read as it was.
        let again = files.name(&format!("{name}.again.parquet"));
        let columns = ["--columns", "rank=original_rank,score=original_score"];
        succeed(&[&[output.as_str(), "--output", &again], &columns[..]].concat());
        let again = rows(&again);
        let mut first = 0;
        for batch in batches(name) {
            assert_kept(&batch, &written.slice(first, batch.num_rows()), &[]);
            assert_kept(&batch, &again.slice(first, batch.num_rows()), &[]);
            first += batch.num_rows();
        }
        assert_eq!(first, 5);
    }
}

#[test]
fn a_dictionary_has_room_for_the_values_of_all_files() {
    let files = Files::new();
    let inputs = ["a", "b"].map(|file| {
        let text = |text: &str| Arc::new(StringArray::from_iter_values((0..100).map(|_| text))) as ArrayRef;
        let ids = StringArray::from_iter_values((0..100).map(|row| format!("{file}{row}")));
        let shops: DictionaryArray<Int8Type> = ids.iter().collect();
        let columns = [("query_id", Arc::new(ids) as ArrayRef), ("query", text("red")), ("text", text("red"))];
        let columns = columns.into_iter().chain([("shop", Arc::new(shops) as ArrayRef)]);
        let batch = RecordBatch::try_from_iter(columns).unwrap();
        let name = files.name(&format!("{file}.parquet"));
        let mut writer = ArrowWriter::try_new(File::create(&name).unwrap(), batch.schema(), None).unwrap();
        writer.write(&batch).unwrap();
        writer.close().unwrap();
        name
    });
    let output = files.name("out.parquet");
    let run = succeed(&[&inputs[0], &inputs[1], "--output", &output]);
    assert!(!run.stderr.contains("types"), "{}", run.stderr);
    let written = rows(&output);
    let shops = written.column_by_name("shop").unwrap().as_dictionary::<Int32Type>();
    assert_eq!((shops.len(), shops.values().len()), (200, 200));
}

#[test]
fn what_candidates_carry_keeps_its_type() {
    let files = Files::new();
    let (source, output) = (rows(&testdata("kept.parquet")), files.name("out.parquet"));
    succeed(&[&testdata("kept_groups.parquet"), "--output", &output]);
    let written = rows(&output);
    for name in ["half", "price", "zoned_us"] {
        let [before, after] = [&source, &written].map(|batch| batch.column_by_name(name).unwrap().to_data());
        assert_eq!(before, after, "{name}");
    }
    let took = written.column_by_name("query_took").unwrap();
    assert_eq!(took.data_type(), source.column_by_name("took_ns").unwrap().data_type());
    assert_eq!(took.null_count(), 0);
}

#[test]
fn a_merge_of_shards_keeps_what_json_brings_back() {
    let files = Files::new();
    let (parts, merged) = (files.name("parts"), files.name("merged.parquet"));
    for shard in ["0/2", "1/2"] {
        succeed(&[&testdata("kept.parquet"), "--output", &parts, "--shard", shard]);
    }
    let run = rerank(&["merge", &parts, "--output", &merged]);
    assert_eq!(run.status, 0, "{}", run.stderr);
    for part in [
        "`bytes` (Binary) is left out, ",
        "`took_us` (Duration(µs)) has the type of its values in JSON",
        "a single run",
    ] {
        assert_eq!(run.stderr.matches(part).count(), 1, "{part}: {}", run.stderr);
    }
    assert!(!run.stderr.contains("`price`"), "{}", run.stderr);
    let lines = rerank(&["merge", &parts, "--output", &files.name("merged.jsonl")]);
    assert!(!lines.stderr.contains("`bytes`"), "{}", lines.stderr);
    let (source, written) = (rows(&testdata("kept.parquet")), rows(&merged));
    let without =
        ["float32", "float64", "nan", "half", "vector", "nested", "structs", "bytes", "large_bytes", "digest"];
    let with_durations = [&without[..], &["took_ms", "took_us", "took_ns"]].concat();
    assert_kept(&source, &written, &with_durations);
    for name in ["float32", "half", "vector"] {
        let [before, after] = [&source, &written].map(|batch| batch.column_by_name(name).unwrap().data_type().clone());
        assert_eq!(before, after, "{name}");
    }
}

#[test]
fn types_that_can_t_be_kept_are_named() {
    let files = Files::new();
    let (output, input) = (files.name("out.parquet"), testdata("changed.feather"));
    let run = succeed(&[&input, "--output", &output]);
    for part in [
        "another type, with the same values: `whole_seconds` (Timestamp(ms, \"UTC\") for Timestamp(s, \"UTC\"))",
        "`old` (Timestamp(ms) for Date64)",
    ] {
        assert!(run.stderr.contains(part), "{}", run.stderr);
    }
    let line = "{\"query_id\":\"q2\",\"query\":\"red\",\"id\":\"a\",\"text\":\"blue\",\"half\":\"x\"}\n";
    let lines = files.write("b.jsonl", line);
    let run = succeed(&[&testdata("kept.parquet"), &lines, "--output", &output, "--overwrite"]);
    assert!(run.stderr.contains("b.jsonl is no plain Parquet or Arrow file: the types"), "{}", run.stderr);
    assert!(run.stderr.contains("left out: `bytes` (bytes of the type Binary)"), "{}", run.stderr);
    let half = rows(&output).column_by_name("half").unwrap().data_type().clone();
    assert_eq!(half, DataType::Utf8);
}

#[test]
fn dates_are_kept_also_where_a_file_states_them_in_milliseconds() {
    const DAY: i64 = 86_400_000;
    let files = Files::in_memory();
    let (input, output) = (files.name("in.parquet"), files.name("out.parquet"));
    let texts = || Arc::new(StringArray::from(vec!["red"; 3])) as ArrayRef;
    for (is_in_days, values, expected) in [
        // This is how pyarrow writes dates in milliseconds.
        (true, vec![-DAY, 0, 20_455 * DAY], Arc::new(Date32Array::from(vec![-1, 0, 20_455])) as ArrayRef),
        (false, vec![-1, DAY + 1, i64::MAX], Arc::new(TimestampMillisecondArray::from(vec![-1, DAY + 1, i64::MAX]))),
    ] {
        let dates = Arc::new(Date64Array::from(values)) as ArrayRef;
        let batch = RecordBatch::try_from_iter([("query", texts()), ("text", texts()), ("day", dates)]).unwrap();
        let properties = WriterProperties::builder().set_coerce_types(is_in_days).build();
        let file = File::create(&input).unwrap();
        let mut writer = ArrowWriter::try_new(file, batch.schema(), Some(properties)).unwrap();
        writer.write(&batch).unwrap();
        writer.close().unwrap();
        let run = succeed(&[&input, "--output", &output, "--overwrite"]);
        assert_eq!(run.stderr.contains("`day` (Timestamp(ms) for Date64)"), !is_in_days, "{}", run.stderr);
        assert_eq!(rows(&output).column_by_name("day").unwrap().to_data(), expected.to_data());
    }
    // JSON has a text for each time that calendars have.
    let run = rerank(&["--model", "fake", &input]);
    let days: Vec<Value> = run.rankings().iter().flat_map(days_of).collect();
    assert_eq!(days, [json!("1969-12-31T23:59:59.999"), json!("1970-01-02T00:00:00.001"), json!(i64::MAX)]);
}

/// What the results of a ranking have as `day`.
fn days_of(ranking: &Value) -> Vec<Value> {
    ranking["results"].as_array().unwrap().iter().map(|result| result["day"].clone()).collect()
}

#[test]
fn several_files_keep_the_types_that_they_share() {
    let files = Files::new();
    let (whole, output) = (rows(&testdata("types.parquet")), files.name("out.parquet"));
    let run = succeed(&[&testdata("types.parquet"), &testdata("kept.parquet"), "--output", &output]);
    for part in ["`nested` (Struct(", "`map` (Map(", "in testdata/parquet/kept.parquet"] {
        assert!(run.stderr.contains(part), "{}", run.stderr);
    }
    assert!(!run.stderr.contains("`half`"), "{}", run.stderr);
    let written = rows(&output);
    for name in ["small", "half", "when", "price"] {
        let [before, after] = [&whole, &written].map(|batch| batch.column_by_name(name).unwrap().data_type().clone());
        assert_eq!(before, after, "{name}");
    }
}
