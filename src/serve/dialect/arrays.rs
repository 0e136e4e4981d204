//! Responses that are bare arrays: text-embeddings-inference, Elasticsearch, SGLang.

use serde::Serialize;

use super::objects::ranked;
use super::{Context, Dialect, json};
use crate::serve::request::{RerankRequest, RerankResponse};

#[derive(Serialize)]
struct Rank<'a> {
    index: usize,
    score: f32,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<&'a str>,
}

#[derive(Serialize)]
struct SglangRank<'a> {
    score: f32,
    #[serde(skip_serializing_if = "Option::is_none")]
    document: Option<&'a str>,
    index: usize,
    meta_info: MetaInfo<'a>,
}

#[derive(Serialize)]
struct MetaInfo<'a> {
    id: &'a str,
    prompt_tokens: usize,
}

/// The response.
pub(super) fn render(
    dialect: Dialect,
    request: &RerankRequest,
    response: &RerankResponse,
    context: &Context<'_>,
) -> String {
    let wanted = request.return_documents.unwrap_or(dialect.returns_documents());
    let ranked = ranked(request, response);
    if dialect == Dialect::Sglang {
        let rank = |(index, pair, text): (usize, crate::serve::request::ScoredPair, _)| SglangRank {
            score: pair.score,
            document: wanted.then_some(text),
            index,
            meta_info: MetaInfo { id: context.id, prompt_tokens: pair.tokens },
        };
        return json(&ranked.map(rank).collect::<Vec<_>>());
    }
    json(
        &ranked
            .map(|(index, pair, text)| Rank { index, score: pair.score, text: wanted.then_some(text) })
            .collect::<Vec<_>>(),
    )
}

/// The headers of text-embeddings-inference. Times are in milliseconds, characters and tokens those of all pairs.
pub(super) fn headers(
    request: &RerankRequest,
    response: &RerankResponse,
    context: &Context<'_>,
) -> Vec<(&'static str, String)> {
    let timings = response.timings;
    let milliseconds = |seconds: f64| ((seconds * 1000.).round() as u64).to_string();
    let documents: usize = request.documents.iter().map(|document| document.chars().count()).sum();
    let queries: usize = request.queries.iter().map(|query| query.chars().count()).sum();
    let repeated = if request.queries.len() == 1 { request.documents.len() } else { 1 };
    let is_cpu = context.facts.device.to_ascii_lowercase().starts_with("cpu");
    vec![
        ("x-compute-type", if is_cpu { "cpu" } else { "gpu" }.to_owned()),
        ("x-compute-time", milliseconds(timings.total)),
        ("x-compute-characters", (documents + queries * repeated).to_string()),
        ("x-compute-tokens", response.tokens().to_string()),
        ("x-total-time", milliseconds(timings.total)),
        ("x-tokenization-time", milliseconds(timings.tokenization)),
        ("x-queue-time", milliseconds(timings.queue)),
        ("x-inference-time", milliseconds(timings.inference)),
    ]
}
