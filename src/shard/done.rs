//! The record of a complete part: `part-00017-of-00256.done.json`.

use std::fmt;
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
use crate::input::WholeInput;
use crate::output::replace_file;
use crate::progress::{HumanCount, counted};
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
    /// Sentences on the columns of which such a merge makes something else than a single run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) changed_columns: Vec<String>,
    /// What the whole input has, where every worker reads it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) input: Option<WholeInput>,
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
    /// What the worker did that completed the part.
    pub last_worker: WorkerCounts,
}

/// The figures of the worker that completed a part. What earlier ones did that were broken off is not known.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct WorkerCounts {
    /// The rankings that were written before.
    pub resumed: u64,
    /// Pairs scored.
    pub pairs: u64,
    /// Pairs whose document was cut.
    pub truncated: u64,
    /// Tokens that were computed, shared prefixes once.
    pub tokens: u64,
}

/// A record that is damaged, or is something else. Its shard counts as not done, and the next worker replaces it. A record that
/// can't be fetched is another matter: nobody knows whether its shard is done.
#[derive(Debug)]
pub(super) struct Unreadable(String);

impl fmt::Display for Unreadable {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl std::error::Error for Unreadable {}

impl Done {
    /// The record of a part, by the record of the run that wrote it, and by what its worker read.
    pub(super) fn new(
        shard: Shard,
        (run, written): (Sidecar, Written),
        counts: Counts,
        types: &ColumnTypes,
        input: Option<WholeInput>,
    ) -> Self {
        let (settings, about) = run.into_settings();
        Self {
            form: FORM.to_owned(),
            shard: shard.index,
            shards: shard.count,
            settings,
            about,
            columns: types.text(),
            changed_columns: types.changed_by_merge().to_vec(),
            input,
            counts: Counts { queries: written.rankings, ..counts },
            bytes: written.bytes,
            blake3: written.blake3,
            rankings: written.index,
        }
    }

    /// Reads the record of a shard; none, if there is no such file.
    ///
    /// # Errors
    /// [`Unreadable`] if it is damaged, or is something else; another error if it can't be fetched, or a worker can't replace it.
    pub(super) fn read(directory: &Path, shard: Shard) -> Result<Option<Self>> {
        let path = directory.join(names::done(shard));
        let shown = path.display();
        if path.is_dir() {
            let problem =
                format!("{shown} is a directory, and no record of a shard; remove it, and run shard {shard} again");
            bail!(UsageError::new(problem));
        }
        let failed = || format!("cannot read {shown}, so that it is not known whether shard {shard} is done");
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
            Unreadable(format!(
                "{shown} is no record of a shard: {problem}; run shard {shard} again, which replaces it"
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
                let problem = format!("{shown} is of the form {form:?}, which this version of rerank does not know");
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
    /// As [`Done::read`].
    pub(super) fn of_part(directory: &Path, shard: Shard) -> Result<Option<Self>> {
        // Where there is no record, nobody asks for the part.
        let Some(done) = Self::read(directory, shard)? else { return Ok(None) };
        let size = store::size_if_there(&directory.join(names::part(shard)))?;
        Ok(Some(done).filter(|done| size == Some(done.bytes)))
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

    /// The record of a part that is there, with as many bytes; in place of one that is damaged or does not fit it, a sentence on that.
    ///
    /// # Errors
    /// If the record or the part can't be fetched, or a worker can't replace what is there.
    pub(super) fn or_unreadable(directory: &Path, shard: Shard) -> Result<(Option<Self>, Option<String>)> {
        let done = match Self::read(directory, shard) {
            Err(error) if error.is::<Unreadable>() => return Ok((None, Some(format!("{error:#}")))),
            done => done?,
        };
        let Some(done) = done else { return Ok((None, None)) };
        let part = directory.join(names::part(shard));
        Ok(match store::size_if_there(&part)? {
            None => (None, None),
            Some(size) if size == done.bytes => (Some(done), None),
            Some(size) => {
                let (part, size) = (part.display(), counted(size, "byte", "bytes"));
                let problem = format!(
                    "{part} has {size}, and had {} when its worker had written it, so that it was changed since: bring it back as it \
                     was, or run shard {shard} again, which replaces it",
                    HumanCount(done.bytes)
                );
                (None, Some(problem))
            }
        })
    }

    /// What the rankings depend on, and what people may want to know of the run.
    pub(super) fn into_settings(self) -> (Settings, Map<String, Value>) {
        (self.settings, self.about)
    }

    /// What the run was, for messages.
    pub(super) fn about(&self) -> &Map<String, Value> {
        &self.about
    }
}
