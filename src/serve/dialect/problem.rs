//! Errors, each in its dialect's shape.

use serde_json::{Value, json};

use super::Dialect;
use crate::serve::request::{Problem, ProblemKind};

/// The body of an error.
pub(super) fn render(dialect: Dialect, problem: &Problem) -> String {
    let message = problem.message.as_str();
    let body = match dialect {
        // Clients of several services ask here, and each of them finds its own field.
        Dialect::Rerank => json!({ "error": open_ai(problem), "message": message, "detail": message }),
        Dialect::Vllm | Dialect::Score | Dialect::Infinity => json!({ "error": open_ai(problem) }),
        Dialect::Llama => {
            json!({ "error": { "code": problem.status(), "message": message, "type": llama_type(problem.kind) } })
        }
        Dialect::Tei | Dialect::Predict | Dialect::Elastic => {
            json!({ "error": message, "error_type": tei_type(problem.kind) })
        }
        Dialect::CohereV1 | Dialect::Cohere => json!({ "message": message }),
        Dialect::Jina | Dialect::Voyage | Dialect::DeepInfra => json!({ "detail": message }),
        Dialect::Weaviate => json!({ "error": message }),
        Dialect::Nvidia => {
            json!({ "object": "error", "message": message, "detail": message, "type": llama_type(problem.kind) })
        }
        Dialect::Sglang => {
            let mut error = open_ai(problem);
            if let Value::Object(fields) = &mut error {
                fields.insert("object".to_owned(), "error".into());
            }
            error
        }
    };
    body.to_string()
}

fn open_ai(problem: &Problem) -> Value {
    json!({ "message": problem.message, "type": open_ai_type(problem.kind), "param": null, "code": problem.status() })
}

fn open_ai_type(kind: ProblemKind) -> &'static str {
    match kind {
        ProblemKind::Malformed => "BadRequestError",
        ProblemKind::Unauthorized => "AuthenticationError",
        ProblemKind::Forbidden => "PermissionDeniedError",
        ProblemKind::NotFound => "NotFoundError",
        ProblemKind::MethodNotAllowed => "MethodNotAllowedError",
        ProblemKind::RequestTimeout => "RequestTimeoutError",
        ProblemKind::TooLarge => "RequestEntityTooLargeError",
        ProblemKind::UnsupportedMediaType => "UnsupportedMediaTypeError",
        ProblemKind::Invalid => "UnprocessableEntityError",
        ProblemKind::Busy => "RateLimitError",
        ProblemKind::Internal => "InternalServerError",
        ProblemKind::Unavailable => "ServiceUnavailableError",
        ProblemKind::DeadlineExceeded => "GatewayTimeoutError",
    }
}

fn llama_type(kind: ProblemKind) -> &'static str {
    match kind {
        ProblemKind::Unauthorized => "authentication_error",
        ProblemKind::Forbidden => "permission_error",
        ProblemKind::NotFound => "not_found_error",
        ProblemKind::Internal => "server_error",
        ProblemKind::Busy | ProblemKind::Unavailable | ProblemKind::DeadlineExceeded => "unavailable_error",
        _ => "invalid_request_error",
    }
}

fn tei_type(kind: ProblemKind) -> &'static str {
    match kind {
        ProblemKind::Unavailable => "Unhealthy",
        ProblemKind::Busy | ProblemKind::DeadlineExceeded => "Overloaded",
        ProblemKind::Internal => "Backend",
        _ => "Validation",
    }
}
