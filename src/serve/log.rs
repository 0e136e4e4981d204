//! The line that is printed of a request on standard error. Texts and keys are not in it.

use serde::Serialize;
use serde_json::{Map, Value};

use crate::progress::{Reporter, Verbosity};

/// A request that has ended.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct RequestLine {
    pub(super) message: &'static str,
    pub(super) request_id: String,
    pub(super) method: String,
    pub(super) path: String,
    /// Empty where no scores are asked for.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub(super) dialect: &'static str,
    pub(super) status: u16,
    pub(super) documents: usize,
    pub(super) tokens: usize,
    pub(super) seconds: f64,
    pub(super) tokenization_seconds: f64,
    pub(super) queue_seconds: f64,
    pub(super) inference_seconds: f64,
    /// What is wrong with the service, and not with the request, whose texts could be quoted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) problem: Option<String>,
    /// Whether it is one of those that come again and again, and say little: of health, of metrics, of pages.
    #[serde(skip)]
    pub(super) is_routine: bool,
}

/// The most characters of a path.
const LONGEST_PATH: usize = 200;

/// A path as it is printed: nothing else bounds those that end with the name of a model.
pub(super) fn shortened(path: &str) -> String {
    path.chars().take(LONGEST_PATH).collect()
}

impl RequestLine {
    /// The line of a request for something else than scores.
    pub(super) fn of_other(id: &str, method: &str, path: &str, status: u16) -> Self {
        let path = shortened(path);
        Self {
            message: "request",
            request_id: id.to_owned(),
            method: method.to_owned(),
            path,
            status,
            ..Self::default()
        }
    }

    /// Prints a request: if every detail is wanted, if it has failed, or if messages are for programs and it is no routine.
    pub(super) fn print(&self, reporter: &Reporter) {
        let least = if self.is_routine { Verbosity::Verbose } else { Verbosity::Normal };
        if reporter.is_json() && (self.problem.is_some() || reporter.verbosity() >= least) {
            let fields = match serde_json::to_value(self) {
                Ok(Value::Object(fields)) => fields,
                _ => Map::new(),
            };
            return reporter.print_fields(if self.problem.is_some() { "error" } else { "info" }, fields);
        }
        let Self { request_id, method, path, dialect, status, documents, seconds, .. } = self;
        let of_scores = if dialect.is_empty() { String::new() } else { format!(" {documents} documents,") };
        let line = format!("{method} {path}: {status},{of_scores} {seconds:.3} s, request {request_id}");
        match &self.problem {
            Some(problem) => reporter.error(&format!("{line}: {problem}")),
            None if !reporter.is_json() => reporter.detail(&line),
            None => {}
        }
    }
}
