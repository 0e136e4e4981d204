//! How the scores of documents are distributed, for each grade.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::evaluation::evaluate::{EvaluatedQuery, EvaluationOptions};
use crate::evaluation::qrels::Qrels;
use crate::evaluation::run::Run;

/// The bins of a histogram.
const BINS: usize = 40;
/// Above so many grades, the highest ones share a histogram.
const MOST_GRADES: usize = 8;

/// Histograms of scores over one range, one for each grade.
#[derive(Debug, Serialize)]
pub(super) struct Distribution {
    /// The lowest score, where the first bin begins.
    low: f64,
    /// The highest score, where the last bin ends.
    high: f64,
    /// Whether the scores are negated ranks, as the run has nothing else.
    is_rank: bool,
    /// The histograms: documents without a judgement first, then by ascending grade.
    grades: Vec<Histogram>,
}

/// The scores of documents with one grade.
#[derive(Debug, Serialize)]
pub(super) struct Histogram {
    /// The grade; none for documents that nobody judged.
    grade: Option<i32>,
    /// Whether higher grades are counted here too.
    and_above: bool,
    /// The mean score.
    mean: f64,
    /// How many documents are in each bin.
    bins: Vec<u64>,
}

#[derive(Default)]
struct Sums {
    sum: f64,
    bins: Vec<u64>,
}

impl Distribution {
    /// Counts the documents of a run, for the queries that count.
    pub(super) fn of(run: &Run, qrels: &Qrels, queries: &[EvaluatedQuery], options: EvaluationOptions) -> Self {
        let depth = options.depth.unwrap_or(usize::MAX);
        let scores = |query: &'_ EvaluatedQuery| {
            let documents = run.documents(&query.id);
            documents.into_iter().flat_map(|documents| documents.iter()).take(depth)
        };
        let (mut low, mut high, mut is_rank) = (f64::INFINITY, f64::NEG_INFINITY, true);
        for (_, score) in queries.iter().flat_map(scores) {
            let score = f64::from(score);
            (low, high) = (low.min(score), high.max(score));
            is_rank &= score <= -1. && score.fract() == 0.;
        }
        let bin = |score: f64| match high > low {
            true => (((score - low) / (high - low) * BINS as f64) as usize).min(BINS - 1),
            false => BINS / 2,
        };
        let mut found: BTreeMap<Option<i32>, Sums> = BTreeMap::new();
        for query in queries {
            let judged = qrels.query(&query.id);
            for (id, score) in scores(query) {
                // A negative grade stands for a document that was pooled and not judged.
                let grade = judged.and_then(|judged| judged.grade(id)).filter(|&grade| grade >= 0);
                let sums = found.entry(grade).or_insert_with(|| Sums { sum: 0., bins: vec![0; BINS] });
                sums.sum += f64::from(score);
                sums.bins.iter_mut().skip(bin(f64::from(score))).take(1).for_each(|count| *count += 1);
            }
        }
        let is_empty = found.is_empty();
        let (low, high) = if is_empty { (0., 0.) } else { (low, high) };
        Self { low, high, is_rank: is_rank && !is_empty, grades: histograms(found) }
    }
}

fn histograms(found: BTreeMap<Option<i32>, Sums>) -> Vec<Histogram> {
    let mut merged: Vec<(Option<i32>, bool, Sums)> = Vec::new();
    for (grade, sums) in found {
        let graded = merged.iter().filter(|(grade, ..)| grade.is_some()).count();
        match merged.last_mut().filter(|_| graded == MOST_GRADES) {
            Some((_, and_above, last)) => {
                *and_above = true;
                last.sum += sums.sum;
                last.bins.iter_mut().zip(sums.bins).for_each(|(count, more)| *count += more);
            }
            None => merged.push((grade, false, sums)),
        }
    }
    let histogram = |(grade, and_above, Sums { sum, bins }): (Option<i32>, bool, Sums)| Histogram {
        grade,
        and_above,
        mean: sum / bins.iter().sum::<u64>().max(1) as f64,
        bins,
    };
    merged.into_iter().map(histogram).collect()
}
