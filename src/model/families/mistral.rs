//! Mistral: windows in every layer, or in none. See `modeling_mistral.py` of transformers.

use super::decoder::{self, LLAMA, Style};
use super::{Family, windows};

pub(super) const FAMILY: Family = Family {
    model_types: &["mistral"],
    classes: &[("MistralForCausalLM", "ctxl-rerank-v2 6b"), ("MistralForSequenceClassification", "one label")],
    code: &[],
    read: &[&decoder::READ, &["sliding_window"]],
    describe: |class, fields| decoder::describe(class, fields, &STYLE),
};

const STYLE: Style =
    Style { family: "mistral", max_length: 4096 * 32, bias_fields: &[], windows: windows::of_mistral, ..LLAMA };
