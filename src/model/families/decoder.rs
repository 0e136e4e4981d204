//! Decoders in the style of Llama: what their families have in common, and what each states of itself. See
//! `modeling_llama.py` of transformers, of which the files of the others are variations.

use anyhow::{Result, ensure};

use super::{activation, labels, layer_count, rotary, windows};
use crate::fields::Fields;
use crate::model::{
    Activation, Architecture, Attention, Embedding, Head, HeadOutput, Heads, Layer, Linear, Mask, Mlp, Norm,
    NormPlacement, Pooling, Rotary, Tensor,
};

/// The fields that are read here. A family adds those of its own.
pub(super) const READ: [&str; 21] = [
    "attention_bias",
    "head_dim",
    "hidden_act",
    "hidden_size",
    "intermediate_size",
    "is_causal",
    // Without effect: these families look back in any case.
    "is_decoder",
    "layer_types",
    "max_position_embeddings",
    "mlp_bias",
    "num_attention_heads",
    "num_hidden_layers",
    "num_key_value_heads",
    "partial_rotary_factor",
    "rms_norm_eps",
    "rope_parameters",
    "rope_scaling",
    "rope_theta",
    "tie_word_embeddings",
    "use_bidirectional_attention",
    "vocab_size",
];

/// What a family of decoders has of its own, and what transformers takes where a field is missing.
pub(super) struct Style {
    pub(super) family: &'static str,
    /// Features of a head; by default those of the residual stream over the heads.
    pub(super) head_dim: Option<usize>,
    pub(super) max_length: usize,
    pub(super) activation: &'static str,
    /// The activations that are known by other names than elsewhere.
    pub(super) renamed: &'static [(&'static str, Activation)],
    pub(super) is_tied: bool,
    /// Whether queries, keys and values have biases whatever the configuration states, and the output none.
    pub(super) biased_inputs: bool,
    /// The fields that ask for biases, as far as the family reads them.
    pub(super) bias_fields: &'static [&'static str],
    /// Whether each head of queries and keys has a norm.
    pub(super) head_norms: bool,
    /// What is added to the weights of norms.
    pub(super) weight_offset: f32,
    /// Whether the embedding is multiplied by the root of its width.
    pub(super) scaled_embedding: bool,
    /// The farthest key of each layer, where some have windows.
    pub(super) windows: fn(Fields<'_>, usize) -> Result<Vec<Option<usize>>>,
}

/// A decoder like Llama.
pub(super) const LLAMA: Style = Style {
    family: "llama",
    head_dim: None,
    max_length: 2048,
    activation: "silu",
    renamed: &[],
    is_tied: false,
    biased_inputs: false,
    bias_fields: &["attention_bias", "mlp_bias"],
    head_norms: false,
    weight_offset: 0.,
    scaled_embedding: false,
    windows: windows::none,
};

const DEFAULT_NORM_EPSILON: f64 = 1e-6;

/// Describes a decoder.
pub(super) fn describe(class: &str, fields: Fields<'_>, style: &Style) -> Result<Architecture> {
    check_direction(fields)?;
    describe_any_direction(class, fields, style)
}

/// Describes a decoder of a family that has its own masks.
pub(super) fn describe_any_direction(class: &str, fields: Fields<'_>, style: &Style) -> Result<Architecture> {
    let layers = layer_count(fields)?;
    let hidden = fields.required_size("hidden_size")?;
    let sizes = Sizes::read(fields, style)?;
    let embedding = Tensor::matrix("model.embed_tokens.weight", fields.required_size("vocab_size")?, hidden);
    let is_classifier = class.ends_with("ForSequenceClassification");
    let output = output(is_classifier, fields, style, &embedding)?;
    let windows = (style.windows)(fields, layers)?;
    let max_length = fields.size("max_position_embeddings")?.unwrap_or(style.max_length);
    // A window that no prompt is longer than is none.
    let windows = windows.into_iter().map(|window| window.filter(|farthest| farthest + 1 < max_length));
    Ok(Architecture {
        family: style.family,
        hidden,
        max_length,
        embedding: Embedding {
            scale: if style.scaled_embedding { (hidden as f64).sqrt() as f32 } else { 1. },
            ..Embedding::of_tokens(embedding)
        },
        layers: windows.enumerate().map(|(layer, window)| sizes.layer(layer, window)).collect(),
        final_norm: Some(sizes.norm("model.norm", hidden)),
        pooling: Pooling::LastToken,
        // A classifier takes the last token that is not padding, in batches without padding too.
        padding: if is_classifier { fields.count_from_zero("pad_token_id")?.map(|token| token as u32) } else { None },
        head: Head { steps: Vec::new(), output, temperature: 1. },
    })
}

fn check_direction(fields: Fields<'_>) -> Result<()> {
    ensure!(
        fields.flag_or_true("is_causal")?,
        "is_causal is false: its attention looks both ways, as in an embedding model, which is not supported"
    );
    ensure!(
        !fields.flag("use_bidirectional_attention")?,
        "use_bidirectional_attention is true: its attention looks both ways, as in an embedding model, which is not supported"
    );
    Ok(())
}

