//! `rerank status`: which shards of a directory are done.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Result, bail};
use indicatif::{DecimalBytes, HumanDuration};
use serde::Serialize;

use super::Shard;
use super::agreement::Agreement;
use super::directory::{self, ShardFile};
use super::done::Done;
use super::names::Kind;
use super::ranges::ranges;
use crate::progress::counted;
use crate::store;

/// The most files that a message names.
const MOST_NAMED: usize = 4;

/// The state of the shards in a directory.
#[derive(Debug, Default, Serialize)]
pub struct Status {
    /// The directory.
    pub directory: PathBuf,
    /// How many shards there are.
    pub shards: u32,
    /// How many are done.
    pub done: u32,
    /// Those that a worker has begun.
    pub in_progress: Vec<InProgress>,
    /// The numbers of all others.
    pub missing: Vec<u32>,
    /// The rankings of shards that are done.
    pub queries: u64,
    /// The records that these left out.
    pub skipped: u64,
    /// Why the parts do not belong together, so that they can't be merged; a sentence for each reason.
    pub problems: Vec<String>,
    /// What else users should know: records that are damaged, whose shards count as not done, and files that are left.
    pub warnings: Vec<String>,
}

/// A shard that is not done, and that a worker has begun. Whether it still runs can't be known on every file system.
#[derive(Debug, Serialize)]
pub struct InProgress {
    /// The shard's number.
    pub shard: u32,
    /// The workers that have begun it.
    pub workers: u32,
    /// The bytes that the one that came furthest has written.
    pub bytes: u64,
    /// The seconds since one of them wrote last.
    pub seconds_since_write: u64,
}

impl Status {
    /// Reads the state of a directory.
    ///
    /// # Errors
    /// If it or the record of a shard can't be read, or it holds no shards, or those of several runs.
    pub fn read(directory: &Path) -> Result<Self> {
        Ok(Self::with_records(directory)?.0)
    }

    /// Reads the state of a directory; with the records of the shards that are done, by their numbers.
    ///
    /// # Errors
    /// As [`Status::read`].
    pub(super) fn with_records(directory: &Path) -> Result<(Self, BTreeMap<u32, Done>)> {
        let (files, others): (Vec<_>, Vec<_>) = {
            let files = directory::list(directory)?;
            let count = count_of(&files, directory)?;
            files.into_iter().partition(|file| file.shard.count == count)
        };
        let count = files.first().map_or(0, |file| file.shard.count);
        let mut begun = begun(&files);
        let mut status = Self { directory: directory.to_owned(), shards: count, ..Self::default() };
        let mut agreement = Agreement::default();
        let recorded: Vec<u32> =
            files.iter().filter(|file| file.kind == Kind::Done).map(|file| file.shard.index).collect();
        // A record in a store takes some time to come, and one that was not listed would take as long to be missed.
        let records = store::for_each(&recorded, |_, &index| Done::or_unreadable(directory, Shard { index, count }))?;
        let mut complete = BTreeMap::new();
        for (index, (done, unreadable)) in recorded.into_iter().zip(records) {
            status.warnings.extend(unreadable);
            let Some(done) = done else { continue };
            agreement.add(Shard { index, count }, &done);
            status.done += 1;
            status.queries += done.counts.queries;
            status.skipped += done.counts.skipped;
            begun.remove(&index);
            complete.insert(index, done);
        }
        let is_missing = |index: &u32| !complete.contains_key(index) && !begun.contains_key(index);
        status.missing = (0..count).filter(is_missing).collect();
        status.in_progress = begun.into_values().collect();
        status.problems = agreement.problems();
        if let Some(left) = left_of_others(&others) {
            // What a worker of another division has left does not matter any more when all shards are done.
            let is_complete = status.is_complete();
            if is_complete { &mut status.warnings } else { &mut status.problems }.push(left);
        }
        Ok((status, complete))
    }

    /// Whether all shards are done.
    pub fn is_complete(&self) -> bool {
        self.done == self.shards
    }

    /// Whether all shards are done, and belong together.
    pub fn is_mergeable(&self) -> bool {
        self.is_complete() && self.problems.is_empty()
    }

