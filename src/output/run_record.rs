//! What is kept beside an output of the run that writes it.

use std::io;
use std::path::Path;

use crate::record::Query;

/// The record of a run, which the writer of its output keeps true: it never stands beside the rankings of another run.
pub(crate) trait RunRecord: Send {
    /// Notes what the output begins with.
    fn begin(&mut self, bytes: &[u8]);

    /// Notes that the output has these bytes behind those that it had.
    fn wrote(&mut self, bytes: &[u8]);

    /// Notes that a query was ranked, and whether its ranking has rows.
    fn ranked(&mut self, query: &Query, has_rows: bool);

    /// Notes that the run was broken off when its output had so many bytes and rankings.
    fn stop(&mut self, bytes: u64, rankings: u64, how: BrokenOff);

    /// Notes that the run came to its end: with so many bytes, rankings, and records that could not be used.
    fn complete(&mut self, bytes: u64, rankings: u64, skipped: u64);

    /// Writes the record of an output's run, in place of another one.
    ///
    /// # Errors
    /// If the system can't write it.
    fn write(&self, output: &Path) -> io::Result<()>;
}

/// How a run was broken off.
#[derive(Clone, Copy, Debug, Default)]
pub struct BrokenOff {
    /// The records that it could not use, and had left out.
    pub skipped: u64,
    /// Whether a record that it could not use stopped it.
    pub by_record: bool,
}
