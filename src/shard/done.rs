//! The record of a complete part: `part-00017-of-00256.done.json`.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::Path;

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::Shard;
use super::index::Index;
use super::names;
use super::written::Written;
use crate::column_types::ColumnTypes;
use crate::exit::UsageError;
use crate::output::replace_file;
use crate::resume::{Settings, Sidecar};
use crate::store;

/// The form of the file.
const FORM: &str = "rerank shard 1";

/// The most bytes of the file: it has a few for every ranking.
const MOST_BYTES: u64 = 1 << 30;

/// What a complete part is, and of which run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Done {
    form: String,
    /// The number of the shard.
    shard: u32,
    /// How many there are.
    shards: u32,
    /// What the rankings depend on.
    pub(super) settings: Settings,
    /// What people may want to know.
    about: Map<String, Value>,
    /// The carried columns of the input and their types, for a merge into columns ([`ColumnTypes::text`]).
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(super) columns: String,
    /// What the part has.
    pub(super) counts: Counts,
    /// The bytes of the part.
    pub(super) bytes: u64,
    /// Their BLAKE3 hash.
    pub(super) blake3: String,
    /// Where the rankings stand in the input, and their sizes.
    pub(super) rankings: Index,
}

/// The figures of a part.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Counts {
    /// The rankings.
    pub queries: u64,
    /// The records that could not be used.
    pub skipped: u64,
    /// The rankings that an earlier worker had written when it was broken off. What follows is counted without them.
    pub resumed: u64,
    /// Pairs scored.
    pub pairs: u64,
    /// Pairs whose document was cut.
    pub truncated: u64,
    /// Tokens that were computed, shared prefixes once.
    pub tokens: u64,
}

impl Done {
    /// The record of a part, by the record of the run that wrote it.
    pub(super) fn new(shard: Shard, run: Sidecar, written: Written, counts: Counts, types: &ColumnTypes) -> Self {
        let (settings, about) = run.into_settings();
        Self {
            form: FORM.to_owned(),
            shard: shard.index,
            shards: shard.count,
            settings,
            about,
            columns: types.text(),
            counts: Counts { queries: written.rankings, ..counts },
            bytes: written.bytes,
            blake3: written.blake3,
            rankings: written.index,
        }
    }

    /// Reads the record of a shard; none, if there is no such file.
    ///
    /// # Errors
    /// If it can't be read, or is something else.
    pub(super) fn read(directory: &Path, shard: Shard) -> Result<Option<Self>> {
        let path = directory.join(names::done(shard));
        let failed = || format!("cannot read {}", path.display());
        let file: Box<dyn Read> = if store::is_address(&path) {
            let Some(object) = store::find(&path)? else { return Ok(None) };
            Box::new(object.stream())
        } else {
            match File::open(&path) {
                Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
                file => Box::new(file.with_context(failed)?),
            }
        };
        let wrong = |problem: String| {
            UsageError::new(format!(
                "{} is no record of a shard: {problem}; remove it, and run shard {shard} again",
                path.display()
            ))
        };
        let mut text = Vec::new();
        file.take(MOST_BYTES + 1).read_to_end(&mut text).with_context(failed)?;
        if text.len() as u64 > MOST_BYTES {
            bail!(wrong(format!("it has more than {} MiB", MOST_BYTES >> 20)));
        }
        let value: Value = serde_json::from_slice(&text).map_err(|error| wrong(error.to_string()))?;
        match value.get("form").and_then(Value::as_str) {
            Some(FORM) => {}
            Some(form) if form.starts_with("rerank shard ") => {
                let problem =
                    format!("{} is of the form {form:?}, which this version of rerank does not know", path.display());
                bail!(UsageError::new(problem))
            }
            _ => bail!(wrong("it has no `form`".to_owned())),
        }
        let done: Self = serde_json::from_value(value).map_err(|error| wrong(error.to_string()))?;
        if (done.shard, done.shards) != (shard.index, shard.count) {
            bail!(wrong(format!("it is that of shard {}/{}", done.shard, done.shards)));
        }
        Ok(Some(done))
    }

    /// Reads the record of a shard whose part is there, with as many bytes; none, if the shard is not done.
    ///
    /// # Errors
    /// If the record can't be read, or is something else.
    pub(super) fn of_part(directory: &Path, shard: Shard) -> Result<Option<Self>> {
        let done = Self::read(directory, shard)?;
        // Where there is no record, nobody asks for the part.
        let size = if done.is_some() { store::size_of(&directory.join(names::part(shard))).ok() } else { None };
        Ok(done.filter(|done| size == Some(done.bytes)))
    }

    /// Writes the record, in place of another one.
    ///
    /// # Errors
    /// If the system can't write it.
    pub(super) fn write(&self, directory: &Path, shard: Shard) -> Result<()> {
        let path = directory.join(names::done(shard));
        let text = serde_json::to_string(self)? + "\n";
        replace_file(&path, text.as_bytes()).with_context(|| format!("cannot write {}", path.display()))
    }

    /// What the run was, for messages.
    pub(super) fn about(&self) -> &Map<String, Value> {
        &self.about
    }
}
