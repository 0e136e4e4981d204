//! Qwen2: biases of queries, keys and values. See `modeling_qwen2.py` of transformers.

use super::decoder::{self, LLAMA, Style};
use super::{Family, windows};

pub(super) const FAMILY: Family = Family {
    model_types: &["qwen2"],
    classes: &[("Qwen2ForCausalLM", "mxbai-rerank-v2"), ("Qwen2ForSequenceClassification", "one label")],
    code: &[],
    has_recipe: true,
    read: &READ,
    describe: |class, fields| decoder::describe(class, fields, &STYLE),
};

const READ: [&str; 24] = decoder::read_with(["max_window_layers", "sliding_window", "use_sliding_window"]);

const STYLE: Style = Style {
    family: "qwen2",
    max_length: 32_768,
    biased_inputs: true,
    bias_fields: &[],
    windows: windows::of_qwen,
    ..LLAMA
};
