//! Qwen3: see `modeling_qwen3.py` of transformers, whose numbers the tests compare.

use anyhow::{Result, ensure};

use super::{Family, MOST_LAYERS, rotary};
use crate::fields::Fields;
use crate::model::{
    Activation, Architecture, Attention, Embedding, Head, HeadOutput, Heads, Layer, Linear, Mask, Mlp, Norm,
    NormPlacement, Pooling, Rotary, Tensor,
};

pub(super) const FAMILY: Family = Family {
    model_types: &["qwen3"],
    classes: &[("Qwen3ForCausalLM", "Qwen3-Reranker 0.6B, 4B, 8B"), ("Qwen3ForSequenceClassification", "one label")],
    code: &[],
    has_recipe: true,
    read: &READ,
    describe,
};

/// The fields that are read here.
const READ: [&str; 22] = [
    "attention_bias",
    "head_dim",
    "hidden_act",
    "hidden_size",
    "intermediate_size",
    "is_causal",
    // Without effect: this family looks back in any case.
    "is_decoder",
    "layer_types",
    "max_position_embeddings",
    "max_window_layers",
    "num_attention_heads",
    "num_hidden_layers",
    "num_key_value_heads",
    "partial_rotary_factor",
    "rms_norm_eps",
    "rope_parameters",
    "rope_scaling",
    "rope_theta",
    "sliding_window",
    "tie_word_embeddings",
    "use_sliding_window",
    "vocab_size",
];

// What transformers takes where a field is missing.
const DEFAULT_HEAD_DIM: usize = 128;
const DEFAULT_NORM_EPSILON: f64 = 1e-6;
const DEFAULT_MAX_LENGTH: usize = 32_768;
const DEFAULT_MAX_WINDOW_LAYERS: usize = 28;

fn describe(class: &str, fields: Fields<'_>) -> Result<Architecture> {
    let layers = fields.required_size("num_hidden_layers")?;
    ensure!(layers <= MOST_LAYERS, "num_hidden_layers is {layers}, and can be up to {MOST_LAYERS}");
    check_features(fields, layers)?;
    let hidden = fields.required_size("hidden_size")?;
    let vocabulary = fields.required_size("vocab_size")?;
    let sizes = Sizes::read(fields)?;
    let mut padding = None;
    let embedding = Tensor::matrix("model.embed_tokens.weight", vocabulary, hidden);
    let output = match class {
        "Qwen3ForSequenceClassification" => {
            let labels = fields.size("num_labels")?.or(fields.count("id2label")).unwrap_or(1);
            ensure!(labels == 1, "it has {labels} labels, and a reranker has one");
            // A classifier takes the last token that is not padding, in batches without padding too.
            padding = fields.count_from_zero("pad_token_id")?.map(|token| token as u32);
            HeadOutput::Classifier(Linear::new("score", 1, hidden))
        }
        _ if fields.flag("tie_word_embeddings")? => HeadOutput::Vocabulary(embedding.clone()),
        _ => HeadOutput::Vocabulary(Tensor::matrix("lm_head.weight", vocabulary, hidden)),
    };
    Ok(Architecture {
        family: "qwen3",
        hidden,
        max_length: fields.size("max_position_embeddings")?.unwrap_or(DEFAULT_MAX_LENGTH),
        embedding: Embedding::of_tokens(embedding),
        layers: (0..layers).map(|layer| sizes.layer(layer, hidden)).collect(),
        final_norm: Some(Norm::rms("model.norm", hidden, sizes.epsilon)),
        pooling: Pooling::LastToken,
        padding,
        head: Head { steps: Vec::new(), output, temperature: 1. },
    })
}

fn check_features(fields: Fields<'_>, layers: usize) -> Result<()> {
    ensure!(!fields.flag("attention_bias")?, "attention_bias is not supported");
    ensure!(
        fields.get("is_causal").is_none() || fields.flag("is_causal")?,
        "is_causal is false: its attention looks both ways, as in an embedding model, which is not supported"
    );
    let kinds = fields.texts("layer_types")?;
    ensure!(
        kinds.is_empty() || kinds.len() == layers,
        "layer_types has {} entries, and there are {layers} layers",
        kinds.len()
    );
    for kind in &kinds {
        ensure!(*kind == "full_attention", "layer_types has `{kind}`, and only full_attention is supported");
    }
    // Without layer_types, the layers from max_window_layers on have windows.
    let first_window = fields.count_from_zero("max_window_layers")?.unwrap_or(DEFAULT_MAX_WINDOW_LAYERS);
    let windows = kinds.is_empty() && !fields.is_null("sliding_window") && first_window < layers;
    ensure!(
        !(fields.flag("use_sliding_window")? && windows),
        "use_sliding_window is not supported: layers from {first_window} on look back over a window only"
    );
    let activation = fields.text("hidden_act")?.unwrap_or("silu");
    ensure!(["silu", "swish"].contains(&activation), "hidden_act `{activation}` is not supported, only silu");
    Ok(())
}

/// The sizes of a layer, each of which can be any number still: the weights are checked against them before memory is
/// allocated.
struct Sizes {
    heads: Heads,
    intermediate: usize,
    epsilon: f64,
    rotary: Rotary,
}

impl Sizes {
    fn read(fields: Fields<'_>) -> Result<Self> {
        let query = fields.required_size("num_attention_heads")?;
        let key = fields.size("num_key_value_heads")?.unwrap_or(query);
        ensure!(query.is_multiple_of(key), "{query} attention heads can't share {key} key heads evenly");
        let head_dim = fields.size("head_dim")?.unwrap_or(DEFAULT_HEAD_DIM);
        ensure!(head_dim.is_multiple_of(2), "head_dim {head_dim} is odd");
        let epsilon = fields.number("rms_norm_eps")?.unwrap_or(DEFAULT_NORM_EPSILON);
        ensure!(epsilon < 1., "rms_norm_eps is {epsilon}, and should be far below 1, such as 1e-6");
        let intermediate = fields.required_size("intermediate_size")?;
        Ok(Self {
            heads: Heads { query, key, head_dim },
            intermediate,
            epsilon,
            rotary: rotary::read(fields, head_dim)?,
        })
    }

    fn layer(&self, index: usize, hidden: usize) -> Layer {
        let Self { heads, intermediate, epsilon, rotary } = *self;
        let name = |part: &str| format!("model.layers.{index}.{part}");
        let linear = |part: &str, outputs: usize, inputs: usize| Linear::new(&name(part), outputs, inputs);
        let norm = |part: &str, features: usize| Norm::rms(&name(part), features, epsilon);
        let (queries, keys) = (heads.query_width(), heads.key_width());
        Layer {
            placement: NormPlacement::Before,
            attention_norm: Some(norm("input_layernorm", hidden)),
            attention: Attention {
                heads,
                query: linear("self_attn.q_proj", queries, hidden),
                key: linear("self_attn.k_proj", keys, hidden),
                value: linear("self_attn.v_proj", keys, hidden),
                output: linear("self_attn.o_proj", hidden, queries),
                query_key_norms: Some(["self_attn.q_norm", "self_attn.k_norm"].map(|part| norm(part, heads.head_dim))),
                rotary: Some(rotary),
                relative: None,
                mask: Mask::Causal,
                window: None,
                scale: heads.usual_scale(),
            },
            mlp_norm: norm("post_attention_layernorm", hidden),
            mlp: Mlp::Gated {
                gate: linear("mlp.gate_proj", intermediate, hidden),
                up: linear("mlp.up_proj", intermediate, hidden),
                down: linear("mlp.down_proj", hidden, intermediate),
                activation: Activation::Silu,
            },
        }
    }
}
