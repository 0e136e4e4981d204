//! Stages 4 and 5 of a run: groups whose prompts are scored become rankings, in the order of the input.

use std::collections::VecDeque;

use super::byte_budget::Permit;
use super::faults::{Faults, Verdict};
use super::judging::{Judged, Judging};
use super::prepare::Prepared;
use crate::fusion::Fusion;
use crate::passages::{self, Passages, Splitting};
use crate::rank::{Cutoff, rank};
use crate::recipe::Activation;
use crate::record::{BadRecord, Candidate, Group, Ranked, Ranking, RecordName, set_field};
use crate::session::Scored;
use crate::stats::{Percentiles, Stats};

/// Groups that are not ranked yet, in the order of the input.
pub(super) struct Order<'a> {
    waiting: VecDeque<(Prepared, Option<Scored>)>,
    /// The number of the first of these groups.
    first: u64,
    ranking: HowToRank<'a>,
    /// For each query that was ranked, how long its pairs took, in seconds.
    seconds: Vec<f64>,
    /// Pairs of ranked queries whose document was cut.
    truncated: u64,
    documents_cut: u64,
    /// Pairs of ranked queries whose document has no text.
    empty: u64,
    /// Documents of ranked queries that were cut into several passages, and their passages.
    split: u64,
    passages: u64,
    /// By what the rankings are evaluated, if they are, and the values so far.
    judging: Option<&'a Judging>,
    judged: Judged,
}

/// How logits become a ranking.
#[derive(Clone, Copy)]
pub(super) struct HowToRank<'a> {
    pub(super) activation: Activation,
    /// How long documents were cut into passages, if they were.
    pub(super) splitting: Option<Splitting>,
    /// Whether texts are written.
    pub(super) with_text: bool,
    /// How the first stage's ranking counts, too, if it does.
    pub(super) fusion: Option<Fusion>,
    pub(super) cutoff: Cutoff,
    pub(super) faults: &'a Faults,
    pub(super) dtype: &'a str,
    /// The model, as messages name it.
    pub(super) model: &'a str,
}

/// A bad record stops the run; it was reported already.
#[derive(Debug)]
pub(super) struct Stopped;

impl<'a> Order<'a> {
    pub(super) fn new(ranking: HowToRank<'a>, judging: Option<&'a Judging>) -> Self {
        Self {
            waiting: VecDeque::new(),
            first: 0,
            ranking,
            seconds: Vec::new(),
            truncated: 0,
            documents_cut: 0,
            empty: 0,
            split: 0,
            passages: 0,
            judging,
            judged: Judged::default(),
        }
    }

    /// Adds the next group.
    pub(super) fn push(&mut self, prepared: Prepared) {
        self.waiting.push_back((prepared, None));
    }

    /// Whether every group is ranked.
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Stores the logits of a group, counted in the order of [`Order::push`] from 0.
    ///
    /// # Errors
    /// Why the group has none, if scoring has failed.
    pub(super) fn take(&mut self, number: u64, scored: Scored) -> Result<(), String> {
        let Some((prepared, place)) = self.waiting.get_mut((number - self.first) as usize) else { return Ok(()) };
        if let Err(problem) = &scored.logits {
            let query = &prepared.group.query.id;
            return Err(format!("scoring failed in the batch that begins with query {query:?}: {problem}"));
        }
        *place = Some(scored);
        Ok(())
    }

    /// The ranking of the next group, if its pairs are scored, and the bytes that it takes of the budget. A candidate whose
    /// logit is not finite is reported as a bad record, and the ranking goes on without it, or the run stops.
    pub(super) fn next_ranking(&mut self) -> Option<Result<(Ranking, Permit), Stopped>> {
        self.waiting.front()?.1.as_ref()?;
        let (Prepared { group, documents, permit }, scored) = self.waiting.pop_front()?;
        self.first += 1;
        let Scored { logits, seconds } = scored?;
        self.seconds.push(seconds);
        self.truncated += documents.iter().filter(|document| document.truncated).count() as u64;
        self.documents_cut += documents.iter().filter(|document| document.document_cut).count() as u64;
        self.empty += group.candidates.iter().filter(|candidate| candidate.is_empty()).count() as u64;
        let split = documents.iter().map(|document| document.ranges.len() as u64).filter(|passages| *passages > 1);
        self.split += split.clone().count() as u64;
        self.passages += split.sum::<u64>();
        let judging = self.judging;
        let before = judging.and_then(|judging| judging.before(&group.query.id, &group.candidates, &mut self.judged));
        let ranking = self.ranking.ranking(group, &documents, &logits.unwrap_or_default());
        if let (Some(judging), Ok(ranking)) = (self.judging, &ranking) {
            judging.add(ranking, before, &mut self.judged);
        }
        Some(ranking.map(|ranking| (ranking, permit)))
    }

    /// Completes the figures of the run.
    pub(super) fn complete(mut self, stats: &mut Stats) {
        stats.queries = self.first;
        stats.truncated = self.truncated;
        stats.documents_cut = self.documents_cut;
        stats.empty = self.empty;
        stats.split_documents = self.split;
        stats.passages = self.passages;
        stats.evaluation = self.judging.map(|judging| judging.figures(&self.judged));
        stats.query_seconds = Percentiles::of(&mut self.seconds);
    }
}

impl HowToRank<'_> {
    fn ranking(self, group: Group, documents: &[Passages], mut logits: &[f32]) -> Result<Ranking, Stopped> {
        let Group { query, candidates, place } = group;
        let mut results = Vec::with_capacity(candidates.len());
        for (mut candidate, document) in candidates.into_iter().zip(documents) {
            let Some((own, others)) = logits.split_at_checked(document.ranges.len().max(1)) else { break };
            logits = others;
            let logit = self.logit(&mut candidate, document, own);
            if logit.is_finite() {
                let (score, truncated) = (self.activation.score(logit), document.truncated);
                results.push(Ranked { candidate, logit, score, truncated, fused: None });
                continue;
            }
            let bad = BadRecord {
                place: place.clone(),
                name: RecordName::candidate(Some(query.id.clone()), Some(candidate.id)),
                problem: format!("the model gave {logit} for it; {}", remedy(self.dtype, self.model)),
                content: None,
            };
            if self.faults.report(&bad) == Verdict::Stop {
                return Err(Stopped);
            }
        }
        Ok(rank(query, results, self.fusion, self.cutoff))
    }

    /// The logit of a candidate, which gets the field that names its best passage.
    fn logit(self, candidate: &mut Candidate, document: &Passages, logits: &[f32]) -> f32 {
        let Some(splitting) = self.splitting else {
            return logits.first().copied().unwrap_or_default();
        };
        let (logit, best) = splitting.aggregation.logit(logits);
        if let Ok(field) = document.field(best, &candidate.text, self.with_text) {
            set_field(&mut candidate.fields, passages::FIELD, field);
        }
        logit
    }
}

/// What to do about a logit that is not finite.
fn remedy(dtype: &str, model: &str) -> String {
    let first = if dtype == "f32" { "" } else { "try --dtype f32, and " };
    format!("{first}check the files of {model}")
}
