//! `--errors FILE`: the records that could not be used, a JSON object a line.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hasher};
use std::io::{self, BufRead, BufReader, ErrorKind, Seek};
use std::path::Path;

use anyhow::{Context, Result, anyhow};
use memchr::memchr;
use serde::Serialize;

use super::{Existing, OutputFile, remedy};
use crate::record::{BadRecord, RecordName};
use crate::slices::first;

/// The file of the records that could not be used.
pub struct ErrorsFile {
    file: OutputFile,
    /// The hashes of lines that a resumed run had written before, and that were not reported again so far.
    earlier: HashSet<u64>,
}

#[derive(Serialize)]
struct Line<'a> {
    file: &'a str,
    line: u64,
    #[serde(flatten)]
    name: &'a RecordName,
    problem: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    record: Option<&'a str>,
}

impl ErrorsFile {
    /// Opens the file. A run that goes on with another one keeps its complete lines.
    ///
    /// # Errors
    /// If it can't be written or read, another run writes to it, or it has content that is refused.
    pub fn open(path: &Path, existing: Existing, goes_on: bool) -> Result<Self> {
        let mut file = OutputFile::open(path, existing)?;
        let mut earlier = HashSet::new();
        if goes_on && file.is_regular() {
            let kept = read_back(&file, &mut earlier).with_context(|| format!("cannot read {}", path.display()))?;
            file.keep(kept);
        }
        Ok(Self { file, earlier })
    }

    /// Writes a record that can't be used, unless the run that is resumed has written it.
    ///
    /// # Errors
    /// If the system can't write it.
    pub fn write(&mut self, bad: &BadRecord) -> Result<()> {
        let BadRecord { place, name, problem, content } = bad;
        let line = Line { file: &place.file, line: place.line, name, problem, record: content.as_deref() };
        let mut text = serde_json::to_vec(&line)?;
        text.push(b'\n');
        let mut hasher = DefaultHasher::new();
        hasher.write(&text);
        if self.earlier.remove(&hasher.finish()) {
            return Ok(());
        }
        match self.file.write(&text) {
            // The reader of a pipe has what it wanted.
            Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
            written => written.map_err(|error| self.failed(&error)),
        }
    }

    /// Completes the file, which is empty if all records could be used. Returns how many records the run that was resumed had
    /// reported and this one did not.
    ///
    /// # Errors
    /// If the system can't write it.
    pub fn finish(&mut self) -> Result<u64> {
        let finished = self.file.begin().and_then(|()| self.file.check_name()).and_then(|()| self.file.sync());
        finished.map_err(|error| self.failed(&error))?;
        Ok(self.earlier.len() as u64)
    }

    /// Whether the file has fewer records than the run that was resumed had left out.
    pub fn lacks(&self, skipped: u64) -> bool {
        (self.earlier.len() as u64) < skipped
    }

    fn failed(&self, error: &io::Error) -> anyhow::Error {
        anyhow!(
            "cannot write to {}: {error}; the rankings that are complete stay: {}, and go on with --resume",
            self.file.path().display(),
            remedy(error)
        )
    }
}

/// Hashes the complete lines of a file, and returns where they end.
fn read_back(file: &OutputFile, lines: &mut HashSet<u64>) -> io::Result<u64> {
    let mut file = file.reader()?;
    file.rewind()?;
    let mut reader = BufReader::new(file);
    let (mut hasher, mut position, mut end) = (DefaultHasher::new(), 0, 0);
    loop {
        let available = reader.fill_buf()?;
        if available.is_empty() {
            return Ok(end);
        }
        let newline = memchr(b'\n', available);
        let part = newline.map_or(available, |at| first(available, at + 1));
        let taken = part.len();
        hasher.write(part);
        reader.consume(taken);
        position += taken as u64;
        if newline.is_some() {
            lines.insert(std::mem::take(&mut hasher).finish());
            end = position;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Place;

    fn bad(line: u64) -> BadRecord {
        let name = RecordName::query(Some("q".into()));
        let content = (line == 2).then(|| "{\"a\":1".into());
        BadRecord { place: Place { file: "in".into(), line }, name, problem: "it is empty".into(), content }
    }

    #[test]
    fn lines_are_continued_and_none_is_doubled() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("errors.jsonl");
        let mut file = ErrorsFile::open(&path, Existing::Refuse, false).unwrap();
        (1..4).for_each(|line| file.write(&bad(line)).unwrap());
        assert_eq!(file.finish().unwrap(), 0);
        drop(file);
        let whole = std::fs::read_to_string(&path).unwrap();
        let second =
            "{\"file\":\"in\",\"line\":2,\"query_id\":\"q\",\"problem\":\"it is empty\",\"record\":\"{\\\"a\\\":1\"}";
        assert_eq!(whole.lines().nth(1), Some(second));
        assert!(ErrorsFile::open(&path, Existing::Refuse, false).is_err());
        for cut in 0..whole.len() {
            std::fs::write(&path, &whole[..cut]).unwrap();
            let mut file = ErrorsFile::open(&path, Existing::Resume, true).unwrap();
            (2..4).for_each(|line| file.write(&bad(line)).unwrap());
            let first = whole.find('\n').unwrap() + 1;
            assert_eq!(file.finish().unwrap(), u64::from(cut >= first));
            let kept = if cut >= first { &whole[..] } else { &whole[first..] };
            assert_eq!(std::fs::read_to_string(&path).unwrap(), kept, "{cut}");
        }
    }
}
