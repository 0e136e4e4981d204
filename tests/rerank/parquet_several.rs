//! Where several files, or a file and its candidates, have a column of one name, it keeps a type that holds the values of all.

use std::sync::Arc;

use arrow_array::types::Decimal128Type;
use arrow_array::{
    Array, ArrayRef, Date32Array, Date64Array, Decimal128Array, Int64Array, NullArray, PrimitiveArray, StringArray,
    StructArray, TimestampMillisecondArray,
};
use arrow_schema::{DataType, Field};

use crate::fixture::{Files, Run, rerank};
use crate::parquet_places::lists;
use crate::parquet_reported::{texts, written};
use crate::parquet_types::rows;

/// A decimal of this many units of its last digit.
fn decimal(units: i128, precision: u8, scale: i8) -> ArrayRef {
    let values = Decimal128Array::from(vec![units]);
    Arc::new(values.with_precision_and_scale(precision, scale).unwrap())
}

/// Writes a file with these values in the column `price`, each in a row with an id that begins with the name of the file.
fn with_prices(files: &Files, name: &str, price: ArrayRef) -> String {
    let ids = StringArray::from_iter_values((0..price.len()).map(|row| format!("{name}{row}")));
    let red: ArrayRef = Arc::new(StringArray::from(vec!["red"; price.len()]));
    let columns =
        [("query_id", Arc::new(ids) as ArrayRef), ("query", Arc::clone(&red)), ("text", red), ("price", price)];
    written(files, &format!("{name}.parquet"), columns)
}

/// Ranks files of a row each, whose column `price` is one of these; returns that of the output.
#[track_caller]
fn price_of<const N: usize>(columns: [ArrayRef; N]) -> (ArrayRef, Run) {
    let files = Files::in_memory();
    let inputs = columns.into_iter().enumerate().map(|(index, price)| {
        let id = &*index.to_string();
        let columns =
            [("query_id", texts([id])), ("query", texts(["red"])), ("text", texts(["red"])), ("price", price)];
        written(&files, &format!("{index}.parquet"), columns)
    });
    let (inputs, output) = (inputs.collect::<Vec<_>>(), files.name("out.parquet"));
    let arguments: Vec<&str> = ["--model", "fake"].into_iter().chain(inputs.iter().map(String::as_str)).collect();
    let run = rerank(&[&arguments[..], &["--output", &output]].concat());
    assert_eq!(run.status, 0, "{}", run.stderr);
    (Arc::clone(rows(&output).column_by_name("price").unwrap()), run)
}

#[test]
fn decimals_of_several_files_become_one_that_holds_all() {
    let large = 123_456_789_012_345_678_901;
    let (price, run) = price_of([decimal(large, 21, 2), decimal(15_000, 10, 4)]);
    let expected = PrimitiveArray::<Decimal128Type>::from(vec![large * 100, 15_000]);
    assert_eq!(price.to_data(), expected.with_precision_and_scale(23, 4).unwrap().to_data());
    let note = "with the same values: `price` (Decimal128(23, 4) for Decimal128(21, 2), and for Decimal128(10, 4) in ";
    assert!(run.stderr.contains(note), "{}", run.stderr);

    // More than 38 digits, which few readers know, are texts.
    let (price, run) = price_of([decimal(large, 38, 0), decimal(5, 1, 1)]);
    assert_eq!(price.to_data(), texts(["123456789012345678901", "0.5"]).to_data());
    assert!(run.stderr.contains("the types of these columns follow their values: `price`"), "{}", run.stderr);
}

#[test]
fn a_column_of_nulls_changes_no_type() {
    let nothing = || Arc::new(NullArray::new(1)) as ArrayRef;
    let day = || Arc::new(Date32Array::from(vec![20_455])) as ArrayRef;
    for (columns, row) in [([nothing(), day()], 1), ([day(), nothing()], 0)] {
        let (price, run) = price_of(columns);
        assert_eq!((price.data_type(), price.null_count()), (&DataType::Date32, 1));
        assert_eq!(price.slice(row, 1).to_data(), day().to_data());
        assert!(!run.stderr.contains("types") && !run.stderr.contains("`price`"), "{}", run.stderr);
    }
}

