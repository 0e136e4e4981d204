//! Lines of bounded length.

use std::io::{self, BufRead};

use anyhow::Result;
use memchr::memchr;

use super::findings::Findings;
use super::source::{Source, read_error};
use crate::slices::first;

/// A line or a JSON element, not yet understood.
#[derive(Debug, PartialEq, Eq)]
pub struct Piece<'a> {
    /// The line on which it starts, counted from 1; or the row, if rows of columns make the lines.
    pub line: u64,
    /// The byte at which it starts, counted from 0 where reading began.
    pub offset: u64,
    /// Whether the input ends before it does: a line without a line end, a JSON value that is not closed.
    pub is_cut: bool,
    /// Its bytes, without the line end; `None` where it is longer than the limit and was skipped.
    pub bytes: Option<&'a [u8]>,
}

/// Reads lines. A line that is longer than the limit is skipped without holding more than the limit of it.
pub struct Lines {
    source: Source,
    limit: usize,
    buffer: Vec<u8>,
    line: u64,
    offset: u64,
}

impl Lines {
    /// Lines of at most `limit` bytes.
    pub fn new(source: Source, limit: usize) -> Self {
        Self { line: source.lines_skipped, source, limit, buffer: Vec::new(), offset: 0 }
    }

    /// The source's name in messages.
    pub fn name(&self) -> &str {
        &self.source.name
    }

    /// What is found in the source while it is read.
    pub fn findings(&self) -> &Findings {
        &self.source.findings
    }

    /// The next line that is not blank; `None` at the end.
    ///
    /// # Errors
    /// The source can't be read.
    pub fn next(&mut self) -> Result<Option<Piece<'_>>> {
        loop {
            let read = self.skip_blank_lines().and_then(|()| self.read());
            let Some(Read { offset, fits }) = read.map_err(|error| read_error(&self.source.name, error))? else {
                return Ok(None);
            };
            if !(fits && self.buffer.trim_ascii().is_empty()) {
                let line = self.source.findings.row_of(self.line);
                let is_cut = fits && !self.buffer.ends_with(b"\n");
                let bytes = fits.then(|| content(&self.buffer));
                return Ok(Some(Piece { line, offset, is_cut, bytes }));
            }
        }
    }

    /// Passes by lines that are blank as a whole, many at once: a file may begin with a gigabyte of them.
    fn skip_blank_lines(&mut self) -> io::Result<()> {
        loop {
            let available = self.source.reader.fill_buf()?;
            let run = blanks(available);
            let Some(last) = run.iter().rposition(|&byte| byte == b'\n') else { return Ok(()) };
            self.line += newlines(run);
            self.offset += last as u64 + 1;
            self.source.reader.consume(last + 1);
        }
    }

    /// Fills the buffer with one line; `None` at the end.
    fn read(&mut self) -> io::Result<Option<Read>> {
        self.buffer.clear();
        self.line += 1;
        // Two more bytes than the limit: the line end is not counted.
        let reader = &mut self.source.reader;
        let mut read = io::Read::take(&mut *reader, self.limit as u64 + 2).read_until(b'\n', &mut self.buffer)?;
        let fits = content(&self.buffer).len() <= self.limit;
        if !fits {
            if !self.buffer.ends_with(b"\n") {
                read += skip_line(reader)?;
            }
            self.buffer = Vec::new();
        }
        let offset = self.offset;
        self.offset += read as u64;
        Ok((read > 0).then_some(Read { offset, fits }))
    }
}

/// The most bytes of a record that is passed over because it is too long. What has more is no text, or has no end.
const MOST_SKIPPED: usize = 1 << 30;

/// Passes over the rest of a line, and returns its bytes.
///
/// # Errors
/// If it can't be read, or has no end within reason.
pub fn skip_line<R: BufRead + ?Sized>(reader: &mut R) -> io::Result<usize> {
    let mut skipped = 0;
    loop {
        let available = reader.fill_buf()?;
        let end = memchr(b'\n', available);
        let (count, ended) = (end.map_or(available.len(), |at| at + 1), end.is_some() || available.is_empty());
        reader.consume(count);
        skipped += count;
        if ended {
            return Ok(skipped);
        }
        check_skipped(skipped)?;
    }
}

/// Refuses to pass over more bytes of one record.
///
/// # Errors
/// If they are too many.
pub fn check_skipped(bytes: usize) -> io::Result<()> {
    match bytes <= MOST_SKIPPED {
        true => Ok(()),
        false => Err(io::Error::other("a record has more than 1 GiB, as no text has; is it another kind of file?")),
    }
}

/// A line that was read.
struct Read {
    offset: u64,
    /// Whether the buffer holds it.
    fits: bool,
}

/// The blank bytes in front.
pub fn blanks(bytes: &[u8]) -> &[u8] {
    first(bytes, bytes.len() - bytes.trim_ascii_start().len())
}

/// How many lines end in these bytes.
pub fn newlines(bytes: &[u8]) -> u64 {
    bytes.iter().map(|&byte| u64::from(byte == b'\n')).sum()
}

/// A line without its line end.
pub fn content(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    line.strip_suffix(b"\r").unwrap_or(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &'static str, limit: usize) -> Vec<(u64, u64, Option<String>, bool)> {
        let mut lines = Lines::new(Source::from_reader("x".into(), Box::new(text.as_bytes())).unwrap(), limit);
        let mut read = Vec::new();
        while let Some(Piece { line, offset, bytes, is_cut }) = lines.next().unwrap() {
            read.push((line, offset, bytes.map(|bytes| String::from_utf8(bytes.to_vec()).unwrap()), is_cut));
        }
        read
    }

    #[test]
    fn a_long_line_is_skipped_and_reading_goes_on_behind_it() {
        let read = read("12345\r\n\n123456\n1234567890123456789\r\nlast", 5);
        let expected = [
            (1, 0, Some("12345".to_owned()), false),
            (3, 8, None, false),
            (4, 15, None, false),
            (5, 36, Some("last".to_owned()), true),
        ];
        assert_eq!(read, expected);
    }

    #[test]
    fn blank_lines_are_passed_by_and_counted() {
        let read = read("\n \r\n\n\ta\n\r\n   \n\n\nb \n \t \n ", 5);
        assert_eq!(read, [(4, 5, Some("\ta".to_owned()), false), (9, 16, Some("b ".to_owned()), false)]);
    }
}
