//! A store that does not answer is asked again for two minutes, and who waits should know for what.

use std::io::Write;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::progress::escaped;

/// How long attempts fail before that is reported.
const PATIENCE: Duration = Duration::from_secs(5);

/// Since when all attempts have failed, and whether that was reported.
struct Failing {
    since: Instant,
    is_reported: bool,
}

static FAILING: Mutex<Option<Failing>> = Mutex::new(None);

/// Notes that a store has answered.
pub(super) fn answered() {
    *FAILING.lock().unwrap_or_else(PoisonError::into_inner) = None;
}

/// Notes that an attempt has failed which is repeated, and reports it once if that has been so for a while.
pub(super) fn failed(host: &str, problem: &str) {
    let mut failing = FAILING.lock().unwrap_or_else(PoisonError::into_inner);
    let failing = failing.get_or_insert_with(|| Failing { since: Instant::now(), is_reported: false });
    if !failing.is_reported && failing.since.elapsed() >= PATIENCE {
        failing.is_reported = true;
        let message = format!(
            "warning: {host} does not do what it is asked for ({problem}); it is asked again for up to 2 minutes"
        );
        // If standard error is closed, there is nowhere to report that.
        let _ = writeln!(std::io::stderr(), "{}", escaped(&message));
    }
}
