//! DeBERTa-v2 and v3: see `modeling_deberta_v2.py` of transformers.

use anyhow::{Context, Result, bail, ensure};

use super::encoder::{self, Names, Products, Sizes, of_bert};
use super::{Family, activation, labels, layer_count};
use crate::fields::Fields;
use crate::model::{Architecture, Linear, Norm, Relative, Tensor};

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
const NAMES: Names = Names {
    attention: Products::Apart(["attention.self.query_proj", "attention.self.key_proj", "attention.self.value_proj"]),
    ..of_bert(PREFIX)
};
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
    let relative = Distances::read(fields, hidden)?;
    let length = fields.size("max_position_embeddings")?.unwrap_or(DEFAULT_MAX_LENGTH);
    let types = fields.count_from_zero("type_vocab_size")?.unwrap_or(0);
    let sizes = Sizes {
        hidden,
        embedding: hidden,
        intermediate: fields.required_size("intermediate_size")?,
        layers: layer_count(fields)?,
        heads: fields.required_size("num_attention_heads")?,
        vocabulary: fields.required_size("vocab_size")?,
        positions: length,
        first_position: 0,
        types: (types > 0).then_some(types),
        epsilon: relative.epsilon,
        activation: activation::of_field(fields, "hidden_act")?,
    };
    let pooler = activation::of_field(fields, "pooler_hidden_act")?;
    let head = encoder::head(hidden, "pooler.dense", pooler, "classifier");
    let mut model = encoder::describe("deberta-v2", &NAMES, &sizes, head)?;
    if !fields.flag_or_true("position_biased_input")? {
        model.embedding.positions = None;
    }
    for (index, layer) in model.layers.iter_mut().enumerate() {
        let attention = &mut layer.attention;
        let name = format!("{PREFIX}.encoder.layer.{index}.attention.self");
        attention.relative = Some(relative.of_layer(&name, [&attention.query, &attention.key]));
        attention.scale = 1. / ((attention.heads.head_dim * relative.summands()) as f64).sqrt();
    }
    Ok(model)
}

/// How attention sees distances.
struct Distances {
    hidden: usize,
    epsilon: f64,
    /// Whether positions are projected as contents are.
    shares_projections: bool,
    /// Whether the query's content meets the key's position, and the other way round.
    terms: [bool; 2],
    has_norm: bool,
    buckets: Option<usize>,
    max_distance: usize,
}

impl Distances {
    fn read(fields: Fields<'_>, hidden: usize) -> Result<Self> {
        ensure!(fields.flag("relative_attention")?, "relative_attention is off, which is not supported");
        let heads = fields.required_size("num_attention_heads")?;
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
        let (buckets, max_distance) =
            (positive("position_buckets")?, positive("max_relative_positions")?.unwrap_or(length));
        // The logarithm that far distances are divided by is 0 there.
        ensure!(
            buckets.is_none_or(|buckets| max_distance != buckets / 2 + 1),
            "max_relative_positions is {max_distance}, one more than half of position_buckets, by which far distances have no \
             bucket; is it right?"
        );
        let terms = terms(fields)?;
        let norm = fields.text("norm_rel_ebd")?.unwrap_or("none").trim();
        ensure!(["none", "layer_norm"].contains(&norm), "norm_rel_ebd `{norm}` is not supported");
        Ok(Self {
            hidden,
            epsilon: fields.number("layer_norm_eps")?.unwrap_or(DEFAULT_EPSILON),
            shares_projections: fields.flag("share_att_key")?,
            terms,
            has_norm: norm == "layer_norm",
            buckets,
            max_distance,
        })
    }

    /// The terms that a score is the sum of.
    fn summands(&self) -> usize {
        1 + self.terms.into_iter().filter(|term| *term).count()
    }

    fn of_layer(&self, name: &str, [query, key]: [&Linear; 2]) -> Relative {
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn distances_that_have_no_bucket_are_refused() {
        let describe = |max_distance: i32, buckets: i32| {
            Architecture::of_config(&json!({
                "model_type": "deberta-v2", "architectures": ["DebertaV2ForSequenceClassification"], "vocab_size": 90,
                "hidden_size": 24, "intermediate_size": 30, "num_hidden_layers": 1, "num_attention_heads": 2,
                "relative_attention": true, "position_buckets": buckets, "max_relative_positions": max_distance,
                "num_labels": 1
            }))
        };
        for (max_distance, buckets) in [(-1, 256), (10, 16), (9, -1)] {
            describe(max_distance, buckets).unwrap();
        }
        let message = describe(9, 16).unwrap_err().to_string();
        assert!(message.contains("max_relative_positions is 9"), "{message}");
    }
}
