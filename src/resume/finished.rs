//! Leaves out the queries of the input that an output has already.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Result, anyhow};

use super::RunFacts;
use crate::input::{Event, Events, Position, Skimmed, hash};
use crate::output::OutputFormat;
use crate::recipe::Prompts;
use crate::record::Group;
use crate::shard::Positions;

/// Queries that an output has already, as far as the input is read.
#[derive(Debug, Default)]
pub struct Counts {
    /// The queries.
    pub queries: AtomicU64,
    /// The bits of the share of the input in which they stand.
    share: AtomicU64,
}

impl Counts {
    /// The share of the input in which these queries stand, as far as that is known.
    pub fn share(&self) -> f64 {
        f64::from_bits(self.share.load(Ordering::Relaxed))
    }

    fn add(&self, position: Option<&Position>) {
        self.queries.fetch_add(1, Ordering::Relaxed);
        if let Some(position) = position {
            self.share.store(position.share().to_bits(), Ordering::Relaxed);
        }
    }
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
pub struct Pending {
    /// What was read of the input before the output was.
    first: Option<Result<Event>>,
    events: Events,
    position: Option<Position>,
    finished: Option<Finished>,
    /// The next query of the output.
    next: usize,
    counts: Arc<Counts>,
    /// Where the queries of the output stand in the input.
    positions: Positions,
}

/// What becomes of a group.
enum Verdict {
    Finished,
    Rank,
    /// The input is not that of the output, for this reason.
    OtherInput(String),
}

impl Pending {
    pub(super) fn new(
        (first, events): (Option<Result<Event>>, Events),
        (finished, positions): (Option<Finished>, Positions),
        counts: Arc<Counts>,
    ) -> Self {
        let position = events.position();
        Self { first, events, position, finished, next: 0, counts, positions }
    }

    fn read(&mut self) -> Option<Result<Skimmed>> {
        if let Some(first) = self.first.take() {
            return Some(first.map(Skimmed::Event));
        }
        // A run that goes on without bad records counts those of finished queries too, so that all are read in full. Any other
        // run has seen that its finished queries have none.
        let skimmed = self.finished.as_ref().filter(|finished| !finished.skips);
        self.events.skim(skimmed.and_then(|finished| finished.queries.get(self.next..)).unwrap_or_default())
    }

    fn judge(&mut self, group: &Group) -> Verdict {
        let Some(finished) = &self.finished else { return Verdict::Rank };
        let Some(next) = finished.queries.get(self.next) else { return Verdict::Rank };
        if *next == hash(&group.query.id) {
            self.positions.push(group.query.position);
            self.next += 1;
            return Verdict::Finished;
        }
        finished.judge_absent(group, self.next)
    }
}

impl Finished {
    /// The queries of an output of this name.
    pub(super) fn new(queries: Vec<u64>, output: String, run: &RunFacts) -> Self {
        Self {
            queries,
            output,
            format: run.config.layout.format,
            is_cut: run.config.cutoff.min_score.is_some(),
            skips: run.config.skip_bad_records,
            prompts: Arc::clone(&run.setup.reranker.recipe().prompts),
        }
    }

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
        // A text for which the tokenizer panics has none either.
        let prompts = AssertUnwindSafe(|| {
            self.prompts.check_query(query).is_err()
                || group.candidates.iter().any(|candidate| fails(&candidate.document()))
        });
        catch_unwind(prompts).unwrap_or(true)
    }
}

impl Iterator for Pending {
    type Item = Result<Event>;

    fn next(&mut self) -> Option<Result<Event>> {
        loop {
            let Some(event) = self.read() else {
                let finished = self.finished.take().filter(|finished| finished.queries.len() > self.next)?;
                return Some(Err(anyhow!(
                    "the input has ended, and {} has more queries than it, {} in all: it is not the input of the run that wrote \
                     it; name the same input, or start anew with --overwrite",
                    finished.output,
                    finished.queries.len()
                )));
            };
            let group = match event {
                Ok(Skimmed::Finished(position)) => {
                    self.positions.push(position);
                    self.next += 1;
                    self.counts.add(self.position.as_ref());
                    continue;
                }
                Ok(Skimmed::Event(Event::Group(group))) => group,
                Ok(Skimmed::Event(event)) => return Some(Ok(event)),
                Err(error) => return Some(Err(error)),
            };
            match self.judge(&group) {
                Verdict::Rank => return Some(Ok(Event::Group(group))),
                Verdict::Finished => self.counts.add(self.position.as_ref()),
                Verdict::OtherInput(problem) => {
                    self.finished = None;
                    return Some(Err(anyhow!(problem)));
                }
            }
        }
    }
}
