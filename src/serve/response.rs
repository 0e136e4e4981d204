//! Responses: their headers, and how long their bodies are held.

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::http::{HeaderName, HeaderValue, Response, StatusCode, header};

use super::admission::{Admission, Place};
use super::dialect::{Dialect, Rendered};
use super::request::{Problem, ProblemKind};

/// A response's body until its last byte is written.
struct HeldBody {
    text: String,
    _place: Place,
}

impl AsRef<[u8]> for HeldBody {
    fn as_ref(&self) -> &[u8] {
        self.text.as_bytes()
    }
}

/// A response with a body of this content type.
pub(super) fn respond(code: StatusCode, kind: &'static str, body: impl Into<Body>) -> Response<Body> {
    let mut response = Response::new(body.into());
    *response.status_mut() = code;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

/// Sets a header, whose name is in lower case.
pub(super) fn set(response: &mut Response<Body>, name: &'static str, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(HeaderName::from_static(name), value);
    }
}

/// The response to a request that has its scores.
pub(super) fn written(rendered: Rendered, admission: &Arc<Admission>) -> Response<Body> {
    let held = HeldBody { _place: admission.hold(rendered.body.len()), text: rendered.body };
    let mut response = respond(StatusCode::OK, "application/json", Bytes::from_owner(held));
    for (name, value) in rendered.headers {
        set(&mut response, name, &value);
    }
    response
}

/// The response to a request that gets none.
pub(super) fn refused(dialect: Dialect, problem: &Problem) -> Response<Body> {
    let code = StatusCode::from_u16(problem.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = respond(code, "application/json", dialect.render_problem(problem));
    let extra = match problem.kind {
        ProblemKind::Busy => Some((header::RETRY_AFTER, "1")),
        ProblemKind::Unavailable => Some((header::RETRY_AFTER, "5")),
        ProblemKind::Unauthorized => Some((header::WWW_AUTHENTICATE, "Bearer")),
        // What follows on the connection is the rest of a body that is not read.
        ProblemKind::TooLarge | ProblemKind::RequestTimeout => Some((header::CONNECTION, "close")),
        _ => None,
    };
    if let Some((name, value)) = extra {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}
