//! Llama, and NVIDIA's bidirectional one, whose model is in code of its own (`llama_bidirectional_model.py` of
//! llama-nemotron-rerank-1b-v2): its tokens see those behind them, too, and the head reads their mean.

use anyhow::{Result, bail};

use super::Family;
use super::decoder::{self, LLAMA, Style};
use crate::fields::Fields;
use crate::model::{Architecture, Mask, Pooling};

pub(super) const FAMILY: Family = Family {
    model_types: &["llama"],
    classes: &[("LlamaForCausalLM", "by a recipe"), ("LlamaForSequenceClassification", "one label")],
    code: &[],
    read: &[&decoder::READ, &[PARTS]],
    describe: |class, fields| decoder::describe(class, fields, &LLAMA),
};

pub(super) const BIDIRECTIONAL: Family = Family {
    model_types: &["llama_bidirec"],
    classes: &[("LlamaBidirectionalForSequenceClassification", "llama-nemotron-rerank-1b-v2")],
    code: &["LlamaBidirectionalConfig"],
    read: &[&decoder::READ, &[PARTS, "pooling", "temperature"]],
    describe: describe_bidirectional,
};

/// Products in several parts, for training on several devices, are the same products.
const PARTS: &str = "pretraining_tp";

fn describe_bidirectional(class: &str, fields: Fields<'_>) -> Result<Architecture> {
    let style = Style { family: "llama_bidirec", ..LLAMA };
    let mut model = decoder::describe_any_direction(class, fields, &style)?;
    model.layers.iter_mut().for_each(|layer| layer.attention.mask = Mask::Bidirectional);
    model.pooling = match fields.text("pooling")?.unwrap_or("avg") {
        "avg" => Pooling::Mean,
        "cls" => Pooling::FirstToken,
        "last" => Pooling::LastToken,
        other => bail!("pooling is {other}, and only avg, cls and last are supported"),
    };
    // Padding is known by where it stands, and texts have none.
    model.padding = None;
    model.head.temperature = fields.number("temperature")?.unwrap_or(1.);
    Ok(model)
}
