//! Stage 1, read: groups come from the input, within a budget of bytes.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::SyncSender;

use anyhow::Result;

use super::byte_budget::{ByteBudget, Permit};
use super::earlier_run::EarlierRun;
use super::faults::{Faults, Verdict};
use crate::fusion::Fusion;
use crate::input::{Event, Position};
use crate::output::OutputFormat;
use crate::record::{BadRecord, Group, Place, RecordName};
use crate::resume::Counts;

/// Bytes that a group and a candidate are taken to need beside their texts, so that the budget also bounds the number of short
/// ones.
const BYTES_PER_GROUP: usize = 512;
const BYTES_PER_CANDIDATE: usize = 256;

/// How far reading has got.
pub(super) struct Reading {
    position: Option<Position>,
    pairs: AtomicU64,
    finished: AtomicBool,
    /// What is read and not ranked, because the output has it.
    pub(super) resumed: Arc<Counts>,
}

impl Reading {
    pub(super) fn new(position: Option<Position>) -> Self {
        Self { position, pairs: AtomicU64::new(0), finished: AtomicBool::new(false), resumed: Arc::default() }
    }

    /// The number of pairs in all that are ranked: counted at the end of the input, before that estimated from the share of the file
    /// that has been read, and unknown for a pipe.
    pub(super) fn total(&self) -> Option<u64> {
        let pairs = self.pairs.load(Ordering::Relaxed);
        if self.finished.load(Ordering::Relaxed) {
            return Some(pairs);
        }
        // What the output has is read, too.
        let resumed = self.resumed.share();
        let share = self.position.as_ref()?.share() - resumed;
        (share > 0.).then(|| (pairs as f64 / share * (1. - resumed)) as u64)
    }
}

/// What a group must fit to before it is scored.
#[derive(Clone, Copy)]
pub(super) struct Checks {
    pub(super) format: OutputFormat,
    pub(super) fusion: Option<Fusion>,
    /// Whether long documents are cut into passages.
    pub(super) is_split: bool,
    pub(super) is_shard: bool,
}

/// A field that the lines of a part can't carry, as their own list has its name; tables of a single run have a column for it.
const NOT_IN_PARTS: &str = "results";

impl Checks {
    /// Why a group can't be ranked or written, if it can't.
    fn objection(self, group: &Group) -> Option<String> {
        let lost = || {
            let is_lost = self.is_shard && group.query.fields.iter().any(|(name, _)| name == NOT_IN_PARTS);
            is_lost.then(|| {
                format!(
                    "the query has a field `{NOT_IN_PARTS}`, which a shard can't keep for `rerank merge`, as its rankings stand \
                     under this name; give the field another name, or rank without --shard"
                )
            })
        };
        self.format.objection(group).or_else(|| self.fusion?.objection(group)).or_else(lost)
    }
}

/// Sends the groups of the input. Returns at the end of the input, at a record that stops the run, or when the receiver is
/// dropped.
pub(super) fn read(
    events: impl Iterator<Item = Result<Event>>,
    checks: Checks,
    faults: &Faults,
    reading: &Reading,
    (budget, groups): (&Arc<ByteBudget>, &SyncSender<(Group, Permit)>),
) {
    let (mut noted, mut events, mut last) = (false, events, None);
    let mut earlier_run = EarlierRun::new(checks);
    loop {
        // Otherwise nobody would know which record it was.
        let read = catch_unwind(AssertUnwindSafe(|| events.next()));
        let Ok(event) = read else { return faults.fail(&panicked(last.as_ref())) };
        let Some(event) = event else { break };
        match event {
            Err(error) => return faults.fail(&format!("{error:#}")),
            Ok(Event::Note(note)) => faults.note(note),
            Ok(Event::Bad(bad)) => {
                if faults.report(&bad) == Verdict::Stop {
                    return;
                }
            }
            Ok(Event::Group(mut group)) => {
                last = Some(group.place.clone());
                if let Some(problem) = checks.objection(&group) {
                    if faults.report(&bad_query(&group, problem)) == Verdict::Stop {
                        return;
                    }
                    continue;
                }
                earlier_run.settle(&mut group).into_iter().for_each(|note| faults.note(note));
                if !noted && let Some(note) = checks.format.generated_ids_note(&group) {
                    faults.note(note);
                    noted = true;
                }
                let count = group.candidates.len();
                reading.pairs.fetch_add(count as u64, Ordering::Relaxed);
                let permit = budget.acquire(group.bytes() + BYTES_PER_GROUP + count * BYTES_PER_CANDIDATE);
                if groups.send((group, permit)).is_err() {
                    return;
                }
            }
        }
    }
    reading.finished.store(true, Ordering::Relaxed);
}

/// The message for a reader that has panicked behind the query that stands here.
fn panicked(last: Option<&Place>) -> String {
    let place = last.map_or_else(|| "the first query".to_owned(), |place| format!("the query behind {place}"));
    format!("reading {place} has panicked, which is a fault of rerank; the queries before it are ranked")
}

/// A group's query that can't be used.
pub(super) fn bad_query(group: &Group, problem: String) -> BadRecord {
    let name = RecordName::query(Some(group.query.id.clone()));
    BadRecord { place: group.place.clone(), name, problem, content: None }
}
