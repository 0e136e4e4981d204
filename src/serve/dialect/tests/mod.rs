//! Requests and responses of all dialects, without a model: a document's score stands in its text.

mod callers;
mod exact;
mod options;
mod properties;
mod refused;

use serde_json::Value;

use super::{Context, Dialect, Limits, endpoint};
use crate::serve::request::{Problem, RerankRequest, RerankResponse, ScoredPair, ServiceFacts, Timings};

const LIMITS: Limits = Limits { documents: 100, characters: 200 };

/// Reads the body of a POST.
fn read_as(path: &str, body: &[u8], default: Option<Dialect>) -> Result<(Dialect, RerankRequest), (Dialect, Problem)> {
    endpoint(path).unwrap_or_else(|| panic!("{path} is an endpoint")).read(body, default, &LIMITS)
}

/// Reads what has to be right.
fn read(path: &str, body: &str) -> (Dialect, RerankRequest) {
    read_as(path, body.as_bytes(), None).unwrap_or_else(|(_, problem)| panic!("{path} {body}: {}", problem.message))
}

/// Reads what has to be refused.
fn refused(path: &str, body: &str) -> (Dialect, Problem) {
    read_as(path, body.as_bytes(), None).expect_err(body)
}

/// The score that a text ends with, or 0.
fn score_of(text: &str) -> f32 {
    text.rsplit(' ').next().and_then(|last| last.parse().ok()).unwrap_or(0.)
}

/// What the engine would return: ten tokens a pair, and the logit twice the score.
fn answer(request: &RerankRequest) -> RerankResponse {
    let pair = |text: &String| {
        let (score, logit) = (score_of(text), 2. * score_of(text));
        ScoredPair {
            logit,
            score: if request.raw_scores { logit } else { score },
            tokens: 10,
            truncated: text.contains("cut"),
        }
    };
    let pairs: Vec<ScoredPair> = request.documents.iter().map(pair).collect();
    let mut ranking: Vec<usize> = (0..pairs.len()).collect();
    ranking.sort_by(|left, right| pairs[*right].logit.total_cmp(&pairs[*left].logit));
    ranking.retain(|index| request.min_score.is_none_or(|least| pairs[*index].score >= least));
    ranking.truncate(request.top_n.unwrap_or(usize::MAX));
    RerankResponse {
        pairs,
        ranking,
        timings: Timings { total: 0.25, tokenization: 0.001, queue: 0.049, inference: 0.2 },
    }
}

fn facts() -> ServiceFacts {
    ServiceFacts {
        adapter: None,
        model: "tiny".into(),
        aliases: vec!["default".into()],
        fingerprint: "abc".into(),
        dtype: "f32".into(),
        device: "cpu".into(),
        recipe: "qwen3".into(),
        instruction: None,
        takes_instruction: true,
        max_length: 512,
        max_batch_tokens: 4096,
        max_batch_pairs: 64,
        max_documents: 100,
        max_requests: 16,
        version: "0.1.0",
        started: 7,
    }
}

/// A whole exchange: the dialect, and the response.
fn exchange_as(path: &str, body: &str, default: Option<Dialect>) -> (Dialect, Value) {
    let (dialect, request) =
        read_as(path, body.as_bytes(), default).unwrap_or_else(|(_, problem)| panic!("{}", problem.message));
    let facts = facts();
    let id = request.id.as_deref().unwrap_or("42");
    let rendered = dialect.render(&request, &answer(&request), &Context { facts: &facts, id, created: 9 });
    (dialect, serde_json::from_str(&rendered.body).unwrap())
}

fn exchange(path: &str, body: &str) -> Value {
    exchange_as(path, body, None).1
}
