//! Gemma: norms whose weights are stored as their distance from 1, a scaled embedding, and GeGLU. See `modeling_gemma.py` of
//! transformers.

use anyhow::{Result, ensure};

use super::Family;
use super::decoder::{self, LLAMA, Style};
use crate::fields::Fields;
use crate::model::{Activation, Architecture};

pub(super) const FAMILY: Family = Family {
    model_types: &["gemma"],
    classes: &[("GemmaForCausalLM", "bge-reranker-v2-gemma"), ("GemmaForSequenceClassification", "one label")],
    code: &[],
    read: &[&decoder::READ, &["hidden_activation"]],
    describe,
};

const TANH: &str = "gelu_pytorch_tanh";

const STYLE: Style = Style {
    family: "gemma",
    head_dim: Some(256),
    max_length: 8192,
    activation: TANH,
    // The first files name it so, and mean the approximation.
    renamed: &[("gelu", Activation::GeluTanh)],
    is_tied: true,
    bias_fields: &["attention_bias"],
    weight_offset: 1.,
    scaled_embedding: true,
    ..LLAMA
};

fn describe(class: &str, fields: Fields<'_>) -> Result<Architecture> {
    let newer = fields.text("hidden_activation")?;
    ensure!(
        newer.is_none_or(|name| name == TANH),
        "hidden_activation is {}, and only {TANH} is supported beside hidden_act, which transformers reads",
        newer.unwrap_or_default()
    );
    decoder::describe(class, fields, &STYLE)
}
