//! 4 score: a batch becomes logits.

use anyhow::Result;

use crate::batch::Batch;

mod fake;
mod last_token;
mod reranker;

pub use fake::{FakeRecipe, FakeScorer};
pub use last_token::LastTokenScorer;
pub use reranker::{Reranker, RerankerOptions};

/// Scores tokenized pairs. One implementation per kind of head, not per model size or device.
pub trait Scorer {
    /// One logit per pair, in the batch's order of pairs. A pair's logit depends on its own tokens alone: not on the
    /// batch around it, and on the CPU to the bit.
    ///
    /// # Errors
    /// If the device fails. A logit that is not finite is no error here.
    fn score(&mut self, batch: &Batch) -> Result<Vec<f32>>;
}

/// What the user sees of a logit: P(yes), the softmax over `no` and `yes`.
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
