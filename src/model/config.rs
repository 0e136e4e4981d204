//! `config.json`, read into what the program supports and nothing else.

use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;

/// The families of rerankers that this version knows, as an error message lists them.
const SUPPORTED: &str = "Qwen3ForCausalLM (Qwen3-Reranker 0.6B, 4B, 8B) and Qwen3ForSequenceClassification (one label)";

/// What a model's configuration says about it.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelConfig {
    /// Which recipe and which forward.
    pub family: Family,
    /// Where the score comes from.
    pub head: HeadKind,
    /// The decoder's shape.
    pub decoder: DecoderConfig,
}

/// Families of rerankers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// Qwen3-Reranker.
    Qwen3,
}

/// How the last token's hidden vector becomes a logit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeadKind {
    /// A language model: its output row of `yes` minus that of `no`.
    YesNo {
        /// Whether the output rows are those of the embedding.
        tied: bool,
    },
    /// A classifier with one label: the row `score.weight`.
    Classification,
}

/// The shape of a decoder in the style of Llama, with normalized queries and keys.
#[derive(Clone, Debug, PartialEq)]
pub struct DecoderConfig {
    /// Rows of the embedding.
    pub vocabulary: usize,
    /// Features of the residual stream.
    pub hidden: usize,
    /// Features inside the MLP.
    pub intermediate: usize,
    /// Layers.
    pub layers: usize,
    /// Query heads.
    pub heads: usize,
    /// Key and value heads; divides the query heads.
    pub key_heads: usize,
    /// Features of a head; not always `hidden / heads`.
    pub head_dim: usize,
    /// ε of RMSNorm.
    pub norm_epsilon: f64,
    /// Base of the rotary embedding's frequencies.
    pub rope_theta: f64,
    /// Positions that the model was made for.
    pub max_positions: usize,
}

/// The fields of `config.json` that matter, under the names that transformers 4 and 5 write.
#[derive(Deserialize)]
struct Raw {
    #[serde(default)]
    architectures: Vec<String>,
    model_type: Option<String>,
}

#[derive(Deserialize)]
struct RawQwen3 {
    vocab_size: usize,
    hidden_size: usize,
    intermediate_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    num_key_value_heads: Option<usize>,
    #[serde(default = "default_head_dim")]
    head_dim: usize,
    rms_norm_eps: f64,
    max_position_embeddings: usize,
    rope_theta: Option<f64>,
    rope_scaling: Option<RawRope>,
    rope_parameters: Option<RawRope>,
    #[serde(default)]
    tie_word_embeddings: bool,
    #[serde(default)]
    attention_bias: bool,
    hidden_act: Option<String>,
    #[serde(default)]
    use_sliding_window: bool,
    quantization_config: Option<serde_json::Value>,
    num_labels: Option<usize>,
    id2label: Option<serde_json::Map<String, serde_json::Value>>,
}

#[derive(Deserialize)]
struct RawRope {
    rope_theta: Option<f64>,
    #[serde(alias = "type")]
    rope_type: Option<String>,
}

fn default_head_dim() -> usize {
    128
}

impl ModelConfig {
    /// Reads and checks a `config.json`.
    ///
    /// # Errors
    /// If it can't be read, is of a family that is not supported, or has a feature that is not.
    pub fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        Self::parse(&text).with_context(|| format!("{} does not describe a model that rerank can run", path.display()))
    }

    fn parse(text: &str) -> Result<Self> {
        let raw: Raw = serde_json::from_str(text).context("it is not a model's config.json")?;
        let architecture = raw.architectures.first().map(String::as_str);
        let classification = match (raw.model_type.as_deref(), architecture) {
            (Some("qwen3"), Some("Qwen3ForCausalLM") | None) => false,
            (Some("qwen3"), Some("Qwen3ForSequenceClassification")) => true,
            (model_type, architecture) => bail!(
                "its family is not supported (model_type {}, architecture {}); supported are {SUPPORTED}",
                model_type.unwrap_or("not given"),
                architecture.unwrap_or("not given"),
            ),
        };
        let raw: RawQwen3 = serde_json::from_str(text).context("a field is missing or of another type")?;
        raw.check()?;
        let head = if classification {
            let labels = raw.num_labels.or(raw.id2label.as_ref().map(serde_json::Map::len));
            ensure!(
                labels.is_none_or(|labels| labels == 1),
                "it has {} labels, and a reranker has one",
                labels.unwrap_or(0)
            );
            HeadKind::Classification
        } else {
            HeadKind::YesNo { tied: raw.tie_word_embeddings }
        };
        Ok(Self { family: Family::Qwen3, head, decoder: raw.decoder()? })
    }
}

