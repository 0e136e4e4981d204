//! Requests for the scores of pairs, in their order: vLLM's `/score`, text-embeddings-inference's `/predict`, DeepInfra.

use serde::Serialize;
use serde_json::value::RawValue;

use super::body::{Body, Kind, invalid, kind, list_of, malformed};
use super::objects::Usage;
use super::options::{self, required};
use super::texts::{Place, Texts};
use super::{Context, Dialect, Limits, json};
use crate::serve::request::{Problem, RerankRequest, RerankResponse};

/// The names of the two sides.
const SIDES: [(&str, &str); 4] =
    [("queries", "documents"), ("queries", "items"), ("text_1", "text_2"), ("data_1", "data_2")];

/// What stands for a query with its document.
const PAIR: &str = "a pair, [\"query\", \"document\"],";

/// The label of a reranker's only output, as `transformers` names it.
pub(super) const LABEL: &str = "LABEL_0";

/// Whether a body has pairs, and not one query with its documents.
pub(super) fn is_score(body: &Body<'_>) -> bool {
    SIDES.iter().any(|(left, right)| body.has(left) && body.has(right))
}

/// Reads a request with two sides: one query or as many as documents.
pub(super) fn read(body: &Body<'_>, dialect: Dialect, limits: &Limits) -> Result<RerankRequest, Problem> {
    let mut request = RerankRequest::default();
    options::read(body, dialect, limits, &mut request)?;
    let (left, right) = sides(body)?;
    let texts = Texts::of(body, limits)?;
    request.queries = texts.queries(required(body, left, "a text or a list of texts")?, left)?;
    request.documents = texts.documents(required(body, right, "a text or a list of texts")?, right)?;
    let (queries, documents) = (request.queries.len(), request.documents.len());
    if queries != 1 && queries != documents {
        return Err(invalid(format!(
            "`{left}` has {queries} texts and `{right}` has {documents}: write one on the left side, or as many as on the right"
        )));
    }
    Ok(request)
}

fn sides(body: &Body<'_>) -> Result<(&'static str, &'static str), Problem> {
    let mut found = SIDES.into_iter().filter(|(left, right)| body.has(left) && body.has(right));
    match (found.next(), found.next()) {
        (Some((left, right)), None) => match SIDES
            .iter()
            .flat_map(|(one, other)| [*one, *other])
            .find(|name| *name != left && *name != right && body.has(name))
        {
            Some(other) => Err(malformed(format!("`{right}` and `{other}` are both there: leave one of them out"))),
            None => Ok((left, right)),
        },
        (None, _) => Err(malformed(
            "the pairs are missing: `queries` with `documents` or `items`, `text_1` with `text_2`, or `data_1` with `data_2` \
             is expected",
        )),
        (Some((_, first)), Some((_, second))) => {
            Err(malformed(format!("`{first}` and `{second}` are both there: leave one of them out")))
        }
    }
}

/// Reads `{"inputs": …}`: a pair, or a list of pairs.
pub(super) fn read_predict(body: &Body<'_>, limits: &Limits) -> Result<RerankRequest, Problem> {
    let mut request = RerankRequest::default();
    options::read(body, Dialect::Predict, limits, &mut request)?;
    let texts = Texts::of(body, limits)?;
    let inputs = required(body, "inputs", "a pair or a list of pairs")?;
    let first = list_of(inputs, 1).and_then(|(entries, _)| entries.first().map(|entry| kind(entry)));
    request.echo.in_lists = first != Some(Kind::Text);
    if !request.echo.in_lists {
        pair(inputs, Place { field: "inputs", index: None }, &texts, &mut request)?;
        return Ok(request);
    }
    for (index, entry) in texts.entries(inputs, "inputs", (PAIR, "pairs"))?.into_iter().enumerate() {
        pair(entry, Place { field: "inputs", index: Some(index) }, &texts, &mut request)?;
    }
    Ok(request)
}

fn pair(entry: &RawValue, place: Place<'_>, texts: &Texts, request: &mut RerankRequest) -> Result<(), Problem> {
    let Some((sides, count)) = list_of(entry, 2) else {
        return Err(malformed(format!("{place} is {}: {PAIR} is expected", kind(entry))));
    };
    match sides.as_slice() {
        [query, document] if count == 2 => {
            request.queries.push(texts.query(query, place)?);
            request.documents.push(texts.document(document, place)?);
            Ok(())
        }
        _ => Err(malformed(format!("{place} has {count} entries: a query and a document are expected"))),
    }
}

#[derive(Serialize)]
struct Scores<'a> {
    id: String,
    object: &'static str,
    created: u64,
    model: &'a str,
    data: Vec<Score>,
    usage: Usage,
}

#[derive(Serialize)]
struct Score {
    index: usize,
    object: &'static str,
    score: f32,
}

#[derive(Serialize)]
struct Prediction {
    score: f32,
    label: &'static str,
}

#[derive(Serialize)]
struct DeepInfra<'a> {
    scores: Vec<f32>,
    input_tokens: usize,
    request_id: &'a str,
    inference_status: InferenceStatus,
}

#[derive(Serialize)]
struct InferenceStatus {
    status: &'static str,
    runtime_ms: u64,
    cost: f32,
    tokens_generated: usize,
    tokens_input: usize,
}

/// The response.
pub(super) fn render(
    dialect: Dialect,
    request: &RerankRequest,
    response: &RerankResponse,
    context: &Context<'_>,
) -> String {
    let scores = response.pairs.iter().map(|pair| pair.score);
    match dialect {
        Dialect::Predict if request.echo.in_lists => {
            json(&scores.map(|score| [Prediction { score, label: LABEL }]).collect::<Vec<_>>())
        }
        Dialect::Predict => json(&scores.map(|score| Prediction { score, label: LABEL }).collect::<Vec<_>>()),
        Dialect::DeepInfra => json(&DeepInfra {
            scores: scores.collect(),
            input_tokens: response.tokens(),
            request_id: context.id,
            inference_status: InferenceStatus {
                status: "succeeded",
                runtime_ms: (response.timings.total * 1000.) as u64,
                cost: 0.,
                tokens_generated: 0,
                tokens_input: response.tokens(),
            },
        }),
        _ => json(&Scores {
            id: format!("score-{}", context.id),
            object: "list",
            created: context.created,
            model: &context.facts.model,
            data: scores.enumerate().map(|(index, score)| Score { index, object: "score", score }).collect(),
            usage: Usage::of(response),
        }),
    }
}
