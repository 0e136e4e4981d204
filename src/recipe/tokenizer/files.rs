//! The files that a tokenizer is read from, as they are.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::Value;

use crate::checkpoint::{ModelFiles, not_json, read_text};
use crate::fields::Fields;

/// The largest tokenizers have some dozens of MiB.
pub(super) const MOST_TOKENIZER: u64 = 512 << 20;
/// The settings beside a tokenizer have a few MiB, where thousands of tokens were added.
const MOST_SETTINGS: u64 = 64 << 20;

/// What holds the vocabulary.
pub(super) enum Vocabulary {
    /// `tokenizer.json`: its path and its text.
    Whole(PathBuf, String),
    /// `vocab.json` and `merges.txt`, the older form.
    Parts {
        /// `vocab.json`
        words: PathBuf,
        /// `merges.txt`
        merges: PathBuf,
    },
}

impl Vocabulary {
    pub(super) fn path(&self) -> &Path {
        match self {
            Self::Whole(path, _) => path,
            Self::Parts { words, .. } => words,
        }
    }
}

/// A file of settings; absent, it has no fields.
pub(super) struct Settings {
    pub(super) name: &'static str,
    value: Value,
}

impl Settings {
    fn read(files: &ModelFiles, name: &'static str) -> Result<Self> {
        let Some(path) = files.optional(name)? else {
            return Ok(Self { name, value: Value::Object(Default::default()) });
        };
        let text = read_text(&path, MOST_SETTINGS)?;
        let value: Value = serde_json::from_str(&text)
            .map_err(|error| not_json(&error))
            .with_context(|| path.display().to_string())?;
        Fields::of(&value).with_context(|| path.display().to_string())?;
        Ok(Self { name, value })
    }

    /// The fields; a field that is null counts as absent.
    pub(super) fn fields(&self) -> Fields<'_> {
        Fields::of(&self.value).expect("only objects are kept")
    }

    /// The names and values of all fields, those that are null among them.
    pub(super) fn entries(&self) -> impl Iterator<Item = (&String, &Value)> {
        self.value.as_object().into_iter().flatten()
    }

    /// Reads a field, and names the file if that fails.
    pub(super) fn field<'a, T>(&'a self, read: impl FnOnce(Fields<'a>) -> Result<T>) -> Result<T> {
        read(self.fields()).with_context(|| format!("the model's {}", self.name))
    }
}

/// Everything that a tokenizer is made of.
pub(super) struct TokenizerFiles {
    pub(super) vocabulary: Vocabulary,
    /// `config.json`, which names the model's family.
    pub(super) model: Settings,
    /// `tokenizer_config.json`
    pub(super) config: Settings,
    /// `special_tokens_map.json`
    pub(super) special_tokens: Settings,
    /// `added_tokens.json`
    pub(super) added_tokens: Settings,
}

impl TokenizerFiles {
    pub(super) fn read(files: &ModelFiles) -> Result<Self> {
        let whole = files.optional("tokenizer.json")?;
        let parts = match whole {
            None => files.optional("vocab.json")?.zip(files.optional("merges.txt")?),
            Some(_) => None,
        };
        let vocabulary = match parts {
            Some((words, merges)) => Vocabulary::Parts { words, merges },
            None => {
                let path = files.get("tokenizer.json")?;
                let text = read_text(&path, MOST_TOKENIZER)?;
                Vocabulary::Whole(path, text)
            }
        };
        Ok(Self {
            vocabulary,
            model: Settings::read(files, "config.json")?,
            config: Settings::read(files, "tokenizer_config.json")?,
            special_tokens: Settings::read(files, "special_tokens_map.json")?,
            added_tokens: Settings::read(files, "added_tokens.json")?,
        })
    }
}
