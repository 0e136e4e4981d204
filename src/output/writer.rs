//! The writer of the output: each ranking is written and flushed as a whole, and never rewritten.

use std::fmt;
use std::io::{self, ErrorKind, Write};
use std::path::Path;

use anyhow::{Context, Result};

use super::compression::Compressor;
use super::file::OutputFile;
use super::{Formatter, Layout};
use crate::record::Ranking;
use crate::standard_output;

/// The reader of the output has closed the pipe; the run then ends without a message.
#[derive(Debug)]
pub struct Closed;

impl fmt::Display for Closed {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("the reader of the output has closed it")
    }
}

impl std::error::Error for Closed {}

enum Sink {
    Stdout,
    File(OutputFile),
}

/// Writes rankings to a file or to standard output.
pub struct Writer {
    sink: Sink,
    formatter: Formatter,
    compressor: Compressor,
    buffer: Vec<u8>,
    /// Bytes of complete rankings that were written.
    written: u64,
}

impl Writer {
    /// Opens the output; `None` is standard output.
    ///
    /// # Errors
    /// If the file can't be written, or another run writes to it; if standard output is closed.
    pub fn open(path: Option<&Path>, layout: &Layout) -> Result<Self> {
        let sink = match path {
            None => {
                standard_output::check().context("cannot write to standard output")?;
                Sink::Stdout
            }
            Some(path) => Sink::File(OutputFile::open(path)?),
        };
        let compressor = Compressor::new(layout.compression);
        Ok(Self { sink, formatter: Formatter::new(layout), compressor, buffer: Vec::new(), written: 0 })
    }

    /// Writes one ranking.
    ///
    /// # Errors
    /// [`Closed`] if the reader of a pipe has closed it; otherwise the system's error, after a part of a ranking is removed.
    pub fn write(&mut self, ranking: &Ranking) -> Result<()> {
        self.buffer.clear();
        self.formatter.format(ranking, &mut self.buffer)?;
        self.compressor.compress(&mut self.buffer)?;
        self.flush()
    }

    /// Completes the output of a run that went to its end. Returns the names of fields that the format had no column for.
    ///
    /// # Errors
    /// As [`Writer::write`].
    pub fn finish(mut self) -> Result<Vec<String>> {
        self.buffer.clear();
        self.formatter.finish(&mut self.buffer)?;
        // A file without rankings must be valid too: for gzip and Zstandard it has an empty member or frame.
        if self.written == 0 || !self.buffer.is_empty() {
            self.compressor.compress(&mut self.buffer)?;
            self.flush()?;
        }
        let left_out = self.formatter.left_out().into_iter().map(str::to_owned).collect();
        self.close()?;
        Ok(left_out)
    }

    /// Ends the output of a run that was broken off, so that it can be decompressed to its end.
    ///
    /// # Errors
    /// As [`Writer::write`].
    pub fn close(mut self) -> Result<()> {
        self.buffer = self.compressor.end()?;
        if self.buffer.is_empty() { Ok(()) } else { self.flush() }
    }

    fn flush(&mut self) -> Result<()> {
        let result = self.write_buffer();
        if let (Err(_), Sink::File(file)) = (&result, &mut self.sink) {
            file.take_back(self.written);
        }
        match result {
            Ok(()) => {
                self.written += self.buffer.len() as u64;
                Ok(())
            }
            Err(error) if error.kind() == ErrorKind::BrokenPipe => Err(Closed.into()),
            Err(error) => Err(error).with_context(|| match &self.sink {
                Sink::Stdout => "cannot write to standard output".to_owned(),
                Sink::File(file) => {
                    format!("cannot write to {}; the rankings before stay complete", file.path().display())
                }
            }),
        }
    }

    fn write_buffer(&mut self) -> io::Result<()> {
        match &mut self.sink {
            Sink::Stdout => {
                let mut stdout = standard_output::lock()?;
                stdout.write_all(&self.buffer)?;
                stdout.flush()
            }
            Sink::File(file) => file.write(&self.buffer),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::examples::ranking;
    use super::super::{Compression, OutputFormat};
    use super::*;

    fn open(path: &Path) -> Writer {
        let tag = "rerank".to_owned();
        let layout = Layout { format: OutputFormat::Trec, compression: Compression::None, text: true, tag };
        Writer::open(Some(path), &layout).unwrap()
    }

    #[test]
    fn a_run_that_never_began_changes_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let (old, new) = (directory.path().join("old"), directory.path().join("new"));
        std::fs::write(&old, "yesterday's rankings, longer than today's first\n").unwrap();
        drop(open(&old));
        drop(open(&new));
        assert!(std::fs::read_to_string(&old).unwrap().starts_with("yesterday"));
        assert!(!new.exists());

        let mut writer = open(&old);
        writer.write(&ranking(&[1.])).unwrap();
        drop(writer);
        assert_eq!(std::fs::read_to_string(&old).unwrap(), "q1 Q0 d0 1 1 rerank\n");
    }

    #[test]
    fn an_empty_result_empties_the_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("old");
        std::fs::write(&path, "old").unwrap();
        open(&path).finish().unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_full_disk_is_reported() {
        let mut writer = open(Path::new("/dev/full"));
        let message = format!("{:#}", writer.write(&ranking(&[1.])).unwrap_err());
        assert!(message.contains("/dev/full") && message.contains("No space left"), "{message}");
    }
}
