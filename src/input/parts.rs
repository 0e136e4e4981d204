//! A file in parts: the Parquet files of a directory, read one after the other as one.

use std::collections::VecDeque;
use std::io::{self, BufRead, Read};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use super::findings::Findings;
use super::source::{Opened, Source};

/// The Parquet files of a directory, by their names; none, if there is no such directory.
///
/// # Errors
/// If the directory can't be read.
pub fn parquet_files(directory: &Path) -> Result<Vec<PathBuf>> {
    if !directory.is_dir() {
        return Ok(Vec::new());
    }
    let cannot_read = || format!("cannot read the directory {}", directory.display());
    let mut files = Vec::new();
    for entry in directory.read_dir().with_context(cannot_read)? {
        let path = entry.with_context(cannot_read)?.path();
        let is_hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        if !is_hidden && path.is_file() && path.extension().is_some_and(|extension| extension == "parquet") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

impl Source {
    /// The rows of the Parquet files of a directory as JSONL.
    ///
    /// # Errors
    /// If there are none, or the directory can't be read.
    pub(super) fn of_directory(directory: &Path) -> Result<Self> {
        let waiting: VecDeque<PathBuf> = parquet_files(directory)?.into();
        if waiting.is_empty() {
            bail!("{} is a directory without Parquet files: name a file", directory.display());
        }
        let reader = Box::new(Parts { waiting, part: Box::new(io::empty()) });
        let name = directory.display().to_string().into();
        Ok(Self { name, reader, position: None, lines_skipped: 0, findings: Findings::default() })
    }
}

/// The text of files, of which one is open.
struct Parts {
    waiting: VecDeque<PathBuf>,
    part: Box<dyn BufRead + Send>,
}

impl BufRead for Parts {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        while self.part.fill_buf()?.is_empty() {
            let Some(path) = self.waiting.pop_front() else { break };
            let opened = Opened::open(Some(&path)).and_then(Opened::into_text);
            self.part = opened.map_err(|error| io::Error::other(format!("{error:#}")))?.reader;
        }
        self.part.fill_buf()
    }

    fn consume(&mut self, count: usize) {
        self.part.consume(count);
    }
}

impl Read for Parts {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.fill_buf()?.read(buffer)?;
        self.consume(read);
        Ok(read)
    }
}
