//! How far a score may be from a known one: what the precisions of both justify, and no more.

use super::golden::Known;
use crate::precision::Precision;
use crate::recipe::Activation;

/// Published values are rounded to so many decimals where they are given as probabilities in half precision.
const HALF_OF_LAST_DECIMAL: f64 = 5e-6;

/// How far a logit may be from the exact one.
///
/// In f32 the engines are within 1e-4 of the reference, and so is another machine.
///
/// Half precisions round every operand, and the error of a logit has a part that does not depend on its size (activations
/// inside the model) and one that does (the last product, and the logit itself, which bf16 writes in steps of 1/16 from 8 on).
/// In units of the precision's roundoff, 2⁻⁸ of bf16, the allowance is 40 + 4 · |logit|: 0.16 at 0, 0.28 at 8. Two published
/// runs of one model in bf16 are apart by about half of that: test_pretrained.py of sentence-transformers has 0.27539 and
/// 0.28906 of ruri-v3 with two versions of transformers, logits that differ by 0.07, and zerank-2 has 5.41 and 5.58 for one
/// pair; engines of Qwen3-Reranker-4B and -8B in bf16 differ by up to 0.039 in probability (rcp-ndcg by Cohere), 0.16 in the
/// logit. A wrong prompt, head or pooling moves logits by whole units.
///
/// int8 is some four times as rough as bf16, and int16 a little finer. fp8 is 4 to 14 times as rough, as models with random weights
/// show; it has been compared with no published score.
pub(super) fn of_logit(precision: Precision, logit: f64) -> f64 {
    let roundoff = match precision {
        Precision::F32 => return 2e-4,
        Precision::F16 => 2f64.powi(-11),
        Precision::Bf16 | Precision::Int16 => 2f64.powi(-8),
        Precision::Int8 => 2f64.powi(-6),
        Precision::Fp8 => 2f64.powi(-5),
    };
    roundoff * (40. + 4. * logit.abs())
}

/// How far quantizing is taken to move a logit. Nothing bounds it: it depends on the model, the method and the calibration. So no
/// score is compared by its value, and the order only of documents that are further apart than two such distances.
const OF_QUANTIZED: f64 = 1.;

/// How far a score in the precision `ours` may be from a known one.
pub(super) fn of_value(known: &Known, activation: Activation, value: f64, ours: Precision) -> f64 {
    around(known, activation, value, |logit| {
        let theirs = of_known(known, logit);
        // The errors of two runs seldom add up: the larger one counts.
        if ours == Precision::F32 { theirs } else { theirs.max(of_logit(ours, logit)) }
    })
}

/// How far the score of quantized weights is taken to be from a known one.
pub(super) fn of_quantized(known: &Known, activation: Activation, value: f64) -> f64 {
    around(known, activation, value, |logit| of_known(known, logit).max(OF_QUANTIZED))
}

/// How far a known logit may be from the exact one.
fn of_known(known: &Known, logit: f64) -> f64 {
    known.tolerance.unwrap_or_else(|| of_logit(known.dtype, logit))
}

/// How far a score may be from a known one, whose logit may be off by an allowance.
fn around(known: &Known, activation: Activation, value: f64, allowance: impl Fn(f64) -> f64) -> f64 {
    if !activation.is_probability() {
        let logit = value * activation.temperature;
        return allowance(logit) / activation.temperature;
    }
    // The logit that a rounded probability stands for lies between two others, to which the allowance is added.
    let rounding = match known.dtype {
        Precision::F32 => 2f64.powi(-24),
        Precision::F16 => value * 2f64.powi(-12) + HALF_OF_LAST_DECIMAL,
        Precision::Bf16 | Precision::Int8 | Precision::Int16 | Precision::Fp8 => {
            value * 2f64.powi(-9) + HALF_OF_LAST_DECIMAL
        }
    };
    let logit = |probability: f64| {
        let probability = probability.clamp(1e-9, 1. - 1e-7);
        (probability / (1. - probability)).ln() * activation.temperature
    };
    let probability = |logit: f64| 1. / (1. + (-logit / activation.temperature).exp());
    let (low, high) = (logit(value - rounding), logit(value + rounding));
    let below = value - probability(low - allowance(low));
    let above = probability(high + allowance(high)) - value;
    below.max(above)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recipe::Function;

    fn known(dtype: Precision, tolerance: Option<f64>) -> Known {
        Known { activation: None, values: Vec::new(), dtype, tolerance, source: None }
    }

    #[test]
    fn logits_are_allowed_what_the_rougher_precision_justifies() {
        use Precision::{Bf16, F16, F32, Int8};
        let raw = Activation::of(Function::Identity);
        let allowed = |theirs, tolerance, ours| of_value(&known(theirs, tolerance), raw, 8., ours);
        assert_eq!(allowed(F32, None, F32), 2e-4);
        assert_eq!(allowed(F32, Some(1e-3), F32), 1e-3);
        assert_eq!(allowed(F32, Some(1e-3), Bf16), 72. / 256.);
        assert_eq!(allowed(Bf16, None, F32), 72. / 256.);
        assert_eq!(allowed(Bf16, None, F16), 72. / 256.);
        assert_eq!(allowed(F16, None, F32), 72. / 2048.);
        assert_eq!(allowed(Bf16, None, Int8), 72. / 64.);
    }

    #[test]
    fn probabilities_are_allowed_what_their_logits_are() {
        let sigmoid = Activation::of(Function::Sigmoid);
        let allowed = |value, ours| of_value(&known(Precision::Bf16, None), sigmoid, value, ours);
        // Half a logit's allowance in the middle is a quarter of it in probability.
        assert!((allowed(0.5, Precision::F32) - 0.04).abs() < 3e-3, "{}", allowed(0.5, Precision::F32));
        // bf16 writes 1 for all above 0.998.
        assert!((0.002..0.004).contains(&allowed(1., Precision::F32)), "{}", allowed(1., Precision::F32));
        assert!(allowed(0.00025, Precision::F32) < 1e-4);
        let exact = of_value(&known(Precision::F32, None), sigmoid, 0.5, Precision::F32);
        assert!((4.9e-5..5.1e-5).contains(&exact), "{exact}");
    }

    #[test]
    fn a_temperature_divides_the_allowance() {
        let scaled = Activation { function: Function::Sigmoid, temperature: 5. };
        let allowed = |activation| of_value(&known(Precision::F32, Some(0.01)), activation, 0.5, Precision::F32);
        assert!((allowed(Activation::of(Function::Sigmoid)) / allowed(scaled) - 5.).abs() < 0.01);
    }
}
