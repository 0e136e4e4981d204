//! What the encoders after BERT have in common: learned positions, layers whose norms stand behind, and a head on the first
//! token. The names of their tensors and of their configurations' fields differ.

use anyhow::{Context, Result, ensure};

use super::{MOST_LAYERS, activation, labels};
use crate::fields::Fields;
use crate::model::{
    Activation, Architecture, Attention, Embedding, Head, HeadOutput, HeadStep, Heads, Layer, Linear, Mask, Mlp, Norm,
    NormPlacement, Pooling, Positions, Tensor,
};

/// The names of tensors.
pub(super) struct Names {
    /// What stands before all names but those of the head.
    pub(super) prefix: &'static str,
    /// The norm of the embedding.
    pub(super) embedding_norm: &'static str,
    /// The layers.
    pub(super) layers: &'static str,
    /// Queries, keys and values.
    pub(super) attention: Products,
    /// The product behind attention, and its norm.
    pub(super) attention_output: [&'static str; 2],
    /// The first product of the MLP.
    pub(super) up: &'static str,
    /// The second, and its norm.
    pub(super) down: [&'static str; 2],
}

/// How queries, keys and values are stored.
pub(super) enum Products {
    /// Each by itself.
    Apart([&'static str; 3]),
    /// As rows of one matrix: first all queries.
    Together(&'static str),
}

/// The names that BERT has, and the most of those after it.
pub(super) const fn of_bert(prefix: &'static str) -> Names {
    Names {
        prefix,
        embedding_norm: "embeddings.LayerNorm",
        layers: "encoder.layer",
        attention: Products::Apart(["attention.self.query", "attention.self.key", "attention.self.value"]),
        attention_output: ["attention.output.dense", "attention.output.LayerNorm"],
        up: "intermediate.dense",
        down: ["output.dense", "output.LayerNorm"],
    }
}

/// The fields that [`Sizes::read`] reads.
pub(super) const READ: [&str; 15] = [
    "hidden_act",
    "hidden_size",
    "id2label",
    "intermediate_size",
    "is_decoder",
    "layer_norm_eps",
    "max_position_embeddings",
    "num_attention_heads",
    "num_hidden_layers",
    "num_labels",
    "pad_token_id",
    "position_embedding_type",
    // A classifier has no words to predict; version 5 of transformers stores it all the same.
    "tie_word_embeddings",
    "type_vocab_size",
    "vocab_size",
];

/// What transformers takes where `layer_norm_eps` is missing.
const DEFAULT_EPSILON: f64 = 1e-12;
/// The same of `type_vocab_size`.
const DEFAULT_TYPES: usize = 2;

/// The sizes of an encoder.
pub(super) struct Sizes {
    pub(super) hidden: usize,
    /// Features of the embedding.
    pub(super) embedding: usize,
    pub(super) intermediate: usize,
    pub(super) layers: usize,
    pub(super) heads: usize,
    pub(super) vocabulary: usize,
    /// Rows of the table of positions, and the row of the first token.
    pub(super) positions: usize,
    pub(super) first_position: usize,
    /// Rows of the table of token types, if there is one.
    pub(super) types: Option<usize>,
    pub(super) epsilon: f64,
    pub(super) activation: Activation,
}

impl Sizes {
    /// Reads them by the names that BERT's configuration has.
    pub(super) fn read(fields: Fields<'_>) -> Result<Self> {
        check_features(fields)?;
        let hidden = fields.required_size("hidden_size")?;
        Ok(Self {
            hidden,
            embedding: hidden,
            intermediate: fields.required_size("intermediate_size")?,
            layers: fields.required_size("num_hidden_layers")?,
            heads: fields.required_size("num_attention_heads")?,
            vocabulary: fields.required_size("vocab_size")?,
            positions: fields.required_size("max_position_embeddings")?,
            first_position: 0,
            types: Some(fields.size("type_vocab_size")?.unwrap_or(DEFAULT_TYPES)),
            epsilon: fields.number("layer_norm_eps")?.unwrap_or(DEFAULT_EPSILON),
            activation: activation::of_field(fields, "hidden_act")?,
        })
    }
}

/// Refuses what none of these families has.
pub(super) fn check_features(fields: Fields<'_>) -> Result<()> {
    labels::check(fields)?;
    let positions = fields.text("position_embedding_type")?.unwrap_or("absolute");
    ensure!(positions == "absolute", "position_embedding_type `{positions}` is not supported, only absolute");
    ensure!(!fields.flag("is_decoder")?, "is_decoder is true: its attention looks back only, which is not supported");
    Ok(())
}

/// Describes an encoder whose head has these steps before its one row.
pub(super) fn describe(family: &'static str, names: &Names, sizes: &Sizes, head: Head) -> Result<Architecture> {
    let Sizes { hidden, embedding, layers, heads, positions, first_position, epsilon, .. } = *sizes;
    ensure!(layers <= MOST_LAYERS, "it has {layers} layers, and there can be up to {MOST_LAYERS}");
    ensure!(hidden.is_multiple_of(heads), "{hidden} features can't be shared evenly by {heads} heads");
    ensure!(epsilon < 1., "layer_norm_eps is {epsilon}, and should be far below 1, such as 1e-12");
    let max_length = positions.checked_sub(first_position).filter(|length| *length > 0).with_context(|| {
        format!("max_position_embeddings {positions} leaves no position: the first is {first_position}")
    })?;
    let name = |part: &str| format!("{}.{part}", names.prefix);
    let table = |kind: &str, rows: usize| Tensor::matrix(name(&format!("embeddings.{kind}.weight")), rows, embedding);
    let projection = (embedding != hidden).then(|| Linear::biased(&name("embeddings_project"), hidden, embedding));
    Ok(Architecture {
        family,
        hidden,
        max_length,
        embedding: Embedding {
            tokens: table("word_embeddings", sizes.vocabulary),
            scale: 1.,
            positions: Some(Positions { table: table("position_embeddings", positions), first: first_position }),
            token_types: sizes.types.map(|rows| table("token_type_embeddings", rows)),
            norm: Some(Norm::layer(&name(names.embedding_norm), embedding, epsilon)),
            projection,
        },
        layers: (0..layers).map(|layer| names.layer(layer, sizes)).collect(),
        final_norm: None,
        pooling: Pooling::FirstToken,
        padding: None,
        head,
    })
}

/// A dense layer and its activation before the row that gives the logit.
pub(super) fn head(hidden: usize, dense: &str, activation: Activation, output: &str) -> Head {
    Head {
        steps: vec![HeadStep::Dense(Linear::biased(dense, hidden, hidden), Some(activation))],
        output: HeadOutput::Classifier(Linear::biased(output, 1, hidden)),
        temperature: 1.,
    }
}

impl Names {
    fn layer(&self, index: usize, sizes: &Sizes) -> Layer {
        let Sizes { hidden, intermediate, heads, epsilon, activation, .. } = *sizes;
        let name = |part: &str| format!("{}.{}.{index}.{part}", self.prefix, self.layers);
        let linear = |part: &str, outputs: usize, inputs: usize| Linear::biased(&name(part), outputs, inputs);
        let norm = |part: &str| Norm::layer(&name(part), hidden, epsilon);
        let [query, key, value] = match self.attention {
            Products::Apart(parts) => parts.map(|part| linear(part, hidden, hidden)),
            Products::Together(part) => {
                let all = linear(part, 3 * hidden, hidden);
                [0, 1, 2].map(|third| all.part(third * hidden..(third + 1) * hidden))
            }
        };
        let heads = Heads { query: heads, key: heads, head_dim: hidden / heads };
        Layer {
            placement: NormPlacement::After,
            attention_norm: Some(norm(self.attention_output[1])),
            attention: Attention {
                heads,
                query,
                key,
                value,
                output: linear(self.attention_output[0], hidden, hidden),
                query_key_norms: None,
                rotary: None,
                relative: None,
                mask: Mask::Bidirectional,
                window: None,
                scale: heads.usual_scale(),
            },
            mlp_norm: norm(self.down[1]),
            mlp: Mlp::Plain {
                up: linear(self.up, intermediate, hidden),
                down: linear(self.down[0], hidden, intermediate),
                activation,
            },
        }
    }
}
