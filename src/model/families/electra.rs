//! ELECTRA: see `modeling_electra.py` of transformers. Its small models have narrower embeddings than layers.

use anyhow::Result;

use super::Family;
use super::encoder::{self, Sizes, of_bert};
use crate::fields::Fields;
use crate::model::{Activation, Architecture};

pub(super) const FAMILY: Family = Family {
    model_types: &["electra"],
    classes: &[("ElectraForSequenceClassification", "ms-marco-electra-base")],
    code: &[],
    has_recipe: true,
    read: &READ,
    describe,
};

/// What transformers takes where `embedding_size` is missing.
const DEFAULT_EMBEDDING: usize = 128;

/// The fields that are read here.
const READ: [&str; 16] = [
    "embedding_size",
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

fn describe(_: &str, fields: Fields<'_>) -> Result<Architecture> {
    let embedding = fields.size("embedding_size")?.unwrap_or(DEFAULT_EMBEDDING);
    let sizes = Sizes { embedding, ..Sizes::read(fields)? };
    // Whatever the activation of the layers is.
    let head = encoder::head(sizes.hidden, "classifier.dense", Activation::Gelu, "classifier.out_proj");
    encoder::describe("electra", &of_bert("electra"), &sizes, head)
}
