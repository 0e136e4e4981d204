//! What a request asks for and what it gets, whatever dialect it is written in.

/// A request for scores.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RerankRequest {
    /// One query for all documents, or one for each.
    pub queries: Vec<String>,
    /// The documents, in the client's order.
    pub documents: Vec<String>,
    /// The instruction, in place of the one that the service was started with.
    pub instruction: Option<String>,
    /// How texts that are too long are cut.
    pub truncation: Truncation,
    /// Whether scores are the model's logits.
    pub raw_scores: bool,
    /// The most results; none, if all are wanted.
    pub top_n: Option<usize>,
    /// The least score of a result.
    pub min_score: Option<f32>,
    /// Whether results repeat their documents; none, if the client left that to the dialect.
    pub return_documents: Option<bool>,
    /// Whether the client wants to share no cache with others.
    pub salted: bool,
    /// The model that the client names.
    pub model: Option<String>,
    /// The identifier that its body gives it.
    pub id: Option<String>,
    /// What else of the request its response depends on.
    pub echo: Echo,
}

/// Parts of a request that some dialects repeat, or that choose the shape of the response.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Echo {
    /// Weaviate's name of the property whose values the documents are.
    pub property: Option<String>,
    /// Whether the results stand in a list of Voyage's name, too.
    pub data: bool,
    /// Whether the results are a bare array, where the dialect has both.
    pub in_array: bool,
    /// Whether each query with its documents was a list of texts of its own, whose scores the response lists in the client's order.
    pub in_lists: bool,
}

/// How texts that are too long are cut. The default cuts what does not fit into the model's longest prompt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Truncation {
    /// A prompt that would have to be cut is an error.
    pub refuse: bool,
    /// The beginning would have to be cut, and not the end.
    pub from_start: bool,
    /// The most tokens of a prompt.
    pub prompt: Option<usize>,
    /// The most tokens of a query.
    pub query: Option<usize>,
    /// The most tokens of a document.
    pub document: Option<usize>,
}

/// The scores of a request.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RerankResponse {
    /// For each document, in the client's order.
    pub pairs: Vec<ScoredPair>,
    /// The documents' indices, best first: by logit, then in the client's order. Only those that the request wants.
    pub ranking: Vec<usize>,
    /// Where the time went.
    pub timings: Timings,
}

/// A document's score.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ScoredPair {
    /// The model's output.
    pub logit: f32,
    /// What the client gets.
    pub score: f32,
    /// Tokens of the prompt.
    pub tokens: usize,
    /// Whether the document or the query was cut.
    pub truncated: bool,
}

/// Seconds of a request.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Timings {
    /// From the last byte of the request to the response.
    pub total: f64,
    /// Making prompts.
    pub tokenization: f64,
    /// Waiting for a batch.
    pub queue: f64,
    /// From the start of the first batch to the end of the last.
    pub inference: f64,
}

/// The longest identifier of a request that is taken from a client: a response may repeat it for each document.
pub const LONGEST_ID: usize = 128;

/// Whether a client's identifier can be that of its request.
pub fn is_request_id(id: &str) -> bool {
    !id.is_empty() && id.len() <= LONGEST_ID && id.bytes().all(|byte| byte.is_ascii_graphic())
}

impl RerankRequest {
    /// The bytes of its texts.
    pub fn bytes(&self) -> usize {
        let others = [&self.instruction, &self.model, &self.id, &self.echo.property].into_iter().flatten();
        self.queries.iter().chain(&self.documents).chain(others).map(String::len).sum()
    }
}

impl RerankResponse {
    /// The tokens of all prompts.
    pub fn tokens(&self) -> usize {
        self.pairs.iter().map(|pair| pair.tokens).sum()
    }
}

impl ServiceFacts {
    /// The model and its adapter, for messages.
    pub fn model_with_adapter(&self) -> String {
        match &self.adapter {
            Some(adapter) => format!("{} with the adapter {adapter}", self.model),
            None => self.model.clone(),
        }
    }
}

/// Why a request has no scores.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Its kind, and so the status.
    pub kind: ProblemKind,
    /// A sentence with the remedy.
    pub message: String,
}

/// Kinds of problems, with the status of each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProblemKind {
    /// The body is no JSON, or a field has a wrong type or is missing.
    Malformed = 400,
    /// The key is missing or wrong.
    Unauthorized = 401,
    /// A page asks that may not.
    Forbidden = 403,
    /// There is no such path or model.
    NotFound = 404,
    /// The path has another method.
    MethodNotAllowed = 405,
    /// The body did not come in time.
    RequestTimeout = 408,
    /// The body, or the number of documents, is too large.
    TooLarge = 413,
    /// The body is not declared as JSON.
    UnsupportedMediaType = 415,
    /// Values can't be used: a document is too long, a query empty.
    Invalid = 422,
    /// Too much waits already; the client is to try again soon.
    Busy = 429,
    /// Scoring has failed.
    Internal = 500,
    /// The model is still loading, or the service is about to end.
    Unavailable = 503,
    /// The deadline has passed.
    DeadlineExceeded = 504,
}

impl Problem {
    /// A problem of this kind.
    pub fn new(kind: ProblemKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }

    /// The status of the response.
    pub fn status(&self) -> u16 {
        self.kind as u16
    }
}

/// What clients may know of the service.
#[derive(Clone, Debug, Default)]
pub struct ServiceFacts {
    /// The name that responses give the model.
    pub model: String,
    /// Names under which a client may ask for it, beside that one; a client that names none gets it too.
    pub aliases: Vec<String>,
    /// The adapter that is merged into it, if there is one.
    pub adapter: Option<String>,
    /// The fingerprint of its files.
    pub fingerprint: String,
    /// The precision of the products.
    pub dtype: String,
    /// The devices.
    pub device: String,
    /// The recipe's name.
    pub recipe: String,
    /// The instruction of requests that have none.
    pub instruction: Option<String>,
    /// Whether an instruction has a place in the prompt.
    pub takes_instruction: bool,
    /// The longest prompt in tokens.
    pub max_length: usize,
    /// The most tokens of a batch.
    pub max_batch_tokens: usize,
    /// The most pairs of a batch.
    pub max_batch_pairs: usize,
    /// The most documents of a request.
    pub max_documents: usize,
    /// The most requests at a time.
    pub max_requests: usize,
    /// The version of rerank.
    pub version: &'static str,
    /// When the service was started, in seconds since 1970.
    pub started: u64,
}
