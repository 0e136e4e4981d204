//! From a logit to the score that users see.

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
