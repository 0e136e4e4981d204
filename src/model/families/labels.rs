//! The labels of a classifier: a reranker has one.

use anyhow::{Result, bail};
use serde_json::Value;

use crate::fields::Fields;

/// The most names that a message lists.
const MOST_NAMED: usize = 4;

/// Refuses a classifier of several labels, as those that decide how two sentences relate.
///
/// # Errors
/// A sentence with the labels.
pub(super) fn check(fields: Fields<'_>) -> Result<()> {
    let labels = fields.size("num_labels")?.or(fields.count("id2label")).unwrap_or(1);
    if labels == 1 {
        return Ok(());
    }
    let named = fields.get("id2label").and_then(Value::as_object).into_iter().flat_map(|names| names.values());
    let names: Vec<&str> = named.filter_map(Value::as_str).collect();
    let infers = names.iter().any(|name| name.eq_ignore_ascii_case("entailment"));
    let list = names.iter().take(MOST_NAMED).map(|name| name.chars().take(40).collect()).collect::<Vec<String>>();
    let list = if list.is_empty() { String::new() } else { format!(" ({})", list.join(", ")) };
    let kind = if infers {
        "; it decides how two sentences relate (natural language inference), not how relevant one is"
    } else {
        ""
    };
    bail!("it has {labels} labels{list}, and a reranker has one{kind}")
}
