//! One row of a table: its cells, the line and the offset where it starts, and what is malformed in it.
//!
//! The `csv` crate reads on where quoting is malformed, and a quote that is never closed takes the rows behind it with
//! it; here that is an error with its line.

use std::io::{self, BufRead, Read};
use std::ops::Range;

use memchr::{memchr, memchr_iter, memchr2};

use super::dialect::{Dialect, Quotes};
use super::lines::{content, skip_line};
use crate::slices::{behind, first};

/// The result of reading a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// A row was read.
    Row,
    /// The row is longer than the limit. A raw one was skipped; where quotes count, it can't be known where it ends.
    TooLong,
    /// The quoting is malformed.
    Malformed {
        /// The line of the fault.
        line: u64,
        /// What is wrong and what helps.
        problem: &'static str,
    },
    /// There are no more rows.
    End,
}

/// Where a cell stands in the row's text.
#[derive(Clone, Copy, Debug)]
struct Cell {
    start: usize,
    end: usize,
    quoted: bool,
}

/// A row, read into memory that is used again for the next one.
#[derive(Debug, Default)]
pub struct Row {
    /// The row's bytes as they stand in the file.
    raw: Vec<u8>,
    /// The text of the cells, without quotes; empty where the cells lie in `raw`.
    text: Vec<u8>,
    cells: Vec<Cell>,
    /// The cells beyond those that are kept.
    more: usize,
    line: u64,
    next_line: u64,
    offset: u64,
    next_offset: u64,
    stray_quote: bool,
}

const UNCLOSED: &str = "a double quote that opens a cell of the row that starts here is never closed: double a quote that \
                        belongs to the text, or use --quotes none if quotes are text";
const TEXT_BEHIND: &str = "text stands behind a closing double quote: a quote that belongs to the text is doubled (\"\"); if \
                           quotes are text in this file, use --quotes none";
const LONE_RETURN: &str = "a carriage return stands outside of quotes: a cell with a line break stands in double quotes; \
                           line ends of old Macs are converted with `tr '\\r' '\\n'`";

/// The most cells that are kept, more than a table may have columns: of others the number is known.
const MOST_CELLS: usize = 200_000;

impl Row {
    /// Makes a row to read into, of a file in which this many lines come before it.
    pub fn behind(lines: u64) -> Self {
        Self { next_line: lines + 1, ..Self::default() }
    }

    /// Reads the next row that is not a blank line.
    ///
    /// # Errors
    /// The reader fails.
    pub fn read<R: BufRead + ?Sized>(&mut self, reader: &mut R, dialect: Dialect, limit: usize) -> io::Result<Step> {
        self.next_line = self.next_line.max(1);
        loop {
            self.raw.clear();
            self.text.clear();
            self.cells.clear();
            self.more = 0;
            self.stray_quote = false;
            (self.line, self.offset) = (self.next_line, self.next_offset);
            self.skip_blank(reader)?;
            match self.fill(reader, limit)? {
                None => return Ok(Step::End),
                Some(true) if content(&self.raw).iter().all(|&byte| byte == b' ') => {}
                Some(true) => break,
                Some(false) => {
                    if dialect.quotes == Quotes::None {
                        self.next_offset += skip_line(reader)? as u64;
                        self.next_line += 1;
                    }
                    return Ok(Step::TooLong);
                }
            }
        }
        match dialect.quotes {
            Quotes::None => Ok(self.split(dialect)),
            Quotes::Csv if memchr2(b'"', b'\r', content(&self.raw)).is_none() => Ok(self.split(dialect)),
            Quotes::Csv => self.split_quoted(reader, dialect, limit),
        }
    }

