//! The function that makes a score of a logit. It never changes the ranking, which is by logit.

use anyhow::{Result, bail};
use serde::Deserialize;

/// How a logit becomes the score that is printed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Activation {
    /// The function.
    pub function: Function,
    /// The number that the logit is divided by first.
    pub temperature: f64,
}

/// The functions that are known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Function {
    /// A probability: of two answers, P(true), the softmax over both.
    #[default]
    Sigmoid,
    /// The logit itself.
    #[serde(alias = "raw")]
    Identity,
}

impl Activation {
    /// A function without a temperature.
    pub fn of(function: Function) -> Self {
        Self { function, temperature: 1. }
    }

    /// The score of a logit.
    pub fn score(self, logit: f32) -> f32 {
        let logit = if self.temperature == 1. { f64::from(logit) } else { f64::from(logit) / self.temperature };
        match self.function {
            Function::Sigmoid => (1. / (1. + (-logit).exp())) as f32,
            Function::Identity => logit as f32,
        }
    }

    /// Whether a score lies between 0 and 1, like a probability.
    pub fn is_probability(self) -> bool {
        self.function == Function::Sigmoid
    }

    /// The function's name, as options and figures have it.
    pub fn name(self) -> &'static str {
        match self.function {
            Function::Sigmoid => "sigmoid",
            Function::Identity => "raw",
        }
    }

    /// The function of PyTorch that a dotted name stands for, as sentence-transformers stores it.
    ///
    /// # Errors
    /// If it is another function than the known ones.
    pub(super) fn of_torch(name: &str) -> Result<Self> {
        let function = match name {
            "torch.nn.modules.activation.Sigmoid" | "torch.nn.Sigmoid" => Function::Sigmoid,
            "torch.nn.modules.linear.Identity" | "torch.nn.Identity" => Function::Identity,
            _ => bail!(
                "the function `{name}` is not supported, only torch.nn.Sigmoid and torch.nn.Identity; --score sigmoid or \
                 --score raw chooses one of them (the ranking is by logit in any case)"
            ),
        };
        Ok(Self::of(function))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probabilities_of_published_logits() {
        // Qwen3-Reranker-0.6B on "Which planet is known as the Red Planet?": Venus, Mars.
        let probability = |logit| Activation::of(Function::Sigmoid).score(logit);
        assert!((probability(-3.109298) - 0.042725).abs() < 1e-6);
        assert!((probability(7.12039) - 0.999192).abs() < 1e-6);
        assert_eq!((probability(200.), probability(-800.), probability(0.)), (1., 0., 0.5));
    }

    #[test]
    fn a_temperature_divides_the_logit() {
        let scaled = Activation { function: Function::Sigmoid, temperature: 5. };
        assert_eq!(scaled.score(5.), Activation::of(Function::Sigmoid).score(1.));
        assert_eq!(Activation { function: Function::Identity, temperature: 4. }.score(-6.), -1.5);
    }

    #[test]
    fn functions_have_the_names_of_torch() {
        assert_eq!(Activation::of_torch("torch.nn.modules.linear.Identity").unwrap().score(3.), 3.);
        assert_eq!(Activation::of_torch("torch.nn.modules.activation.Sigmoid").unwrap().score(0.), 0.5);
        let error = Activation::of_torch("torch.nn.modules.activation.Tanh").unwrap_err().to_string();
        assert!(error.contains("Tanh") && error.contains("--score"), "{error}");
    }
}
