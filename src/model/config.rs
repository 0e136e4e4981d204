//! `config.json`, read into what the program supports and nothing else.

use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::checkpoint::fields::Fields;
use crate::checkpoint::{not_json, read_text};

/// The families of rerankers that this version knows, as an error message lists them.
const SUPPORTED: &str = "Qwen3ForCausalLM (Qwen3-Reranker 0.6B, 4B, 8B) and Qwen3ForSequenceClassification (one label)";

/// The properties of a model, from its configuration.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelConfig {
    /// The family, which determines the recipe and the forward pass.
    pub family: Family,
    /// The head, which computes the score.
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

/// Larger than any configuration.
const MOST_CONFIG: u64 = 16 << 20;

impl ModelConfig {
    /// Reads and checks a `config.json`.
    ///
    /// # Errors
    /// If it can't be read, is of a family that is not supported, or has a feature that is not.
    pub fn read(path: &Path) -> Result<Self> {
        let text = read_text(path, MOST_CONFIG)?;
        Self::parse(&text).with_context(|| format!("{} does not describe a model that rerank can run", path.display()))
    }

    fn parse(text: &str) -> Result<Self> {
        let value: Value = serde_json::from_str(text).map_err(|error| not_json(&error))?;
        let fields = Fields::of(&value)?;
        let head = match family(fields)? {
            HeadKind::Classification => {
                let labels = fields.size("num_labels")?.or(fields.count("id2label"));
                ensure!(
                    labels.is_none_or(|labels| labels == 1),
                    "it has {} labels, and a reranker has one",
                    labels.unwrap_or(0)
                );
                HeadKind::Classification
            }
            HeadKind::YesNo { .. } => HeadKind::YesNo { tied: fields.flag("tie_word_embeddings")? },
        };
        check_features(fields)?;
        Ok(Self { family: Family::Qwen3, head, decoder: decoder(fields)? })
    }
}

/// The head that the family's name stands for.
fn family(fields: Fields<'_>) -> Result<HeadKind> {
    let model_type = fields.text("model_type")?;
    let architectures = fields.texts("architectures")?;
    match (model_type, architectures.first().copied()) {
        (Some("qwen3"), Some("Qwen3ForCausalLM") | None) => Ok(HeadKind::YesNo { tied: false }),
        (Some("qwen3"), Some("Qwen3ForSequenceClassification")) => Ok(HeadKind::Classification),
        (None, None) => bail!(
            "it has neither `model_type` nor `architectures`; is it a model's config.json? Supported are {SUPPORTED}"
        ),
        (model_type, architecture) => bail!(
            "its family is not supported (model_type {}, architecture {}); supported are {SUPPORTED}",
            model_type.unwrap_or("not given"),
            architecture.unwrap_or("not given"),
        ),
    }
}

fn check_features(fields: Fields<'_>) -> Result<()> {
    ensure!(
        fields.get("quantization_config").is_none(),
        "it is quantized (quantization_config), which is not supported yet"
    );
    ensure!(!fields.flag("attention_bias")?, "attention_bias is not supported");
    ensure!(!fields.flag("use_sliding_window")?, "use_sliding_window is not supported");
    ensure!(
        fields.get("is_causal").is_none() || fields.flag("is_causal")?,
        "is_causal is false: its attention looks both ways, as in an embedding model, which is not supported"
    );
    for kind in fields.texts("layer_types")? {
        ensure!(kind == "full_attention", "layer_types has `{kind}`, and only full_attention is supported");
    }
    let factor = fields.number("partial_rotary_factor")?.unwrap_or(1.);
    ensure!(factor == 1., "partial_rotary_factor {factor} is not supported, only 1");
    let activation = fields.text("hidden_act")?.unwrap_or("silu");
    ensure!(activation == "silu", "hidden_act `{activation}` is not supported, only silu");
    for name in ["rope_scaling", "rope_parameters"] {
        let Some(rope) = fields.object(name)? else { continue };
        let kind = rope.text("rope_type")?.or(rope.text("type")?).unwrap_or("default");
        ensure!(kind == "default", "rope scaling `{kind}` is not supported");
        let factor = rope.number("partial_rotary_factor")?.unwrap_or(1.);
        ensure!(factor == 1., "{name} has a partial_rotary_factor of {factor}, which is not supported, only 1");
    }
    Ok(())
}

/// The sizes, each of which can be any number still: the weights are checked against them before memory is allocated.
fn decoder(fields: Fields<'_>) -> Result<DecoderConfig> {
    let heads = fields.required_size("num_attention_heads")?;
    let key_heads = fields.size("num_key_value_heads")?.unwrap_or(heads);
    ensure!(heads.is_multiple_of(key_heads), "{heads} attention heads can't share {key_heads} key heads evenly");
    let head_dim = fields.size("head_dim")?.unwrap_or(DEFAULT_HEAD_DIM);
    ensure!(head_dim.is_multiple_of(2), "head_dim {head_dim} is odd");
    let parameters = fields.object("rope_parameters")?.map_or(Ok(None), |rope| rope.number("rope_theta"))?;
    let norm_epsilon = fields.number("rms_norm_eps")?.context("it has no rms_norm_eps")?;
    ensure!(norm_epsilon < 1., "rms_norm_eps is {norm_epsilon}, and should be far below 1, such as 1e-6");
    let rope_theta = parameters.or(fields.number("rope_theta")?).context("it has no rope_theta")?;
    ensure!(
        (1. ..=LARGEST_THETA).contains(&rope_theta),
        "rope_theta is {rope_theta:e}, and can be from 1 to {LARGEST_THETA:e}"
    );
    Ok(DecoderConfig {
        vocabulary: fields.required_size("vocab_size")?,
        hidden: fields.required_size("hidden_size")?,
        intermediate: fields.required_size("intermediate_size")?,
        layers: fields.required_size("num_hidden_layers")?,
        heads,
        key_heads,
        head_dim,
        norm_epsilon,
        rope_theta,
        max_positions: fields.required_size("max_position_embeddings")?,
    })
}

const DEFAULT_HEAD_DIM: usize = 128;
/// Beyond every model; frequencies far smaller than its inverse are 0 in f32.
const LARGEST_THETA: f64 = 1e15;

#[cfg(test)]
mod tests {
    use serde_json::json;

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
            (json!({"hidden_size": "big"}), "hidden_size is \"big\", and should be a whole number"),
            (json!({"hidden_size": null}), "has no hidden_size"),
            (json!({"max_position_embeddings": 1_000_000_000_000u64}), "max_position_embeddings is 1000000000000"),
            (json!({"rms_norm_eps": "small"}), "should be a number"),
            (json!({"architectures": "Qwen3ForCausalLM"}), "a list of texts"),
            (json!({"hidden_act": "gelu"}), "gelu"),
            (json!({"head_dim": 0}), "head_dim"),
            (json!({"hidden_size": 18_446_744_073_709_551_616f64}), "from 1 to 2147483647"),
            (json!({"is_causal": false}), "looks both ways"),
            (json!({"layer_types": vec!["sliding_attention"; 28]}), "`sliding_attention`"),
            (json!({"partial_rotary_factor": 0.5}), "partial_rotary_factor 0.5"),
            (json!({"rope_parameters": {"rope_theta": 1e6, "partial_rotary_factor": 0.25}}), "of 0.25"),
            (json!({"rms_norm_eps": 1e300}), "far below 1"),
            (json!({"rope_theta": 1e-300}), "rope_theta is 1e-300"),
        ] {
            let message = format!("{:#}", parse(&changes).unwrap_err());
            assert!(message.contains(named), "{message}");
        }
    }
}