    /// The cells.
    pub fn cells(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.cells.len()).filter_map(|index| self.cell(index))
    }

    /// The number of cells.
    pub fn len(&self) -> usize {
        self.cells.len() + self.more
    }

    /// A cell.
    pub fn cell(&self, index: usize) -> Option<&[u8]> {
        let &Cell { start, end, .. } = self.cells.get(index)?;
        let text = if self.text.is_empty() { &self.raw } else { &self.text };
        text.get(start..end)
    }

    /// The line on which the row starts, counted from 1.
    pub fn line(&self) -> u64 {
        self.line
    }

    /// Sets the number by which messages call the row at hand: that of its line, unless the lines are made of the rows of columns.
    pub fn number(&mut self, line: u64) {
        self.line = line;
    }

    /// The bytes before the row.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Whether a cell that does not stand in quotes holds an odd number of them: text, or the rest of a quoted cell with a
    /// line break that began in the wrong place.
    pub fn has_stray_quote(&self) -> bool {
        self.stray_quote
    }

    /// Whether a cell that is not in quotes has white space around it.
    pub fn is_padded(&self) -> bool {
        self.cells.iter().zip(self.cells()).any(|(cell, text)| !cell.quoted && text.trim_ascii().len() < text.len())
    }

    /// Whether every cell stands in quotes.
    pub fn is_quoted(&self) -> bool {
        self.cells.iter().all(|cell| cell.quoted)
    }

    /// The row as it stands in the file, without its line end.
    pub fn raw(&self) -> &[u8] {
        content(&self.raw)
    }

    /// Passes over empty lines at once, however many there are.
    fn skip_blank<R: BufRead + ?Sized>(&mut self, reader: &mut R) -> io::Result<()> {
        loop {
            let buffer = reader.fill_buf()?;
            let blank = buffer.iter().take_while(|&&byte| byte == b'\n').count();
            let all = blank == buffer.len();
            reader.consume(blank);
            self.next_line += blank as u64;
            self.next_offset += blank as u64;
            if blank == 0 || !all {
                (self.line, self.offset) = (self.next_line, self.next_offset);
                return Ok(());
            }
        }
    }

    /// Appends a line. `None` at the end, `false` where the row is longer than the limit.
    fn fill<R: BufRead + ?Sized>(&mut self, reader: &mut R, limit: usize) -> io::Result<Option<bool>> {
        // Two more bytes than the limit: the line end is not counted.
        let room = (limit + 2).saturating_sub(self.raw.len()) as u64;
        let read = Read::take(&mut *reader, room).read_until(b'\n', &mut self.raw)?;
        self.next_offset += read as u64;
        self.next_line += u64::from(read > 0 && self.raw.ends_with(b"\n"));
        let fits = content(&self.raw).len() <= limit;
        Ok((read > 0 || room == 0).then_some(fits))
    }

    fn split(&mut self, dialect: Dialect) -> Step {
        let text = content(&self.raw);
        let mut start = 0;
        for end in memchr_iter(dialect.delimiter, text).chain([text.len()]) {
            match self.cells.len() < MOST_CELLS {
                true => self.cells.push(bounds(text, start..end, dialect.trim)),
                false => self.more += 1,
            }
            start = end + 1;
        }
        Step::Row
    }

    fn split_quoted<R: BufRead + ?Sized>(
        &mut self,
        reader: &mut R,
        dialect: Dialect,
        limit: usize,
    ) -> io::Result<Step> {
        let mut at = 0;
        loop {
            let blank = blank_bytes(behind(&self.raw, at), dialect.delimiter);
            if self.raw.get(at + blank) == Some(&b'"') {
                match self.quoted_cell(at + blank + 1, reader, limit)? {
                    Ok(end) => at = end + blank_bytes(behind(&self.raw, end), dialect.delimiter),
                    Err(step) => return Ok(step),
                }
                let is_end = at >= self.raw().len();
                if !is_end && self.raw.get(at) != Some(&dialect.delimiter) {
                    return Ok(self.malformed(at, TEXT_BEHIND));
                }
            } else {
                let text = behind(content(&self.raw), at);
                let cell = memchr(dialect.delimiter, text).map_or(text, |length| first(text, length));
                if memchr(b'\r', cell).is_some() {
                    return Ok(self.malformed(at, LONE_RETURN));
                }
                self.stray_quote |= cell.iter().filter(|&&byte| byte == b'"').count() % 2 == 1;
                let start = self.text.len();
                at += cell.len();
                self.text.extend_from_slice(cell);
                let cell = bounds(&self.text, start..self.text.len(), dialect.trim);
                self.keep(cell);
            }
            if at >= self.raw().len() {
                // An empty text would mean that the cells lie in the raw bytes.
                self.text.push(b'\n');
                return Ok(Step::Row);
            }
            at += 1;
        }
    }

    /// Reads a cell behind its opening quote; gives the offset behind the closing one.
    fn quoted_cell<R: BufRead + ?Sized>(
        &mut self,
        mut at: usize,
        reader: &mut R,
        limit: usize,
    ) -> io::Result<Result<usize, Step>> {
        let start = self.text.len();
        loop {
            let rest = behind(&self.raw, at);
            let Some(length) = memchr(b'"', rest) else {
                self.text.extend_from_slice(rest);
                at = self.raw.len();
                match self.fill(reader, limit)? {
                    Some(true) => continue,
                    Some(false) => return Ok(Err(Step::TooLong)),
                    None => return Ok(Err(Step::Malformed { line: self.line, problem: UNCLOSED })),
                }
            };
            self.text.extend_from_slice(first(rest, length));
            at += length + 1;
            if self.raw.get(at) != Some(&b'"') {
                self.keep(Cell { start, end: self.text.len(), quoted: true });
                return Ok(Ok(at));
            }
            self.text.push(b'"');
            at += 1;
        }
    }

    fn keep(&mut self, cell: Cell) {
        match self.cells.len() < MOST_CELLS {
            true => self.cells.push(cell),
            false => self.more += 1,
        }
    }

    fn malformed(&self, at: usize, problem: &'static str) -> Step {
        let above = first(&self.raw, at).iter().filter(|&&byte| byte == b'\n').count();
        Step::Malformed { line: self.line + above as u64, problem }
    }
}

/// The bounds of a cell that is not in quotes.
fn bounds(text: &[u8], Range { start, end }: Range<usize>, trim: bool) -> Cell {
    let Some(cell) = text.get(start..end).filter(|_| trim) else { return Cell { start, end, quoted: false } };
    let start = start + (cell.len() - cell.trim_ascii_start().len());
    Cell { start, end: start + cell.trim_ascii().len(), quoted: false }
}

/// How many blanks stand at the beginning, none of which is the delimiter.
fn blank_bytes(text: &[u8], delimiter: u8) -> usize {
    text.iter().take_while(|&&byte| matches!(byte, b' ' | b'\t') && byte != delimiter).count()
}

#[cfg(test)]
#[path = "row_tests.rs"]
mod tests;
