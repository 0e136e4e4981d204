//! Qwen3: a norm of each head of queries and keys. See `modeling_qwen3.py` of transformers, whose numbers the tests compare.

use super::decoder::{self, LLAMA, Style};
use super::{Family, windows};

pub(super) const FAMILY: Family = Family {
    model_types: &["qwen3"],
    classes: &[
        ("Qwen3ForCausalLM", "Qwen3-Reranker 0.6B, 4B, 8B; zerank; ctxl-rerank-v2 1b, 2b"),
        ("Qwen3ForSequenceClassification", "one label"),
    ],
    // zerank's sets up the recipe.
    code: &["ZEConfig"],
    read: &[&decoder::READ, &["max_window_layers", "sliding_window", "use_sliding_window"]],
    describe: |class, fields| decoder::describe(class, fields, &STYLE),
};

const STYLE: Style = Style {
    family: "qwen3",
    head_dim: Some(128),
    max_length: 32_768,
    head_norms: true,
    bias_fields: &["attention_bias"],
    windows: windows::of_qwen,
    ..LLAMA
};
