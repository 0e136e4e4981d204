//! The writer of the output: each ranking is written and flushed as a whole, and never rewritten.

use std::fmt;
use std::io::{self, ErrorKind};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};

use super::compression::Compressor;
use super::file::{Existing, OutputFile};
use super::staged::Staged;
use super::{BrokenOff, Formatter, Layout, OutputFormat, RunRecord, remedy};
use crate::progress::counted;
use crate::record::Ranking;
use crate::standard_output;
use crate::writing::Writing;

/// The reader of the output has closed the pipe; the run then ends without a message.
#[derive(Debug)]
pub struct Closed;

impl fmt::Display for Closed {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("the reader of the output has closed it")
    }
}

impl std::error::Error for Closed {}

/// The run was broken off, and its output has a format that is whole or not there.
#[derive(Debug)]
pub struct NotKept(String);

impl fmt::Display for NotKept {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "{} is not written, as a part of a Parquet file can't be read: write JSONL, which keeps what is complete and can be \
             resumed, where that matters",
            self.0
        )
    }
}

impl std::error::Error for NotKept {}

enum Sink {
    /// Standard output, which may be a file.
    Stdout {
        is_file: bool,
    },
    File(OutputFile),
    /// A file that is there when it is whole.
    Staged(Box<Staged>),
}

/// What was written is sent to the disk at least this often, so that a power failure costs no more than that.
const SYNC_INTERVAL: Duration = Duration::from_secs(5);

/// Writes rankings to a file or to standard output.
pub struct Writer {
    sink: Sink,
    formatter: Formatter,
    compressor: Compressor,
    buffer: Vec<u8>,
    /// Bytes of complete rankings that the file has.
    written: u64,
    /// The bytes of it that the disk has.
    synced: u64,
    /// Rankings that it has.
    rankings: u64,
    /// What is recorded beside the file of the run that writes it.
    run_record: Option<Box<dyn RunRecord>>,
    /// Whether the file is complete unless more rankings come.
    is_complete: bool,
    /// When the disk was last waited for, if anything was written since.
    unsynced: Option<Instant>,
    /// How users go on behind what is complete.
    going_on: &'static str,
}

/// Where an output that was read back goes on.
pub(crate) struct Continuation {
    /// The bytes that stay.
    pub(crate) kept: u64,
    /// The compressor, which has seen what the last member has.
    pub(crate) compressor: Compressor,
    /// The columns of a table that follow ours, if its header stays.
    pub(crate) columns: Option<Vec<String>>,
}

impl Writer {
    /// Opens the output; `None` is standard output.
    ///
    /// # Errors
    /// If the file can't be written, has content that is refused, or another run writes to it; if standard output is closed.
    pub fn open(path: Option<&Path>, layout: &Layout, existing: Existing) -> Result<Self> {
        let sink = match path {
            None => {
                standard_output::check().context("cannot write to standard output")?;
                Sink::Stdout { is_file: standard_output::is_file() }
            }
            Some(path) if layout.format == OutputFormat::Parquet && Staged::fits(path) => {
                Sink::Staged(Box::new(Staged::open(path, existing)?))
            }
            Some(path) => Sink::File(OutputFile::open(path, existing)?),
        };
        Ok(Self::new(sink, layout))
    }

    /// Opens an output that is there as a whole or not at all, whatever its format. Its path must be that of a file on a disk, or of
    /// none.
    ///
    /// # Errors
    /// As [`Writer::open`].
    pub(crate) fn open_whole(path: &Path, layout: &Layout, existing: Existing) -> Result<Self> {
        if !Staged::fits(path) {
            OutputFile::open(path, existing)?;
            bail!("{} is no file on a disk; name one, or a new one", path.display());
        }
        Ok(Self::new(Sink::Staged(Box::new(Staged::open(path, existing)?)), layout))
    }

    fn new(sink: Sink, layout: &Layout) -> Self {
        Self {
            sink,
            formatter: Formatter::new(layout),
            compressor: Compressor::new(layout.compression),
            buffer: Vec::new(),
            written: 0,
            synced: 0,
            rankings: 0,
            run_record: None,
            is_complete: false,
            unsynced: None,
            going_on: "go on with --resume",
        }
    }

    /// Names what users do to go on behind what is complete, where that is not --resume.
    pub(crate) fn goes_on_by(&mut self, doing: &'static str) {
        self.going_on = doing;
    }

    /// The file that is written, if it is one on a disk.
    pub(crate) fn file(&self) -> Option<&OutputFile> {
        match &self.sink {
            Sink::File(file) if file.is_regular() => Some(file),
            _ => None,
        }
    }

