//! JSON values cut out of a stream one by one: the elements of a top-level list, or values that follow each other.
//!
//! Only the ends of values are looked for (strings, escapes, nesting); whether a value is valid JSON is checked later. So the
//! file is never held as a whole, and a broken element does not make the others unreadable.

use std::io::{self, BufRead};

use anyhow::{Result, bail};

use super::lines::{Piece, blanks, check_skipped, newlines};
use super::source::{Source, read_error};
use crate::slices::first;

/// Cuts a stream into JSON values of bounded size.
pub struct Elements {
    source: Source,
    limit: usize,
    buffer: Vec<u8>,
    line: u64,
    offset: u64,
    expected: Expected,
}

/// What may follow in the stream.
#[derive(Clone, Copy, Debug)]
enum Expected {
    /// Nothing was read yet.
    Start,
    /// After `[`: a value or `]`.
    FirstElement,
    /// After a comma: a value.
    Element,
    /// After an element: a comma or `]`.
    Separator,
    /// After a value without a list around it: another value.
    Value,
    /// After the list: nothing.
    Nothing,
}

impl Elements {
    /// Makes a reader of values of at most `limit` bytes.
    pub fn new(source: Source, limit: usize) -> Self {
        Self { line: 1 + source.lines_skipped, source, limit, buffer: Vec::new(), offset: 0, expected: Expected::Start }
    }

    /// The source's name in messages.
    pub fn name(&self) -> &str {
        &self.source.name
    }

    /// The next value; `None` at the end.
    ///
    /// # Errors
    /// The source can't be read, or what stands between the values is not JSON, so that no next value can be found.
    pub fn next(&mut self) -> Result<Option<Piece<'_>>> {
        loop {
            let Some(byte) = self.peek()? else { return self.end() };
            self.expected = match (self.expected, byte) {
                (Expected::Start, b'[') => self.skip(Expected::FirstElement),
                (Expected::Start, _) => Expected::Value,
                (Expected::FirstElement | Expected::Separator, b']') => self.skip(Expected::Nothing),
                (Expected::Separator, b',') => self.skip(Expected::Element),
                (Expected::Nothing, _) => bail!(self.misplaced(byte, "nothing may follow the closing `]`")),
                (Expected::Separator, _) => bail!(self.misplaced(byte, "a comma or `]` is expected")),
                (_, b',' | b':' | b']' | b'}') => bail!(self.misplaced(byte, "a JSON value is expected")),
                (Expected::FirstElement | Expected::Element, _) => {
                    self.expected = Expected::Separator;
                    return self.cut().map(Some);
                }
                (Expected::Value, _) => return self.cut().map(Some),
            }
        }
    }

    fn end(&self) -> Result<Option<Piece<'_>>> {
        match self.expected {
            Expected::Start | Expected::Value | Expected::Nothing => Ok(None),
            _ => bail!("{} ends inside its JSON list, the closing `]` is missing: is it truncated?", self.source.name),
        }
    }

    fn misplaced(&self, byte: u8, expectation: &str) -> String {
        let found = char::from(byte);
        format!("{}:{}: `{found}` stands between two JSON values: {expectation}", self.source.name, self.line)
    }

    fn skip(&mut self, next: Expected) -> Expected {
        self.source.reader.consume(1);
        self.offset += 1;
        next
    }

    /// Returns the next byte that is not blank, without consuming it.
    fn peek(&mut self) -> Result<Option<u8>> {
        loop {
            let available = self.source.reader.fill_buf().map_err(|error| read_error(&self.source.name, error))?;
            if available.is_empty() {
                return Ok(None);
            }
            let blank = blanks(available);
            let (found, count) = (available.get(blank.len()).copied(), blank.len());
            self.line += newlines(blank);
            self.offset += count as u64;
            self.source.reader.consume(count);
            if found.is_some() {
                return Ok(found);
            }
        }
    }

    /// Reads the value that starts here.
    fn cut(&mut self) -> Result<Piece<'_>> {
        let (line, offset) = (self.line, self.offset);
        let mut nesting = Nesting::default();
        let mut fits = true;
        self.buffer.clear();
        loop {
            let available = self.source.reader.fill_buf().map_err(|error| read_error(&self.source.name, error))?;
            let end = nesting.scan(available);
            let part = end.map_or(available, |end| first(available, end));
            let (taken, last) = (part.len(), end.is_some() || available.is_empty());
            if fits && self.buffer.len() + taken > self.limit {
                fits = false;
                self.buffer = Vec::new();
            }
            if fits {
                self.buffer.extend_from_slice(part);
            }
            let read = (self.offset - offset) as usize;
            check_skipped(read).map_err(|error| read_error(&self.source.name, error))?;
            self.line += newlines(part);
            self.offset += taken as u64;
            self.source.reader.consume(taken);
            if last {
                let is_cut = end.is_none() && nesting.is_open();
                return Ok(Piece { line, offset, is_cut, bytes: fits.then_some(&self.buffer) });
            }
        }
    }
}

/// Finds where a JSON value ends, over any number of chunks.
#[derive(Default)]
pub struct Nesting {
    depth: u64,
    in_string: bool,
    escaped: bool,
}

impl Nesting {
    /// The index behind the value's last byte, or `None` where the value goes on in the next chunk. The first byte of
    /// the first chunk is the value's first byte.
    pub fn scan(&mut self, chunk: &[u8]) -> Option<usize> {
        for (index, &byte) in chunk.iter().enumerate() {
            if self.in_string {
                // A line break ends a string that was never closed, so that the elements behind it can be found.
                if byte == b'\n' || (byte == b'"' && !self.escaped) {
                    self.in_string = false;
                    if self.depth == 0 {
                        return Some(index + 1);
                    }
                }
                self.escaped = byte == b'\\' && !self.escaped;
                continue;
            }
            match byte {
                b'"' => self.in_string = true,
                b'{' | b'[' => self.depth += 1,
                b'}' | b']' | b',' if self.depth == 0 => return Some(index),
                b'}' | b']' => {
                    self.depth -= 1;
                    if self.depth == 0 {
                        return Some(index + 1);
                    }
                }
                _ if self.depth == 0 && byte.is_ascii_whitespace() => return Some(index),
                _ => {}
            }
        }
        None
    }

    /// Whether an object, a list or a string is open.
    pub fn is_open(&self) -> bool {
        self.depth > 0 || self.in_string
    }

    /// Whether an object or list is open and the next byte is not inside a string.
    pub fn is_between_tokens(&self) -> bool {
        self.depth > 0 && !self.in_string
    }
}

/// Reads the value that starts at the reader's position into the buffer, in place of its content.
///
/// # Errors
/// It can't be read.
pub fn read_value(reader: &mut impl BufRead, buffer: &mut Vec<u8>) -> io::Result<()> {
    let mut nesting = Nesting::default();
    buffer.clear();
    loop {
        let available = reader.fill_buf()?;
        let end = nesting.scan(available);
        let part = end.map_or(available, |end| first(available, end));
        let taken = part.len();
        buffer.extend_from_slice(part);
        reader.consume(taken);
        if end.is_some() || taken == 0 {
            return Ok(());
        }
    }
}

#[cfg(test)]
#[path = "elements_tests.rs"]
mod tests;
