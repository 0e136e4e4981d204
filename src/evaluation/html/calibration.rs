//! Calibration: whether of the documents with a probability of 0.8 to be relevant, 80% are.
//!
//! The expected calibration error is that of Guo, Pleiss, Sun and Weinberger ("On Calibration of Modern Neural Networks", ICML
//! 2017): the differences between mean probability and share of relevant documents in bins of one width, weighted by the
//! documents in them.

use serde::Serialize;

/// The bins between 0 and 1.
const BINS: usize = 10;

/// Probabilities and judgements, as they come.
#[derive(Debug, Default)]
pub(super) struct Probabilities {
    bins: [Bin; BINS],
    /// Whether a score was missing, or is no probability.
    is_broken: bool,
}

/// The documents whose probabilities lie in one bin.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(super) struct Bin {
    /// The documents.
    count: u64,
    /// The mean of their probabilities.
    mean: f64,
    /// The share of them that is relevant.
    relevant: f64,
}

/// How probabilities and judgements fit together.
#[derive(Debug, Serialize)]
pub(super) struct Calibration {
    /// The bins, of one width, from 0 to 1.
    bins: Vec<Bin>,
    /// The documents in them.
    documents: u64,
    /// The expected calibration error.
    error: f64,
}

impl Probabilities {
    /// Adds a judged document with its score.
    pub(super) fn add(&mut self, score: Option<f64>, is_relevant: bool) {
        let Some(score) = score.filter(|score| (0. ..=1.).contains(score)) else {
            self.is_broken = true;
            return;
        };
        let index = ((score * BINS as f64) as usize).min(BINS - 1);
        if let Some(bin) = self.bins.get_mut(index) {
            bin.count += 1;
            bin.mean += score;
            bin.relevant += f64::from(u8::from(is_relevant));
        }
    }

    /// The calibration; none without documents, or where a score was no probability.
    pub(super) fn finish(self) -> Option<Calibration> {
        let documents: u64 = self.bins.iter().map(|bin| bin.count).sum();
        if self.is_broken || documents == 0 {
            return None;
        }
        let mean = |Bin { count, mean, relevant }: Bin| {
            let divisor = count.max(1) as f64;
            Bin { count, mean: mean / divisor, relevant: relevant / divisor }
        };
        let bins: Vec<Bin> = self.bins.into_iter().map(mean).collect();
        let weighted = bins.iter().map(|bin| bin.count as f64 * (bin.mean - bin.relevant).abs());
        let error = weighted.sum::<f64>() / documents as f64;
        Some(Calibration { bins, documents, error })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By hand: the bins from 0.2, from 0.8 and from 0.9 have 1, 2 and 2 documents.
    #[test]
    fn the_expected_error_is_weighted_by_the_documents_of_a_bin() {
        let mut probabilities = Probabilities::default();
        for (score, is_relevant) in [(0.25, false), (0.8, true), (0.9, false), (0.84, false), (1., true)] {
            probabilities.add(Some(score), is_relevant);
        }
        let found = probabilities.finish().unwrap();
        assert_eq!(found.bins.iter().map(|bin| bin.count).collect::<Vec<_>>(), [0, 0, 1, 0, 0, 0, 0, 0, 2, 2]);
        let expected = (0.25 + 2. * (0.82_f64 - 0.5) + 2. * (0.95 - 0.5)) / 5.;
        assert!((found.error - expected).abs() < 1e-12, "{found:?}");
    }

    #[test]
    fn logits_are_not_taken_for_probabilities() {
        for score in [Some(1.5), Some(-0.1), None] {
            let mut probabilities = Probabilities::default();
            probabilities.add(Some(0.5), true);
            probabilities.add(score, true);
            assert!(probabilities.finish().is_none(), "{score:?}");
        }
        assert!(Probabilities::default().finish().is_none());
    }
}