    /// Records the run beside the file before its first byte.
    pub(crate) fn record(&mut self, run_record: impl RunRecord + 'static) {
        self.run_record = Some(Box::new(run_record));
    }

    /// Goes on behind these rankings. A file that is complete stays as it is unless more rankings come.
    pub(crate) fn resume(&mut self, continuation: Continuation, rankings: u64, is_complete: bool) {
        let Continuation { kept, compressor, columns } = continuation;
        if let Sink::File(file) = &mut self.sink {
            file.keep(kept);
        }
        (self.written, self.synced, self.compressor) = (kept, kept, compressor);
        (self.rankings, self.is_complete) = (rankings, is_complete);
        self.formatter.resume(columns);
    }

    /// Writes one ranking.
    ///
    /// # Errors
    /// [`Closed`] if the reader of a pipe has closed it; otherwise the system's error, after a part of a ranking is removed.
    pub fn write(&mut self, ranking: &Ranking) -> Result<()> {
        self.buffer.clear();
        self.formatter.format(ranking, &mut self.buffer)?;
        let has_rows = !self.buffer.is_empty();
        self.write_formatted()?;
        self.run_record.iter_mut().for_each(|record| record.ranked(&ranking.query, has_rows));
        Ok(())
    }

    /// Writes a ranking that is formatted already: a line of JSONL.
    ///
    /// # Errors
    /// As [`Writer::write`].
    pub fn copy(&mut self, line: &[u8]) -> Result<()> {
        self.buffer.clear();
        self.buffer.extend_from_slice(line);
        self.write_formatted()
    }

    fn write_formatted(&mut self) -> Result<()> {
        // A query without rows leaves no trace, so that a run that is resumed need not know of it.
        if self.buffer.is_empty() {
            return Ok(());
        }
        self.compressor.compress(&mut self.buffer)?;
        self.flush()?;
        self.rankings += 1;
        self.sync_if_due()
    }

    /// How long to wait for a ranking before the disk is to be waited for; none, if nothing was written.
    pub fn until_sync(&self) -> Option<Duration> {
        self.unsynced.map(|since| SYNC_INTERVAL.saturating_sub(since.elapsed()))
    }

    /// Waits for the disk if that was not done for a while.
    ///
    /// # Errors
    /// If the disk could not store what was written.
    pub fn sync_if_due(&mut self) -> Result<()> {
        if self.until_sync() == Some(Duration::ZERO) { self.sync() } else { Ok(()) }
    }

    /// Completes the output of a run that went to its end. Returns the names of fields that the format had no column for.
    /// `skipped` is the number of records that could not be used.
    ///
    /// # Errors
    /// As [`Writer::write`].
    pub fn finish(mut self, skipped: u64) -> Result<Vec<String>> {
        if self.is_complete && !self.is_begun() {
            return Ok(Vec::new());
        }
        self.buffer.clear();
        self.formatter.finish(&mut self.buffer)?;
        // A file without rankings must be valid too: for gzip and Zstandard it has an empty member or frame.
        if self.written == 0 || !self.buffer.is_empty() {
            self.compressor.compress(&mut self.buffer)?;
            self.flush()?;
        }
        self.end()?;
        self.begin().and_then(|()| self.complete(skipped)).map_err(|error| self.failed(&error))?;
        let left_out = self.formatter.left_out().into_iter().map(str::to_owned).collect();
        if let Sink::Staged(file) = self.sink {
            let path = file.path().display().to_string();
            file.finish().with_context(|| format!("cannot write {path}"))?;
        }
        Ok(left_out)
    }

    /// Ends the output of a run that was broken off, so that it can be decompressed to its end, and records how far it came.
    ///
    /// # Errors
    /// As [`Writer::write`], and [`NotKept`] if the output is of a format that is whole or not there.
    pub fn close(mut self, how: BrokenOff) -> Result<()> {
        if let Sink::Staged(file) = &self.sink {
            return Err(NotKept(file.path().display().to_string()).into());
        }
        // A file that is resumed and was not touched stays as it is.
        if matches!(self.sink, Sink::Stdout { .. }) || self.is_begun() {
            self.end()?;
            self.stop(how).map_err(|error| self.failed(&error))?;
        }
        Ok(())
    }

    fn is_begun(&self) -> bool {
        matches!(&self.sink, Sink::File(file) if file.is_begun())
    }

