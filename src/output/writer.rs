//! The one owner of the output: a ranking is written and flushed as a whole, and never rewritten.

use std::fmt;
use std::fs::File;
use std::io::{self, ErrorKind, Seek, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::{Formatter, Layout};
use crate::record::Ranking;

/// The reader of a pipe has gone; the run ends quietly.
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
    File {
        file: File,
        path: PathBuf,
    },
    /// Made with the first ranking, so that a run that never begins leaves nothing behind.
    New(PathBuf),
}

/// Writes rankings to a file or to standard output.
///
/// An existing file keeps its content until the first ranking is there, so that a run that fails at the start takes
/// nothing away.
pub struct Writer {
    sink: Sink,
    formatter: Formatter,
    buffer: Vec<u8>,
    /// Bytes of complete rankings, once there are any.
    written: Option<u64>,
}

/// Checks that a file can be written, and leaves all as it was.
///
/// # Errors
/// If it can't.
pub fn check_writable(path: &Path) -> Result<()> {
    open(path).map(drop)
}

/// An existing file, not yet emptied; none if it doesn't exist but can be made.
fn open(path: &Path) -> Result<Option<File>> {
    // A link counts as something that is there, even where it points to nothing yet.
    let new = path.symlink_metadata().is_err();
    let file = File::options().write(true).create(true).truncate(false).open(path);
    let file = file.with_context(|| format!("cannot write to {}", path.display()))?;
    if new {
        std::fs::remove_file(path).with_context(|| format!("cannot write to {}", path.display()))?;
    }
    Ok((!new).then_some(file))
}

impl Writer {
    /// Opens the output; `None` is standard output.
    ///
    /// # Errors
    /// If the file can't be written.
    pub fn open(path: Option<&Path>, layout: Layout) -> Result<Self> {
        let sink = match path {
            None => Sink::Stdout,
            Some(path) => match open(path)? {
                Some(file) => Sink::File { file, path: path.to_owned() },
                None => Sink::New(path.to_owned()),
            },
        };
        Ok(Self { sink, formatter: Formatter::new(layout), buffer: Vec::new(), written: None })
    }

    /// Writes one ranking.
    ///
    /// # Errors
    /// [`Closed`] if the reader of a pipe has gone; otherwise what the system says, after taking a part of a ranking back.
    pub fn write(&mut self, ranking: &Ranking) -> Result<()> {
        self.buffer.clear();
        self.formatter.format(ranking, &mut self.buffer)?;
        self.flush()
    }

    /// Completes the output of a run that went to its end. Names the fields that the format had no place for.
    ///
    /// # Errors
    /// As [`Writer::write`].
    pub fn finish(mut self) -> Result<Vec<String>> {
        self.buffer.clear();
        self.formatter.finish(&mut self.buffer)?;
        self.flush()?;
        Ok(self.formatter.left_out().into_iter().map(str::to_owned).collect())
    }

    fn flush(&mut self) -> Result<()> {
        let result = self.write_buffer();
        if let (Err(_), Sink::File { file, .. }) = (&result, &mut self.sink) {
            // What can't be taken back stays: the error is told in any case.
            let _ = file.set_len(self.written.unwrap_or(0));
        }
        match result {
            Ok(()) => {
                *self.written.get_or_insert(0) += self.buffer.len() as u64;
                Ok(())
            }
            Err(error) if error.kind() == ErrorKind::BrokenPipe => Err(Closed.into()),
            Err(error) => Err(error).with_context(|| match &self.sink {
                Sink::Stdout => "cannot write to standard output".to_owned(),
                Sink::File { path, .. } | Sink::New(path) => {
                    format!("cannot write to {}; the rankings before stay complete", path.display())
                }
            }),
        }
    }

    fn write_buffer(&mut self) -> io::Result<()> {
        if let Sink::New(path) = &self.sink {
            self.sink = Sink::File { file: File::create(path)?, path: path.clone() };
        }
        match &mut self.sink {
            Sink::New(_) => Ok(()),
            Sink::Stdout => {
                let mut stdout = io::stdout().lock();
                stdout.write_all(&self.buffer)?;
                stdout.flush()
            }
            Sink::File { file, .. } => {
                if self.written.is_none() && file.metadata()?.is_file() {
                    file.set_len(0)?;
                    file.rewind()?;
                }
                file.write_all(&self.buffer)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::OutputFormat;
    use super::super::examples::ranking;
    use super::*;

    const LAYOUT: Layout = Layout { format: OutputFormat::Trec, text: true };

    #[test]
    fn a_run_that_never_began_changes_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let (old, new) = (directory.path().join("old"), directory.path().join("new"));
        std::fs::write(&old, "yesterday's rankings, longer than today's first\n").unwrap();
        drop(Writer::open(Some(&old), LAYOUT).unwrap());
        drop(Writer::open(Some(&new), LAYOUT).unwrap());
        assert!(std::fs::read_to_string(&old).unwrap().starts_with("yesterday"));
        assert!(!new.exists());

        let mut writer = Writer::open(Some(&old), LAYOUT).unwrap();
        writer.write(&ranking(&[1.])).unwrap();
        drop(writer);
        assert_eq!(std::fs::read_to_string(&old).unwrap(), "q1 Q0 d0 1 1 rerank\n");
    }

    #[test]
    fn an_empty_result_empties_the_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("old");
        std::fs::write(&path, "old").unwrap();
        Writer::open(Some(&path), LAYOUT).unwrap().finish().unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_full_disk_is_told() {
        let mut writer = Writer::open(Some(Path::new("/dev/full")), LAYOUT).unwrap();
        let message = format!("{:#}", writer.write(&ranking(&[1.])).unwrap_err());
        assert!(message.contains("/dev/full") && message.contains("No space left"), "{message}");
    }
}
