//! The parts of all shards, which give the rankings in the order of the input.

use std::cmp::Reverse;
use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, BinaryHeap};
use std::io::{self, ErrorKind};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use ahash::AHashMap;
use anyhow::{Context, Result, anyhow, bail, ensure};

use super::part::{Part, Unread};
use super::ranking;
use crate::column_types::ColumnTypes;
use crate::input::hash;
use crate::progress::counted;
use crate::shard::done::Done;
use crate::shard::index::{self, Located};
use crate::shard::{Shard, names};
use crate::store;

/// Bytes of all parts together that are in memory, three steps of each part: the beginning of an object, the bytes that are used, and
/// those that are on their way. Frames that are unpacked are added.
const BYTES_OF_ALL: usize = 256 << 20;

/// The bytes of a step. The least is more than its share from 21,846 parts on, where 12 KiB of each part are in memory.
const BYTES_OF_STEP: RangeInclusive<usize> = (4 << 10)..=(8 << 20);

/// The shards that are merged.
pub(super) struct Sources {
    sources: Vec<Source>,
    /// Where the next ranking of each shard stands in the input.
    next: BinaryHeap<Reverse<(u64, usize)>>,
    /// The position of the ranking that was taken last, and its shard.
    last: Option<(u64, usize)>,
    /// The hash of each query, with its shard: some 20 to 40 bytes for each query, as an entry takes 16 and the map has spare room.
    seen: AHashMap<u64, u32>,
    /// The parts that were begun and not read to their end.
    begun: usize,
    /// The rankings so far.
    pub(super) rankings: u64,
    /// The records that the workers could not use.
    pub(super) skipped: u64,
    /// Whether the rankings have texts.
    pub(super) has_text: bool,
    /// The types of carried columns.
    pub(super) types: ColumnTypes,
    /// Sentences on those of which a merge into columns makes something else than a single run.
    pub(super) changed_columns: Vec<String>,
}

struct Source {
    shard: Shard,
    path: String,
    part: Part,
    rankings: index::IntoIter,
    next: Option<Located>,
    /// The rankings that were taken.
    taken: u64,
    /// What the part has by its record.
    queries: u64,
    bytes: u64,
    blake3: String,
}

impl Sources {
    /// Opens the parts of all shards, by their records.
    ///
    /// # Errors
    /// If a record makes no sense, a part can't be opened, or one without rankings is not what was written.
    pub(super) fn open(directory: &Path, records: BTreeMap<u32, Done>) -> Result<Self> {
        let mut sources = Self {
            sources: Vec::new(),
            next: BinaryHeap::new(),
            last: None,
            begun: 0,
            seen: AHashMap::new(),
            rankings: 0,
            skipped: 0,
            has_text: true,
            types: ColumnTypes::default(),
            changed_columns: Vec::new(),
        };
        let count = u32::try_from(records.len())?;
        let paths: Vec<PathBuf> =
            records.keys().map(|&index| directory.join(names::part(Shard { index, count }))).collect();
        let parts = store::for_each(&paths, |_, path| Part::open(path.clone(), step(paths.len())))?;
        for ((index, done), part) in records.into_iter().zip(parts) {
            let shard = Shard { index, count };
            sources.skipped += done.counts.skipped;
            sources.has_text = !done.settings.is_given("--no-text");
            let Done { bytes, blake3, rankings, counts, columns, changed_columns, .. } = done;
            if index == 0 {
                let problem =
                    || format!("the record of shard {shard} has no columns of a file: run it again with --overwrite");
                sources.types = ColumnTypes::parse(&columns).with_context(problem)?;
                sources.changed_columns = changed_columns;
            }
            let shown = directory.join(names::part(shard)).display().to_string();
            let (queries, rankings) = (counts.queries, rankings.into_iter());
            let source = Source { shard, path: shown, part, rankings, next: None, taken: 0, queries, bytes, blake3 };
            sources.sources.push(source);
            sources.advance(index as usize)?;
        }
        Ok(sources)
    }

    /// Takes the next ranking in the order of the input, a line of JSONL; false at the end.
    ///
    /// # Errors
    /// If a part is not what was written, or has a query that stands in another one too.
    pub(super) fn next(&mut self, line: &mut Vec<u8>) -> Result<bool> {
        let Some(Reverse((position, index))) = self.next.pop() else { return Ok(false) };
        let Some(source) = self.sources.get_mut(index) else { return Ok(false) };
        let Some(Located { bytes, .. }) = source.next else { return Ok(false) };
        self.begun += usize::from(source.taken == 0);
        source.part.set_step(step(self.begun));
        source.part.take(bytes, line).map_err(|error| source.damaged(&error))?;
        let query_id = ranking::query_id(line).map_err(|error| source.damaged(&error))?;
        let shard = source.shard;
        if let Some((before, other)) = self.last.replace((position, index)).filter(|(before, _)| *before == position) {
            let other = self.sources.get(other).map_or(shard, |source| source.shard);
            bail!(
                "shards {other} and {shard} both have query number {before} of the input: they did not read the same; run both \
                 again with --overwrite"
            );
        }
        match self.seen.entry(hash(&query_id)) {
            Entry::Vacant(free) => drop(free.insert(shard.index)),
            Entry::Occupied(other) => bail!(
                "query {query_id:?} stands in shard {}/{} and comes back in shard {shard}: give every query of the inputs its own \
                 id, and rank them anew",
                other.get(),
                shard.count
            ),
        }
        self.rankings += 1;
        source.taken += 1;
        self.advance(index)?;
        Ok(true)
    }

    /// Finds out where the next ranking of a shard stands.
    fn advance(&mut self, index: usize) -> Result<()> {
        let Some(source) = self.sources.get_mut(index) else { return Ok(()) };
        source.next = source.rankings.next().transpose().map_err(|error| source.damaged(&error))?;
        match source.next {
            Some(Located { position, .. }) => self.next.push(Reverse((position, index))),
            None => {
                let finished = source.part.finish(source.bytes, &source.blake3);
                finished.and_then(|()| source.check_count()).map_err(|error| source.damaged(&error))?;
                self.begun -= usize::from(source.taken > 0);
            }
        }
        Ok(())
    }
}

/// The bytes that are read at a time of each of so many parts.
fn step(parts: usize) -> usize {
    (BYTES_OF_ALL / 3 / parts.max(1)).clamp(*BYTES_OF_STEP.start(), *BYTES_OF_STEP.end())
}

impl Source {
    fn check_count(&self) -> Result<()> {
        let Self { taken, queries, .. } = self;
        ensure!(taken == queries, "it has {}, and {queries} were written", counted(*taken, "ranking", "rankings"));
        Ok(())
    }

    fn damaged(&self, error: &anyhow::Error) -> anyhow::Error {
        let is_refused = |cause: &(dyn std::error::Error + 'static)| {
            cause.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == ErrorKind::PermissionDenied)
        };
        if error.chain().any(is_refused) {
            return anyhow!("{error:#}: make it readable for the user that merges");
        }
        if error.is::<Unread>() {
            return anyhow!("{error:#}");
        }
        anyhow!("{}: {error:#}: run shard {} again with --overwrite", self.path, self.shard)
    }
}
