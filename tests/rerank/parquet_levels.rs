//! A query and its candidates may carry columns of one name: each has its own type, and its own values.

use std::sync::Arc;

use arrow_array::{
    Array, ArrayRef, Date32Array, FixedSizeListArray, Float32Array, Float64Array, NullArray, StringArray, StructArray,
    TimestampMicrosecondArray,
};
use arrow_cast::cast;
use arrow_schema::{DataType, Field};

use crate::fixture::{Files, Run, rerank};
use crate::parquet_reported::{texts, written};
use crate::parquet_types::rows;

/// A day, and a time of it.
const DAY: i32 = 18_263;
const TIME: i64 = DAY as i64 * 86_400_000_000 + 11_045_000_000;

fn day() -> ArrayRef {
    Arc::new(Date32Array::from(vec![DAY]))
}

fn time() -> ArrayRef {
    Arc::new(TimestampMicrosecondArray::from(vec![TIME]))
}

/// A struct with a member.
fn structs(name: &str, values: ArrayRef) -> ArrayRef {
    let field = Arc::new(Field::new(name, values.data_type().clone(), true));
    Arc::new(StructArray::from(vec![(field, values)]))
}

/// A list of a candidate, with what it carries.
fn candidates(carried: &[(&str, ArrayRef)]) -> ArrayRef {
    let columns = [("id", texts(["1"])), ("text", texts(["red"]))].into_iter().chain(carried.iter().cloned());
    let columns = columns.map(|(name, values)| (Arc::new(Field::new(name, values.data_type().clone(), true)), values));
    let candidate = Arc::new(StructArray::from(columns.collect::<Vec<_>>())) as ArrayRef;
    let item = Arc::new(Field::new_list_field(candidate.data_type().clone(), true));
    cast(&FixedSizeListArray::new(Arc::clone(&item), 1, candidate, None), &DataType::List(item)).unwrap()
}

/// A file of a query whose column `m` is this one, as is that of its candidate.
fn grouped(files: &Files, id: &str, of_query: ArrayRef, of_candidate: ArrayRef) -> String {
    let candidates = candidates(&[("m", of_candidate)]);
    let columns = [("query_id", texts([id])), ("query", texts(["red"])), ("m", of_query), ("candidates", candidates)];
    written(files, &format!("{id}.parquet"), columns)
}

/// Ranks files into a Parquet file in one run, and with `in_shards` in one that is merged.
#[track_caller]
fn ranked(files: &Files, inputs: &[&str], in_shards: bool) -> (Run, arrow_array::RecordBatch) {
    let arguments = [&["--model", "fake"], inputs].concat();
    let output = files.name(if in_shards { "merged.parquet" } else { "out.parquet" });
    let run = if in_shards {
        let parts = files.name("parts");
        let run = rerank(&[&arguments[..], &["--output", &parts, "--shard", "0/1"]].concat());
        assert_eq!(run.status, 0, "{}", run.stderr);
        rerank(&["merge", &parts, "--output", &output, "--overwrite"])
    } else {
        rerank(&[&arguments[..], &["--output", &output, "--overwrite"]].concat())
    };
    assert_eq!(run.status, 0, "{}", run.stderr);
    let rows = rows(&output);
    (run, rows)
}

#[test]
fn times_are_texts_where_only_the_other_level_keeps_their_type() {
    let files = Files::new();
    let inputs = [grouped(&files, "a", time(), day()), grouped(&files, "b", time(), time())];
    for in_shards in [false, true] {
        let (_, written) = ranked(&files, &[&inputs[0], &inputs[1]], in_shards);
        let of_query = written.column_by_name("query_m").unwrap();
        assert_eq!(of_query.to_data(), TimestampMicrosecondArray::from(vec![TIME; 2]).to_data());
        let of_candidate = written.column_by_name("m").unwrap();
        let expected = StringArray::from(vec!["2020-01-02", "2020-01-02T03:04:05"]);
        assert_eq!(of_candidate.to_data(), expected.to_data());
    }
}

#[test]
fn a_candidate_s_column_keeps_its_type_on_both_sides_of_the_query_s() {
    let files = Files::in_memory();
    let of_query = structs("source", texts(["s"]));
    let of_candidate = structs("when", time());
    let mut columns =
        [("query", texts(["red"])), ("m", of_query), ("candidates", candidates(&[("m", Arc::clone(&of_candidate))]))];
    for _ in 0..2 {
        let input = written(&files, "in.parquet", columns.clone());
        let (_, written) = ranked(&files, &[&input], false);
        assert_eq!(written.column_by_name("m").unwrap().to_data(), of_candidate.to_data());
        columns.swap(1, 2);
    }
}

#[test]
fn a_query_s_column_of_nulls_takes_the_type_of_values_elsewhere() {
    let files = Files::in_memory();
    let nothing = || Arc::new(NullArray::new(1)) as ArrayRef;
    let about = structs("name", texts(["n"]));
    let inputs = [grouped(&files, "a", nothing(), day()), grouped(&files, "b", Arc::clone(&about), day())];
    let (_, written) = ranked(&files, &[&inputs[0], &inputs[1]], false);
    let of_query = written.column_by_name("query_m").unwrap();
    assert_eq!(of_query.slice(1, 1).to_data(), about.to_data());
    assert_eq!((of_query.null_count(), written.column_by_name("other_fields").unwrap().null_count()), (1, 2));
}

#[test]
fn infinite_numbers_become_null_with_a_note_where_a_type_is_not_kept() {
    let files = Files::new();
    let infinite = || Arc::new(Float64Array::from(vec![f64::INFINITY])) as ArrayRef;
    let narrow = Arc::new(Float32Array::from(vec![f32::NEG_INFINITY])) as ArrayRef;
    let inputs = [grouped(&files, "a", infinite(), infinite()), grouped(&files, "b", infinite(), narrow)];
    for in_shards in [false, true] {
        let (run, written) = ranked(&files, &[&inputs[0], &inputs[1]], in_shards);
        let note =
            "b.parquet:1: the carried column `m` has a NaN or an infinite number, and its type is not kept: null";
        assert_eq!(run.stderr.matches(note).count(), usize::from(!in_shards), "{}", run.stderr);
        let of_query = written.column_by_name("query_m").unwrap();
        assert_eq!(of_query.to_data(), Float64Array::from(vec![f64::INFINITY; 2]).to_data());
        let of_candidate = written.column_by_name("m").unwrap();
        assert_eq!((of_candidate.null_count(), of_candidate.len()), (2, 2));
    }
}
