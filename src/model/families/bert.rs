//! BERT: see `modeling_bert.py` of transformers.

use anyhow::Result;

use super::Family;
use super::encoder::{self, Sizes, of_bert};
use crate::fields::Fields;
use crate::model::{Activation, Architecture};

pub(super) const FAMILY: Family = Family {
    model_types: &["bert"],
    classes: &[("BertForSequenceClassification", "ms-marco-MiniLM, ms-marco-TinyBERT")],
    code: &[],
    read: &[&encoder::READ],
    describe,
};

fn describe(_: &str, fields: Fields<'_>) -> Result<Architecture> {
    let sizes = Sizes::read(fields)?;
    let head = encoder::head(sizes.hidden, "bert.pooler.dense", Activation::Tanh, "classifier");
    encoder::describe("bert", &of_bert("bert"), &sizes, head)
}
