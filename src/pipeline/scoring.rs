//! The scoring stage: a window's batches become rankings, in the order of the input, each as soon as it is complete.

use std::time::Instant;

use anyhow::{Context, Result, ensure};

use super::faults::{Faults, Verdict};
use super::prepare::{PromptFacts, Window};
use crate::batch::Batch;
use crate::rank::{Cutoff, rank};
use crate::recipe::Activation;
use crate::record::{BadRecord, Group, Place, Query, Ranked, Ranking};

/// A window while its batches are scored.
pub(super) struct Scoring {
    window: Window,
    /// For each group, the logits of its candidates; none for those that are not scored yet.
    logits: Vec<Vec<Option<f32>>>,
    /// For each group, the number of candidates that are not scored yet.
    missing: Vec<usize>,
    /// For each group, when its first batch was handed out.
    started: Vec<Option<Instant>>,
    /// The first group that is not ranked yet.
    next: usize,
}

/// A ranking, and how long it took from the start of the query's first batch, in seconds.
pub(super) struct Finished {
    pub(super) ranking: Ranking,
    pub(super) seconds: f64,
}

impl Scoring {
    pub(super) fn new(window: Window) -> Self {
        let sizes: Vec<usize> = window.groups.iter().map(|group| group.candidates.len()).collect();
        Self {
            logits: sizes.iter().map(|&size| vec![None; size]).collect(),
            started: vec![None; sizes.len()],
            missing: sizes,
            window,
            next: 0,
        }
    }

    /// The next batch to be scored.
    pub(super) fn next_batch(&mut self) -> Option<Batch> {
        let batch = self.window.batches.pop_front()?;
        let now = Instant::now();
        for pair in batch.pairs() {
            self.started[pair.group].get_or_insert(now);
        }
        Some(batch)
    }

    /// Whether all rankings have been handed on.
    pub(super) fn is_complete(&self) -> bool {
        self.next == self.missing.len()
    }

    /// Stores a batch's logits.
    pub(super) fn take(&mut self, batch: &Batch, logits: Result<Vec<f32>>) -> Result<()> {
        let logits = logits.with_context(|| {
            let query = batch.pairs().next().map_or("", |pair| &self.window.groups[pair.group].query.id);
            format!("scoring failed in the batch that begins with query {query:?}")
        })?;
        let pairs = batch.pairs().count();
        ensure!(logits.len() == pairs, "the model gave {} logits for {pairs} pairs", logits.len());
        for (pair, logit) in batch.pairs().zip(logits) {
            self.logits[pair.group][pair.candidate] = Some(logit);
            self.missing[pair.group] -= 1;
        }
        Ok(())
    }

    /// The ranking of the next group, if all its pairs are scored. A candidate whose logit is not finite is reported as a bad
    /// record, and the ranking goes on without it, or the run stops.
    pub(super) fn next_ranking(
        &mut self,
        (activation, cutoff): (Activation, Cutoff),
        faults: &Faults,
        dtype: &str,
    ) -> Option<Result<Finished, Stopped>> {
        let index = self.next;
        if *self.missing.get(index)? > 0 {
            return None;
        }
        self.next += 1;
        let none = Group { query: Query::default(), candidates: Vec::new(), place: Place { file: "".into(), line: 0 } };
        let group = std::mem::replace(&mut self.window.groups[index], none);
        let facts = &self.window.prompts[index];
        let mut results = Vec::with_capacity(group.candidates.len());
        for ((candidate, logit), facts) in group.candidates.into_iter().zip(&self.logits[index]).zip(facts) {
            let logit = logit.unwrap_or(f32::NAN);
            if logit.is_finite() {
                results.push(Ranked { candidate, logit, score: activation.score(logit), truncated: facts.truncated });
                continue;
            }
            let bad = BadRecord {
                place: group.place.clone(),
                record: Some(format!("query {:?}, candidate {:?}", group.query.id, candidate.id)),
                problem: format!("the model gave {logit} for it; {}", remedy(dtype)),
            };
            if faults.report(&bad) == Verdict::Stop {
                return Some(Err(Stopped));
            }
        }
        let ranking = rank(group.query, results, cutoff);
        let seconds = self.started[index].map_or(0., |started| started.elapsed().as_secs_f64());
        Some(Ok(Finished { ranking, seconds }))
    }

    /// The facts about the prompts of a batch's pairs, in the batch's order.
    pub(super) fn prompts<'a>(&'a self, batch: &'a Batch) -> impl Iterator<Item = PromptFacts> + 'a {
        batch.pairs().map(|pair| self.window.prompts[pair.group][pair.candidate])
    }
}

/// What to do about a logit that is not finite.
fn remedy(dtype: &str) -> &'static str {
    if dtype == "f32" { "check the model's files" } else { "try --dtype f32, and check the model's files" }
}

/// A bad record stops the run; it was reported already.
#[derive(Debug)]
pub(super) struct Stopped;