fn output(is_classifier: bool, fields: Fields<'_>, style: &Style, embedding: &Tensor) -> Result<HeadOutput> {
    if is_classifier {
        labels::check(fields)?;
        return Ok(HeadOutput::Classifier(Linear::new("score", 1, embedding.inputs())));
    }
    let is_tied = match fields.get("tie_word_embeddings") {
        Some(_) => fields.flag("tie_word_embeddings")?,
        None => style.is_tied,
    };
    Ok(HeadOutput::Vocabulary(match is_tied {
        true => embedding.clone(),
        false => Tensor { name: "lm_head.weight".to_owned(), ..embedding.clone() },
    }))
}

fn has_bias(fields: Fields<'_>, name: &str, style: &Style) -> Result<bool> {
    let has = fields.flag(name)?;
    ensure!(
        !has || style.bias_fields.contains(&name),
        "{name} is true, and {} models have no such biases",
        style.family
    );
    Ok(has)
}

fn activation(fields: Fields<'_>, style: &Style) -> Result<Activation> {
    let name = fields.text("hidden_act")?.unwrap_or(style.activation);
    match style.renamed.iter().find(|(known, _)| *known == name) {
        Some((_, activation)) => Ok(*activation),
        None => activation::of_name("hidden_act", name),
    }
}

/// The sizes of a layer, each of which can be any number still: the weights are checked against them before memory is
/// allocated.
struct Sizes {
    hidden: usize,
    heads: Heads,
    intermediate: usize,
    epsilon: f64,
    rotary: Rotary,
    activation: Activation,
    /// Whether there are biases of queries, keys and values, of attention's output, and of the MLP.
    biases: [bool; 3],
    head_norms: bool,
    weight_offset: f32,
}

impl Sizes {
    fn read(fields: Fields<'_>, style: &Style) -> Result<Self> {
        let hidden = fields.required_size("hidden_size")?;
        let query = fields.required_size("num_attention_heads")?;
        let key = fields.size("num_key_value_heads")?.unwrap_or(query);
        ensure!(query.is_multiple_of(key), "{query} attention heads can't share {key} key heads evenly");
        let head_dim = match fields.size("head_dim")?.or(style.head_dim) {
            Some(head_dim) => head_dim,
            None => {
                ensure!(
                    hidden.is_multiple_of(query),
                    "{hidden} features can't be shared evenly by {query} attention heads"
                );
                hidden / query
            }
        };
        ensure!(head_dim.is_multiple_of(2), "head_dim {head_dim} is odd");
        let epsilon = fields.number("rms_norm_eps")?.unwrap_or(DEFAULT_NORM_EPSILON);
        ensure!(epsilon < 1., "rms_norm_eps is {epsilon}, and should be far below 1, such as 1e-6");
        let of_attention = has_bias(fields, "attention_bias", style)?;
        Ok(Self {
            hidden,
            heads: Heads { query, key, head_dim },
            intermediate: fields.required_size("intermediate_size")?,
            epsilon,
            rotary: rotary::read(fields, head_dim, rotary::USUAL_THETA)?,
            activation: activation(fields, style)?,
            biases: [of_attention || style.biased_inputs, of_attention, has_bias(fields, "mlp_bias", style)?],
            head_norms: style.head_norms,
            weight_offset: style.weight_offset,
        })
    }

    fn norm(&self, name: &str, features: usize) -> Norm {
        Norm { weight_offset: self.weight_offset, ..Norm::rms(name, features, self.epsilon) }
    }

    fn layer(&self, index: usize, window: Option<usize>) -> Layer {
        let Self { hidden, heads, intermediate, rotary, activation, biases, .. } = *self;
        let [of_inputs, of_output, of_mlp] = biases;
        let name = |part: &str| format!("model.layers.{index}.{part}");
        let linear = |part: &str, outputs: usize, inputs: usize, biased: bool| {
            let new = if biased { Linear::biased } else { Linear::new };
            new(&name(part), outputs, inputs)
        };
        let norm = |part: &str, features: usize| self.norm(&name(part), features);
        let (queries, keys) = (heads.query_width(), heads.key_width());
        let head_norm = |part: &str| norm(part, heads.head_dim);
        Layer {
            placement: NormPlacement::Before,
            attention_norm: Some(norm("input_layernorm", hidden)),
            attention: Attention {
                heads,
                query: linear("self_attn.q_proj", queries, hidden, of_inputs),
                key: linear("self_attn.k_proj", keys, hidden, of_inputs),
                value: linear("self_attn.v_proj", keys, hidden, of_inputs),
                output: linear("self_attn.o_proj", hidden, queries, of_output),
                query_key_norms: self.head_norms.then(|| ["self_attn.q_norm", "self_attn.k_norm"].map(head_norm)),
                rotary: Some(rotary),
                relative: None,
                mask: Mask::Causal,
                window,
                scale: heads.usual_scale(),
            },
            mlp_norm: norm("post_attention_layernorm", hidden),
            mlp: Mlp::Gated {
                gate: linear("mlp.gate_proj", intermediate, hidden, of_mlp),
                up: linear("mlp.up_proj", intermediate, hidden, of_mlp),
                down: linear("mlp.down_proj", hidden, intermediate, of_mlp),
                activation,
            },
        }
    }
}
