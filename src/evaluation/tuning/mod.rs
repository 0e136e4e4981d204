//! Finds how the first stage's ranking and the reranker's are fused best, and what is gained by it.
//!
//! A setting that is chosen on the queries it is measured on looks better than it is. So the gain is that of cross-validation:
//! each query's value is that of the setting that is best for the queries of the other folds.

mod evidence;
mod figures;
#[cfg(test)]
mod tests;

use std::path::PathBuf;

use anyhow::{Result, ensure};
use rayon::prelude::*;

use self::evidence::Scored;
pub use self::figures::TuningFigures;
use super::command::RunFile;
use super::judged::JudgedRanking;
use super::measures::Measure;
use super::qrels::{Qrels, QrelsFormat};
use super::run::RunFileFormat;
use super::significance::t_test;
use crate::fusion::{Evidence, FirstStage, Fusion, Normalization};
use crate::progress::{Progress, Reporter, Verbosity, counted};

/// The parts of the queries of which each in turn is evaluated with what is best for the others.
const FOLDS: usize = 5;
/// Weights from 0 to 1 are tried in so many steps.
const STEPS: u32 = 20;
/// The constant of reciprocal rank fusion that is tried.
const CONSTANT: f64 = 60.;
/// The confidence of the intervals.
const CONFIDENCE: f64 = 0.95;

/// The configuration of a search for the best fusion.
#[derive(Debug)]
pub struct Tuning {
    /// The judgements; `None` is standard input.
    pub qrels: Option<PathBuf>,
    /// Their format, unless it is recognised.
    pub qrels_format: Option<QrelsFormat>,
    /// Ranked JSONL with both stages' scores; or the first stage's run and the reranker's.
    pub runs: Vec<RunFile>,
    /// Their format, unless it is recognised.
    pub run_format: Option<RunFileFormat>,
    /// What is to be high.
    pub measure: Measure,
    /// Threads that compute.
    pub threads: usize,
    /// How much is printed on standard error.
    pub verbosity: Verbosity,
}

/// A judged query with both stages' evidence on its candidates.
struct JudgedCandidates<'a> {
    id: &'a str,
    grades: Vec<Option<i32>>,
    evidence: Vec<Evidence>,
    judgements: &'a super::judged::Judgements,
}

/// A mean difference.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Gain {
    /// The mean of the queries' differences.
    pub mean: f64,
    /// The interval of the mean with 95% confidence (Student's t).
    pub interval: (f64, f64),
    /// The p-value of a two-sided paired t-test.
    pub p: f64,
}

impl Tuning {
    /// Searches for the best fusion.
    ///
    /// # Errors
    /// If a file can't be read or lacks the scores of a stage, or too few queries are judged.
    pub fn run(&self) -> Result<TuningFigures> {
        crate::threads::start(self.threads)?;
        let reporter = Reporter::new(Progress::None, self.verbosity);
        let qrels = Qrels::read(self.qrels.as_deref(), self.qrels_format)?;
        qrels.notes().iter().for_each(|note| reporter.note(note));
        qrels.check(std::slice::from_ref(&self.measure))?;
        let scored = match self.runs.as_slice() {
            [both] => evidence::of_ranked(both.path.as_deref(), self.run_format)?,
            [first, reranked] => evidence::of_runs(first, reranked, self.run_format)?,
            _ => anyhow::bail!("--tune-fusion needs one run with both stages' scores, or two runs"),
        };
        if scored.left_out > 0 {
            reporter.note(&format!(
                "{} only one of the two runs has, and left out: the values are those of what both have",
                counted(scored.left_out, "document is what", "documents are what")
            ));
        }
        scored.notes.iter().chain(&scored.ranks_alone).for_each(|note| reporter.note(note));
        let queries = self.judged(&qrels, &scored)?;
        Ok(self.tuned(&queries, &settings(scored.ranks_alone.is_none())))
    }

    fn judged<'a>(&self, qrels: &'a Qrels, scored: &'a Scored) -> Result<Vec<JudgedCandidates<'a>>> {
        let mut queries = Vec::new();
        for (id, candidates) in &scored.queries {
            let Some(query) = qrels.query(id) else { continue };
            let (grades, evidence) =
                candidates.iter().map(|(document, evidence)| (query.grade(document), *evidence)).unzip();
            queries.push(JudgedCandidates { id, grades, evidence, judgements: &query.judgements });
        }
        ensure!(
            queries.len() >= 2,
            "{} of {} judgements in {}: to find a setting and to try it on other queries, two are needed at least",
            counted(queries.len() as u64, "query", "queries"),
            if queries.len() == 1 { "the run has" } else { "the run have" },
            qrels.name()
        );
        queries.sort_by_key(|query| query.id);
        Ok(queries)
    }

