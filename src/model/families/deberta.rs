//! DeBERTa-v2 and v3: see `modeling_deberta_v2.py` of transformers.

use anyhow::{Context, Result, bail, ensure};

use super::{Family, MOST_LAYERS, activation, labels};
use crate::fields::Fields;
use crate::model::{
    Activation, Architecture, Attention, Embedding, Head, HeadOutput, HeadStep, Heads, Layer, Linear, Mask, Mlp, Norm,
    NormPlacement, Pooling, Positions, Relative, Tensor,
};

pub(super) const FAMILY: Family = Family {
    model_types: &["deberta-v2"],
    classes: &[("DebertaV2ForSequenceClassification", "mxbai-rerank-xsmall, -base, -large of the first version")],
    code: &[],
    read: &[&READ],
    describe,
};

/// The fields that are read here.
const READ: [&str; 25] = [
    "attention_head_size",
    "cls_dropout",
    "conv_kernel_size",
    "embedding_size",
    "hidden_act",
    "hidden_size",
    "intermediate_size",
    "layer_norm_eps",
    // That of a head that fills gaps, which a classifier does not have.
    "legacy",
    "max_position_embeddings",
    "max_relative_positions",
    "norm_rel_ebd",
    "num_attention_heads",
    "num_hidden_layers",
    "pooler_dropout",
    "pooler_hidden_act",
    "pooler_hidden_size",
    "pos_att_type",
    "position_biased_input",
    "position_buckets",
    "relative_attention",
    "share_att_key",
    "tie_word_embeddings",
    "type_vocab_size",
    "vocab_size",
];

const PREFIX: &str = "deberta";
// What transformers takes where a field is missing.
const DEFAULT_EPSILON: f64 = 1e-7;
const DEFAULT_MAX_LENGTH: usize = 512;

fn describe(_class: &str, fields: Fields<'_>) -> Result<Architecture> {
    labels::check(fields)?;
    let hidden = fields.required_size("hidden_size")?;
    for name in ["embedding_size", "pooler_hidden_size"] {
        let size = fields.size(name)?.unwrap_or(hidden);
        ensure!(size == hidden, "{name} is {size}, and only that of hidden_size, {hidden}, is supported");
    }
    ensure!(
        fields.count_from_zero("conv_kernel_size")?.unwrap_or(0) == 0,
        "its convolution behind the first layer (conv_kernel_size) is not supported"
    );
    let layers = fields.required_size("num_hidden_layers")?;
    ensure!(layers <= MOST_LAYERS, "num_hidden_layers is {layers}, and can be up to {MOST_LAYERS}");
    let sizes = Sizes::read(fields, hidden)?;
    let length = fields.size("max_position_embeddings")?.unwrap_or(DEFAULT_MAX_LENGTH);
    let table =
        |kind: &str, rows: usize| Tensor::matrix(format!("{PREFIX}.embeddings.{kind}_embeddings.weight"), rows, hidden);
    let biased = fields.get("position_biased_input").is_none() || fields.flag("position_biased_input")?;
    let types = fields.count_from_zero("type_vocab_size")?.unwrap_or(0);
    Ok(Architecture {
        family: "deberta-v2",
        hidden,
        max_length: length,
        embedding: Embedding {
            positions: biased.then(|| Positions { table: table("position", length), first: 0 }),
            token_types: (types > 0).then(|| table("token_type", types)),
            norm: Some(Norm::layer(&format!("{PREFIX}.embeddings.LayerNorm"), hidden, sizes.epsilon)),
            ..Embedding::of_tokens(table("word", fields.required_size("vocab_size")?))
        },
        layers: (0..layers).map(|layer| sizes.layer(layer)).collect(),
        final_norm: None,
        pooling: Pooling::FirstToken,
        padding: None,
        head: Head {
            steps: vec![HeadStep::Dense(
                Linear::biased("pooler.dense", hidden, hidden),
                Some(activation::of_name("pooler_hidden_act", fields.text("pooler_hidden_act")?.unwrap_or("gelu"))?),
            )],
            output: HeadOutput::Classifier(Linear::biased("classifier", 1, hidden)),
            temperature: 1.,
        },
    })
}

/// The sizes of a layer, and how its attention sees distances.
struct Sizes {
    hidden: usize,
    intermediate: usize,
    heads: Heads,
    epsilon: f64,
    activation: Activation,
    /// Whether positions are projected as contents are.
    shares_projections: bool,
    /// Whether the query's content meets the key's position, and the other way round.
    terms: [bool; 2],
    has_norm: bool,
    buckets: Option<usize>,
    max_distance: usize,
}

