//! Stage 4, score: a batch becomes logits.

use anyhow::Result;

use crate::batch::{Batch, Limits};

pub mod cpu;
mod fake;
mod first_token;
pub mod gpu;
mod last_token;
pub(crate) mod profile;
pub(crate) mod work;

pub use fake::{FakeRecipe, FakeScorer};
pub use first_token::FirstTokenScorer;
pub use last_token::LastTokenScorer;
pub use profile::{KINDS, Kind, Profile};
pub use work::Work;

/// Scores tokenized pairs. One implementation per kind of head, not per model size or device.
pub trait Scorer: Send {
    /// One logit per pair, in the batch's order of pairs. A pair's logit depends on its own tokens alone: not on the
    /// batch around it, and on the CPU to the bit.
    ///
    /// # Errors
    /// If the device fails. A logit that is not finite is no error here.
    fn score(&mut self, batch: &Batch) -> Result<Vec<f32>>;

    /// Makes room for batches of up to `limits`, or as much as there is memory for. Returns the tokens that fit.
    ///
    /// # Errors
    /// If there is no room at all, or the device fails.
    fn reserve(&mut self, limits: Limits) -> Result<usize> {
        Ok(limits.tokens)
    }

    /// What users should know about how the device computes.
    fn warnings(&self) -> Vec<String> {
        Vec::new()
    }

    /// Keeps a profile of the time from now on, which may make scoring slower.
    fn begin_profile(&mut self) {}

    /// The profile since the last call, if one is kept.
    fn take_profile(&mut self) -> Option<Profile> {
        None
    }

    /// The operations and the bytes that a batch needs.
    fn work(&self, _batch: &Batch) -> Work {
        Work::default()
    }
}

/// The score of a logit: P(yes), the softmax over `no` and `yes`.
pub fn probability(logit: f32) -> f32 {
    (1. / (1. + (-f64::from(logit)).exp())) as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probabilities_of_published_logits() {
        // Qwen3-Reranker-0.6B on "Which planet is known as the Red Planet?": Venus, Mars.
        assert!((probability(-3.109298) - 0.042725).abs() < 1e-6);
        assert!((probability(7.12039) - 0.999192).abs() < 1e-6);
        assert_eq!((probability(200.), probability(-800.), probability(0.)), (1., 0., 0.5));
    }
}
