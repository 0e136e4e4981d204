//! What is written is read back by the libraries: every field, whatever its values have in common.

use std::collections::BTreeMap;
use std::io::Write;

use arrow_json::LineDelimitedWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use proptest::prelude::*;
use serde_json::{Map, Value};

use super::super::examples::ranking;
use super::*;

/// The rows of a file with these rankings, as JSON.
fn written(rankings: &[Ranking]) -> Vec<Map<String, Value>> {
    let (mut formatter, mut bytes) = (ParquetFormatter::new(true, ColumnTypes::default()), Vec::new());
    for ranking in rankings {
        formatter.format(ranking, &mut bytes).unwrap();
    }
    formatter.finish(&mut bytes).unwrap();
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(&bytes).unwrap();
    let reader = ParquetRecordBatchReaderBuilder::try_new(file).unwrap().build().unwrap();
    let mut lines = LineDelimitedWriter::new(Vec::new());
    for batch in reader {
        lines.write(&batch.unwrap()).unwrap();
    }
    lines.finish().unwrap();
    let lines = String::from_utf8(lines.into_inner()).unwrap();
    lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// A value without what Parquet does not keep: null members of objects, and whether a number is an integer.
fn plain(value: &Value) -> Value {
    match value {
        // A double would be equal to its neighbours.
        Value::Number(number) if number.as_i64().is_some_and(|integer| integer.unsigned_abs() > 1 << 53) => {
            value.clone()
        }
        Value::Number(number) => Value::from(number.as_f64().unwrap()),
        Value::Array(values) => values.iter().map(plain).collect(),
        Value::Object(members) => {
            let members = members.iter().filter(|(_, value)| !value.is_null());
            Value::Object(members.map(|(name, value)| (name.clone(), plain(value))).collect())
        }
        other => other.clone(),
    }
}

/// Whether a row has a field with this value: in its column as it is or as JSON text, or among the other fields.
fn has(row: &Map<String, Value>, name: &str, value: &Value) -> bool {
    let parsed = |text: &Value| serde_json::from_str::<Value>(text.as_str()?).ok();
    let others = row.get("other_fields").and_then(parsed);
    let is_same = |found: &Value| plain(found) == plain(value) || parsed(found).as_ref() == Some(value);
    match row.get(name).or_else(|| others.as_ref()?.get(name)) {
        Some(found) => is_same(found),
        None => value.is_null(),
    }
}

#[test]
fn carried_fields_with_names_of_ours_are_dropped_as_in_other_formats() {
    let mut ranking = ranking(&[1.]);
    for name in ["fused", "logit", "other_fields", "mine"] {
        ranking.results[0]
            .candidate
            .fields
            .push((name.to_owned(), serde_json::value::to_raw_value("carried").unwrap()));
    }
    let rows = written(&[ranking]);
    assert!(!rows[0].contains_key("fused") && rows[0]["logit"] == 1. && rows[0]["mine"] == "carried", "{rows:?}");
}

#[test]
fn a_file_without_rankings_has_columns() {
    assert!(written(&[]).is_empty());
    assert!(written(&[ranking(&[])]).is_empty());
}

#[test]
fn a_field_that_comes_up_behind_the_first_batch_is_kept_with_the_others() {
    let one = ranking(&[0.5; 4]);
    let mut last = ranking(&[0.25]);
    last.results[0].candidate.fields.push(("late".into(), super::super::examples::raw("[1]")));
    last.results[0].candidate.fields.push(("url".into(), super::super::examples::raw("7")));
    let others = Value::from(r#"{"older":[2],"late":"hidden"}"#).to_string();
    last.results[0].candidate.fields.push(("other_fields".into(), super::super::examples::raw(&others)));
    let mut rankings = vec![one; BATCH_ROWS / 4];
    rankings.push(last);
    let rows = written(&rankings);
    assert_eq!(rows.len(), BATCH_ROWS + 1);
    assert_eq!(rows[BATCH_ROWS]["other_fields"], r#"{"late":[1],"older":[2]}"#);
    assert_eq!(rows[0]["url"], "http://0");
    assert_eq!(rows[0].get("other_fields"), None);
    assert_eq!((&rows[0]["logit"], &rows[BATCH_ROWS]["logit"]), (&Value::from(0.5), &Value::from(0.25)));
}

fn values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (-1e9..1e9).prop_map(Value::from),
        "[a-z\"\\\\\n\u{e9}]{0,4}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::btree_map("[xyz]", inner, 0..3)
                .prop_map(|members: BTreeMap<String, Value>| Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]
    #[test]
    fn every_field_is_read_back(rows in prop::collection::vec(prop::collection::btree_map("[abc]", values(), 0..3), 1..6)) {
        let mut rankings = vec![ranking(&vec![1.; rows.len()])];
        for (result, fields) in rankings[0].results.iter_mut().zip(&rows) {
            result.candidate.fields =
                fields.iter().map(|(name, value)| (name.clone(), super::super::examples::raw(&value.to_string()))).collect();
        }
        for (row, fields) in written(&rankings).iter().zip(&rows) {
            for (name, value) in fields {
                prop_assert!(has(row, name, value), "{name} of {value} in {row:?}");
            }
        }
    }
}
