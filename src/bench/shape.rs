//! Shapes of published models, for random weights.

use anyhow::Result;
use clap::ValueEnum;
use serde_json::{Value, json};

use crate::model::Architecture;

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

impl Shape {
    /// The name, as users write it.
    pub(super) fn name(self) -> String {
        self.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
    }

    /// The description of the model.
    ///
    /// # Errors
    /// If the configuration below is wrong.
    pub(super) fn architecture(self) -> Result<Architecture> {
        Architecture::of_config(&self.config())
    }

    /// The parts of a config.json that matter to the speed.
    fn config(self) -> Value {
        match self {
            Self::Qwen3Small => qwen3([1024, 3072, 28, 16]),
            Self::Qwen3Medium => qwen3([2560, 9728, 36, 32]),
            Self::Qwen3Large => qwen3([4096, 12288, 36, 32]),
            Self::BgeBase => json!({
                "model_type": "xlm-roberta", "vocab_size": VOCABULARY, "hidden_size": 768, "intermediate_size": 3072,
                "num_hidden_layers": 12, "num_attention_heads": 12, "layer_norm_eps": 1e-5,
                "max_position_embeddings": 514, "type_vocab_size": 1, "pad_token_id": 1,
                "architectures": ["XLMRobertaForSequenceClassification"]
            }),
            Self::MiniLm => json!({
                "model_type": "bert", "vocab_size": VOCABULARY, "hidden_size": 384, "intermediate_size": 1536,
                "num_hidden_layers": 6, "num_attention_heads": 12, "layer_norm_eps": 1e-12,
                "max_position_embeddings": 512, "type_vocab_size": 2
            }),
        }
    }
}

fn qwen3([hidden, intermediate, layers, heads]: [usize; 4]) -> Value {
    json!({
        "model_type": "qwen3", "vocab_size": VOCABULARY, "hidden_size": hidden, "intermediate_size": intermediate,
        "num_hidden_layers": layers, "num_attention_heads": heads, "num_key_value_heads": 8, "head_dim": 128,
        "rms_norm_eps": 1e-6, "rope_theta": 1e6, "max_position_embeddings": 40960, "tie_word_embeddings": true
    })
}
