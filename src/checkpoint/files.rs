//! A model's files: in a local directory, or on the Hugging Face hub and in its cache.

mod gguf;
mod older_gptq;
mod shards;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Error, Result, anyhow, bail, ensure};
use serde_json::Value;

pub use self::gguf::Extent;
use self::shards::shards_of;
use super::contents::without;
use super::conversion::Conversion;
use super::file_kind::{Damaged, read_text};
use super::gguf::Gguf;
use super::hub::{Downloads, Hub};
use super::modules::{MODULES, Modules, SETTINGS};
use super::stated::stated_precision;
use super::{Quantization, Weights};
use crate::exit::UsageError;
use crate::precision::Precision;

const CONFIG: &str = "config.json";
/// The weights' file, where there is one.
const SINGLE: &str = "model.safetensors";
/// The list of the weights' files, where there are several.
const INDEX: &str = "model.safetensors.index.json";
/// Settings have a few MiB at most, where thousands of tokens were added to a tokenizer.
const MOST_SETTINGS: u64 = 64 << 20;
/// The most names of a directory's files that are read for a message on what it has.
const MOST_NAMES: usize = 10_000;

/// The files of one model.
pub struct ModelFiles {
    place: Place,
    /// The folder of the transformer's files, where sentence-transformers keeps them apart; else empty.
    folder: String,
    /// The folders of the modules behind it.
    modules: Vec<String>,
    /// The weights, where they are in GGUF.
    gguf: Option<Arc<Gguf>>,
    /// The files that were asked for and are there, by their paths within the model.
    read: Mutex<BTreeMap<String, PathBuf>>,
}

/// Where files are.
enum Place {
    Directory(PathBuf),
    Hub(Box<Hub>),
}

/// The folders of a directory's path that may carry the model's name: the hub's cache has it two above the files.
const MOST_FOLDERS: usize = 3;

impl ModelFiles {
    /// Files in a directory.
    pub fn in_directory(directory: &Path) -> Self {
        Self::at(Place::Directory(directory.to_owned()))
    }

    fn at(place: Place) -> Self {
        Self { place, folder: String::new(), modules: Vec::new(), gguf: None, read: Mutex::default() }
    }

    /// Files on the hub.
    ///
    /// # Errors
    /// If the hub's client can't be set up.
    pub fn on_hub(id: &str, revision: &str, offline: bool, downloads: Downloads) -> Result<Self> {
        let hub = Hub::open(id, revision, offline, downloads)?;
        Ok(Self::at(Place::Hub(Box::new(hub))))
    }

    /// Looks for the transformer's files in the folder that the modules of sentence-transformers name.
    ///
    /// # Errors
    /// If the list of modules can't be read.
    pub fn find_transformer(&mut self) -> Result<()> {
        if let Some(modules) = Modules::read(self)? {
            let mut folders = modules.list.into_iter().map(|module| module.folder);
            self.folder = folders.next().unwrap_or_default();
            self.modules = folders.collect();
        }
        Ok(())
    }

