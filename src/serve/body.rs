//! Reads the body of a request, which may be too large, come slowly, or not be JSON.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::http::{HeaderMap, header};
use http_body_util::BodyExt;
use tokio::time::timeout;

use super::admission::{Admission, Place};
use super::request::{Problem, ProblemKind};

/// How long the next part of a body is waited for.
const PATIENCE: Duration = Duration::from_secs(20);

/// What a body may be.
#[derive(Clone, Copy, Debug)]
pub(super) struct BodyLimits {
    /// The most bytes.
    pub(super) bytes: usize,
    /// The time until the whole body must have come.
    pub(super) patience: Duration,
}

/// How long a body is read on that is not used, and how long its next part is waited for.
const DISCARDING: Duration = Duration::from_secs(5);
const DISCARDING_PAUSE: Duration = Duration::from_secs(1);
/// The most bytes of it, beside those that a body may have.
const MOST_DISCARDED: usize = 64 << 20;

/// The body of a request, as far as it was not read.
pub(super) struct RequestBody {
    body: Body,
    /// Whether there may be more, which the client sends without being asked to.
    has_rest: bool,
}

impl RequestBody {
    /// A body of which nothing was read.
    pub(super) fn new(headers: &HeaderMap, body: Body) -> Self {
        Self { body, has_rest: !headers.contains_key(header::EXPECT) }
    }

    /// Reads the body whole, and returns it with the place that it holds.
    ///
    /// # Errors
    /// If it is not declared as JSON, is too large or does not come in time, or too much is held already.
    pub(super) async fn read(
        &mut self,
        headers: &HeaderMap,
        limits: BodyLimits,
        admission: &Arc<Admission>,
    ) -> Result<(Vec<u8>, Place), Problem> {
        check_type(headers)?;
        let declared = headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
        if declared.is_some_and(|length: usize| length > limits.bytes) {
            return Err(too_large(limits.bytes));
        }
        // Nothing is held for what a client has but announced: some that announce much and send nothing would keep all others out.
        let mut place = admission.take(0, 0).ok_or_else(busy)?;
        let mut bytes = Vec::new();
        let began = Instant::now();
        self.has_rest = true;
        loop {
            let left = limits.patience.saturating_sub(began.elapsed()).min(PATIENCE);
            let frame = match timeout(left, self.body.frame()).await {
                Ok(Some(frame)) => frame,
                Ok(None) => {
                    self.has_rest = false;
                    return Ok((bytes, place));
                }
                Err(_) => return Err(Problem::new(ProblemKind::RequestTimeout, "the body did not come in time")),
            };
            let frame = frame.map_err(|_| Problem::new(ProblemKind::Malformed, "the body is cut off or malformed"))?;
            let Ok(data) = frame.into_data() else { continue };
            if bytes.len() + data.len() > limits.bytes {
                return Err(too_large(limits.bytes));
            }
            if !place.grow(data.len()) {
                return Err(busy());
            }
            bytes.extend_from_slice(&data);
        }
    }

    /// Reads what is left, for a while, and drops it: a client that sends everything before it reads would find its connection closed,
    /// and not the answer. `most` is what a body may have.
    pub(super) async fn discard(&mut self, most: usize) {
        if !self.has_rest {
            return;
        }
        let mut left = most.saturating_add(MOST_DISCARDED);
        let discarding = async {
            while let Ok(Some(Ok(frame))) = timeout(DISCARDING_PAUSE, self.body.frame()).await {
                match left.checked_sub(frame.data_ref().map_or(0, |data| data.len())) {
                    Some(rest) => left = rest,
                    None => return,
                }
            }
        };
        // What does not come in this time is not waited for.
        let _ = timeout(DISCARDING, discarding).await;
    }
}

fn busy() -> Problem {
    Problem::new(ProblemKind::Busy, "as many bytes as the service takes at a time wait already; try again soon")
}

fn too_large(most: usize) -> Problem {
    let message = format!("the body has more than {most} bytes (--max-body); send fewer documents at a time");
    Problem::new(ProblemKind::TooLarge, message)
}

fn check_type(headers: &HeaderMap) -> Result<(), Problem> {
    let unsupported = |message: String| Err(Problem::new(ProblemKind::UnsupportedMediaType, message));
    let text = |name| headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).to_ascii_lowercase());
    if let Some(encoding) = text(header::CONTENT_ENCODING).filter(|encoding| encoding.trim() != "identity") {
        return unsupported(format!("Content-Encoding: {encoding}: bodies are not unpacked; send it as it is"));
    }
    let Some(kind) = text(header::CONTENT_TYPE) else { return Ok(()) };
    let essence = kind.split(';').next().unwrap_or_default().trim();
    match essence == "application/json" || essence.ends_with("+json") || essence == "text/json" {
        true => Ok(()),
        false => unsupported(format!(
            "Content-Type: {kind}: a body of JSON is expected; send Content-Type: application/json"
        )),
    }
}
