//! `rerank status`: which shards of a directory are done.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Result, bail};
use indicatif::{DecimalBytes, HumanDuration};
use serde::Serialize;

use super::Shard;
use super::directory::{self, ShardFile};
use super::done::Done;
use super::names::Kind;
use crate::progress::counted;
use crate::store;

/// The state of the shards in a directory.
#[derive(Debug, Serialize)]
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
    /// If it can't be read, or holds no shards, or those of several runs.
    pub fn read(directory: &Path) -> Result<Self> {
        let files = directory::list(directory)?;
        let shown = directory.display();
        let Some(ShardFile { shard: Shard { count, .. }, .. }) = files.first() else {
            bail!("{shown} has no shard: name the directory that workers with --shard were given as --output");
        };
        if let Some(other) = files.iter().find(|file| file.shard.count != *count) {
            bail!(
                "{shown} has shards of {count} and of {}, which do not belong together: remove those of one run",
                other.shard.count
            );
        }
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
        let mut status = Self {
            directory: directory.to_owned(),
            shards: *count,
            done: 0,
            in_progress: Vec::new(),
            missing: Vec::new(),
            queries: 0,
            skipped: 0,
        };
        let shards: Vec<u32> = (0..*count).collect();
        let counts = store::for_each(&shards, |_, &index| {
            let done = Done::of_part(directory, Shard { index, count: *count })?;
            Ok(done.map(|done| done.counts))
        })?;
        for (index, counts) in (0..).zip(counts) {
            match (counts, begun.remove(&index)) {
                (Some(counts), _) => {
                    status.done += 1;
                    status.queries += counts.queries;
                    status.skipped += counts.skipped;
                }
                (None, Some(progress)) => status.in_progress.push(progress),
                (None, None) => status.missing.push(index),
            }
        }
        Ok(status)
    }

    /// Whether all shards are done.
    pub fn is_complete(&self) -> bool {
        self.done == self.shards
    }

    /// Why the shards can't be merged, if they can't.
    pub(super) fn problem(&self) -> Option<String> {
        if self.is_complete() {
            return None;
        }
        let mut left: Vec<u32> =
            self.in_progress.iter().map(|progress| progress.shard).chain(self.missing.iter().copied()).collect();
        left.sort_unstable();
        let example = left.first().copied().unwrap_or_default();
        Some(format!(
            "of {}, these are not done: {}; run each of them again, as with --shard {example}/{}",
            counted(self.shards.into(), "shard", "shards"),
            ranges(&left),
            self.shards
        ))
    }

    /// The state in lines for people.
    pub fn text(&self) -> String {
        let Self { directory, shards, done, in_progress, missing, queries, skipped } = self;
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
        text
    }
}

/// Numbers in their order, adjacent ones as a range: `3, 5-7`.
fn ranges(numbers: &[u32]) -> String {
    let mut ranges: Vec<(u32, u32)> = Vec::new();
    for &number in numbers {
        match ranges.last_mut() {
            Some((_, last)) if last.checked_add(1) == Some(number) => *last = number,
            _ => ranges.push((number, number)),
        }
    }
    let shown = |(first, last): (u32, u32)| if first == last { first.to_string() } else { format!("{first}-{last}") };
    ranges.into_iter().map(shown).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn adjacent_numbers_are_a_range() {
        assert_eq!(ranges(&[3, 5, 6, 7, 9]), "3, 5-7, 9");
        assert_eq!(ranges(&[0]), "0");
    }
}
