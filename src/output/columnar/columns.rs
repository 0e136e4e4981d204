//! The columns of a file, and rows as batches of them.

use std::collections::HashMap;
use std::sync::Arc;

use anyhow::{Context, Result, anyhow};
use arrow_array::RecordBatch;
use arrow_json::ReaderBuilder;
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use serde_json::Value;
use serde_json::value::RawValue;

use super::kind::Kind;
use super::row::{OTHER, OWN, Row};

/// The columns of a file: ours, one for each field that the first rows carry, and one for all that have none.
pub(super) struct Columns {
    schema: SchemaRef,
    carried: HashMap<String, Kind>,
}

impl Columns {
    /// The columns that these rows need.
    pub(super) fn of(rows: &[Row], with_text: bool) -> Self {
        let mut fields: Vec<Field> = OWN.iter().filter(|&&name| with_text || name != "text").map(own).collect();
        let (mut names, mut kinds) = (Vec::new(), HashMap::new());
        for (name, value) in rows.iter().flat_map(|row| &row.fields) {
            let kind = value_of(value).map_or(Kind::Json, |value| Kind::of(&value));
            let known = kinds.entry(name.clone()).or_insert_with(|| {
                names.push(name.clone());
                Kind::Null
            });
            *known = std::mem::replace(known, Kind::Null).join(kind);
        }
        let kinds: HashMap<String, Kind> = kinds.into_iter().map(|(name, kind)| (name, kind.settled())).collect();
        fields.extend(names.iter().filter_map(|name| Some(Field::new(name, kinds.get(name)?.data_type(), true))));
        fields.push(Field::new(OTHER, DataType::Utf8, true));
        Self { schema: Arc::new(Schema::new(fields)), carried: kinds }
    }

    /// The schema of the file.
    pub(super) fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Makes a batch of rows.
    ///
    /// # Errors
    /// If the library refuses them.
    pub(super) fn batch(&self, rows: &[Row]) -> Result<RecordBatch> {
        let mut lines = String::new();
        for row in rows {
            self.append(row, &mut lines).context("a row can't become JSON")?;
        }
        let builder = ReaderBuilder::new(Arc::clone(&self.schema)).with_batch_size(rows.len().max(1));
        let mut decoder = builder.build_decoder()?;
        decoder.decode(lines.as_bytes())?;
        let batch = decoder.flush()?.context("the rows are missing")?;
        if batch.num_rows() != rows.len() {
            return Err(anyhow!("{} of {} rows became columns", batch.num_rows(), rows.len()));
        }
        Ok(batch)
    }

    /// Appends a row as a line of JSON in which each member has the type of its column.
    fn append(&self, row: &Row, lines: &mut String) -> serde_json::Result<()> {
        let mut others = Vec::new();
        lines.push('{');
        lines.push_str(&row.own);
        for (name, value) in &row.fields {
            let (key, text) = (serde_json::to_string(name)?, value.get());
            match self.carried.get(name) {
                _ if text == "null" => {}
                Some(Kind::Json) => lines.push_str(&format!(",{key}:{}", serde_json::to_string(text)?)),
                Some(kind) if value_of(value).is_some_and(|value| kind.holds(&value)) => {
                    lines.push_str(&format!(",{key}:{text}"));
                }
                _ => others.push(format!("{key}:{text}")),
            }
        }
        if !others.is_empty() {
            let object = format!("{{{}}}", others.join(","));
            lines.push_str(&format!(",\"{OTHER}\":{}", serde_json::to_string(&object)?));
        }
        lines.push_str("}\n");
        Ok(())
    }
}

fn value_of(value: &RawValue) -> Option<Value> {
    serde_json::from_str(value.get()).ok()
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