    /// Why the shards can't be merged, if some are not done.
    pub(super) fn left(&self) -> Option<String> {
        if self.is_complete() {
            return None;
        }
        let mut left: Vec<u32> =
            self.in_progress.iter().map(|progress| progress.shard).chain(self.missing.iter().copied()).collect();
        left.sort_unstable();
        let example = left.first().copied().unwrap_or_default();
        let warnings: String = self.warnings.iter().map(|warning| format!("; {warning}")).collect();
        Some(format!(
            "of {}, these are not done: {}; run each of them again, as with --shard {example}/{}{warnings}",
            counted(self.shards.into(), "shard", "shards"),
            ranges(&left),
            self.shards
        ))
    }

    /// The state in lines for people.
    pub fn text(&self) -> String {
        let Self { directory, shards, done, in_progress, missing, queries, skipped, problems, warnings } = self;
        let mut text = String::new();
        let left_out = match skipped {
            0 => String::new(),
            skipped => format!(", {} left out", counted(*skipped, "record", "records")),
        };
        let rankings = counted(*queries, "ranking", "rankings");
        // Writing to memory does not fail.
        let _ = writeln!(
            text,
            "{}: {done} of {} done, {rankings}{left_out}",
            directory.display(),
            counted((*shards).into(), "shard", "shards")
        );
        for InProgress { shard, workers, bytes, seconds_since_write } in in_progress {
            let by = if *workers > 1 { format!(" by {workers} workers") } else { String::new() };
            let age = HumanDuration(Duration::from_secs(*seconds_since_write));
            let _ = writeln!(text, "in progress: {shard}{by}, {}, written {age} ago", DecimalBytes(*bytes));
        }
        if !missing.is_empty() {
            let _ = writeln!(text, "missing: {}", ranges(missing));
        }
        for (kind, sentences) in [("problem", problems), ("warning", warnings)] {
            for sentence in sentences {
                let _ = writeln!(text, "{kind}: {sentence}");
            }
        }
        text
    }
}

/// How many shards there are: by those that are done, else by those that are begun.
fn count_of(files: &[ShardFile], directory: &Path) -> Result<u32> {
    let shown = directory.display();
    let is_named = |file: &&ShardFile| matches!(file.kind, Kind::Done | Kind::Part);
    let named: Vec<&ShardFile> = files.iter().filter(is_named).collect();
    let counted = if named.is_empty() { files.iter().collect() } else { named };
    let Some(first) = counted.first() else {
        bail!("{shown} has no shard: name the directory that workers with --shard were given as --output");
    };
    let (name, count) = (file_name(first), first.shard.count);
    if let Some(other) = counted.iter().find(|file| file.shard.count != count) {
        bail!(
            "{shown} has shards of {count} and of {}, which do not belong together, as {name} and {}: remove those of one run",
            other.shard.count,
            file_name(other)
        );
    }
    Ok(count)
}

/// The shards of which workers have temporary files.
fn begun(files: &[ShardFile]) -> BTreeMap<u32, InProgress> {
    let mut begun: BTreeMap<u32, InProgress> = BTreeMap::new();
    for ShardFile { path, shard, .. } in files.iter().filter(|file| file.kind == Kind::Temporary) {
        // It has its own name by now.
        let Ok(metadata) = path.metadata() else { continue };
        let age = metadata.modified().ok().and_then(|time| time.elapsed().ok()).unwrap_or_default().as_secs();
        let new = InProgress { shard: shard.index, workers: 0, bytes: 0, seconds_since_write: age };
        let progress = begun.entry(shard.index).or_insert(new);
        progress.workers += 1;
        progress.bytes = progress.bytes.max(metadata.len());
        progress.seconds_since_write = progress.seconds_since_write.min(age);
    }
    begun
}

/// What workers of another number of shards have left, as a sentence.
fn left_of_others(files: &[ShardFile]) -> Option<String> {
    let names: Vec<String> = files.iter().take(MOST_NAMED).map(file_name).collect();
    let others = match files.len().saturating_sub(MOST_NAMED) {
        0 => String::new(),
        others => format!(" and {}", counted(others as u64, "other file", "other files")),
    };
    let count = files.first()?.shard.count;
    let shards = counted(count.into(), "shard", "shards");
    Some(format!(
        "left by a run of {shards}: {}{others}; remove that if no worker writes it any more",
        names.join(", ")
    ))
}

fn file_name(file: &ShardFile) -> String {
    file.path.file_name().unwrap_or_default().display().to_string()
}
