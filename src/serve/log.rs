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
}

impl RequestLine {
    /// Prints a request: if every detail is wanted, if messages are for programs, or if it has failed.
    pub(super) fn print(&self, reporter: &Reporter) {
        if reporter.is_json() && (self.problem.is_some() || reporter.verbosity() >= Verbosity::Normal) {
            let fields = match serde_json::to_value(self) {
                Ok(Value::Object(fields)) => fields,
                _ => Map::new(),
            };
            return reporter.print_fields(if self.problem.is_some() { "error" } else { "info" }, fields);
        }
        let Self { request_id, method, path, status, documents, seconds, .. } = self;
        let line = format!("{method} {path}: {status}, {documents} documents, {seconds:.3} s, request {request_id}");
        match &self.problem {
            Some(problem) => reporter.error(&format!("{line}: {problem}")),
            None if !reporter.is_json() => reporter.detail(&line),
            None => {}
        }
    }
}
