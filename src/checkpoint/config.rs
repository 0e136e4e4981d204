//! Reads a `config.json`.

use std::path::Path;

use anyhow::{Context, Result, anyhow};
use serde_json::Value;

use super::{Adapter, ModuleHead, not_json, read_text};
use crate::model::Architecture;

/// Larger than any configuration.
const MOST_CONFIG: u64 = 16 << 20;

impl Architecture {
    /// Reads and checks a `config.json`.
    ///
    /// # Errors
    /// If it can't be read, is of a family that is not supported, or has a feature that is not.
    pub fn read(path: &Path) -> Result<Self> {
        read(path, Self::of_config)
    }

    /// The same, with the head of an adapter that has one.
    ///
    /// # Errors
    /// As [`Architecture::read`].
    pub fn read_with_adapter(path: &Path, adapter: &Adapter) -> Result<Self> {
        read(path, |config| {
            let mut config = config.clone();
            adapter.adjust(&mut config);
            Self::of_config(&config)
        })
    }

    /// The same, with a head of modules in place of the one that the file describes.
    ///
    /// # Errors
    /// As [`Architecture::read`], and if the head is another model's.
    pub fn read_with_head(path: &Path, head: &ModuleHead) -> Result<Self> {
        let mut architecture = read(path, Self::without_head)?;
        head.apply(&mut architecture)?;
        Ok(architecture)
    }
}

fn read(path: &Path, describe: impl Fn(&Value) -> Result<Architecture>) -> Result<Architecture> {
    let text = read_text(path, MOST_CONFIG)?;
    let config = serde_json::from_str::<Value>(&text).map_err(|error| {
        match text.contains("NaN") || text.contains("Infinity") {
            // Python writes them, and JSON does not know them.
            true => anyhow!("it has NaN or Infinity, which are no numbers of JSON ({error}); write a number there"),
            false => not_json(&error),
        }
    });
    let described = config.and_then(|config| describe(&config));
    described.with_context(|| format!("{} does not describe a model that rerank can run", path.display()))
}
