//! When a request is given up: after the service's own time, or the shorter one that its client states.

use std::time::{Duration, Instant};

use axum::http::HeaderMap;

use super::request::{Problem, ProblemKind};

/// The header with the seconds after which a client gives its request up.
pub(super) const REQUEST_TIMEOUT: &str = "x-request-timeout";

/// When a request is given up.
#[derive(Clone, Copy, Debug)]
pub(super) struct Deadline {
    began: Instant,
    patience: Duration,
    is_of_client: bool,
}

impl Deadline {
    /// The deadline of a request that comes now, `most` from now at the latest.
    ///
    /// # Errors
    /// If the client states no time that it could be.
    pub(super) fn of(headers: &HeaderMap, most: Duration) -> Result<Self, Problem> {
        let began = Instant::now();
        let Some(stated) = headers.get(REQUEST_TIMEOUT) else {
            return Ok(Self { began, patience: most, is_of_client: false });
        };
        let seconds = stated.to_str().ok().and_then(|stated| stated.trim().parse::<f64>().ok());
        let Some(seconds) = seconds.filter(|seconds| *seconds > 0.) else {
            return Err(Problem::new(
                ProblemKind::Malformed,
                format!("{REQUEST_TIMEOUT}: a number of seconds above 0 is expected, as in 2.5"),
            ));
        };
        let patience = Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX);
        Ok(Self { began, patience: patience.min(most), is_of_client: patience < most })
    }

    /// The time that is left.
    pub(super) fn left(&self) -> Duration {
        self.patience.saturating_sub(self.began.elapsed())
    }

    /// The problem of a request for which none is left.
    pub(super) fn exceeded(&self) -> Problem {
        let option = if self.is_of_client { REQUEST_TIMEOUT } else { "--request-timeout" };
        let seconds = self.patience.as_secs_f64();
        let message = format!("the request was not done within {seconds} s ({option}); send fewer documents at a time");
        Problem::new(ProblemKind::DeadlineExceeded, message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_can_be_less_patient_than_the_service() {
        let most = Duration::from_secs(60);
        let of = |value: &str| {
            Deadline::of(&HeaderMap::from_iter([(REQUEST_TIMEOUT.parse().unwrap(), value.parse().unwrap())]), most)
        };
        for (value, seconds, option) in
            [("2.5", 2.5, "x-request-timeout"), ("60", 60., "--request-timeout"), ("1e300", 60., "--request-timeout")]
        {
            let deadline = of(value).unwrap();
            assert_eq!(deadline.patience.as_secs_f64(), seconds);
            assert!(deadline.left() <= deadline.patience);
            let problem = deadline.exceeded();
            assert_eq!(problem.kind, ProblemKind::DeadlineExceeded);
            assert!(problem.message.contains(option), "{}", problem.message);
        }
        for value in ["0", "-1", "NaN", "soon", ""] {
            assert_eq!(of(value).unwrap_err().kind, ProblemKind::Malformed, "{value}");
        }
        assert_eq!(Deadline::of(&HeaderMap::new(), most).unwrap().patience, most);
    }
}
