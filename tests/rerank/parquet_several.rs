//! Where several files, or a file and its candidates, have a column of one name, it keeps a type that holds the values of all.

use std::sync::Arc;

use arrow_array::types::Decimal128Type;
use arrow_array::{
    Array, ArrayRef, Date32Array, Date64Array, Decimal128Array, NullArray, PrimitiveArray, TimestampMillisecondArray,
};
use arrow_schema::DataType;

use crate::fixture::{Files, Run, rerank};
use crate::parquet_reported::{texts, written};
use crate::parquet_types::rows;

/// A decimal of this many units of its last digit.
fn decimal(units: i128, precision: u8, scale: i8) -> ArrayRef {
    let values = Decimal128Array::from(vec![units]);
    Arc::new(values.with_precision_and_scale(precision, scale).unwrap())
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
