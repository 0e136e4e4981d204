//! What clients read of the service before they send a request.

use serde_json::{Value, json};

use super::Dialect;
use super::endpoint::without_prefix;
use super::pairs::LABEL;
use crate::serve::request::ServiceFacts;

/// The body for a GET path; none, if there is nothing.
pub(in crate::serve) fn get(path: &str, facts: &ServiceFacts) -> Option<String> {
    let (dialect, rest) = without_prefix(path);
    let body = match rest {
        "/info" => info(facts),
        "/models" | "/v1/models" => models(dialect, facts),
        "/meta" => meta(facts),
        _ => return None,
    };
    Some(body.to_string())
}

/// text-embeddings-inference's `/info`.
fn info(facts: &ServiceFacts) -> Value {
    json!({
        "model_id": facts.model,
        "model_sha": facts.fingerprint,
        "model_dtype": facts.dtype,
        "adapter": facts.adapter,
        "served_model_name": facts.model,
        "model_type": { "reranker": { "id2label": { "0": LABEL }, "label2id": { LABEL: 0 } } },
        "max_concurrent_requests": facts.max_requests,
        "max_input_length": facts.max_length,
        "max_batch_tokens": facts.max_batch_tokens,
        "max_batch_requests": facts.max_batch_pairs,
        "max_client_batch_size": facts.max_documents,
        "auto_truncate": true,
        "tokenization_workers": 1,
        "version": facts.version,
        "sha": null,
        "docker_label": null,
        "device": facts.device,
        "recipe": facts.recipe,
        "instruction": facts.instruction,
        "takes_instruction": facts.takes_instruction,
    })
}

/// OpenAI's list of models, with the fields that vLLM and Infinity add.
fn models(dialect: Option<Dialect>, facts: &ServiceFacts) -> Value {
    let model = |name: &String| match dialect {
        Some(Dialect::Infinity) => json!({
            "id": name, "object": "model", "owned_by": "infinity", "created": facts.started, "backend": "rerank",
            "stats": {}, "capabilities": ["rerank"],
        }),
        _ => json!({
            "id": name, "object": "model", "owned_by": "rerank", "created": facts.started, "root": facts.model,
            "parent": null, "adapter": facts.adapter, "max_model_len": facts.max_length,
        }),
    };
    let names = std::iter::once(&facts.model).chain(&facts.aliases);
    json!({ "object": "list", "data": names.map(model).collect::<Vec<_>>() })
}

/// Weaviate's `/meta`.
fn meta(facts: &ServiceFacts) -> Value {
    json!({
        "model": facts.model,
        "adapter": facts.adapter,
        "version": facts.version,
        "max_length": facts.max_length,
        "dtype": facts.dtype,
        "device": facts.device,
    })
}
