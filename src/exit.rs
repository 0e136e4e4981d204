//! The exit statuses.

use std::fmt;
use std::process::ExitCode;

/// How the program ended, as a shell sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Everything was ranked, or the reader of the output closed it.
    Done = 0,
    /// The run failed, or records were skipped.
    Failed = 1,
    /// The options make no sense (clap's own status for that).
    Usage = 2,
    /// The terminal was closed (128 + SIGHUP); what was complete is written.
    HungUp = 129,
    /// Interrupted (128 + SIGINT); what was complete is written.
    Interrupted = 130,
    /// Terminated (128 + SIGTERM); what was complete is written.
    Terminated = 143,
}

impl Exit {
    /// The status of a run that an error ended: 2 if the options are to blame, else 1.
    pub fn of(error: &anyhow::Error) -> Self {
        if error.chain().any(|cause| cause.is::<UsageError>()) { Self::Usage } else { Self::Failed }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        ExitCode::from(exit as u8)
    }
}

/// An error of the options that is found after they were parsed: a file that does not exist, or an option that a format does
/// not have.
#[derive(Debug)]
pub struct UsageError(String);

impl UsageError {
    /// Makes the error of a sentence that names the option and the remedy.
    pub fn new(problem: impl Into<String>) -> Self {
        Self(problem.into())
    }
}

impl fmt::Display for UsageError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl std::error::Error for UsageError {}
