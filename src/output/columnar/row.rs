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
        fields.extend(of_query.columns.iter().map(|(name, value)| (name.clone(), (*value).to_owned())));
        Ok(Self { own, fields, others })
    }

    /// About the bytes that the row takes: the same where it comes from the input, and where a merge has read it from a part, in
    /// which a time is a text and not a number. Else their batches would end at different rows.
    pub(super) fn bytes(&self) -> usize {
        let fields = self.fields.iter().chain(&self.others);
        self.own.len() + fields.map(|(name, value)| name.len() + size(value.get())).sum::<usize>()
    }
}

/// A size for every value and every name in JSON, or the bytes of a longer text.
fn size(json: &str) -> usize {
    const SMALL: usize = 64;
    let (mut total, mut rest) = (SMALL, json.bytes());
    while let Some(byte) = rest.next() {
        match byte {
            b',' | b':' => total += SMALL,
            b'"' => total += text_bytes(&mut rest).saturating_sub(SMALL),
            _ => {}
        }
    }
    total
}

/// The bytes of a text in JSON, behind whose first quote these begin.
fn text_bytes(rest: &mut impl Iterator<Item = u8>) -> usize {
    let mut count = 0;
    while let Some(byte) = rest.next() {
        match byte {
            b'"' => break,
            b'\\' => _ = rest.next(),
            _ => {}
        }
        count += 1;
    }
    count
}

#[cfg(test)]
mod tests {
    use super::size;

    #[test]
    fn a_time_has_the_size_of_a_number() {
        assert_eq!(size("1577934245000000"), size("\"2020-01-02T03:04:05.000001\""));
        assert_eq!(size("[1,null]"), size("[\"2020-01-02\",\"a \\\", b\"]"));
        assert_eq!(size("{\"a\":1,\"b\":true}"), size("{\"a\":\"x\",\"b\":1e999}"));
        assert_eq!(size(&format!("\"{}\"", "x".repeat(1000))), 1000);
    }
}
