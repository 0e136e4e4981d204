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
    read: &[&encoder::READ, &["embedding_size"]],
    describe,
};

/// What transformers takes where `embedding_size` is missing.
const DEFAULT_EMBEDDING: usize = 128;

fn describe(_: &str, fields: Fields<'_>) -> Result<Architecture> {
    let embedding = fields.size("embedding_size")?.unwrap_or(DEFAULT_EMBEDDING);
    let sizes = Sizes { embedding, ..Sizes::read(fields)? };
    // Whatever the activation of the layers is.
    let head = encoder::head(sizes.hidden, "classifier.dense", Activation::Gelu, "classifier.out_proj");
    encoder::describe("electra", &of_bert("electra"), &sizes, head)
}
