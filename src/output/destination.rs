//! An output that is an object in a store. It is written and resumed as any other file, in a staging directory, and stored as a whole
//! when it is complete.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};

use super::Existing;
use crate::exit::UsageError;
use crate::stop::Stop;
use crate::store::{self, Uploaded, Writing};

/// The digits of a hash that tell staged outputs apart.
const HEX_DIGITS: usize = 16;

/// Where an output is written, and where it goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Destination {
    /// The address of the object; of shards, that of their prefix.
    pub address: PathBuf,
    /// The file that is written; of shards, the directory.
    pub staged: PathBuf,
}

/// An output that is being written.
pub struct Upload {
    destination: Destination,
    writing: Writing,
    /// The size of the object that was copied from the store to be resumed.
    copied: Option<u64>,
}

impl Destination {
    /// The place of an output in a staging directory: the same for the same address, so that a run that is started again goes on.
    ///
    /// # Errors
    /// If no directory is named, and the environment has none either.
    pub fn new(address: PathBuf, staging: Option<&Path>) -> Result<Self> {
        let staging = match staging {
            Some(staging) => staging.to_owned(),
            None => usual_directory().context(
                "an output in a store is written into a local directory first, and neither XDG_CACHE_HOME nor HOME names one: name it \
                 with --staging",
            )?,
        };
        let text = address.to_string_lossy();
        let hash: String = blake3::hash(text.as_bytes()).to_hex().chars().take(HEX_DIGITS).collect();
        let name = text.rsplit('/').next().unwrap_or_default();
        let staged = if name.is_empty() { staging.join(hash) } else { staging.join(hash).join(name) };
        Ok(Self { address, staged })
    }

    /// Looks at the object that has the name, and makes the staging directory. Returns what becomes of the file there.
    ///
    /// # Errors
    /// If there is an object that would be lost, the store can't be asked, or the directory can't be made.
    pub fn prepare(&self, existing: Existing) -> Result<(Existing, Upload)> {
        let Self { address, staged } = self;
        let folder = staged.parent().unwrap_or(staged);
        let unmade =
            || format!("cannot make the staging directory {}; name another one with --staging", folder.display());
        fs::create_dir_all(folder).with_context(unmade)?;
        let there = store::find(address)?;
        let upload = |writing, copied| Upload { destination: self.clone(), writing, copied };
        match (existing, there) {
            (Existing::Refuse, Some(_)) => bail!(UsageError::new(format!(
                "{} exists already, and its content would be lost: add --resume to go on with the run that wrote it, --overwrite to \
                 replace it, or name another object",
                address.display()
            ))),
            // What a run has left there is that of the same output.
            (Existing::Refuse, None) => Ok((Existing::Resume, upload(Writing::Create, None))),
            (Existing::Overwrite, _) => Ok((Existing::Overwrite, upload(Writing::Replace, None))),
            (Existing::Resume, Some(object)) if !staged.exists() => {
                let Some(of_run) = store::find(&record(address))? else {
                    bail!(UsageError::new(format!(
                        "cannot resume {}: there is no {}, the record of its run; bring it back, or start anew with --overwrite",
                        address.display(),
                        record(address).display()
                    )))
                };
                // The record first: what has the output's name is resumed by the next run.
                store::download(&of_run, &record(staged))?;
                store::download(&object, staged)?;
                Ok((Existing::Resume, upload(Writing::Replace, Some(object.size()))))
            }
            (Existing::Resume, there) => {
                let writing = if there.is_some() { Writing::Replace } else { Writing::Create };
                Ok((Existing::Resume, upload(writing, None)))
            }
        }
    }
}

impl Upload {
    /// Stores the complete file with the record of its run, and removes both from the staging directory.
    ///
    /// # Errors
    /// If the store does not take them, another program has made the object in the meantime, or the run should stop.
    pub fn finish(self, stop: &Stop) -> Result<String> {
        let Self { destination: Destination { address, staged }, writing, copied } = self;
        let size = staged.metadata().with_context(|| format!("cannot read {}", staged.display()))?.len();
        let shown = address.display();
        // What is complete and was not written to is in the store.
        if copied != Some(size) {
            let stored = store::upload(&staged, &address, writing, stop).and_then(|uploaded| match uploaded {
                Uploaded::Exists => {
                    Err(anyhow!("{shown} was made by another program in the meantime; nothing is written over"))
                }
                Uploaded::Stored => Ok(()),
            });
            stored.map_err(|error| store::with_remedy(&error, &remedy(&staged, writing)))?;
            if record(&staged).exists() {
                let recorded = store::upload(&record(&staged), &record(&address), Writing::Replace, stop);
                // The object is there now: the next run replaces it.
                recorded.map_err(|error| store::with_remedy(&error, &remedy(&staged, Writing::Replace)))?;
            }
        }
        for file in [&staged, &record(&staged)] {
            // A copy that stays does no harm: it is that of the same output.
            let _ = fs::remove_file(file);
        }
        let _ = staged.parent().map(fs::remove_dir);
        Ok(format!("{shown} has the output"))
    }
}

impl Upload {
    /// What users should know of an output that is not complete; none, if nothing of it was written.
    pub fn left(&self) -> Option<String> {
        let Self { destination: Destination { address, staged }, writing, .. } = self;
        let how = match writing {
            Writing::Create => "the same command goes on behind it",
            Writing::Replace => "the same command goes on behind it, with --resume and without --overwrite",
        };
        staged.exists().then(|| {
            format!(
                "{} is not stored, as it is not complete: what is written stays in {}, and {how}",
                address.display(),
                staged.display()
            )
        })
    }
}

/// What stays of an output that could not be stored, and what helps.
fn remedy(staged: &Path, writing: Writing) -> String {
    let shown = staged.display();
    let how = match writing {
        Writing::Create => "run the same command again (with --resume, if its input is a pipe)",
        Writing::Replace => "run the same command again, with --resume and without --overwrite",
    };
    match record(staged).exists() {
        true => format!("the output is complete, and stays in {shown}: {how}, which only stores it"),
        false => format!("the output is complete, and stays in {shown}: copy it to its place"),
    }
}

/// The file that records the run of an output.
fn record(output: &Path) -> PathBuf {
    let mut path = output.as_os_str().to_owned();
    path.push(".run.json");
    path.into()
}

/// The directory for outputs that are not stored yet: beside the user's other caches.
fn usual_directory() -> Option<PathBuf> {
    let folder = |name: &str| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let caches = folder("XDG_CACHE_HOME").or_else(|| Some(folder("HOME")?.join(".cache")));
    caches.map(|caches| caches.join("rerank").join("staging"))
}
