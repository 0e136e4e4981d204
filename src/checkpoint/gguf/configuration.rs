//! The configuration that a file's metadata amount to, whose fields messages call as the file does.

use std::collections::BTreeMap;

use anyhow::{Result, anyhow};
use serde_json::{Map, Value};

use crate::model::Architecture;

/// What transformers would have as the model's `config.json`.
#[derive(Default)]
pub(super) struct Configuration {
    fields: Map<String, Value>,
    /// The names that fields have in the file.
    names: BTreeMap<String, String>,
}

impl Configuration {
    /// The fields by the names of transformers.
    pub(super) fn fields(&self) -> &Map<String, Value> {
        &self.fields
    }

    /// Sets a field that follows from the architecture.
    pub(super) fn set(&mut self, field: &str, value: impl Into<Value>) {
        self.fields.insert(field.to_owned(), value.into());
    }

    /// Sets a field to what the file states under this name.
    pub(super) fn take(&mut self, name: String, field: &str, value: impl Into<Value>) {
        self.set(field, value);
        self.names.insert(field.to_owned(), name);
    }

    /// The model that is described.
    ///
    /// # Errors
    /// As [`Architecture::of_config`], with the names that the file has for the fields.
    pub(super) fn describe(&self) -> Result<Architecture> {
        let config = Value::Object(self.fields.clone());
        Architecture::of_config(&config).map_err(|error| anyhow!(self.as_in_file(&format!("{error:#}"))))
    }

    /// A text in which each field has its name in the file.
    fn as_in_file(&self, text: &str) -> String {
        let is_outside = |character: char| !(character.is_alphanumeric() || character == '_');
        let word = |piece: &str| {
            let word = piece.trim_end_matches(is_outside);
            let rest = piece.strip_prefix(word).unwrap_or_default();
            self.names.get(word).map_or_else(|| piece.to_owned(), |name| format!("{name}{rest}"))
        };
        text.split_inclusive(is_outside).map(word).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_have_their_names_in_the_file_and_other_words_stay() {
        let mut configuration = Configuration::default();
        configuration.take("bert.block_count".to_owned(), "num_hidden_layers", 3);
        configuration.set("model_type", "bert");
        for (text, expected) in [
            ("num_hidden_layers is 3, and can be 2", "bert.block_count is 3, and can be 2"),
            ("it has no (num_hidden_layers)", "it has no (bert.block_count)"),
            ("my_num_hidden_layers, model_type", "my_num_hidden_layers, model_type"),
        ] {
            assert_eq!(configuration.as_in_file(text), expected);
        }
    }
}
