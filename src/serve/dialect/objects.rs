//! Responses that are objects with the list of results in them.

use serde::Serialize;

use super::{Context, Dialect, json};
use crate::serve::request::{RerankRequest, RerankResponse, ScoredPair};

/// Tokens of a response. Nothing is generated, so that all of them are the prompts'.
#[derive(Serialize)]
pub(super) struct Usage {
    prompt_tokens: usize,
    total_tokens: usize,
}

impl Usage {
    /// Of all prompts.
    pub fn of(response: &RerankResponse) -> Self {
        Self { prompt_tokens: response.tokens(), total_tokens: response.tokens() }
    }
}

#[derive(Default, Serialize)]
struct Envelope<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    object: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    created: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    results: Option<Vec<Entry<'a>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<Vec<Entry<'a>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<Usage>,
    #[serde(skip_serializing_if = "Option::is_none")]
    meta: Option<Meta>,
}

#[derive(Serialize)]
struct Entry<'a> {
    index: usize,
    relevance_score: f32,
    /// Scores that are equal in f32 can have different logits, by which the page merges the responses of several requests.
    #[serde(skip_serializing_if = "Option::is_none")]
    logit: Option<f32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    truncated: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    document: Option<Document<'a>>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Document<'a> {
    Bare(&'a str),
    Object {
        text: &'a str,
    },
    /// vLLM's, whose other field is always there.
    Modal {
        text: &'a str,
        multi_modal: (),
    },
}

#[derive(Serialize)]
struct Meta {
    api_version: ApiVersion,
    billed_units: BilledUnits,
    tokens: Tokens,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<String>,
}

#[derive(Serialize)]
struct ApiVersion {
    version: &'static str,
}

#[derive(Serialize)]
struct BilledUnits {
    search_units: usize,
}

#[derive(Serialize)]
struct Tokens {
    input_tokens: usize,
    output_tokens: usize,
}

/// The response in the dialects that are much alike.
pub(super) fn render(
    dialect: Dialect,
    request: &RerankRequest,
    response: &RerankResponse,
    context: &Context<'_>,
) -> String {
    let id = context.id;
    let model = Some(context.facts.model.as_str());
    let usage = Some(Usage::of(response));
    let results = Some(entries(dialect, request, response));
    let rerank_id = Some(format!("rerank-{id}"));
    json(&match dialect {
        Dialect::CohereV1 | Dialect::Cohere => {
            let version = if dialect == Dialect::Cohere { "2" } else { "1" };
            Envelope { id: Some(id.to_owned()), results, meta: Some(meta(version, response)), ..Envelope::default() }
        }
        Dialect::Vllm => Envelope { id: rerank_id, model, results, usage, ..Envelope::default() },
        Dialect::Jina | Dialect::Llama => {
            Envelope { object: Some("list"), model, results, usage, ..Envelope::default() }
        }
        Dialect::Voyage => Envelope { object: Some("list"), model, data: results, usage, ..Envelope::default() },
        Dialect::Infinity => Envelope {
            id: Some(format!("infinity-{id}")),
            object: Some("rerank"),
            created: Some(context.created),
            model,
            results,
            usage,
            ..Envelope::default()
        },
        _ => Envelope {
            id: rerank_id,
            object: Some("rerank"),
            model,
            results,
            data: request.echo.data.then(|| entries(Dialect::Voyage, request, response)),
            usage,
            meta: Some(meta("1", response)),
            ..Envelope::default()
        },
    })
}

fn meta(version: &'static str, response: &RerankResponse) -> Meta {
    // Cohere counts a search for each hundred documents.
    const DOCUMENTS_OF_A_SEARCH: usize = 100;
    let cut = response.pairs.iter().filter(|pair| pair.truncated).count();
    let warning =
        || format!("{cut} of {} documents were cut, as their prompts would be too long", response.pairs.len());
    Meta {
        api_version: ApiVersion { version },
        billed_units: BilledUnits { search_units: response.pairs.len().div_ceil(DOCUMENTS_OF_A_SEARCH) },
        tokens: Tokens { input_tokens: response.tokens(), output_tokens: 0 },
        warnings: (cut > 0).then(warning).into_iter().collect(),
    }
}

fn entries<'a>(dialect: Dialect, request: &'a RerankRequest, response: &RerankResponse) -> Vec<Entry<'a>> {
    let wanted = request.return_documents.unwrap_or(dialect.returns_documents());
    let document = |text: &'a str| match dialect {
        Dialect::Jina | Dialect::Infinity | Dialect::Voyage => Document::Bare(text),
        Dialect::Vllm => Document::Modal { text, multi_modal: () },
        _ => Document::Object { text },
    };
    ranked(request, response)
        .map(|(index, pair, text)| Entry {
            index,
            relevance_score: pair.score,
            logit: (dialect == Dialect::Rerank).then_some(pair.logit),
            truncated: (dialect == Dialect::Rerank && pair.truncated).then_some(true),
            document: wanted.then(|| document(text)),
        })
        .collect()
}

/// The wanted documents, best first, each with its index and its score.
pub(super) fn ranked<'a>(
    request: &'a RerankRequest,
    response: &RerankResponse,
) -> impl Iterator<Item = (usize, ScoredPair, &'a str)> {
    let of = |index: &usize| {
        let text = request.documents.get(*index)?;
        Some((*index, *response.pairs.get(*index)?, text.as_str()))
    };
    response.ranking.iter().filter_map(of)
}

#[derive(Serialize)]
struct Rankings {
    rankings: Vec<NvidiaRank>,
    usage: Usage,
}

#[derive(Serialize)]
struct NvidiaRank {
    index: usize,
    logit: f32,
}

/// NVIDIA's response. Its requests ask for logits unless they say otherwise.
pub(super) fn nvidia(response: &RerankResponse) -> String {
    let rank = |index: &usize| Some(NvidiaRank { index: *index, logit: response.pairs.get(*index)?.score });
    json(&Rankings { rankings: response.ranking.iter().filter_map(rank).collect(), usage: Usage::of(response) })
}

#[derive(Serialize)]
struct Weaviate<'a> {
    query: &'a str,
    scores: Vec<WeaviateScore<'a>>,
    property: &'a str,
}

#[derive(Serialize)]
struct WeaviateScore<'a> {
    document: &'a str,
    score: f32,
}

/// Weaviate's response, which it reads by position.
pub(super) fn weaviate(request: &RerankRequest, response: &RerankResponse) -> String {
    let pairs = request.documents.iter().zip(&response.pairs);
    json(&Weaviate {
        query: request.queries.first().map_or("", String::as_str),
        scores: pairs.map(|(document, pair)| WeaviateScore { document, score: pair.score }).collect(),
        property: request.echo.property.as_deref().unwrap_or_default(),
    })
}
