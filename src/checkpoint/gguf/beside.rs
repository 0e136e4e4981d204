//! What a `config.json` beside a GGUF file states otherwise, and metadata that nobody reads.

use serde_json::{Map, Value};

use super::metadata::{Metadata, shown};

/// The fields that are compared: those that both have under one meaning.
const COMPARED: [&str; 14] = [
    "model_type",
    "hidden_size",
    "num_hidden_layers",
    "num_attention_heads",
    "num_key_value_heads",
    "head_dim",
    "intermediate_size",
    "hidden_activation",
    "rms_norm_eps",
    "layer_norm_eps",
    "norm_eps",
    "rope_theta",
    "global_attn_every_n_layers",
    "vocab_size",
];

/// What is understood of an architecture's own metadata.
const UNDERSTOOD: [&str; 37] = [
    "block_count",
    "context_length",
    "embedding_length",
    "feed_forward_length",
    "vocab_size",
    "pooling_type",
    "hidden_activation",
    "expert_count",
    "moe_every_n_layers",
    "nextn_predict_layers",
    "decision.block_count",
    "logit_scale",
    "final_logit_softcapping",
    "attn_logit_softcapping",
    "token_type_count",
    "classifier.output_labels",
    "classifier.pooling_type",
    "attention.head_count",
    "attention.head_count_kv",
    "attention.key_length",
    "attention.value_length",
    "attention.layer_norm_epsilon",
    "attention.layer_norm_rms_epsilon",
    "attention.causal",
    "attention.sliding_window",
    "attention.sliding_window_pattern",
    "attention.scale",
    "attention.clamp_kqv",
    "attention.max_alibi_bias",
    "rope.dimension_count",
    "rope.freq_base",
    "rope.freq_base_swa",
    "rope.scale_linear",
    "rope.scaling.type",
    "rope.scaling.factor",
    // What a scaling of another kind would need, which is refused by its type.
    "rope.scaling.original_context_length",
    "rope.scaling.finetuned",
];

/// A warning of fields that the file contradicts: its metadata count.
pub(super) fn contradiction(place: &str, beside: &Value, of_file: &Map<String, Value>) -> Option<String> {
    let differs = |name: &&str| match (beside.get(name)?, of_file.get(*name)?) {
        (Value::Null, _) => None,
        (one, other) => (!same(one, other)).then(|| format!("{name} {one}, where the metadata have {other}")),
    };
    let differing: Vec<String> = COMPARED.iter().filter_map(differs).collect();
    (!differing.is_empty()).then(|| {
        format!("{place} states {}: the GGUF file's own metadata are used; is it this model's?", differing.join("; "))
    })
}

fn same(one: &Value, other: &Value) -> bool {
    let roberta = ["roberta", "xlm-roberta", "camembert"];
    match (one.as_f64(), other.as_f64(), one.as_str(), other.as_str()) {
        (Some(one), Some(other), ..) => (one as f32) == (other as f32),
        (.., Some(one), Some(other)) => one == other || roberta.contains(&one) && roberta.contains(&other),
        _ => false,
    }
}

/// A warning of metadata of the architecture which rerank does not know.
pub(super) fn unknown(metadata: &Metadata, architecture: &str) -> Option<String> {
    let own = metadata.iter().filter_map(|(name, _)| name.strip_prefix(architecture)?.strip_prefix('.'));
    let mut unknown: Vec<String> = own.filter(|name| !UNDERSTOOD.contains(name)).map(shown).collect();
    unknown.sort_unstable();
    (!unknown.is_empty()).then(|| {
        format!(
            "{}: the metadata of {architecture} have what this version of rerank does not know, and which may change the scores: {}",
            metadata.path().display(),
            unknown.join(", ")
        )
    })
}
