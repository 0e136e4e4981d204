//! Whether two runs differ by more than chance, from the values of a measure for the same queries.
//!
//! The paired t-test and Fisher's randomisation test are those that Smucker, Allan and Carterette compare ("A Comparison of
//! Statistical Significance Tests for Information Retrieval Evaluation", CIKM 2007). All tests here are two-sided and take the
//! differences between the runs, one for each query.

mod randomisation;
mod t_test;
#[cfg(test)]
mod tests;

pub use randomisation::{RandomisationTest, randomisation_test};
pub use t_test::{TTest, t_test};

/// How much better the second run is than the first, for each query.
///
/// # Panics
///
/// If the runs have different numbers of queries.
pub fn differences(baseline: &[f64], other: &[f64]) -> Vec<f64> {
    assert_eq!(baseline.len(), other.len(), "paired tests need the values of the same queries");
    baseline.iter().zip(other).map(|(baseline, other)| other - baseline).collect()
}

/// Adjusts the p-values of several comparisons so that the probability of any false discovery among them stays below the level
/// that a p-value is compared with (Holm, "A Simple Sequentially Rejective Multiple Test Procedure", 1979).
///
/// The adjusted values come in the order of the given ones.
pub fn holm(p_values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p_values.len()).collect();
    order.sort_by(|&a, &b| p_values[a].total_cmp(&p_values[b]));
    let mut adjusted = vec![0.0; p_values.len()];
    let mut least = 0.0_f64;
    for (place, &index) in order.iter().enumerate() {
        least = least.max((p_values.len() - place) as f64 * p_values[index]).min(1.0);
        adjusted[index] = least;
    }
    adjusted
}

/// For how many queries a run is better or worse than the baseline.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outcomes {
    /// The number of queries for which the run is better.
    pub wins: usize,
    /// The number of queries for which the runs do not differ.
    pub ties: usize,
    /// The number of queries for which the run is worse.
    pub losses: usize,
}

impl Outcomes {
    /// Differences up to this one are ties: they come from the order in which numbers are added, and not from the rankings.
    pub const TOLERANCE: f64 = 1e-9;

    /// Counts the differences from the baseline.
    pub fn count(differences: &[f64]) -> Self {
        let wins = differences.iter().filter(|&&difference| difference > Self::TOLERANCE).count();
        let losses = differences.iter().filter(|&&difference| difference < -Self::TOLERANCE).count();
        Self { wins, ties: differences.len() - wins - losses, losses }
    }
}
