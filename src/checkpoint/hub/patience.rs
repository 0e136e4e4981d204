//! How long an answer of the hub is awaited, and how often a request is repeated.

use std::env;
use std::time::Duration;

use anyhow::{Result, bail};

/// Attempts without progress in between, after which the hub is given up.
pub(super) const ATTEMPTS: u32 = 4;
/// Bytes after which a download counts as moving, so that the attempts are counted anew.
pub(super) const PROGRESS: u64 = 1 << 20;
/// The longest pause between two attempts that the hub may ask for.
pub(super) const LONGEST_PAUSE: Duration = Duration::from_secs(300);

const DEFAULT: Duration = Duration::from_secs(10);
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// The limits on silence. There is none on a whole download, which may take hours as long as it moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Patience {
    /// The wait for a connection and for the answer to a question about a model or a file: `HF_HUB_ETAG_TIMEOUT`.
    pub(super) answer: Duration,
    /// The wait for the next bytes of a file: `HF_HUB_DOWNLOAD_TIMEOUT`.
    pub(super) data: Duration,
}

impl Patience {
    /// Reads the variables that the Python client has too.
    ///
    /// # Errors
    /// If one of them is no number of seconds.
    pub(super) fn from_environment() -> Result<Self> {
        Ok(Self { answer: seconds("HF_HUB_ETAG_TIMEOUT")?, data: seconds("HF_HUB_DOWNLOAD_TIMEOUT")? })
    }

    /// The wait for the whole of an answer other than a file.
    pub(super) fn whole(&self) -> Duration {
        self.answer * 6
    }

    /// The pause after so many failed attempts: it doubles each time.
    pub(super) fn pause(&self, failed: u32) -> Duration {
        FIRST_PAUSE.min(self.answer) * 2u32.pow(failed.saturating_sub(1).min(6))
    }
}

fn seconds(name: &str) -> Result<Duration> {
    let Some(value) = env::var(name).ok().filter(|value| !value.is_empty()) else { return Ok(DEFAULT) };
    match value.trim().parse::<f64>() {
        Ok(seconds) if seconds > 0. && seconds <= 86_400. => Ok(Duration::from_secs_f64(seconds)),
        _ => bail!("{name}={value}: a number of seconds is needed, such as 30 (at most 86400)"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_and_stay_short_where_the_limits_are() {
        let patience = |answer| Patience { answer: Duration::from_millis(answer), data: DEFAULT };
        assert_eq!([1, 2, 3].map(|failed| patience(10_000).pause(failed).as_millis()), [1000, 2000, 4000]);
        assert_eq!([1, 2, 3].map(|failed| patience(50).pause(failed).as_millis()), [50, 100, 200]);
    }
}
