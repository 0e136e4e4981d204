//! DistilBERT: see `modeling_distilbert.py` of transformers. It knows no token types.

use anyhow::{Result, ensure};

use super::encoder::{self, Names, Products, Sizes, of_bert};
use super::{Family, activation};
use crate::fields::Fields;
use crate::model::{Activation, Architecture};

pub(super) const FAMILY: Family = Family {
    model_types: &["distilbert"],
    classes: &[("DistilBertForSequenceClassification", "distilbert finetunes")],
    code: &[],
    read: &[&READ],
    describe,
};

/// The fields that are read here.
const READ: [&str; 14] = [
    "activation",
    "dim",
    "hidden_dim",
    "id2label",
    "is_decoder",
    "max_position_embeddings",
    "n_heads",
    "n_layers",
    "num_labels",
    "pad_token_id",
    "position_embedding_type",
    // The positions are stored in any case.
    "sinusoidal_pos_embds",
    // A classifier has no words to predict; version 5 of transformers stores it all the same.
    "tie_word_embeddings",
    "vocab_size",
];

const NAMES: Names = Names {
    layers: "transformer.layer",
    attention: Products::Apart(["attention.q_lin", "attention.k_lin", "attention.v_lin"]),
    attention_output: ["attention.out_lin", "sa_layer_norm"],
    up: "ffn.lin1",
    down: ["ffn.lin2", "output_layer_norm"],
    ..of_bert("distilbert")
};

/// No field of the configuration changes it.
const EPSILON: f64 = 1e-12;

fn describe(_: &str, fields: Fields<'_>) -> Result<Architecture> {
    encoder::check_features(fields)?;
    let activation = activation::of_field(fields, "activation")?;
    ensure!(
        [Activation::Gelu, Activation::GeluTanh, Activation::Relu].contains(&activation),
        "activation `{}` is not supported, only gelu and relu",
        fields.text("activation")?.unwrap_or_default()
    );
    let hidden = fields.required_size("dim")?;
    let sizes = Sizes {
        hidden,
        embedding: hidden,
        intermediate: fields.required_size("hidden_dim")?,
        layers: fields.required_size("n_layers")?,
        heads: fields.required_size("n_heads")?,
        vocabulary: fields.required_size("vocab_size")?,
        positions: fields.required_size("max_position_embeddings")?,
        first_position: 0,
        types: None,
        epsilon: EPSILON,
        activation,
    };
    let head = encoder::head(hidden, "pre_classifier", Activation::Relu, "classifier");
    encoder::describe("distilbert", &NAMES, &sizes, head)
}
