//! What the page shows, as the JSON that stands in it.

use serde::Serialize;

use super::calibration::Calibration;
use super::details::Details;
use super::distribution::Distribution;
use crate::evaluation::compare::Difference;

/// Everything that the page shows.
#[derive(Debug, Serialize)]
pub(super) struct Data<'a> {
    pub(super) version: &'static str,
    /// When the page was made: UTC, as in RFC 3339.
    pub(super) created: String,
    pub(super) qrels: &'a str,
    /// The queries that have judgements.
    pub(super) judged: usize,
    pub(super) complete: bool,
    pub(super) depth: Option<usize>,
    /// Documents are relevant from this grade on, where a measure does not set it itself.
    pub(super) level: i32,
    /// A p-value below this one is marked.
    pub(super) significant: f64,
    /// The test in a sentence; none if the runs are not compared.
    pub(super) test: Option<&'static str>,
    /// The place of the run with which the others are compared.
    pub(super) baseline: Option<usize>,
    /// Why a single run has no baseline.
    pub(super) no_baseline: Option<String>,
    pub(super) measures: Vec<MeasureData>,
    /// How many measures, from the first on, have values for each query here.
    pub(super) measures_by_query: usize,
    /// How many of the best and worst queries are shown.
    pub(super) shown: usize,
    pub(super) runs: Vec<RunData<'a>>,
    pub(super) query_ids: Vec<&'a str>,
    pub(super) query_texts: Vec<Option<&'a str>>,
    pub(super) details: Vec<Details>,
}

/// A measure.
#[derive(Debug, Serialize)]
pub(super) struct MeasureData {
    pub(super) name: String,
    pub(super) is_count: bool,
}

/// A run.
#[derive(Debug, Serialize)]
pub(super) struct RunData<'a> {
    pub(super) name: &'a str,
    pub(super) file: String,
    pub(super) queries: usize,
    pub(super) lacking: usize,
    pub(super) unjudged: usize,
    /// The share of neighbours in the rankings that have equal scores.
    pub(super) ties: f64,
    /// A value for each measure.
    pub(super) summary: Vec<f64>,
    /// The differences from the baseline, one for each measure; none of a measure that is not compared.
    pub(super) differences: Option<Vec<Option<DifferenceData>>>,
    /// For each of the first measures the value of each query.
    pub(super) values: &'a [Vec<f64>],
    pub(super) distribution: Distribution,
    pub(super) calibration: Option<Calibration>,
}

/// How a run differs from the baseline in one measure.
#[derive(Debug, Serialize)]
pub(super) struct DifferenceData {
    difference: f64,
    interval: [f64; 2],
    p: f64,
    p_uncorrected: f64,
    wins: usize,
    ties: usize,
    losses: usize,
}

impl From<&Difference> for DifferenceData {
    fn from(difference: &Difference) -> Self {
        let &Difference { difference, interval, p, p_uncorrected, wins, ties, losses } = difference;
        Self { difference, interval: interval.into(), p, p_uncorrected, wins, ties, losses }
    }
}
