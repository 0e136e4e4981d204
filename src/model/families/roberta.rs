//! RoBERTa and XLM-RoBERTa: see `modeling_roberta.py` and `modeling_xlm_roberta.py` of transformers. The positions before those
//! of tokens are the padding's.

use anyhow::Result;

use super::Family;
use super::encoder::{self, Names, Products, Sizes, of_bert};
use crate::fields::Fields;
use crate::model::{Activation, Architecture};

pub(super) const ROBERTA: Family = Family {
    model_types: &["roberta"],
    classes: &[("RobertaForSequenceClassification", "stsb-roberta, quora-roberta")],
    code: &[],
    read: &[&encoder::READ],
    describe: |_, fields| describe("roberta", &of_bert("roberta"), fields),
};

pub(super) const XLM_ROBERTA: Family = Family {
    model_types: &["xlm-roberta"],
    classes: &[("XLMRobertaForSequenceClassification", "bge-reranker-base, -large, -v2-m3, jina-reranker-v2")],
    code: &[JINA],
    read: &[&encoder::READ],
    describe: describe_xlm_roberta,
};

/// The configuration class of jina-reranker-v2, whose code computes what transformers does.
const JINA: &str = "XLMRobertaFlashConfig";

/// The names that this code gives the tensors.
const JINA_NAMES: Names = Names {
    embedding_norm: "emb_ln",
    layers: "encoder.layers",
    attention: Products::Together("mixer.Wqkv"),
    attention_output: ["mixer.out_proj", "norm1"],
    up: "mlp.fc1",
    down: ["mlp.fc2", "norm2"],
    ..of_bert("roberta")
};

/// The token of padding, where the configuration has none.
const DEFAULT_PADDING: usize = 1;

fn describe_xlm_roberta(_: &str, fields: Fields<'_>) -> Result<Architecture> {
    match fields.get("auto_map") {
        Some(_) => describe("xlm-roberta", &JINA_NAMES, fields),
        None => describe("xlm-roberta", &of_bert("roberta"), fields),
    }
}

fn describe(family: &'static str, names: &Names, fields: Fields<'_>) -> Result<Architecture> {
    let padding = fields.count_from_zero("pad_token_id")?.unwrap_or(DEFAULT_PADDING);
    let sizes = Sizes { first_position: padding + 1, ..Sizes::read(fields)? };
    let head = encoder::head(sizes.hidden, "classifier.dense", Activation::Tanh, "classifier.out_proj");
    encoder::describe(family, names, &sizes, head)
}
