//! Shapes of published models, for random weights.

use clap::ValueEnum;

use crate::model::{DecoderConfig, Family, HeadKind, ModelConfig};

/// A model's shape without its weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Shape {
    /// Qwen3-Reranker-0.6B.
    #[value(name = "qwen3-0.6b")]
    Qwen3Small,
    /// Qwen3-Reranker-4B.
    #[value(name = "qwen3-4b")]
    Qwen3Medium,
    /// Qwen3-Reranker-8B.
    #[value(name = "qwen3-8b")]
    Qwen3Large,
}

impl Shape {
    /// The configuration. Its vocabulary is small: no product depends on it.
    pub fn config(self) -> ModelConfig {
        let (hidden, intermediate, layers, heads) = match self {
            Self::Qwen3Small => (1024, 3072, 28, 16),
            Self::Qwen3Medium => (2560, 9728, 36, 32),
            Self::Qwen3Large => (4096, 12288, 36, 32),
        };
        let decoder = DecoderConfig {
            vocabulary: 4096,
            hidden,
            intermediate,
            layers,
            heads,
            key_heads: 8,
            head_dim: 128,
            norm_epsilon: 1e-6,
            rope_theta: 1e6,
            max_positions: 40960,
        };
        ModelConfig { family: Family::Qwen3, head: HeadKind::YesNo { tied: true }, decoder }
    }
}
