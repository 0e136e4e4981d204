//! Mistral: windows in every layer, or in none. See `modeling_mistral.py` of transformers.

use super::decoder::{self, LLAMA, Style};
use super::{Family, windows};

pub(super) const FAMILY: Family = Family {
    model_types: &["mistral"],
    classes: &[("MistralForCausalLM", "ctxl-rerank-v2 6b"), ("MistralForSequenceClassification", "one label")],
    code: &[],
    has_recipe: true,
    read: &READ,
    describe: |class, fields| decoder::describe(class, fields, &STYLE),
};

const READ: [&str; 22] = decoder::read_with(["sliding_window"]);

const STYLE: Style =
    Style { family: "mistral", max_length: 4096 * 32, bias_fields: &[], windows: windows::of_mistral, ..LLAMA };
