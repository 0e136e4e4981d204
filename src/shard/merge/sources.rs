//! The parts of all shards, which give the rankings in the order of the input.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::collections::hash_map::Entry;
use std::io::{self, ErrorKind};
use std::ops::RangeInclusive;
use std::path::Path;

use ahash::AHashMap;
use anyhow::{Context, Result, anyhow, bail, ensure};

use super::part::Part;
use super::ranking;
use crate::column_types::ColumnTypes;
use crate::exit::UsageError;
use crate::input::hash;
use crate::progress::counted;
use crate::shard::agreement::Agreement;
use crate::shard::done::Done;
use crate::shard::index::{self, Located};
use crate::shard::{Shard, names};

/// Bytes that are read ahead of all parts together, and of each at least and at most.
const BYTES_AHEAD: usize = 64 << 20;
const BYTES_OF_EACH: RangeInclusive<usize> = (32 << 10)..=(4 << 20);

/// The shards that are merged.
pub(super) struct Sources {
    sources: Vec<Source>,
    /// Where the next ranking of each shard stands in the input.
    next: BinaryHeap<Reverse<(u64, usize)>>,
    /// The position of the ranking that was taken last, and its shard.
    last: Option<(u64, usize)>,
    /// The hash of each query, with its shard: 12 bytes of each.
    seen: AHashMap<u64, u32>,
    /// The rankings so far.
    pub(super) rankings: u64,
    /// The records that the workers could not use.
    pub(super) skipped: u64,
    /// Whether the rankings have texts.
    pub(super) has_text: bool,
    /// The types of carried columns.
    pub(super) types: ColumnTypes,
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
    /// Reads the records of all shards.
    ///
    /// # Errors
    /// If one can't be read, or was written by another run than the first.
    pub(super) fn open(directory: &Path, count: u32) -> Result<Self> {
        let mut sources = Self {
            sources: Vec::new(),
            next: BinaryHeap::new(),
            last: None,
            seen: AHashMap::new(),
            rankings: 0,
            skipped: 0,
            has_text: true,
            types: ColumnTypes::default(),
        };
        let mut agreement = Agreement::default();
        let step = (BYTES_AHEAD / count.max(1) as usize).clamp(*BYTES_OF_EACH.start(), *BYTES_OF_EACH.end());
        for index in 0..count {
            let shard = Shard { index, count };
            let done = Done::of_part(directory, shard)?
                .with_context(|| format!("shard {shard} is not done any more: run it again"))?;
            sources.skipped += done.counts.skipped;
            agreement.add(shard, &done);
            sources.has_text = !done.settings.is_given("--no-text");
            let path = directory.join(names::part(shard));
            let Done { bytes, blake3, rankings, counts, columns, .. } = done;
            if index == 0 {
                let problem =
                    || format!("the record of shard {shard} has no columns of a file: run it again with --overwrite");
                sources.types = ColumnTypes::parse(&columns).with_context(problem)?;
            }
            let shown = path.display().to_string();
            let (part, rankings) = (Part::new(path, step), rankings.into_iter());
            let queries = counts.queries;
            let source = Source { shard, path: shown, part, rankings, next: None, taken: 0, queries, bytes, blake3 };
            sources.sources.push(source);
            sources.advance(index as usize)?;
        }
        match agreement.problems().as_slice() {
            [] => Ok(sources),
            problems => Err(UsageError::new(problems.join("; ")).into()),
        }
    }

    /// Takes the next ranking in the order of the input, a line of JSONL; false at the end.
    ///
    /// # Errors
    /// If a part is not what was written, or has a query that stands in another one too.
    pub(super) fn next(&mut self, line: &mut Vec<u8>) -> Result<bool> {
        let Some(Reverse((position, index))) = self.next.pop() else { return Ok(false) };
        let Some(source) = self.sources.get_mut(index) else { return Ok(false) };
        let Some(Located { bytes, .. }) = source.next else { return Ok(false) };
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
            }
        }
        Ok(())
    }
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
        anyhow!("{}: {error:#}: run shard {} again with --overwrite", self.path, self.shard)
    }
}
