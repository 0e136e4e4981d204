//! A reader under the CSV parser that bounds a record's bytes and remembers what the parser does not tell.

use std::io::{self, Read};

/// The bytes before a chunk that are kept with it: a quote and a line end, or two.
const KEPT_BYTES: usize = 4;

/// Counts the bytes since the last record and keeps the last chunk.
pub struct Tally<R> {
    reader: R,
    limit: usize,
    since_record: usize,
    chunk: Vec<u8>,
    /// The offset behind the chunk.
    end: u64,
    ended: bool,
}

/// The error for a record that does not end within the limit.
#[derive(Debug)]
pub struct RecordTooLong;

impl std::fmt::Display for RecordTooLong {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("the record is too long")
    }
}

impl std::error::Error for RecordTooLong {}

impl<R: Read> Tally<R> {
    /// Reads records of at most `limit` bytes; what the parser reads ahead is not counted exactly.
    pub fn new(reader: R, limit: usize) -> Self {
        Self { reader, limit, since_record: 0, chunk: Vec::new(), end: 0, ended: false }
    }

    /// A record is complete.
    pub fn end_record(&mut self) {
        self.since_record = 0;
    }

    /// The byte before an offset that lies in the last chunk.
    pub fn byte_before(&self, offset: u64) -> Option<u8> {
        let from_end = usize::try_from(self.end.checked_sub(offset)?).ok()?;
        let index = self.chunk.len().checked_sub(from_end + 1)?;
        self.chunk.get(index).copied()
    }

    /// Where the parser has met the end: whether the last bytes are a closing quote, with or without a line end.
    pub fn ends_with_quote(&self) -> Option<bool> {
        self.ended.then(|| self.chunk.trim_ascii_end().ends_with(b"\""))
    }
}

impl<R: Read> Read for Tally<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.since_record > self.limit {
            return Err(io::Error::other(RecordTooLong));
        }
        let read = self.reader.read(buffer)?;
        self.ended = read == 0;
        self.since_record += read;
        self.end += read as u64;
        self.chunk.drain(..self.chunk.len().saturating_sub(KEPT_BYTES));
        self.chunk.extend_from_slice(&buffer[..read]);
        Ok(read)
    }
}
