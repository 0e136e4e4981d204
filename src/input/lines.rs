//! Lines of bounded length.

use std::io::{BufRead, Read};

use anyhow::Result;

use super::source::{Source, read_error};

/// A line or a JSON element, not yet understood.
#[derive(Debug, PartialEq, Eq)]
pub struct Piece<'a> {
    /// The line on which it starts, counted from 1.
    pub line: u64,
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
        Self { source, limit, buffer: Vec::new(), line: 0, offset: 0 }
    }

    /// The source's name in messages.
    pub fn name(&self) -> &str {
        &self.source.name
    }

    /// The bytes read so far: before a call of [`Lines::next`], where the next line starts.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// The next line, blank ones included; `None` at the end.
    ///
    /// # Errors
    /// The source can't be read.
    pub fn next(&mut self) -> Result<Option<Piece<'_>>> {
        self.buffer.clear();
        self.line += 1;
        match self.read() {
            Err(error) => Err(read_error(&self.source.name, error)),
            Ok(None) => Ok(None),
            Ok(Some(fits)) => Ok(Some(Piece { line: self.line, bytes: fits.then(|| content(&self.buffer)) })),
        }
    }

    /// Fills the buffer with one line and tells whether it fits.
    fn read(&mut self) -> std::io::Result<Option<bool>> {
        // Two more bytes than the limit: the line end is not counted.
        let reader = &mut self.source.reader;
        let mut read = Read::take(&mut *reader, self.limit as u64 + 2).read_until(b'\n', &mut self.buffer)?;
        let fits = content(&self.buffer).len() <= self.limit;
        if !fits {
            if !self.buffer.ends_with(b"\n") {
                read += reader.skip_until(b'\n')?;
            }
            self.buffer = Vec::new();
        }
        self.offset += read as u64;
        Ok((read > 0).then_some(fits))
    }
}

/// A line without its line end.
pub fn content(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    line.strip_suffix(b"\r").unwrap_or(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_line_is_skipped_and_reading_goes_on_behind_it() {
        let text = b"12345\r\n\n123456\n1234567890123456789\r\nlast";
        let mut lines = Lines::new(Source::from_reader("x".into(), Box::new(&text[..])).unwrap(), 5);
        let mut read = Vec::new();
        let mut offsets = Vec::new();
        loop {
            offsets.push(lines.offset());
            let Some(piece) = lines.next().unwrap() else { break };
            read.push((piece.line, piece.bytes.map(<[u8]>::to_vec)));
        }
        let expected =
            [(1, Some(b"12345".to_vec())), (2, Some(vec![])), (3, None), (4, None), (5, Some(b"last".to_vec()))];
        assert_eq!(read, expected);
        assert_eq!(offsets, [0, 7, 8, 15, 36, 40]);
    }
}
