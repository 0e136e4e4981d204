//! The stages before scoring: groups are read, made into prompts, and planned, a window at a time.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError};
use std::time::Duration;

use anyhow::Result;
use rayon::prelude::*;

use super::byte_budget::{ByteBudget, Permit};
use super::faults::{Faults, Verdict};
use crate::batch::{Batch, Limits, plan};
use crate::input::{Event, Position};
use crate::output::OutputFormat;
use crate::recipe::{Prompt, Prompts};
use crate::record::{BadRecord, Group};

/// A window closes when it has this many bytes of text for each token that a batch may have. These are so many batches that
/// the last one, which may be small, hardly costs time.
const BYTES_PER_BATCH_TOKEN: usize = 64;
/// A window also closes when it has this many times the pairs that a batch may have.
const BATCHES: usize = 16;

/// Groups that are planned together.
pub(super) struct Window {
    pub(super) groups: Vec<Group>,
    /// For each group, what is kept of its candidates' prompts.
    pub(super) prompts: Vec<Vec<PromptFacts>>,
    pub(super) batches: VecDeque<Batch>,
    /// The budget gets the groups' bytes back when the window is dropped.
    permits: Vec<Permit>,
}

/// What is kept of a prompt once its tokens are in a batch.
#[derive(Clone, Copy)]
pub(super) struct PromptFacts {
    pub(super) tokens: usize,
    pub(super) truncated: bool,
}

/// How far reading has got.
pub(super) struct Reading {
    position: Option<Position>,
    pairs: AtomicU64,
    finished: AtomicBool,
}

impl Reading {
    pub(super) fn new(position: Option<Position>) -> Self {
        Self { position, pairs: AtomicU64::new(0), finished: AtomicBool::new(false) }
    }

    /// The number of pairs in all: counted at the end of the input, before that estimated from the share of the file
    /// that has been read, and unknown for a pipe.
    pub(super) fn total(&self) -> Option<u64> {
        let pairs = self.pairs.load(Ordering::Relaxed);
        if self.finished.load(Ordering::Relaxed) {
            return Some(pairs);
        }
        let share = self.position.as_ref()?.share();
        (share > 0.).then(|| (pairs as f64 / share) as u64)
    }
}

/// Stage 1, read: sends the groups of the input. Returns at the end of the input, at a record that stops the run, or when the
/// receiver is dropped.
pub(super) fn read(
    events: impl Iterator<Item = Result<Event>>,
    format: OutputFormat,
    faults: &Faults,
    reading: &Reading,
    (budget, groups): (&Arc<ByteBudget>, &SyncSender<(Group, Permit)>),
) {
    let mut noted = false;
    for event in events {
        match event {
            Err(error) => return faults.fail(&format!("{error:#}")),
            Ok(Event::Note(note)) => faults.note(note),
            Ok(Event::Bad(bad)) => {
                if faults.report(&bad) == Verdict::Stop {
                    return;
                }
            }
            Ok(Event::Group(group)) => {
                if let Some(problem) = format.objection(&group) {
                    if faults.report(&bad_query(&group, problem)) == Verdict::Stop {
                        return;
                    }
                    continue;
                }
                if !noted && let Some(note) = format.generated_ids_note(&group) {
                    faults.note(note);
                    noted = true;
                }
                reading.pairs.fetch_add(group.candidates.len() as u64, Ordering::Relaxed);
                let permit = budget.acquire(group.bytes());
                if groups.send((group, permit)).is_err() {
                    return;
                }
            }
        }
    }
    reading.finished.store(true, Ordering::Relaxed);
}

/// How batches are prepared.
pub(super) struct Preparation {
    pub(super) prompts: Arc<dyn Prompts>,
    pub(super) limits: Limits,
    /// How long a window that is not full waits for the next group. For a pipe that is zero, as its groups are ranked as they
    /// come. A file's next group is soon there, and waiting for it makes the plan the same in every run.
    pub(super) patience: Duration,
}

/// Stages 2 and 3, prompt and plan. A window closes when it is full, or when the next group does not come in time.
pub(super) fn prepare(
    groups: &Receiver<(Group, Permit)>,
    preparation: &Preparation,
    faults: &Faults,
    windows: &SyncSender<Window>,
) {
    let Preparation { prompts, limits, patience } = preparation;
    while let Ok(first) = groups.recv() {
        let (mut bytes, mut pairs) = (0, 0);
        let (mut gathered, mut permits) = (Vec::new(), Vec::new());
        let mut next = Some(first);
        while let Some((group, permit)) = next {
            bytes += group.bytes();
            pairs += group.candidates.len();
            gathered.push(group);
            permits.push(permit);
            let full = bytes >= limits.tokens.saturating_mul(BYTES_PER_BATCH_TOKEN)
                || pairs >= limits.pairs.saturating_mul(BATCHES);
            next = if full { None } else { next_within(groups, *patience) };
        }
        let (mut window, stopped) = window(gathered, prompts.as_ref(), *limits, faults);
        window.permits = permits;
        if windows.send(window).is_err() || stopped {
            return;
        }
    }
}

fn next_within<T>(groups: &Receiver<T>, patience: Duration) -> Option<T> {
    match groups.try_recv() {
        Err(TryRecvError::Empty) if !patience.is_zero() => groups.recv_timeout(patience).ok(),
        received => received.ok(),
    }
}

/// Makes a window of these groups. The returned flag is true if a bad query stops the run; the window then has the groups
/// before it.
fn window(gathered: Vec<Group>, recipe: &dyn Prompts, limits: Limits, faults: &Faults) -> (Window, bool) {
    let tokenized: Vec<Result<_>> = gathered.par_iter().map(|group| prompts_of(group, recipe)).collect();
    let (mut groups, mut prompts, mut stopped) = (Vec::new(), Vec::new(), false);
    for (group, result) in gathered.into_iter().zip(tokenized) {
        match result {
            Ok((tokenized, note)) => {
                if let Some(note) = note {
                    faults.cut_query(&group.query.id, &note);
                }
                groups.push(group);
                prompts.push(tokenized);
            }
            Err(error) => {
                if faults.report(&bad_query(&group, format!("{error:#}"))) == Verdict::Stop {
                    stopped = true;
                    break;
                }
            }
        }
    }
    let batches = plan(&prompts, limits).into();
    let facts = |prompt: &Prompt| PromptFacts { tokens: prompt.token_ids.len(), truncated: prompt.truncated };
    let prompts = prompts.iter().map(|prompts| prompts.iter().map(facts).collect()).collect();
    (Window { groups, prompts, batches, permits: Vec::new() }, stopped)
}

/// The prompts of a group, and what users should know of its query.
fn prompts_of(group: &Group, recipe: &dyn Prompts) -> Result<(Vec<Prompt>, Option<String>)> {
    let note = recipe.check_query(&group.query)?;
    let candidates = group.candidates.par_iter();
    let prompts: Result<_> = candidates.map(|candidate| recipe.prompt(&group.query, &candidate.document())).collect();
    Ok((prompts?, note))
}

fn bad_query(group: &Group, problem: String) -> BadRecord {
    BadRecord { place: group.place.clone(), record: Some(format!("query {:?}", group.query.id)), problem }
}
