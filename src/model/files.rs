//! Where a model's files are: a local directory, or the Hugging Face hub and its cache.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;

use super::hub::{Downloads, Hub};

/// `--model` as it is understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ModelSource {
    /// A directory with `config.json`, `tokenizer.json` and safetensors.
    Directory(PathBuf),
    /// A repository on the hub.
    Hub {
        /// `owner/name`.
        id: String,
        /// Branch, tag or commit.
        revision: String,
        /// Whether only files that were downloaded before may be used.
        offline: bool,
    },
    /// No model: words in common are counted.
    Fake,
}

impl std::fmt::Display for ModelSource {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Directory(path) => write!(formatter, "{}", path.display()),
            Self::Hub { id, revision, .. } => write!(formatter, "{id}@{revision}"),
            Self::Fake => formatter.write_str("fake"),
        }
    }
}

impl ModelSource {
    /// Understands `--model`.
    ///
    /// # Errors
    /// If it is neither an existing directory nor an id.
    pub fn parse(model: &str, revision: &str, offline: bool) -> Result<Self> {
        let path = Path::new(model);
        if model == "fake" {
            return Ok(Self::Fake);
        }
        if path.is_dir() {
            return Ok(Self::Directory(path.to_owned()));
        }
        ensure!(!path.exists(), "--model {model}: this is a file; name the directory that holds the model's files");
        let looks_local = model.starts_with(['.', '/', '~']) || model.ends_with('/') || model.matches('/').count() != 1;
        ensure!(
            !looks_local,
            "--model {model}: there is no such directory, and an id on the hub has the form owner/name"
        );
        Ok(Self::Hub { id: model.to_owned(), revision: revision.to_owned(), offline })
    }
}

/// The files of one model.
pub enum ModelFiles {
    /// In a directory.
    Directory(PathBuf),
    /// On the hub.
    Hub(Box<Hub>),
}

#[derive(Deserialize)]
struct Index {
    weight_map: std::collections::HashMap<String, String>,
}

impl ModelFiles {
    /// Files in a directory.
    pub fn in_directory(directory: &Path) -> Self {
        Self::Directory(directory.to_owned())
    }

    /// Files on the hub.
    ///
    /// # Errors
    /// If the hub's client can't be set up.
    pub fn on_hub(id: &str, revision: &str, offline: bool, downloads: Downloads) -> Result<Self> {
        Ok(Self::Hub(Box::new(Hub::open(id, revision, offline, downloads)?)))
    }

    fn is_here(&self, name: &str) -> bool {
        match self {
            Self::Directory(directory) => directory.join(name).is_file(),
            Self::Hub(hub) => hub.cached(name).is_some(),
        }
    }

    /// Whether the model has a file of this name.
    ///
    /// # Errors
    /// If the hub doesn't answer.
    pub fn has(&self, name: &str) -> Result<bool> {
        match self {
            Self::Hub(hub) if !self.is_here(name) => hub.lists(name),
            _ => Ok(self.is_here(name)),
        }
    }

    /// The local path of a file, downloaded first if need be.
    ///
    /// # Errors
    /// If there is no such file.
    pub fn get(&self, name: &str) -> Result<PathBuf> {
        match self {
            Self::Directory(directory) => {
                let path = directory.join(name);
                ensure!(
                    path.is_file(),
                    "{} has no {name}; a model's directory holds config.json, tokenizer.json and model.safetensors (or \
                     its shards with model.safetensors.index.json)",
                    directory.display()
                );
                Ok(path)
            }
            Self::Hub(hub) => hub.get(name),
        }
    }

    /// The local paths of all weight files.
    ///
    /// # Errors
    /// If there are none, or a shard is missing.
    pub fn weights(&self) -> Result<Vec<PathBuf>> {
        const SINGLE: &str = "model.safetensors";
        const INDEX: &str = "model.safetensors.index.json";
        // What is in the cache is known without asking the hub.
        let sharded = !self.is_here(SINGLE) && (self.is_here(INDEX) || (!self.has(SINGLE)? && self.has(INDEX)?));
        if !sharded {
            return Ok(vec![self.get(SINGLE)?]);
        }
        let path = self.get(INDEX)?;
        let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let index: Index = serde_json::from_str(&text)
            .with_context(|| format!("{} is not an index of safetensors shards", path.display()))?;
        let shards: BTreeSet<String> = index.weight_map.into_values().collect();
        if let Some(shard) = shards.iter().find(|shard| shard.contains(['/', '\\']) || shard.starts_with("..")) {
            bail!("{} names a shard outside the model: {shard}", path.display());
        }
        ensure!(!shards.is_empty(), "{} names no shards", path.display());
        shards.iter().map(|shard| self.get(shard)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_is_a_directory_or_an_id() {
        let parse = |model| ModelSource::parse(model, "main", false);
        assert_eq!(parse("testdata").unwrap(), ModelSource::Directory("testdata".into()));
        assert!(matches!(parse("Qwen/Qwen3-Reranker-4B").unwrap(), ModelSource::Hub { .. }));
        assert_eq!(parse("fake").unwrap(), ModelSource::Fake);
        for wrong in ["./missing", "/missing/model", "missing", "a/b/c", "Cargo.toml", "missing/"] {
            assert!(parse(wrong).unwrap_err().to_string().contains(wrong));
        }
    }
}
