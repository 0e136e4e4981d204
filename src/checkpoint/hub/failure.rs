//! The reasons why a request failed, in words, and whether another attempt may help.

use std::io::ErrorKind;
use std::time::{Duration, SystemTime};

use ureq::Error;
use ureq::http::{HeaderMap, StatusCode};

use crate::transport::{self, is_timeout, was_connected};

/// A request that failed.
#[derive(Debug)]
pub(super) enum Failure {
    /// Another attempt may succeed.
    Passing {
        /// What happened, as the end of a sentence.
        problem: String,
        /// How long the hub wants to be left alone.
        pause: Option<Duration>,
        /// Whether data had come in the meantime.
        moved: bool,
    },
    /// Another attempt would fail likewise.
    Final {
        /// What happened, as the end of a sentence.
        problem: String,
        /// What the user can do about it; the network's usual remedies where it is absent.
        remedy: Option<String>,
    },
}

impl Failure {
    /// A failure that passes, such as that of a server that is overloaded.
    pub(super) fn passing(problem: impl Into<String>) -> Self {
        Self::Passing { problem: problem.into(), pause: None, moved: false }
    }

    /// A failure that stays.
    pub(super) fn lasting(problem: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::Final { problem: problem.into(), remedy: Some(remedy.into()) }
    }

    /// Adds where on the way to the hub it failed; `way` is a part of a sentence.
    pub(super) fn at(mut self, way: &str) -> Self {
        let (Self::Passing { problem, .. } | Self::Final { problem, .. }) = &mut self;
        *problem += way;
        self
    }

    /// A connection that could not be made, or an answer that did not come within `limit`. Where the hub has `answered`
    /// before, a refused connection may be a restart; where it has not, there is nobody.
    pub(super) fn of_transport(error: &Error, limit: Duration, answered: bool) -> Self {
        let problem = transport::problem(error, limit);
        let passes = match error {
            Error::Timeout(_) | Error::Protocol(_) => true,
            Error::HostNotFound | Error::ConnectionFailed => answered,
            Error::Io(error) if error.kind() == ErrorKind::InvalidData => false,
            Error::Io(error) => answered || was_connected(error) || is_timeout(error),
            _ => false,
        };
        if passes { Self::passing(problem) } else { Self::Final { problem, remedy: None } }
    }

    /// An answer with a status that is not success.
    pub(super) fn of_status(status: StatusCode, headers: &HeaderMap, asked: &Asked<'_>) -> Self {
        let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let number = format!("{} {}", status.as_u16(), status.canonical_reason().unwrap_or_default());
        let problem = match header("x-error-message") {
            "" => format!("the answer is {}", number.trim_end()),
            // A server's words, bounded and without control characters.
            message => {
                let message: String = message.chars().filter(|character| !character.is_control()).take(300).collect();
                format!("the answer is {}: {message}", number.trim_end())
            }
        };
        match status.as_u16() {
            401 | 403 => Self::lasting(problem, asked.permission(header("x-error-code"))),
            404 | 410 => Self::lasting(problem, asked.existence(header("x-error-code"))),
            429 | 408 | 425 | 500..=599 => {
                Self::Passing { problem, pause: pause_asked_for(header("retry-after")), moved: false }
            }
            _ => Self::Final { problem, remedy: None },
        }
    }
}

/// The request that failed.
pub(super) struct Asked<'a> {
    /// The model's id.
    pub(super) id: &'a str,
    /// Its branch, tag or commit.
    pub(super) revision: &'a str,
    /// The file; none for the list of files.
    pub(super) file: Option<&'a str>,
    /// The hub's address.
    pub(super) endpoint: &'a str,
    /// Whether a token was sent along.
    pub(super) with_token: bool,
}

impl Asked<'_> {
    fn permission(&self, code: &str) -> String {
        let Self { id, endpoint, .. } = self;
        let token = if self.with_token {
            "the token that was sent (HF_TOKEN, or the one that `hf auth login` stored) does not give access"
        } else {
            "no token was sent: set HF_TOKEN to one from the hub's settings, or log in with `hf auth login`"
        };
        match code {
            "GatedRepo" => {
                format!("the model is gated: accept its conditions at {endpoint}/{id} with your account; {token}")
            }
            "RepoNotFound" => format!("check the id; if the model is private or gated, {token}"),
            _ => format!(
                "check the id; the hub answers so for models that are private, gated (accept the conditions at \
                 {endpoint}/{id}) or not there; {token}"
            ),
        }
    }

    fn existence(&self, code: &str) -> String {
        let Self { id, revision, .. } = self;
        match (code, self.file) {
            ("RevisionNotFound", _) => format!("{id} has no branch, tag or commit {revision}; check --revision"),
            ("EntryNotFound", Some(file)) => format!("{id} has no file {file} at revision {revision}"),
            _ => format!("check the id and the revision ({revision}); private and gated models need HF_TOKEN"),
        }
    }
}

/// `Retry-After`: seconds or a date.
fn pause_asked_for(header: &str) -> Option<Duration> {
    if let Ok(seconds) = header.trim().parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let date = httpdate::parse_http_date(header).ok()?;
    Some(date.duration_since(SystemTime::now()).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        assert_eq!(pause_asked_for("7"), Some(Duration::from_secs(7)));
        assert_eq!(pause_asked_for("Wed, 21 Oct 2015 07:28:00 GMT"), Some(Duration::ZERO));
        assert_eq!(pause_asked_for("soon"), None);
        assert_eq!(pause_asked_for(""), None);
    }
}
