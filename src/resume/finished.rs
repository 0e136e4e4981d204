//! Leaves out the queries of the input that an output has already.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Result, anyhow};

use crate::input::{Event, hash};
use crate::output::OutputFormat;
use crate::recipe::Prompts;
use crate::record::Group;

/// Queries that an output has already, and their pairs, as far as the input is read.
#[derive(Debug, Default)]
pub struct Counts {
    /// The queries.
    pub queries: AtomicU64,
    /// Their pairs.
    pub pairs: AtomicU64,
}

/// The queries that an output has, and what it can lack.
pub(super) struct Finished {
    /// Their hashes, in their order.
    pub(super) queries: Vec<u64>,
    /// The output's name in messages.
    pub(super) output: String,
    pub(super) format: OutputFormat,
    /// Whether candidates whose score is too low are left out.
    pub(super) is_cut: bool,
    /// Whether the run goes on without records that it can't use.
    pub(super) skips: bool,
    pub(super) prompts: Arc<dyn Prompts>,
}

/// The events of an input without the groups whose queries an output has.
pub struct Pending<I> {
    events: I,
    finished: Option<Finished>,
    /// The next query of the output.
    next: usize,
    counts: Arc<Counts>,
}

/// What becomes of a group.
enum Verdict {
    Finished,
    Rank,
    /// The input is not that of the output, for this reason.
    OtherInput(String),
}

impl<I: Iterator<Item = Result<Event>>> Pending<I> {
    pub(super) fn new(events: I, finished: Option<Finished>, counts: Arc<Counts>) -> Self {
        Self { events, finished, next: 0, counts }
    }

    fn judge(&mut self, group: &Group) -> Verdict {
        let Some(finished) = &self.finished else { return Verdict::Rank };
        let Some(next) = finished.queries.get(self.next) else { return Verdict::Rank };
        if *next == hash(&group.query.id) {
            self.next += 1;
            return Verdict::Finished;
        }
        finished.judge_absent(group, self.next)
    }
}

impl Finished {
    /// What becomes of a group that the output does not have, although it has later ones.
    fn judge_absent(&self, group: &Group, next: usize) -> Verdict {
        // It is reported once more, and left out once more.
        if self.skips && (self.format.objection(group).is_some() || self.has_no_prompts(group)) {
            return Verdict::Rank;
        }
        let has_rows = self.format != OutputFormat::Jsonl;
        if has_rows && (group.candidates.is_empty() || self.is_cut || self.skips) {
            return Verdict::Finished;
        }
        Verdict::OtherInput(format!(
            "{}: query {:?} is not in {}, whose query number {} is another one: the input, or its order, is not that of the run \
             that wrote it; name the same input, or start anew with --overwrite",
            group.place,
            group.query.id,
            self.output,
            next + 1
        ))
    }

    fn has_no_prompts(&self, group: &Group) -> bool {
        let query = &group.query;
        let fails = |document: &str| self.prompts.prompt(query, document).is_err();
        self.prompts.check_query(query).is_err()
            || group.candidates.iter().any(|candidate| fails(&candidate.document()))
    }
}

impl<I: Iterator<Item = Result<Event>>> Iterator for Pending<I> {
    type Item = Result<Event>;

    fn next(&mut self) -> Option<Result<Event>> {
        loop {
            let Some(event) = self.events.next() else {
                let finished = self.finished.take().filter(|finished| finished.queries.len() > self.next)?;
                return Some(Err(anyhow!(
                    "the input has ended, and {} has more queries than it, {} in all: it is not the input of the run that wrote \
                     it; name the same input, or start anew with --overwrite",
                    finished.output,
                    finished.queries.len()
                )));
            };
            let Ok(Event::Group(group)) = &event else { return Some(event) };
            match self.judge(group) {
                Verdict::Rank => return Some(event),
                Verdict::Finished => {
                    self.counts.queries.fetch_add(1, Ordering::Relaxed);
                    self.counts.pairs.fetch_add(group.candidates.len() as u64, Ordering::Relaxed);
                }
                Verdict::OtherInput(problem) => {
                    self.finished = None;
                    return Some(Err(anyhow!(problem)));
                }
            }
        }
    }
}
