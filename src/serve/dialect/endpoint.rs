//! What a path means, and in which dialect a body is written.

use super::body::Body;
use super::{Dialect, Limits, pairs, rank};
use crate::serve::request::{Problem, RerankRequest};

/// What a POST path means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::serve) enum Endpoint {
    /// Always the same dialect.
    Fixed(Dialect),
    /// The body shows the dialect, and where it does not, it is that of `--dialect`.
    Rerank,
    /// The body shows the dialect, or whether pairs or a ranking is asked for: the root, and SageMaker's `/invocations`.
    Invocation,
}

/// The paths below which all is of one dialect.
const PREFIXES: [(&str, Dialect); 13] = [
    ("/rerank", Dialect::Rerank),
    ("/tei", Dialect::Tei),
    ("/elastic", Dialect::Elastic),
    ("/sglang", Dialect::Sglang),
    ("/infinity", Dialect::Infinity),
    ("/cohere", Dialect::Cohere),
    ("/jina", Dialect::Jina),
    ("/vllm", Dialect::Vllm),
    ("/llama", Dialect::Llama),
    ("/voyage", Dialect::Voyage),
    ("/nvidia", Dialect::Nvidia),
    ("/weaviate", Dialect::Weaviate),
    ("/deepinfra", Dialect::DeepInfra),
];

/// The dialect of a path's prefix, if it has one, and the rest without a slash at its end.
pub(in crate::serve) fn without_prefix(path: &str) -> (Option<Dialect>, &str) {
    let path = path.trim_end_matches('/');
    let found = PREFIXES.iter().find_map(|(prefix, dialect)| {
        let rest = path.strip_prefix(prefix)?;
        // The prefix of the common dialect is an endpoint by itself.
        let is_whole = rest.is_empty() && *dialect != Dialect::Rerank;
        (is_whole || rest.starts_with('/')).then_some((*dialect, rest))
    });
    match found {
        Some((dialect, rest)) => (Some(dialect), rest),
        None => (None, path),
    }
}

/// The endpoint of a POST path.
pub(in crate::serve) fn endpoint(path: &str) -> Option<Endpoint> {
    use Dialect::{Cohere, CohereV1, DeepInfra, Llama, Nvidia, Predict, Score, Tei, Vllm};
    use Endpoint::{Fixed, Invocation, Rerank};
    let (prefix, rest) = without_prefix(path);
    Some(match (prefix, rest) {
        (Some(Cohere), "/v1/rerank") => Fixed(CohereV1),
        (None, "/v2/rerank") => Fixed(Cohere),
        (None, "/rerank" | "/v1/rerank") => Rerank,
        (None, "/reranking" | "/v1/reranking") => Fixed(Llama),
        (None | Some(Vllm), "/score" | "/v1/score") => Fixed(Score),
        (None | Some(Tei), "/predict") => Fixed(Predict),
        (None | Some(Tei), "" | "/invocations") => Invocation,
        (None | Some(Nvidia), "/v1/ranking") => Fixed(Nvidia),
        (None | Some(Nvidia), cloud) if is_nvidia_cloud(cloud) => Fixed(Nvidia),
        (Some(DeepInfra), inference) if is_deepinfra(inference) => Fixed(DeepInfra),
        (Some(dialect), "/rerank" | "/v1/rerank" | "/v2/rerank" | "/reranking" | "/v1/reranking") => Fixed(dialect),
        _ => return None,
    })
}

/// NVIDIA's paths with the name of a model, or without.
fn is_nvidia_cloud(path: &str) -> bool {
    path.strip_prefix("/v1/retrieval").is_some_and(|rest| rest.starts_with('/') && rest.ends_with("/reranking"))
}

/// DeepInfra's paths, which end with the name of a model.
fn is_deepinfra(path: &str) -> bool {
    path.strip_prefix("/v1").unwrap_or(path).starts_with("/inference/")
}

impl Endpoint {
    /// Reads a body; `default` is the dialect of `--dialect`. An error comes with the dialect that it is written in.
    pub fn read(
        self,
        body: &[u8],
        default: Option<Dialect>,
        limits: &Limits,
    ) -> Result<(Dialect, RerankRequest), (Dialect, Problem)> {
        let body = Body::parse(body).map_err(|problem| (self.dialect(default), problem))?;
        let dialect = self.dialect_of(&body, default);
        let request = match dialect {
            Dialect::Score | Dialect::DeepInfra => pairs::read(&body, dialect, limits),
            Dialect::Predict => pairs::read_predict(&body, limits),
            _ => rank::read(&body, dialect, limits),
        };
        request.map(|request| (dialect, request)).map_err(|problem| (dialect, problem))
    }

