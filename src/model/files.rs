//! Where a model's files are: a local directory, or the Hugging Face hub and its cache.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use super::Weights;
use super::contents::without;
use super::file_kind::{self, read_text};
use super::hub::{Downloads, Hub};

/// The index of a model of thousands of shards is far smaller.
const MOST_INDEX: u64 = 64 << 20;
/// Names of a directory's files that are looked at to say what it holds.
const MOST_NAMES: usize = 10_000;

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
        ensure!(!path.exists(), "--model {model}: {}", instead_of_a_directory(path));
        let looks_local = model.starts_with(['.', '/', '~']) || model.ends_with('/') || model.matches('/').count() != 1;
        ensure!(
            !looks_local,
            "--model {model}: there is no such directory, and an id on the hub has the form owner/name"
        );
        Ok(Self::Hub { id: model.to_owned(), revision: revision.to_owned(), offline })
    }
}

/// What a file is that was named in place of a directory.
fn instead_of_a_directory(path: &Path) -> String {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let extension = path.extension().map(|extension| extension.to_string_lossy().to_lowercase()).unwrap_or_default();
    let head = if path.is_file() { file_kind::head(path).unwrap_or_default() } else { Vec::new() };
    let directory =
        format!("name the directory that holds it beside config.json and tokenizer.json: {}", folder.display());
    match (extension.as_str(), file_kind::known(&head)) {
        (_, Some(kind)) if kind == file_kind::GGUF || kind == file_kind::ONNX || kind == file_kind::PICKLE => {
            kind.to_owned()
        }
        ("safetensors" | "json", _) => format!("this is a file; {directory}"),
        ("gguf", _) => file_kind::GGUF.to_owned(),
        ("onnx", _) => file_kind::ONNX.to_owned(),
        ("bin" | "pt" | "pth" | "ckpt", _) => file_kind::PICKLE.to_owned(),
        ("jsonl" | "csv" | "tsv" | "trec", _) => {
            "this is a file of data; name it with --input, and with --model a model's directory or its id on the hub"
                .to_owned()
        }
        (_, Some(kind)) if !head.is_empty() => format!("this is a file, not a model's directory: {kind}"),
        _ => "this is a file; name the directory that holds the model's files".to_owned(),
    }
}

/// The weights' file, where there is one.
const SINGLE: &str = "model.safetensors";

/// The files of one model.
pub enum ModelFiles {
    /// In a directory.
    Directory(PathBuf),
    /// On the hub.
    Hub(Box<Hub>),
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
            Self::Hub(hub) if !self.is_here(name) => Ok(hub.names()?.iter().any(|other| other == name)),
            _ => Ok(self.is_here(name)),
        }
    }

    /// The local path of a file, downloaded first if need be.
    ///
    /// # Errors
    /// If there is no such file: with what is there instead.
    pub fn get(&self, name: &str) -> Result<PathBuf> {
        match self {
            Self::Directory(directory) => {
                let path = directory.join(name);
                if path.is_file() {
                    return Ok(path);
                }
                ensure!(
                    path.symlink_metadata().is_err() || path.exists(),
                    "{} is a link to a file that is not there; download the model again",
                    path.display()
                );
                bail!("{} {}", directory.display(), without(name, &names_in(directory)))
            }
            Self::Hub(hub) => {
                let names = if self.is_here(name) { &[] } else { hub.names()? };
                if !names.is_empty() && !names.iter().any(|other| other == name) {
                    bail!("model {} on the hub {}", hub.name(), without(name, names));
                }
                hub.get(name)
            }
        }
    }

    /// The weights, where they are a single file that is here and whole. Nothing is downloaded.
    pub fn local_weights(&self) -> Option<Weights> {
        if self.is_here(SINGLE) { Weights::open(&[self.get(SINGLE).ok()?]).ok() } else { None }
    }

    /// The local paths of all weight files.
    ///
    /// # Errors
    /// If there are none, or a shard is missing.
    pub fn weights(&self) -> Result<Vec<PathBuf>> {
        const INDEX: &str = "model.safetensors.index.json";
        // What is in the cache is known without asking the hub.
        let sharded = !self.is_here(SINGLE) && (self.is_here(INDEX) || (!self.has(SINGLE)? && self.has(INDEX)?));
        if !sharded {
            return Ok(vec![self.get(SINGLE)?]);
        }
        let path = self.get(INDEX)?;
        let shards = shards_of(&path)?;
        if let Self::Directory(directory) = self {
            let missing: Vec<&str> =
                shards.iter().map(String::as_str).filter(|shard| !directory.join(shard).is_file()).collect();
            ensure!(
                missing.is_empty(),
                "{} has no {}: {} of the {} shards that {INDEX} names are missing; download them again",
                directory.display(),
                missing.iter().take(3).copied().collect::<Vec<_>>().join(", "),
                missing.len(),
                shards.len()
            );
        }
        shards.iter().map(|shard| self.get(shard)).collect()
    }
}

/// The names of the shards that an index lists.
fn shards_of(path: &Path) -> Result<BTreeSet<String>> {
    let text = read_text(path, MOST_INDEX)?;
    let wrong = || format!("{} is not an index of safetensors shards", path.display());
    let index: Value = serde_json::from_str(&text).map_err(|error| not_json(&error)).with_context(wrong)?;
    let map =
        index["weight_map"].as_object().context("it has no `weight_map` from tensors to files").with_context(wrong)?;
    let mut shards = BTreeSet::new();
    for (tensor, shard) in map {
        let shard = shard.as_str().with_context(|| format!("the file of tensor {tensor} is not a name: {shard}"));
        shards.insert(shard.with_context(wrong)?.to_owned());
    }
    if let Some(shard) = shards.iter().find(|shard| shard.contains(['/', '\\']) || shard.starts_with("..")) {
        bail!("{} names a shard outside the model: {shard}", path.display());
    }
    if let Some(shard) = shards.iter().find(|shard| !shard.ends_with(".safetensors")) {
        bail!("{} names {shard}, and rerank reads shards in safetensors only", path.display());
    }
    ensure!(!shards.is_empty(), "{} names no shards", path.display());
    Ok(shards)
}

/// What is wrong with a text that should be JSON.
pub(crate) fn not_json(error: &serde_json::Error) -> anyhow::Error {
    if error.is_eof() {
        return anyhow::anyhow!("the JSON ends in the middle, at line {}; download the file again", error.line());
    }
    anyhow::anyhow!("it is not valid JSON: {error}")
}

/// The names of a directory's files, and of those in its directories and the directories therein.
fn names_in(directory: &Path) -> Vec<String> {
    let mut names = Vec::new();
    let mut folders = vec![(directory.to_owned(), String::new(), 0)];
    while let Some((folder, prefix, depth)) = folders.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let name = prefix.clone() + &entry.file_name().to_string_lossy();
            if names.len() >= MOST_NAMES {
                return names;
            }
            if entry.path().is_dir() {
                if depth < 2 {
                    folders.push((entry.path(), name + "/", depth + 1));
                }
            } else {
                names.push(name);
            }
        }
    }
    names.sort();
    names
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