impl RawQwen3 {
    fn check(&self) -> Result<()> {
        ensure!(
            self.quantization_config.is_none(),
            "it is quantized (quantization_config), which is not supported yet"
        );
        ensure!(!self.attention_bias, "attention_bias is not supported");
        ensure!(!self.use_sliding_window, "use_sliding_window is not supported");
        let activation = self.hidden_act.as_deref().unwrap_or("silu");
        ensure!(activation == "silu", "hidden_act `{activation}` is not supported, only silu");
        for rope in [&self.rope_scaling, &self.rope_parameters].into_iter().flatten() {
            let kind = rope.rope_type.as_deref().unwrap_or("default");
            ensure!(kind == "default", "rope scaling `{kind}` is not supported");
        }
        Ok(())
    }

    fn decoder(&self) -> Result<DecoderConfig> {
        let key_heads = self.num_key_value_heads.unwrap_or(self.num_attention_heads);
        let sizes = [
            ("vocab_size", self.vocab_size),
            ("hidden_size", self.hidden_size),
            ("intermediate_size", self.intermediate_size),
            ("num_hidden_layers", self.num_hidden_layers),
            ("num_attention_heads", self.num_attention_heads),
            ("num_key_value_heads", key_heads),
            ("head_dim", self.head_dim),
            ("max_position_embeddings", self.max_position_embeddings),
        ];
        for (name, size) in sizes {
            ensure!((1..1 << 31).contains(&size), "{name} is {size}");
        }
        ensure!(
            self.num_attention_heads.is_multiple_of(key_heads),
            "{} attention heads can't share {key_heads} key heads evenly",
            self.num_attention_heads
        );
        ensure!(self.head_dim.is_multiple_of(2), "head_dim {} is odd", self.head_dim);
        let parameters = self.rope_parameters.as_ref().and_then(|rope| rope.rope_theta);
        Ok(DecoderConfig {
            vocabulary: self.vocab_size,
            hidden: self.hidden_size,
            intermediate: self.intermediate_size,
            layers: self.num_hidden_layers,
            heads: self.num_attention_heads,
            key_heads,
            head_dim: self.head_dim,
            norm_epsilon: self.rms_norm_eps,
            rope_theta: parameters.or(self.rope_theta).context("rope_theta is missing")?,
            max_positions: self.max_position_embeddings,
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// The 0.6B model's config.json, as transformers 4 wrote it, with changes.
    fn parse(changes: &Value) -> Result<ModelConfig> {
        let mut config = json!({
            "architectures": ["Qwen3ForCausalLM"], "attention_bias": false, "head_dim": 128, "hidden_act": "silu",
            "hidden_size": 1024, "intermediate_size": 3072, "max_position_embeddings": 40960, "max_window_layers": 28,
            "model_type": "qwen3", "num_attention_heads": 16, "num_hidden_layers": 28, "num_key_value_heads": 8,
            "rms_norm_eps": 1e-6, "rope_scaling": null, "rope_theta": 1_000_000, "sliding_window": null,
            "tie_word_embeddings": true, "torch_dtype": "bfloat16", "use_sliding_window": false, "vocab_size": 151_669
        });
        for (name, value) in changes.as_object().unwrap() {
            config[name] = value.clone();
        }
        ModelConfig::parse(&config.to_string())
    }

    #[test]
    fn both_spellings_of_rope_are_read() {
        let old = parse(&json!({})).unwrap();
        assert_eq!((old.decoder.rope_theta, old.decoder.head_dim, old.decoder.key_heads), (1e6, 128, 8));
        assert_eq!(old.head, HeadKind::YesNo { tied: true });
        let new = parse(&json!({"rope_theta": null, "rope_parameters": {"rope_theta": 5e5, "rope_type": "default"}}))
            .unwrap();
        assert_eq!(new.decoder.rope_theta, 5e5);
    }

    #[test]
    fn a_converted_classifier_has_one_label() {
        let architectures = json!(["Qwen3ForSequenceClassification"]);
        let one = parse(&json!({"architectures": architectures, "id2label": {"0": "LABEL_0"}})).unwrap();
        assert_eq!(one.head, HeadKind::Classification);
        assert!(parse(&json!({"architectures": architectures, "num_labels": 2})).is_err());
    }

    #[test]
    fn what_is_not_supported_is_refused_by_name() {
        for (changes, named) in [
            (json!({"model_type": "llama", "architectures": ["LlamaForCausalLM"]}), "Qwen3-Reranker"),
            (json!({"rope_scaling": {"type": "yarn", "factor": 4.0}}), "yarn"),
            (json!({"quantization_config": {"bits": 4}}), "quantiz"),
            (json!({"num_key_value_heads": 5}), "evenly"),
            (json!({"hidden_size": "big"}), "another type"),
            (json!({"hidden_act": "gelu"}), "gelu"),
            (json!({"head_dim": 0}), "head_dim"),
        ] {
            let message = format!("{:#}", parse(&changes).unwrap_err());
            assert!(message.contains(named), "{message}");
        }
    }
}