    /// The path of a file within the model.
    fn located<'a>(&self, name: &'a str) -> Cow<'a, str> {
        let is_inside = |folder: &String| name.strip_prefix(folder.as_str()).is_some_and(|rest| rest.starts_with('/'));
        let is_of_modules = [MODULES, SETTINGS].contains(&name) || self.modules.iter().any(is_inside);
        if self.folder.is_empty() || is_of_modules { name.into() } else { format!("{}/{name}", self.folder).into() }
    }

    /// The model's directory, or its name on the hub.
    pub(super) fn place(&self) -> String {
        match &self.place {
            Place::Hub(hub) => hub.name().to_owned(),
            Place::Directory(directory) => directory.display().to_string(),
        }
    }

    /// Whether this is a directory with a configuration and weights. Transformers takes the base of an adapter from elsewhere where
    /// it is not.
    pub(super) fn is_whole_directory(&self) -> bool {
        let is_directory = matches!(self.place, Place::Directory(_));
        let has_weights =
            || self.is_here(SINGLE) || self.is_here(INDEX) || self.older_gptq().is_ok_and(|weights| weights.is_some());
        self.gguf.is_some() || (is_directory && self.is_here(CONFIG) && has_weights())
    }

    /// What the model may be called: what its GGUF file states, its name on the hub, or the parts of the directory's path.
    pub fn names_of_model(&self) -> Vec<String> {
        let of_place: Vec<String> = match &self.place {
            Place::Hub(hub) => vec![hub.name().to_owned()],
            Place::Directory(directory) => {
                let whole = directory.canonicalize().unwrap_or_else(|_| directory.clone());
                [directory, &whole]
                    .into_iter()
                    .flat_map(|path| path.iter().rev().take(MOST_FOLDERS))
                    .map(|part| part.to_string_lossy().into_owned())
                    .collect()
            }
        };
        [self.names_in_gguf(), of_place].concat()
    }

    /// How the model's files could be converted. A configuration that can't be read is reported elsewhere.
    pub(crate) fn conversion(&self) -> Conversion {
        let config = if self.is_here(CONFIG) { self.json(CONFIG).ok().flatten() } else { None };
        let config = config.as_ref().map(|(_, config)| config);
        match &self.place {
            Place::Directory(directory) => Conversion::new(&directory.display().to_string(), config),
            Place::Hub(hub) => Conversion::new(hub.name(), config).beside_nothing(),
        }
    }

    pub(super) fn is_here(&self, name: &str) -> bool {
        let name = self.located(name);
        match &self.place {
            Place::Directory(directory) => directory.join(&*name).is_file(),
            Place::Hub(hub) => hub.cached(&name).is_some(),
        }
    }

    /// Whether the model has a file of this name.
    ///
    /// # Errors
    /// If the hub doesn't answer.
    pub fn has(&self, name: &str) -> Result<bool> {
        match &self.place {
            Place::Hub(hub) if !self.is_here(name) => {
                let name = self.located(name);
                Ok(hub.names()?.iter().any(|other| *other == name))
            }
            _ => Ok(self.is_here(name)),
        }
    }

    /// The local path of a file that not every model has, downloaded first if need be.
    ///
    /// # Errors
    /// If the hub doesn't answer, or the download fails.
    pub fn optional(&self, name: &str) -> Result<Option<PathBuf>> {
        match &self.place {
            Place::Directory(directory) => {
                let path = directory.join(&*self.located(name));
                // A link to nothing and a folder are not passed over: the model was meant to have the file.
                if path.symlink_metadata().is_ok() { self.get(name).map(Some) } else { Ok(None) }
            }
            Place::Hub(hub) => {
                let path = hub.optional(&self.located(name))?;
                path.iter().for_each(|path| self.note_read(name, path));
                Ok(path)
            }
        }
    }

    fn note_read(&self, name: &str, path: &Path) {
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        read.insert(self.located(name).into_owned(), path.to_owned());
    }

    /// The files that were asked for so far and are there, by their paths within the model: all that a model consists of.
    pub fn all_read(&self) -> BTreeMap<String, PathBuf> {
        self.read.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A JSON file that not every model has, with its path.
    ///
    /// # Errors
    /// As [`ModelFiles::optional`], and if it is not JSON.
    pub(crate) fn json(&self, name: &str) -> Result<Option<(PathBuf, Value)>> {
        let Some(path) = self.optional(name)? else { return Ok(None) };
        let text = read_text(&path, MOST_SETTINGS)?;
        let value = serde_json::from_str(&text).map_err(|error| not_json(&error));
        let value = value.with_context(|| format!("{} can't be read", path.display()))?;
        Ok(Some((path, value)))
    }

    /// The warning of files that may be missing unnoticed: offline, the model may have more than is here.
    pub fn unknown(&self) -> Option<String> {
        match &self.place {
            Place::Directory(_) => None,
            Place::Hub(hub) => hub.unknown(),
        }
    }

    /// The local path of a file, downloaded first if need be.
    ///
    /// # Errors
    /// If there is no such file: with what is there instead.
    pub fn get(&self, name: &str) -> Result<PathBuf> {
        let path = self.find(name)?;
        self.note_read(name, &path);
        Ok(path)
    }

    fn find(&self, name: &str) -> Result<PathBuf> {
        let located = self.located(name);
        match &self.place {
            Place::Directory(directory) => {
                let path = directory.join(&*located);
                if path.is_file() {
                    return Ok(path);
                }
                bail!("{}", absent(directory, &located, &self.conversion()))
            }
            Place::Hub(hub) => {
                let names = if self.is_here(name) { &[] } else { hub.names()? };
                if !names.is_empty() && !names.iter().any(|other| *other == located) {
                    bail!("model {} on the hub {}", hub.name(), without(&located, names, &self.conversion()));
                }
                hub.get(&located)
            }
        }
    }

    /// The precision of weights that are not here: that which the configuration states.
    ///
    /// # Errors
    /// If the configuration can't be read.
    pub fn stated_precision(&self) -> Result<Option<Precision>> {
        stated_precision(self)
    }

    /// The weights, or the shards of them that are here, where they are whole. Nothing is downloaded.
    pub fn local_weights(&self) -> Option<Weights> {
        if let Some(gguf) = &self.gguf {
            return Some(Weights::of_gguf(gguf.clone()));
        }
        let names = match (self.is_here(SINGLE), self.is_here(INDEX)) {
            (true, _) => BTreeSet::from([SINGLE.to_owned()]),
            (false, true) => shards_of(&self.get(INDEX).ok()?).ok()?,
            (false, false) => BTreeSet::from([self.older_gptq().ok()??]),
        };
        let paths = names.iter().filter(|name| self.is_here(name)).map(|name| self.get(name));
        let paths = paths.collect::<Result<Vec<_>>>().ok()?;
        // A part of the shards has the precision of all of them.
        let weights = if paths.is_empty() { None } else { Weights::open(&paths).ok() }?;
        let quantization = Quantization::of_weights(self, &weights).ok()?;
        Some(weights.quantized(quantization))
    }

    /// The local paths of all weight files.
    ///
    /// # Errors
    /// If there are none, or a shard is missing.
    pub fn weights(&self) -> Result<Vec<PathBuf>> {
        if let Some(gguf) = &self.gguf {
            return Ok(gguf.paths());
        }
        // The content of the cache is known without a request to the hub.
        let sharded = !self.is_here(SINGLE) && (self.is_here(INDEX) || (!self.has(SINGLE)? && self.has(INDEX)?));
        if !sharded {
            let older = if self.is_here(SINGLE) || self.has(SINGLE)? { None } else { self.older_gptq()? };
            return Ok(vec![self.get(older.as_deref().unwrap_or(SINGLE))?]);
        }
        let path = self.get(INDEX)?;
        let shards = shards_of(&path)?;
        if let Place::Directory(directory) = &self.place {
            let missing: Vec<&str> = shards.iter().map(String::as_str).filter(|shard| !self.is_here(shard)).collect();
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

    /// Adds what an error lacks: the model's place, where it names none and is no error of the options, and what to do about a
    /// file that is damaged and not the user's own, as nobody knows how the cache is laid out.
    pub fn with_remedy(&self, error: Error) -> Error {
        let text = format!("{error:#}");
        match &self.place {
            Place::Hub(hub) if error.downcast_ref::<Damaged>().is_some() => {
                anyhow!("{text} (the file is in the cache of models; delete {} and run again)", hub.folder().display())
            }
            _ if error.chain().any(|cause| cause.is::<UsageError>()) => error,
            Place::Hub(hub) => {
                let is_placed = text.contains(hub.name()) || text.contains(&hub.folder().display().to_string());
                if is_placed { error } else { error.context(format!("model {} on the hub", hub.name())) }
            }
            Place::Directory(directory) => {
                let name = directory.display().to_string();
                let is_placed = text.contains(if name.len() > 1 { name.trim_end_matches('/') } else { "./" });
                if is_placed { error } else { error.context(name) }
            }
        }
    }
}

/// Why a directory does not have a file, and what to do.
fn absent(directory: &Path, name: &str, conversion: &Conversion) -> String {
    let path = directory.join(name);
    match (path.symlink_metadata(), path.metadata()) {
        (_, Ok(_)) => format!("{} is not a file; {name} of the model is needed there", path.display()),
        (Ok(_), Err(_)) => {
            format!("{} is a link to a file that is not there; download the model again", path.display())
        }
        (Err(error), _) if error.kind() != ErrorKind::NotFound => {
            format!("cannot read {}: {error}; check the permissions of {}", path.display(), directory.display())
        }
        _ => match std::fs::read_dir(directory) {
            Ok(_) => format!("{} {}", directory.display(), without(name, &names_in(directory), conversion)),
            Err(error) => format!("{} has no {name}, and what it has can't be listed: {error}", directory.display()),
        },
    }
}

/// What is wrong with a text that should be JSON.
pub(crate) fn not_json(error: &serde_json::Error) -> anyhow::Error {
    if error.is_eof() {
        let problem = format!("the JSON ends in the middle, at line {}; download the file again", error.line());
        return Damaged(problem).into();
    }
    anyhow!("it is not valid JSON: {error}")
}

/// The names of a directory's files, and of those in its directories and the directories therein.
pub(super) fn names_in(directory: &Path) -> Vec<String> {
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
