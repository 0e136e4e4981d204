//! One result as it stands in a row: our columns, and the fields that are carried.

use serde_json::Value;

use super::super::query_fields::QueryFields;
use super::other_fields;
use crate::fusion;
use crate::record::{Fields, Query, Ranked, add_fields};

/// The names of our columns. Carried fields with such a name are dropped, as the other formats do.
pub(super) const OWN: [&str; 10] =
    ["query_id", "query", "rank", "id", "score", "logit", "original_rank", "original_score", "truncated", "text"];

/// Whether a name is that of one of our columns: no carried field has it.
pub(super) fn is_ours(name: &str) -> bool {
    OWN.contains(&name) || name == other_fields::NAME || name == fusion::FIELD
}

/// A row: our cells as the members of a JSON object without its braces, and the fields beside them.
pub(super) struct Row {
    pub(super) own: String,
    pub(super) fields: Fields,
    /// What the input has in the column for fields that have none.
    pub(super) others: Fields,
}

impl Row {
    /// The row of a result of this rank.
    ///
    /// # Errors
    /// If a value can't become JSON, which does not happen.
    pub(super) fn new(
        (query, of_query): (&Query, &QueryFields<'_>),
        rank: usize,
        result: &Ranked,
        with_text: bool,
    ) -> serde_json::Result<Self> {
        let Ranked { candidate, logit, score, truncated, fused } = result;
        let mut own = format!("\"query_id\":{}", serde_json::to_string(&query.id)?);
        let mut add = |name: &str, value: String| {
            own.push_str(&format!(",\"{name}\":{value}"));
        };
        add("query", serde_json::to_string(&query.text)?);
        add("rank", rank.to_string());
        add("id", serde_json::to_string(&candidate.id)?);
        add("score", serde_json::to_string(score)?);
        add("logit", serde_json::to_string(logit)?);
        add("original_rank", candidate.original_rank.to_string());
        if let Some(score) = candidate.original_score {
            add("original_score", serde_json::to_string(&score)?);
        }
        add("truncated", truncated.to_string());
        if with_text {
            add("text", serde_json::to_string(&candidate.text)?);
        }
        let (mut fields, mut others) = (Fields::new(), Fields::new());
        let ours = [
            (fusion::FIELD, fused.map(Value::from)),
            ("title", candidate.title.clone().map(Value::from)),
            ("instruction", query.instruction.clone().map(Value::from)),
        ];
        for (name, value) in ours {
            if let Some(value) = value {
                fields.push((name.to_owned(), serde_json::value::to_raw_value(&value)?));
            }
        }
        for (name, value) in &candidate.fields {
            match name.as_str() {
                other_fields::NAME if value.get() != "null" => add_fields(&mut others, other_fields::carried(value)),
                name if is_ours(name) || fields.iter().any(|(known, _)| known == name) => {}
                _ => fields.push((name.clone(), value.clone())),
            }
        }
        fields.extend(of_query.columns.iter().map(|(name, value)| (name.clone().into_owned(), (*value).to_owned())));
        Ok(Self { own, fields, others })
    }

    /// The bytes that the row takes.
    pub(super) fn bytes(&self) -> usize {
        let fields = self.fields.iter().chain(&self.others);
        self.own.len() + fields.map(|(name, value)| name.len() + value.get().len()).sum::<usize>()
    }
}
