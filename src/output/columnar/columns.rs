//! The columns of a file, and rows as batches of them.

use std::collections::HashMap;
use std::sync::Arc;

use anyhow::{Context, Result, anyhow};
use arrow_array::RecordBatch;
use arrow_json::ReaderBuilder;
use arrow_schema::{DataType, Field, FieldRef, Schema, SchemaRef};
use serde_json::Value;
use serde_json::value::RawValue;

use super::exact::is_exact;
use super::kind::Kind;
use super::other_fields;
use super::row::{OWN, Row, is_ours};
use crate::column_types::{as_built, stated};

/// The columns of a file: ours, those of the input whose types are kept, one for each other field that the first rows carry, and
/// one for all that have none.
pub(super) struct Columns {
    schema: SchemaRef,
    stated: Schema,
    carried: HashMap<String, Carried>,
}

/// The column of a carried field.
enum Carried {
    /// It has the type that the input states, and is built as this one.
    Kept(FieldRef),
    /// Its type follows from the values.
    Found(Kind),
}

impl Columns {
    /// The columns that these rows need, with those of the input that keep their types.
    pub(super) fn of(rows: &[Row], with_text: bool, kept: &[Field]) -> Self {
        let mut fields: Vec<Field> = OWN.iter().filter(|&&name| with_text || name != "text").map(own).collect();
        let mut carried = HashMap::new();
        for column in kept.iter().filter(|column| !is_ours(column.name())) {
            let built = column.clone().with_data_type(as_built(column.data_type()));
            carried.insert(column.name().clone(), Carried::Kept(Arc::new(built)));
            fields.push(column.clone().with_data_type(stated(column.data_type())));
        }
        let (mut names, mut kinds) = (Vec::new(), HashMap::new());
        for (name, value) in rows.iter().flat_map(|row| &row.fields).filter(|(name, _)| !carried.contains_key(name)) {
            let kind = value_of(value).map_or(Kind::Json, |value| Kind::of(&value));
            let known = kinds.entry(name.clone()).or_insert_with(|| {
                names.push(name.clone());
                Kind::Null
            });
            *known = std::mem::replace(known, Kind::Null).join(kind);
        }
        let kinds: HashMap<String, Kind> = kinds.into_iter().map(|(name, kind)| (name, kind.settled())).collect();
        fields.extend(names.iter().filter_map(|name| Some(Field::new(name, kinds.get(name)?.data_type(), true))));
        fields.push(Field::new(other_fields::NAME, DataType::Utf8, true));
        carried.extend(kinds.into_iter().map(|(name, kind)| (name, Carried::Found(kind))));
        let built = fields.iter().map(|field| field.clone().with_data_type(as_built(field.data_type())));
        let schema = Arc::new(Schema::new(built.collect::<Vec<_>>()));
        Self { schema, stated: Schema::new(fields), carried }
    }

    /// The schema of the batches.
    pub(super) fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// The schema that readers should see, with the same values.
    pub(super) fn stated(&self) -> &Schema {
        &self.stated
    }

    /// Makes a batch of rows.
    ///
    /// # Errors
    /// If the library refuses them.
    pub(super) fn batch(&self, rows: &[Row]) -> Result<RecordBatch> {
        // That a value does not fit the type of its column is rare, and is found out only then.
        self.decode(rows, false).or_else(|_| self.decode(rows, true))
    }

    fn decode(&self, rows: &[Row], tries_values: bool) -> Result<RecordBatch> {
        let mut lines = String::new();
        for row in rows {
            self.append(row, tries_values, &mut lines).context("a row can't become JSON")?;
        }
        let batch = decode(&self.schema, &lines, rows.len())?;
        if batch.num_rows() != rows.len() {
            return Err(anyhow!("{} of {} rows became columns", batch.num_rows(), rows.len()));
        }
        Ok(batch)
    }

    /// Appends a row as a line of JSON in which each member has the type of its column. With `tries_values` this is not taken for
    /// granted of columns that the input had.
    fn append(&self, row: &Row, tries_values: bool, lines: &mut String) -> serde_json::Result<()> {
        let mut others = Vec::new();
        lines.push('{');
        lines.push_str(&row.own);
        for (name, value) in &row.fields {
            let (key, text) = (serde_json::to_string(name)?, value.get());
            match self.carried.get(name) {
                _ if text == "null" => {}
                Some(Carried::Found(Kind::Json)) => {
                    lines.push_str(&format!(",{key}:{}", serde_json::to_string(text)?));
                }
                Some(carried) if carried.holds(value, tries_values) => lines.push_str(&format!(",{key}:{text}")),
                _ => others.push((name.as_str(), value.as_ref())),
            }
        }
        if let Some(object) = other_fields::object(&others, &row.others)? {
            lines.push_str(&format!(",\"{}\":{}", other_fields::NAME, serde_json::to_string(&object)?));
        }
        lines.push_str("}\n");
        Ok(())
    }
}

impl Carried {
    /// Whether a value can stand in the column as it is.
    fn holds(&self, value: &RawValue, tries_values: bool) -> bool {
        match self {
            Self::Kept(_) if !tries_values => true,
            Self::Kept(field) => {
                let schema = Arc::new(Schema::new(vec![Arc::clone(field)]));
                let key = serde_json::to_string(field.name());
                key.is_ok_and(|key| decode(&schema, &format!("{{{key}:{}}}\n", value.get()), 1).is_ok())
            }
            Self::Found(kind) => value_of(value).is_some_and(|value| kind.holds(&value)),
        }
    }
}

/// Makes a batch of lines of JSON.
fn decode(schema: &SchemaRef, lines: &str, rows: usize) -> Result<RecordBatch> {
    let mut decoder = ReaderBuilder::new(Arc::clone(schema)).with_batch_size(rows.max(1)).build_decoder()?;
    decoder.decode(lines.as_bytes())?;
    decoder.flush()?.context("the rows are missing")
}

/// The value; none, if it has a number that would be rounded.
fn value_of(value: &RawValue) -> Option<Value> {
    serde_json::from_str(value.get()).ok().filter(|_| is_exact(value.get()))
}

/// One of our columns.
fn own(name: &&str) -> Field {
    let data_type = match *name {
        "rank" | "original_rank" => DataType::Int64,
        "score" | "logit" => DataType::Float32,
        "original_score" => DataType::Float64,
        "truncated" => DataType::Boolean,
        _ => DataType::Utf8,
    };
    Field::new(*name, data_type, *name == "original_score")
}
