//! Shapes of published models, for random weights.

use anyhow::Result;
use clap::ValueEnum;

use super::workload::Template;
use crate::batch::{Limits, LimitsChoice};
use crate::device::Target;
use crate::engine::Scorer;
use crate::engine::cpu::forward::EncoderConfig;
use crate::engine::gpu::forward::GpuDecoder;
use crate::model::{DecoderConfig, Family, HeadKind, ModelConfig};
use crate::reranker::{random_encoder, random_scorer};

/// The vocabulary of the random models: a small one, as the speed does not depend on it.
const VOCABULARY: usize = 4096;

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
    /// bge-reranker-base: an encoder.
    #[value(name = "bge-base")]
    BgeBase,
    /// ms-marco-MiniLM-L6: a small encoder.
    #[value(name = "minilm")]
    MiniLm,
}

/// The configuration that a shape stands for.
enum Config {
    Decoder(ModelConfig),
    Encoder(EncoderConfig),
}

impl Shape {
    /// The name, as users write it.
    pub(super) fn name(self) -> String {
        self.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
    }

    /// Makes a scorer with random weights.
    ///
    /// # Errors
    /// If it does not fit on the device, or can't run there.
    pub fn scorer(self, target: &Target) -> Result<Box<dyn Scorer>> {
        match self.config() {
            Config::Decoder(config) => random_scorer(&config, target),
            Config::Encoder(config) => random_encoder(&config, target),
        }
    }

    /// What a batch may hold on a device, before the weights are loaded.
    pub(super) fn limits(self, choice: LimitsChoice, target: &Target) -> Result<Limits> {
        match (self.config(), target) {
            (Config::Decoder(config), Target::Gpu(gpu)) => Ok(choice.on_gpu(GpuDecoder::budget(&config.decoder, gpu)?)),
            _ => Ok(choice.on_cpu()),
        }
    }

    /// The template of the model's prompts.
    pub(super) fn template(self) -> Template {
        match self.config() {
            Config::Decoder(config) => Template::decoder(config.decoder.vocabulary),
            Config::Encoder(config) => {
                Template::encoder(config.vocabulary, config.max_positions - config.first_position)
            }
        }
    }

    fn config(self) -> Config {
        match self {
            Self::Qwen3Small => Config::Decoder(qwen3(1024, 3072, 28, 16)),
            Self::Qwen3Medium => Config::Decoder(qwen3(2560, 9728, 36, 32)),
            Self::Qwen3Large => Config::Decoder(qwen3(4096, 12288, 36, 32)),
            Self::BgeBase => Config::Encoder(EncoderConfig {
                prefix: "roberta",
                vocabulary: VOCABULARY,
                hidden: 768,
                intermediate: 3072,
                layers: 12,
                heads: 12,
                norm_epsilon: 1e-5,
                max_positions: 514,
                first_position: 2,
                token_types: 1,
            }),
            Self::MiniLm => Config::Encoder(EncoderConfig {
                prefix: "bert",
                vocabulary: VOCABULARY,
                hidden: 384,
                intermediate: 1536,
                layers: 6,
                heads: 12,
                norm_epsilon: 1e-12,
                max_positions: 512,
                first_position: 0,
                token_types: 2,
            }),
        }
    }
}

fn qwen3(hidden: usize, intermediate: usize, layers: usize, heads: usize) -> ModelConfig {
    let decoder = DecoderConfig {
        vocabulary: VOCABULARY,
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
