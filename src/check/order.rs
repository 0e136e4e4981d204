//! Comparison of the order alone, for models whose weights were quantized since their scores were published.

use super::golden::Known;
use super::tolerance::of_quantized;
use crate::recipe::Activation;

/// Whether each document is on the right side of all those whose known scores are clearly higher or lower.
pub(super) fn in_order(known: &Known, activation: Activation, logits: &[f32]) -> Vec<bool> {
    let scores: Vec<Score> = known
        .values
        .iter()
        .zip(logits)
        .map(|(&value, &logit)| Score { value, allowed: of_quantized(known, activation, value), logit })
        .collect();
    scores.iter().map(|one| scores.iter().all(|other| one.is_right_beside(other))).collect()
}

/// A document's known score and its logit.
struct Score {
    value: f64,
    /// How far the known score may be from that of quantized weights.
    allowed: f64,
    logit: f32,
}

impl Score {
    fn is_clearly_above(&self, other: &Self) -> bool {
        self.value - self.allowed > other.value + other.allowed
    }

    fn is_right_beside(&self, other: &Self) -> bool {
        match (self.is_clearly_above(other), other.is_clearly_above(self)) {
            (true, _) => self.logit > other.logit,
            (_, true) => other.logit > self.logit,
            _ => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::precision::Precision;
    use crate::recipe::Function;

    #[test]
    fn documents_that_are_clearly_apart_keep_their_order() {
        let raw = Activation::of(Function::Identity);
        let order = |values: &[f64], logits: &[f32]| {
            let known = Known {
                activation: None,
                values: values.to_vec(),
                dtype: Precision::Bf16,
                tolerance: None,
                source: None,
            };
            in_order(&known, raw, logits)
        };
        // Far off, and in the right order.
        assert_eq!(order(&[8., -4., 2.], &[3., -9., -8.]), [true; 3]);
        // The last two are too near to each other to be compared, and the first is below one of them.
        assert_eq!(order(&[8., 2., 1.], &[3., 4., -2.]), [false, false, true]);
        assert_eq!(order(&[2., 1.], &[0., 5.]), [true; 2]);
        assert_eq!(order(&[8., 1.], &[f32::NAN, 1.]), [false; 2]);
    }

    #[test]
    fn probabilities_are_as_far_apart_as_their_logits() {
        let sigmoid = Activation::of(Function::Sigmoid);
        let order = |values: [f64; 2]| {
            let known = Known {
                activation: Some(sigmoid),
                values: values.to_vec(),
                dtype: Precision::Bf16,
                tolerance: None,
                source: None,
            };
            in_order(&known, sigmoid, &[1., 2.])
        };
        assert_eq!(order([0.98, 0.02]), [false; 2]);
        assert_eq!(order([0.6, 0.4]), [true; 2]);
    }
}
