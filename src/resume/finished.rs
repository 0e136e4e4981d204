//! Leaves out the queries of the input that an output has already.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Result, anyhow};

use super::RunFacts;
use super::contents::{Contents, hash_of};
use crate::exit::UsageError;
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
    /// Whether the run reads them in full: what was read for them is not known, or may have changed.
    pub(super) is_read: bool,
    /// With what they are compared, if a file has changed that is read.
    pub(super) comparison: Option<Comparison>,
    pub(super) prompts: Arc<dyn Prompts>,
}

/// By what it is found out whether files have changed behind the queries that an output has.
pub(super) struct Comparison {
    /// The hash of what was read for them.
    pub(super) hash: u64,
    /// How the files have changed, in words.
    pub(super) changes: String,
    /// Why the run is refused if these have changed as well.
    pub(super) refusal: String,
}

/// What is known of an output that goes on.
#[derive(Default)]
pub(super) struct Kept {
    pub(super) finished: Option<Finished>,
    /// What was read for its rankings, where that is recorded.
    pub(super) contents: Option<Contents>,
    /// Where its queries stand in the input.
    pub(super) positions: Positions,
}

/// The events of an input without the groups whose queries an output has.
pub struct Pending {
    /// What was read of the input before the output was.
    first: Option<Result<Event>>,
    events: Events,
    position: Option<Position>,
    kept: Kept,
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

impl Pending {
    pub(super) fn new((first, events): (Option<Result<Event>>, Events), kept: Kept, counts: Arc<Counts>) -> Self {
        let position = events.position();
        Self { first, events, position, kept, next: 0, counts }
    }

    fn read(&mut self) -> Option<Result<Skimmed>> {
        if let Some(first) = self.first.take() {
            return Some(first.map(Skimmed::Event));
        }
        // A run that goes on without bad records counts those of finished queries too, so that all are read in full. Any other
        // run has seen that its finished queries have none.
        let skimmed = self.kept.finished.as_ref().filter(|finished| !finished.skips && !finished.is_read);
        self.events.skim(skimmed.and_then(|finished| finished.queries.get(self.next..)).unwrap_or_default())
    }

    fn judge(&mut self, group: &Group) -> Verdict {
        let Kept { finished, contents, positions } = &self.kept;
        let Some(finished) = finished else { return Verdict::Rank };
        let Some(next) = finished.queries.get(self.next) else { return Verdict::Rank };
        let verdict = if *next == hash(&group.query.id) {
            positions.push(group.query.position);
            self.next += 1;
            Verdict::Finished
        } else {
            finished.judge_absent(group, self.next)
        };
        if let (Verdict::Finished, Some(contents), true) = (&verdict, contents, finished.is_read) {
            contents.add(hash_of(group));
        }
        verdict
    }

    /// Compares what was read for the queries that the output has, once all of them are read. Returns what users should know.
    ///
    /// # Errors
    /// If it is not what the run has read that ranked them.
    fn compare(&mut self) -> Option<Result<String>> {
        let Kept { finished, contents, .. } = &mut self.kept;
        let finished = finished.as_mut().filter(|finished| finished.queries.len() == self.next)?;
        let Comparison { hash, changes, refusal } = finished.comparison.take()?;
        let of_queries = match finished.queries.len() {
            1 => "the query that is ranked".to_owned(),
            count => format!("the {count} queries that are ranked"),
        };
        Some(match contents.as_ref().map(Contents::hash) == Some(hash) {
            true => Ok(format!("{changes}; {of_queries} and their documents are as they were, and the run goes on")),
            false => Err(UsageError::new(format!("{refusal} (in {of_queries}, something has changed)")).into()),
        })
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
            is_read: false,
            comparison: None,
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
            if let Some(compared) = self.compare() {
                return Some(compared.map(Event::Note));
            }
            let Some(event) = self.read() else {
                let finished = self.kept.finished.take().filter(|finished| finished.queries.len() > self.next)?;
                return Some(Err(anyhow!(
                    "the input has ended, and {} has more queries than it, {} in all: it is not the input of the run that wrote \
                     it; name the same input, or start anew with --overwrite",
                    finished.output,
                    finished.queries.len()
                )));
            };
            let mut group = match event {
                Ok(Skimmed::Finished(position)) => {
                    self.kept.positions.push(position);
                    self.next += 1;
                    self.counts.add(self.position.as_ref());
                    continue;
                }
                Ok(Skimmed::Event(Event::Group(group))) => group,
                Ok(Skimmed::Event(event)) => return Some(Ok(event)),
                Err(error) => return Some(Err(error)),
            };
            match self.judge(&group) {
                Verdict::Rank => {
                    if self.kept.contents.is_some() {
                        group.query.content = hash_of(&group);
                    }
                    return Some(Ok(Event::Group(group)));
                }
                Verdict::Finished => self.counts.add(self.position.as_ref()),
                Verdict::OtherInput(problem) => {
                    self.kept.finished = None;
                    return Some(Err(anyhow!(problem)));
                }
            }
        }
    }
}
