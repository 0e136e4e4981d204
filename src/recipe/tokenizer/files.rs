//! The files that a tokenizer is read from, as they are.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde_json::{Map, Value};

use super::gguf;
use crate::checkpoint::{ModelFiles, read_text};
use crate::fields::{Fields, map_of};

/// The largest tokenizers have some dozens of MiB.
pub(super) const MOST_TOKENIZER: u64 = 512 << 20;
/// The names that models of SentencePiece have.
const SENTENCEPIECE: [&str; 4] = ["sentencepiece.bpe.model", "spiece.model", "tokenizer.model", "spm.model"];

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
    /// `vocab.txt`, the older form of BERT's.
    Lines(PathBuf),
}

impl Vocabulary {
    pub(super) fn path(&self) -> &Path {
        match self {
            Self::Whole(path, _) | Self::Lines(path) => path,
            Self::Parts { words, .. } => words,
        }
    }
}

/// A file of settings; absent, it has no fields.
pub(super) struct Settings {
    pub(super) name: &'static str,
    value: Map<String, Value>,
}

impl Settings {
    fn read(files: &ModelFiles, name: &'static str) -> Result<Self> {
        let Some((path, value)) = files.json(name)? else {
            return Ok(Self { name, value: Map::new() });
        };
        let value = map_of(value).with_context(|| path.display().to_string())?;
        Ok(Self { name, value })
    }

    /// Adds the fields that the file does not have.
    fn add(&mut self, fields: Map<String, Value>) {
        for (name, value) in fields {
            self.value.entry(name).or_insert(value);
        }
    }

    /// The fields; a field that is null counts as absent.
    pub(super) fn fields(&self) -> Fields<'_> {
        Fields::of_map(&self.value)
    }

    /// The names and values of all fields, those that are null among them.
    pub(super) fn entries(&self) -> impl Iterator<Item = (&String, &Value)> {
        self.value.iter()
    }

    /// The token of unknown words, or the class's own where the file has none.
    pub(super) fn unknown_token(&self, of_class: &str) -> String {
        let content = match self.fields().get("unk_token") {
            Some(Value::String(token)) => Some(token.as_str()),
            Some(Value::Object(token)) => token.get("content").and_then(Value::as_str),
            _ => None,
        };
        content.unwrap_or(of_class).to_owned()
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
    /// What was assumed of a tokenizer in the metadata of a GGUF file.
    pub(super) notes: Vec<String>,
}

impl TokenizerFiles {
    pub(super) fn read(files: &ModelFiles) -> Result<Self> {
        let mut config = Settings::read(files, "tokenizer_config.json")?;
        let written = match files.metadata() {
            Some(gguf) if files.optional("tokenizer.json")?.is_none() => Some((gguf.path(), gguf::written(gguf)?)),
            _ => None,
        };
        let (vocabulary, notes) = match written {
            Some((path, written)) => {
                config.add(written.settings);
                (Vocabulary::Whole(path.to_owned(), written.text), written.notes)
            }
            None => (vocabulary(files)?, Vec::new()),
        };
        let mut model = Settings::read(files, "config.json")?;
        if let Some(family) = files.metadata().map(gguf::family).transpose()?.flatten() {
            model.add(Map::from_iter([("model_type".to_owned(), family.into())]));
        }
        Ok(Self {
            vocabulary,
            model,
            config,
            special_tokens: Settings::read(files, "special_tokens_map.json")?,
            added_tokens: Settings::read(files, "added_tokens.json")?,
            notes,
        })
    }
}

/// The vocabulary in the newest of the forms that are there.
fn vocabulary(files: &ModelFiles) -> Result<Vocabulary> {
    if files.optional("tokenizer.json")?.is_none() {
        if let Some((words, merges)) = files.optional("vocab.json")?.zip(files.optional("merges.txt")?) {
            return Ok(Vocabulary::Parts { words, merges });
        }
        if let Some(path) = files.optional("vocab.txt")? {
            return Ok(Vocabulary::Lines(path));
        }
        for name in SENTENCEPIECE {
            ensure!(
                !files.has(name)?,
                "{} has no tokenizer.json, and its {name} is SentencePiece's form of a vocabulary, which rerank does not \
                 read; {}",
                files.conversion().place(),
                files.conversion().tokenizer()
            );
        }
    }
    let path = files.get("tokenizer.json")?;
    let text = read_text(&path, MOST_TOKENIZER)?;
    Ok(Vocabulary::Whole(path, text))
}
