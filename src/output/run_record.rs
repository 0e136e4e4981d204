//! What is kept beside an output of the run that writes it.

use std::io;
use std::path::Path;

/// The record of a run, which the writer of its output keeps true: it never stands beside the rankings of another run.
pub(crate) trait RunRecord: Send {
    /// Notes what the output begins with.
    fn begin(&mut self, bytes: &[u8]);

    /// Notes that the run came to its end: with so many bytes, rankings, and records that could not be used.
    fn complete(&mut self, bytes: u64, rankings: u64, skipped: u64);

    /// Writes the record of an output's run, in place of another one.
    ///
    /// # Errors
    /// If the system can't write it.
    fn write(&self, output: &Path) -> io::Result<()>;
}
