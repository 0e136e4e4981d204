//! The exit statuses.

use std::process::ExitCode;

/// How the program ended, as a shell sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Everything was ranked, or the reader of the output had enough.
    Done = 0,
    /// The run failed, or records were skipped.
    Failed = 1,
    /// The options make no sense (clap's own status for that).
    Usage = 2,
    /// Interrupted; what was complete is written.
    Interrupted = 130,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        ExitCode::from(exit as u8)
    }
}