impl Sizes {
    fn read(fields: Fields<'_>, hidden: usize) -> Result<Self> {
        ensure!(fields.flag("relative_attention")?, "relative_attention is off, which is not supported");
        let heads = fields.required_size("num_attention_heads")?;
        ensure!(hidden.is_multiple_of(heads), "{hidden} features can't be shared evenly by {heads} heads");
        let head_dim = hidden / heads;
        let head_size = fields.size("attention_head_size")?.unwrap_or(head_dim);
        ensure!(head_size == head_dim, "attention_head_size is {head_size}, and only {head_dim} is supported");
        let positive = |name: &str| -> Result<Option<usize>> {
            // Below 1 it is left to another field.
            let Some(value) = fields.get(name) else { return Ok(None) };
            let number = value.as_i64().with_context(|| format!("{name} is {value}, and should be a whole number"))?;
            Ok(usize::try_from(number).ok().filter(|&number| number > 0))
        };
        let length = fields.size("max_position_embeddings")?.unwrap_or(DEFAULT_MAX_LENGTH);
        let terms = terms(fields)?;
        let norm = fields.text("norm_rel_ebd")?.unwrap_or("none").trim();
        ensure!(["none", "layer_norm"].contains(&norm), "norm_rel_ebd `{norm}` is not supported");
        Ok(Self {
            hidden,
            intermediate: fields.required_size("intermediate_size")?,
            heads: Heads { query: heads, key: heads, head_dim },
            epsilon: fields.number("layer_norm_eps")?.unwrap_or(DEFAULT_EPSILON),
            activation: activation::of_name("hidden_act", fields.text("hidden_act")?.unwrap_or("gelu"))?,
            shares_projections: fields.flag("share_att_key")?,
            terms,
            has_norm: norm == "layer_norm",
            buckets: positive("position_buckets")?,
            max_distance: positive("max_relative_positions")?.unwrap_or(length),
        })
    }

    fn layer(&self, index: usize) -> Layer {
        let Self { hidden, intermediate, heads, epsilon, activation, .. } = *self;
        let name = |part: &str| format!("{PREFIX}.encoder.layer.{index}.{part}");
        let linear = |part: &str, outputs: usize, inputs: usize| Linear::biased(&name(part), outputs, inputs);
        let norm = |part: &str| Norm::layer(&name(part), hidden, epsilon);
        let (query, key) =
            (linear("attention.self.query_proj", hidden, hidden), linear("attention.self.key_proj", hidden, hidden));
        // Scores are sums of as many terms.
        let terms = 1 + self.terms.into_iter().filter(|term| *term).count();
        Layer {
            placement: NormPlacement::After,
            attention_norm: Some(norm("attention.output.LayerNorm")),
            attention: Attention {
                heads,
                relative: Some(self.relative(&name("attention.self"), [&query, &key])),
                query,
                key,
                value: linear("attention.self.value_proj", hidden, hidden),
                output: linear("attention.output.dense", hidden, hidden),
                query_key_norms: None,
                rotary: None,
                mask: Mask::Bidirectional,
                window: None,
                scale: 1. / ((heads.head_dim * terms) as f64).sqrt(),
            },
            mlp_norm: norm("output.LayerNorm"),
            mlp: Mlp::Plain {
                up: linear("intermediate.dense", intermediate, hidden),
                down: linear("output.dense", hidden, intermediate),
                activation,
            },
        }
    }

    fn relative(&self, name: &str, [query, key]: [&Linear; 2]) -> Relative {
        let Self { hidden, shares_projections, buckets, max_distance, .. } = *self;
        let own = |part: &str, content: &Linear| match shares_projections {
            true => content.clone(),
            false => Linear::biased(&format!("{name}.{part}"), hidden, hidden),
        };
        let rows = 2 * buckets.unwrap_or(max_distance);
        let [to_position, from_position] = self.terms;
        Relative {
            table: Tensor::matrix(format!("{PREFIX}.encoder.rel_embeddings.weight"), rows, hidden),
            norm: self.has_norm.then(|| Norm::layer(&format!("{PREFIX}.encoder.LayerNorm"), hidden, self.epsilon)),
            key: to_position.then(|| own("pos_key_proj", key)),
            query: from_position.then(|| own("pos_query_proj", query)),
            buckets,
            max_distance,
        }
    }
}

/// Whether queries meet the positions of keys (`c2p`), and keys those of queries (`p2c`).
fn terms(fields: Fields<'_>) -> Result<[bool; 2]> {
    let listed = match fields.get("pos_att_type") {
        Some(serde_json::Value::String(text)) => {
            text.to_lowercase().split('|').map(|term| term.trim().to_owned()).collect()
        }
        _ => fields.texts("pos_att_type")?.into_iter().map(str::to_owned).collect::<Vec<_>>(),
    };
    if let Some(other) = listed.iter().find(|term| !["c2p", "p2c"].contains(&term.as_str())) {
        bail!("pos_att_type has `{other}`, which is not supported, only c2p and p2c");
    }
    Ok(["c2p", "p2c"].map(|term| listed.iter().any(|listed| listed == term)))
}