    /// The dialect where no body could be read.
    fn dialect(self, default: Option<Dialect>) -> Dialect {
        match self {
            Self::Fixed(dialect) => dialect,
            Self::Rerank => default.unwrap_or(Dialect::Rerank),
            Self::Invocation => Dialect::Tei,
        }
    }

    fn dialect_of(self, body: &Body<'_>, default: Option<Dialect>) -> Dialect {
        match self {
            Self::Fixed(dialect) => dialect,
            Self::Rerank if body.has("queries") && body.has("documents") && !body.has("query") => Dialect::DeepInfra,
            Self::Invocation if body.has("inputs") => Dialect::Predict,
            Self::Invocation if pairs::is_score(body) && !body.has("query") => Dialect::Score,
            Self::Rerank | Self::Invocation => shape(body).or(default).unwrap_or(Dialect::Rerank),
        }
    }
}

/// The dialect that a body shows by its fields.
fn shape(body: &Body<'_>) -> Option<Dialect> {
    if body.has("property") {
        return Some(Dialect::Weaviate);
    }
    // Dify, too, can send `texts`, and expects an object: with a model and a number of results, but without what only
    // the clients of text-embeddings-inference send.
    let any = |names: &[&str]| names.iter().any(|name| body.has(name));
    // Two lists are an error, which the client of the common dialect reads.
    let is_list = |name: &str| body.has(name) && !body.has("documents");
    if is_list("texts")
        && (!any(&["model", "top_n"]) || any(&["raw_scores", "return_text", "truncate", "truncation_direction"]))
    {
        return Some(Dialect::Tei);
    }
    if is_list("passages") {
        return Some(Dialect::Nvidia);
    }
    // Voyage's clients always send it, and no others do.
    if body.names("truncation") && !body.has("top_n") {
        return Some(Dialect::Voyage);
    }
    None
}

/// In whose shape an error is written where no body was read.
pub(in crate::serve) fn of_error(path: &str, default: Option<Dialect>) -> Dialect {
    match (endpoint(path), without_prefix(path)) {
        (Some(endpoint), _) => endpoint.dialect(default),
        (None, (Some(dialect), _)) => dialect,
        (
            None,
            (None, "/info" | "/embed" | "/embed_all" | "/embed_sparse" | "/tokenize" | "/decode" | "/similarity"),
        ) => Dialect::Tei,
        (None, (None, "/meta")) => Dialect::Weaviate,
        (None, _) => default.unwrap_or(Dialect::Rerank),
    }
}

/// A sentence with the right endpoint, for the paths of services that do something else.
pub(in crate::serve) fn misplaced(path: &str) -> Option<&'static str> {
    let (_, rest) = without_prefix(path);
    let last = rest.rsplit('/').next().unwrap_or_default();
    match last {
        "embeddings" | "embed" | "embed_all" | "embed_sparse" | "embedding" | "pooling" | "encode" | "similarity"
        | "vectors" => Some(
            "this service serves a reranker, which scores documents for a query and has no embeddings: POST /v1/rerank with \
             {\"query\": …, \"documents\": […]}",
        ),
        "completions" | "chat" | "generate" | "completion" | "messages" | "responses" => Some(
            "this service serves a reranker, which scores documents for a query and generates no text: POST /v1/rerank with \
             {\"query\": …, \"documents\": […]}",
        ),
        "classify" => Some(
            "this service serves a reranker, which classifies no single texts: POST /v1/rerank with {\"query\": …, \
             \"documents\": […]}, or /predict with {\"inputs\": [[query, document]]}",
        ),
        "tokenize" | "detokenize" | "decode" => Some(
            "this service returns no tokens, but counts those of each request in its response: POST /v1/rerank with \
             {\"query\": …, \"documents\": […]}",
        ),
        "rank" | "reranks" | "re-rank" | "ranking" => {
            Some("the endpoint is POST /v1/rerank, with {\"query\": …, \"documents\": […]}")
        }
        _ => None,
    }
}