    fn end(&mut self) -> Result<()> {
        self.buffer = self.compressor.end()?;
        if !self.buffer.is_empty() {
            self.flush()?;
        }
        self.sync()
    }

    fn flush(&mut self) -> Result<()> {
        let result = self.write_buffer();
        if let (Err(_), Sink::File(file)) = (&result, &mut self.sink)
            && file.is_begun()
        {
            file.take_back(self.written);
        }
        match result {
            Ok(()) => {
                self.written += self.buffer.len() as u64;
                self.run_record.iter_mut().for_each(|record| record.wrote(&self.buffer));
                self.unsynced.get_or_insert_with(Instant::now);
                Ok(())
            }
            Err(error) if error.kind() == ErrorKind::BrokenPipe => Err(Closed.into()),
            Err(error) => Err(self.failed(&error)),
        }
    }

    /// The error of a write that failed, with what stays and what helps.
    fn failed(&self, error: &io::Error) -> anyhow::Error {
        match &self.sink {
            Sink::Stdout { is_file: true } => anyhow!(
                "cannot write to standard output: {error}; what is complete stays ({}); with --output in place of > a run can be \
                 resumed",
                counted(self.rankings, "ranking", "rankings"),
            ),
            Sink::Stdout { .. } => anyhow!("cannot write to standard output: {error}"),
            Sink::Staged(file) => {
                anyhow!(
                    "cannot write {}: {error}; nothing is kept: {}, and start anew",
                    file.path().display(),
                    remedy(error)
                )
            }
            Sink::File(file) if !file.is_regular() => anyhow!("cannot write to {}: {error}", file.path().display()),
            Sink::File(file) => anyhow!(
                "cannot write to {}: {error}; what is complete stays ({}): {}, and {}",
                file.path().display(),
                counted(self.rankings, "ranking", "rankings"),
                remedy(error),
                self.going_on
            ),
        }
    }

    fn write_buffer(&mut self) -> io::Result<()> {
        self.begin()?;
        match &mut self.sink {
            Sink::Stdout { is_file } => {
                let _writing = Writing::begin(*is_file);
                standard_output::write_whole(&self.buffer)
            }
            Sink::File(file) => file.write(&self.buffer),
            Sink::Staged(file) => file.write(&self.buffer),
        }
    }

    /// Records the run, and removes what does not stay of the file.
    fn begin(&mut self) -> io::Result<()> {
        let Sink::File(file) = &mut self.sink else { return Ok(()) };
        if file.is_begun() {
            return Ok(());
        }
        let Some(run_record) = &mut self.run_record else { return file.begin() };
        // The record of a run never stands beside the rankings of another one: a file that is begun anew is emptied before its run
        // is recorded, and one that goes on is no longer recorded as complete before it changes.
        if self.written == 0 {
            file.begin()?;
            run_record.begin(&self.buffer);
        }
        run_record.write(file.path())?;
        file.begin()
    }

    fn sync(&mut self) -> Result<()> {
        let Sink::File(file) = &mut self.sink else {
            self.unsynced = None;
            return Ok(());
        };
        if file.is_begun()
            && let Err(error) = file.check(self.written)
        {
            let problem = format!(
                "cannot go on with {}: {error}; bring it back as it was and {}, or start anew with --overwrite",
                file.path().display(),
                self.going_on
            );
            return Err(anyhow!(problem));
        }
        if let Err(error) = file.sync() {
            // Nobody knows which of these bytes the disk has, and a later attempt would report success.
            file.take_back(self.synced);
            let problem = format!(
                "the disk could not store what was written to {}: {error}; its first {} bytes stay: {}, and {}",
                file.path().display(),
                self.synced,
                remedy(&error),
                self.going_on
            );
            return Err(anyhow!(problem));
        }
        (self.synced, self.unsynced) = (self.written, None);
        Ok(())
    }

    /// Records that the run was broken off.
    fn stop(&mut self, how: BrokenOff) -> io::Result<()> {
        let (Sink::File(file), Some(run_record)) = (&self.sink, &mut self.run_record) else { return Ok(()) };
        run_record.stop(self.written, self.rankings, how);
        run_record.write(file.path())
    }

    /// Records that the run came to its end.
    fn complete(&mut self, skipped: u64) -> io::Result<()> {
        let (Sink::File(file), Some(run_record)) = (&self.sink, &mut self.run_record) else { return Ok(()) };
        run_record.complete(self.written, self.rankings, skipped);
        run_record.write(file.path())
    }
}

#[cfg(test)]
#[path = "writer_tests.rs"]
mod tests;
