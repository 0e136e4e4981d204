//! Qwen2: biases of queries, keys and values. See `modeling_qwen2.py` of transformers.

use super::decoder::{self, LLAMA, Style};
use super::{Family, windows};

pub(super) const FAMILY: Family = Family {
    model_types: &["qwen2"],
    classes: &[("Qwen2ForCausalLM", "mxbai-rerank-v2"), ("Qwen2ForSequenceClassification", "one label")],
    code: &[],
    read: &[&decoder::READ, &["max_window_layers", "sliding_window", "use_sliding_window"]],
    describe: |class, fields| decoder::describe(class, fields, &STYLE),
};

const STYLE: Style = Style {
    family: "qwen2",
    max_length: 32_768,
    biased_inputs: true,
    bias_fields: &[],
    windows: windows::of_qwen,
    ..LLAMA
};