#[test]
fn dates_in_days_are_times_beside_dates_in_milliseconds() {
    const DAY: i64 = 86_400_000;
    let days = [-1, 20_455, 3_000_000];
    for day in days {
        let in_days = || Arc::new(Date32Array::from(vec![day])) as ArrayRef;
        let times = || Arc::new(Date64Array::from(vec![DAY + 1])) as ArrayRef;
        let day = i64::from(day) * DAY;
        for (columns, expected) in [([in_days(), times()], [day, DAY + 1]), ([times(), in_days()], [DAY + 1, day])] {
            let (price, run) = price_of(columns);
            assert_eq!(price.to_data(), TimestampMillisecondArray::from(expected.to_vec()).to_data());
            assert!(run.stderr.contains("with the same values: `price` (Timestamp(ms) for "), "{}", run.stderr);
        }
    }
}

#[test]
fn a_merge_makes_the_times_of_dates_that_a_single_run_makes() {
    const DAY: i64 = 86_400_000;
    // The years -221, 0, 1999, 2026, 9999, 10000 and 10183, and one that no calendar has.
    let days = [-800_000, -719_000, 10_956, 20_455, 2_932_896, 2_932_897, 3_000_000, 200_000_000];
    let files = Files::in_memory();
    let in_days = with_prices(&files, "days", Arc::new(Date32Array::from(days.to_vec())));
    let times: Vec<i64> = days.iter().map(|&day| i64::from(day) * DAY + 1).collect();
    let times = with_prices(&files, "times", Arc::new(TimestampMillisecondArray::from(times)));
    let [single, parts, merged] = ["single.parquet", "parts", "merged.parquet"].map(|name| files.name(name));
    let ranked = |options: &[&str]| rerank(&[&["--model", "fake", &in_days, &times], options].concat());
    ranked(&["--output", &single]).fails(0, &["`price` (Timestamp(ms) for "]);
    for shard in ["0/2", "1/2"] {
        ranked(&["--output", &parts, "--shard", shard]).fails(0, &[]);
    }
    rerank(&["merge", &parts, "--output", &merged]).fails(0, &[]);
    let price = |path: &str| Arc::clone(rows(path).column_by_name("price").unwrap());
    let expected = days.iter().map(|&day| i64::from(day) * DAY).chain(days.iter().map(|&day| i64::from(day) * DAY + 1));
    assert_eq!(price(&single).to_data(), TimestampMillisecondArray::from_iter_values(expected).to_data());
    assert_eq!(price(&merged).to_data(), price(&single).to_data());
}

#[test]
fn a_column_that_is_kept_in_one_file_alone_is_noted() {
    // Texts in structs beside a list of candidates may be the candidates', so that their types are not kept.
    let files = Files::in_memory();
    let member = Arc::new(Field::new("x", DataType::Utf8, true));
    let structs: ArrayRef = Arc::new(StructArray::from(vec![(member, texts(["t"]))]));
    let inputs =
        [("ints", Arc::new(Int64Array::from(vec![5])) as ArrayRef), ("structs", structs)].map(|(name, price)| {
            let documents = lists(&[&["red"]]);
            let columns =
                [("query_id", texts([name])), ("query", texts(["red"])), ("documents", documents), ("price", price)];
            written(&files, &format!("{name}.parquet"), columns)
        });
    let output = files.name("out.parquet");
    let [ints, structs] = &inputs;
    for inputs in [[ints, structs], [structs, ints]] {
        let run = rerank(&["--model", "fake", inputs[0], inputs[1], "--output", &output, "--overwrite"]);
        run.fails(0, &["follow their values: `query_price` (Int64, and Struct(\"x\": Utf8) in ", "structs.parquet)"]);
    }
}
