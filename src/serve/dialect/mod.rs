//! The dialects: how each client writes a request, and what it expects to read.
//!
//! ```text
//! path ─► Endpoint ─ body ─► Dialect: options, texts ─► RerankRequest … RerankResponse ─► Dialect ─► JSON
//! ```
//!
//! One reader knows the fields of all dialects, so that `instruction` or `top_n` means the same wherever it stands. What a
//! client asks for is done or refused by name. Fields that nobody knows are ignored: clients send some that mean something to
//! one service alone.

use super::request::{Problem, RerankRequest, RerankResponse, ServiceFacts};

mod arrays;
mod body;
mod endpoint;
mod facts;
mod objects;
mod options;
mod pairs;
mod problem;
mod rank;
#[cfg(test)]
mod tests;
mod texts;

pub(super) use endpoint::{Endpoint, endpoint, misplaced, of_error, without_prefix};
pub(super) use facts::get;

/// A shape of requests and responses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// What the clients of Jina, Cohere, vLLM, Infinity and of applications can all read.
    Rerank,
    /// Cohere's first version.
    CohereV1,
    /// Cohere's second version.
    Cohere,
    /// Jina AI.
    Jina,
    /// vLLM's `/rerank`.
    Vllm,
    /// vLLM's `/score`: pairs, and scores in their order.
    Score,
    /// text-embeddings-inference's `/rerank`: a bare array.
    Tei,
    /// text-embeddings-inference's `/predict`: a list of labels for each pair.
    Predict,
    /// llama.cpp's server.
    Llama,
    /// Infinity.
    Infinity,
    /// Voyage AI.
    Voyage,
    /// NVIDIA's NIM: logits.
    Nvidia,
    /// Weaviate's inference container: scores in the order of the documents.
    Weaviate,
    /// SGLang: a bare array with the documents.
    Sglang,
    /// Elasticsearch's `hugging_face` service: a bare array, in which any key that it does not know is an error.
    Elastic,
    /// DeepInfra: pairs, and nothing but scores.
    DeepInfra,
}

/// All dialects with their names.
const NAMES: [(Dialect, &str); 16] = [
    (Dialect::Rerank, "rerank"),
    (Dialect::CohereV1, "cohere-v1"),
    (Dialect::Cohere, "cohere"),
    (Dialect::Jina, "jina"),
    (Dialect::Vllm, "vllm"),
    (Dialect::Score, "vllm-score"),
    (Dialect::Tei, "tei"),
    (Dialect::Predict, "tei-predict"),
    (Dialect::Llama, "llama"),
    (Dialect::Infinity, "infinity"),
    (Dialect::Voyage, "voyage"),
    (Dialect::Nvidia, "nvidia"),
    (Dialect::Weaviate, "weaviate"),
    (Dialect::Sglang, "sglang"),
    (Dialect::Elastic, "elastic"),
    (Dialect::DeepInfra, "deepinfra"),
];

/// The header with the number of documents that were cut, where some were.
pub(super) const TRUNCATED_DOCUMENTS: &str = "x-truncated-documents";

/// What a request can have at most.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Documents.
    pub documents: usize,
    /// Characters of a text.
    pub characters: usize,
}

/// What a response depends on beside the request and its scores.
#[derive(Clone, Copy, Debug)]
pub(super) struct Context<'a> {
    /// The service.
    pub facts: &'a ServiceFacts,
    /// The request's identifier.
    pub id: &'a str,
    /// When it came, in seconds since 1970.
    pub created: u64,
}

/// A response's body, JSON, and the headers of its dialect.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Rendered {
    /// The body.
    pub body: String,
    /// Names, in lower case, with their values.
    pub headers: Vec<(&'static str, String)>,
}

impl Dialect {
    /// The name, for `--dialect` and metrics.
    pub fn name(self) -> &'static str {
        NAMES.iter().find(|(dialect, _)| *dialect == self).map_or("", |(_, name)| name)
    }

    /// The dialect that `--dialect` names: one in which `/rerank` can be asked.
    pub fn from_name(name: &str) -> Option<Self> {
        let found = NAMES.iter().find(|(_, known)| *known == name)?;
        Some(found.0).filter(|dialect| dialect.is_of_rerank())
    }

    /// The names that `--dialect` takes.
    pub fn names() -> impl Iterator<Item = &'static str> {
        NAMES.iter().filter(|(dialect, _)| dialect.is_of_rerank()).map(|(_, name)| *name)
    }

    /// The response to a request that was read in this dialect.
    pub(super) fn render(self, request: &RerankRequest, response: &RerankResponse, context: &Context<'_>) -> Rendered {
        let body = match self {
            Self::Llama if request.echo.in_array => arrays::render(self, request, response, context),
            Self::Tei | Self::Elastic | Self::Sglang => arrays::render(self, request, response, context),
            Self::Score | Self::Predict | Self::DeepInfra => pairs::render(self, request, response, context),
            Self::Weaviate => objects::weaviate(request, response),
            Self::Nvidia => objects::nvidia(response),
            _ => objects::render(self, request, response, context),
        };
        let mut headers = match self {
            Self::Tei | Self::Predict => arrays::headers(request, response, context),
            _ => Vec::new(),
        };
        // Few dialects have a place for it in their bodies.
        let cut = response.pairs.iter().filter(|pair| pair.truncated).count();
        if cut > 0 {
            headers.push((TRUNCATED_DOCUMENTS, cut.to_string()));
        }
        Rendered { body, headers }
    }

    /// The body of an error.
    pub(super) fn render_problem(self, problem: &Problem) -> String {
        problem::render(self, problem)
    }

    fn is_of_rerank(self) -> bool {
        !matches!(self, Self::Score | Self::Predict | Self::DeepInfra)
    }

    /// Whether the response has the best documents first, and only those that are wanted.
    fn ranks(self) -> bool {
        self.is_of_rerank() && self != Self::Weaviate
    }

    /// Whether documents are repeated where the client does not say.
    fn returns_documents(self) -> bool {
        matches!(self, Self::Rerank | Self::Vllm | Self::Jina | Self::Sglang)
    }
}

/// A value that is made of texts and numbers as JSON.
fn json(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}