    /// The figures of queries, which are in an order that does not depend on the files'.
    fn tuned(&self, queries: &[JudgedCandidates], settings: &[Fusion]) -> TuningFigures {
        let values: Vec<Vec<f64>> = settings
            .iter()
            .map(|setting| queries.par_iter().map(|query| self.value(query, setting)).collect())
            .collect();
        let folds = FOLDS.min(queries.len());
        let chosen: Vec<usize> = (0..folds).map(|fold| best(&values, |query| query % folds != fold)).collect();
        let at = |setting: usize, query: usize| values.get(setting).and_then(|values| values.get(query)).copied();
        let fused: Vec<f64> = (0..queries.len())
            .map(|query| chosen.get(query % folds).and_then(|setting| at(*setting, query)).unwrap_or_default())
            .collect();
        let first_stage: Vec<f64> = queries.iter().map(|query| self.value_of_first_stage(query)).collect();
        let logits = Fusion::Interpolation { alpha: 0., normalization: Normalization::MinMax };
        let reranker: Vec<f64> = queries.iter().map(|query| self.value(query, &logits)).collect();
        let overall = best(&values, |_| true);
        let name = |setting: usize| settings.get(setting).map(ToString::to_string).unwrap_or_default();
        let mean = |values: &[f64]| self.measure.summarize(values.iter().copied());
        TuningFigures {
            measure: self.measure.to_string(),
            queries: queries.len(),
            folds,
            first_stage: mean(&first_stage),
            reranker: mean(&reranker),
            fused: mean(&fused),
            over_first_stage: Gain::of(&first_stage, &fused),
            over_reranker: Gain::of(&reranker, &fused),
            chosen: chosen.iter().map(|setting| name(*setting)).collect(),
            best: name(overall),
            best_value: values.get(overall).map(|values| mean(values)).unwrap_or_default(),
        }
    }

    /// The measure of the first stage's ranking, of whose ties the reranker knows nothing.
    fn value_of_first_stage(&self, query: &JudgedCandidates) -> f64 {
        let of = |evidence: &Evidence| FirstStage { rank: evidence.original_rank, score: evidence.original_score };
        let order = FirstStage::order(&query.evidence.iter().map(of).collect::<Vec<_>>());
        let grades: Vec<Option<i32>> =
            order.into_iter().map(|place| query.grades.get(place).copied().flatten()).collect();
        self.measure.evaluate(&JudgedRanking { grades: &grades, judgements: query.judgements })
    }

    /// The measure of a query's fused ranking, which is ordered as a run with `--fuse` orders it.
    fn value(&self, query: &JudgedCandidates, setting: &Fusion) -> f64 {
        let fused = setting.scores(&query.evidence);
        let mut order: Vec<(f64, &Evidence, Option<i32>)> = fused
            .into_iter()
            .zip(&query.evidence)
            .zip(&query.grades)
            .map(|((fused, evidence), grade)| (fused, evidence, *grade))
            .collect();
        order.sort_by(|(fused, one, _), (others, other, _)| {
            let by_logit = other.logit.total_cmp(&one.logit);
            others.total_cmp(fused).then(by_logit).then(one.original_rank.cmp(&other.original_rank))
        });
        let grades: Vec<Option<i32>> = order.into_iter().map(|(_, _, grade)| grade).collect();
        self.measure.evaluate(&JudgedRanking { grades: &grades, judgements: query.judgements })
    }
}

impl Gain {
    fn of(before: &[f64], after: &[f64]) -> Self {
        let test = t_test(&super::significance::differences(before, after));
        Self { mean: test.mean, interval: test.interval(CONFIDENCE), p: test.p_value }
    }
}

/// The settings that are tried; of equally good ones, the first is taken. Without scores there is nothing to interpolate.
fn settings(have_scores: bool) -> Vec<Fusion> {
    let weights = |normalization| {
        (0..=STEPS).map(move |step| Fusion::Interpolation { alpha: f64::from(step) / f64::from(STEPS), normalization })
    };
    let rrf = Fusion::ReciprocalRank { constant: CONSTANT };
    let weighted = weights(Normalization::MinMax).chain(weights(Normalization::ZScore)).filter(|_| have_scores);
    weighted.chain([rrf]).collect()
}

/// The setting with the highest mean over some of the queries.
fn best(values: &[Vec<f64>], counts: impl Fn(usize) -> bool) -> usize {
    let sum = |values: &Vec<f64>| -> f64 {
        values.iter().enumerate().filter(|(query, _)| counts(*query)).map(|(_, value)| value).sum()
    };
    let (mut best, mut highest) = (0, f64::NEG_INFINITY);
    for (setting, values) in values.iter().enumerate() {
        let sum = sum(values);
        // Sums of the same values may differ in their last digits.
        if sum > highest + 1e-9 {
            (best, highest) = (setting, sum);
        }
    }
    best
}
