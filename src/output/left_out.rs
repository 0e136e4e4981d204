//! The carried fields for which a table has no column, for a message.

use std::collections::BTreeSet;

use super::query_fields::query_column;

/// The most names that are remembered.
const MOST: usize = 100;

/// Their names.
#[derive(Default)]
pub(super) struct LeftOut(BTreeSet<String>);

impl LeftOut {
    /// Adds a name.
    pub(super) fn add(&mut self, name: &str) {
        if self.0.len() < MOST && !self.0.contains(name) {
            self.0.insert(name.to_owned());
        }
    }

    /// Adds a field of a query whose column has something else.
    pub(super) fn add_of_query(&mut self, name: &str) {
        self.add(&format!("`{name}` of the query (its column would be `{}`)", query_column(name)));
    }

    /// The names, in their order.
    pub(super) fn names(&self) -> Vec<&str> {
        self.0.iter().map(String::as_str).collect()
    }
}

/// What the user should know of fields that were left out of a table, if there are some.
pub(crate) fn left_out_note(names: &[String]) -> Option<String> {
    (!names.is_empty()).then(|| {
        format!(
            "fields that came up after the header was written, or whose column has another field, are left out: {}; JSONL keeps all",
            names.join(", ")
        )
    })
}
