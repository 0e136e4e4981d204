//! Cuts an output into its rows, and reads the query's id at the beginning of each. Of a row, only that beginning is held.

use std::io::{self, BufRead, ErrorKind};

use memchr::{memchr, memchr2_iter};

use crate::input::MAX_RECORD_BYTES;
use crate::output::OutputFormat;
use crate::slices::{behind, first};

/// How a line of ranked JSONL begins, up to the query's id.
const JSONL: &[u8] = b"{\"query_id\":\"";

/// A row that was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Row {
    /// Its bytes, with those that end it.
    pub(super) bytes: u64,
    /// Whether it was ended; only the last one may be torn.
    pub(super) is_complete: bool,
}

/// Reads the rows of one output.
pub(super) struct Rows {
    format: OutputFormat,
    /// The beginning of the row at hand: up to the end of the query's id, or all of a header.
    head: Vec<u8>,
    has_id: bool,
    /// Whether the whole row is held.
    is_header: bool,
    in_quotes: bool,
    escaped: bool,
}

impl Rows {
    /// `has_header` is whether the first row is a table's header.
    pub(super) fn new(format: OutputFormat, has_header: bool) -> Self {
        Self { format, head: Vec::new(), has_id: false, is_header: has_header, in_quotes: false, escaped: false }
    }

    /// Reads the next row; none at the end. What is read is appended to `text` as long as that has less than `most` bytes.
    pub(super) fn next(
        &mut self,
        reader: &mut impl BufRead,
        (text, most): (&mut Vec<u8>, usize),
    ) -> io::Result<Option<Row>> {
        self.head.clear();
        (self.has_id, self.in_quotes, self.escaped) = (false, false, false);
        let mut bytes = 0;
        loop {
            let available = match reader.fill_buf() {
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                available => available?,
            };
            if available.is_empty() {
                return Ok((bytes > 0).then_some(Row { bytes, is_complete: false }));
            }
            let (taken, is_complete) = self.take(available);
            let room = most.saturating_sub(text.len()).min(taken);
            text.extend_from_slice(first(available, room));
            reader.consume(taken);
            bytes += taken as u64;
            if is_complete {
                self.is_header = false;
                return Ok(Some(Row { bytes, is_complete }));
            }
        }
    }

    /// Takes bytes up to the end of the row, and returns how many these are, and whether it ends there.
    fn take(&mut self, bytes: &[u8]) -> (usize, bool) {
        let (mut taken, mut left) = (0, bytes);
        while let Some((&byte, behind)) = left.split_first() {
            if self.has_id && !self.is_header {
                return match self.rest(left) {
                    Some(rest) => (taken + rest, true),
                    None => (bytes.len(), false),
                };
            }
            (taken, left) = (taken + 1, behind);
            if byte == b'\n' && !self.in_quotes {
                return (taken, true);
            }
            self.head.push(byte);
            self.has_id = self.ends_id(byte) || self.has_id || self.head.len() > MAX_RECORD_BYTES;
            self.is_header &= self.head.len() <= MAX_RECORD_BYTES;
        }
        (taken, false)
    }

    /// The bytes up to the end of a row whose id is read; none, if it does not end here.
    fn rest(&mut self, bytes: &[u8]) -> Option<usize> {
        if !self.is_table() {
            return memchr(b'\n', bytes).map(|at| at + 1);
        }
        for at in memchr2_iter(b'\n', b'"', bytes) {
            if bytes.get(at) == Some(&b'"') {
                self.in_quotes = !self.in_quotes;
            } else if !self.in_quotes {
                return Some(at + 1);
            }
        }
        None
    }

    /// Whether the query's id ends with this byte of the head.
    fn ends_id(&mut self, byte: u8) -> bool {
        match self.format {
            OutputFormat::Jsonl => {
                let escaped = self.escaped;
                self.escaped = byte == b'\\' && !escaped;
                self.head.len() > JSONL.len() && byte == b'"' && !escaped
            }
            OutputFormat::Trec => byte == b' ',
            OutputFormat::Msmarco => byte == b'\t',
            OutputFormat::Csv | OutputFormat::Tsv => {
                self.in_quotes ^= byte == b'"';
                !self.in_quotes && byte == self.delimiter()
            }
            // It is never resumed.
            OutputFormat::Parquet => false,
        }
    }

    fn is_table(&self) -> bool {
        matches!(self.format, OutputFormat::Csv | OutputFormat::Tsv)
    }

    fn delimiter(&self) -> u8 {
        if self.format == OutputFormat::Csv { b',' } else { b'\t' }
    }

    /// The query's id in the row at hand; none, if that is no row of this format.
    pub(super) fn query_id(&self) -> Option<String> {
        let head = self.head.as_slice();
        let id = match self.format {
            _ if !self.has_id || head.len() > MAX_RECORD_BYTES => return None,
            OutputFormat::Jsonl => {
                // The prefix ends with the quote that opens the id.
                let string = head.starts_with(JSONL).then(|| behind(head, JSONL.len() - 1))?;
                return serde_json::from_slice(string).ok();
            }
            OutputFormat::Trec | OutputFormat::Msmarco => head.split_last()?.1.to_vec(),
            OutputFormat::Parquet => return None,
            OutputFormat::Csv | OutputFormat::Tsv => {
                let (_, cell) = head.split_last()?;
                match cell.strip_prefix(b"\"").and_then(|cell| cell.strip_suffix(b"\"")) {
                    Some(quoted) => String::from_utf8(quoted.to_vec()).ok()?.replace("\"\"", "\"").into_bytes(),
                    None => cell.to_vec(),
                }
            }
        };
        String::from_utf8(id).ok().filter(|id| !id.is_empty())
    }

    /// The names of the columns, if the row at hand is the header.
    pub(super) fn names(&self) -> Option<Vec<String>> {
        let mut reader = csv::ReaderBuilder::new();
        let reader = reader.has_headers(false).delimiter(self.delimiter());
        let mut records = reader.from_reader(self.head.as_slice()).into_records();
        Some(records.next()?.ok()?.iter().map(str::to_owned).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(format: OutputFormat, text: &str) -> Vec<(Option<String>, u64, bool)> {
        (1..9)
            .map(|capacity| {
                let (mut rows, mut found) = (Rows::new(format, false), Vec::new());
                let mut reader = io::BufReader::with_capacity(capacity, text.as_bytes());
                while let Some(row) = rows.next(&mut reader, (&mut Vec::new(), 0)).unwrap() {
                    found.push((rows.query_id(), row.bytes, row.is_complete));
                }
                found
            })
            .reduce(|one, other| {
                assert_eq!(one, other);
                one
            })
            .unwrap()
    }

    #[test]
    fn ids_are_read_as_they_were_written() {
        let id = |id: &str| Some(id.to_owned());
        let text = "{\"query_id\":\"a\\\"\\\\\\n\\u0001é\",\"query\":\"x\"}\n{\"query_id\":\"\",\"q\":1}\n{\"other\":1}\n{\"query_id\":\"t";
        let found = ids(OutputFormat::Jsonl, text);
        let read: Vec<_> = found.iter().map(|(id, _, is_complete)| (id.clone(), *is_complete)).collect();
        assert_eq!(read, [(id("a\"\\\n\u{1}é"), true), (id(""), true), (None, true), (None, false)]);
        assert_eq!(found.iter().map(|(_, bytes, _)| bytes).sum::<u64>(), text.len() as u64);

        let text = "\"a\n\"\",b\",\"x\ny\"\nc,\"\"\"\n\"\"\",1\n\"torn\n";
        let found = ids(OutputFormat::Csv, text);
        assert_eq!(found, [(id("a\n\",b"), 15, true), (id("c"), 12, true), (None, 6, false)]);
        assert_eq!(ids(OutputFormat::Trec, "q Q0 d 1 1 x\nno\n")[1], (None, 3, true));
        assert_eq!(ids(OutputFormat::Msmarco, "q 1\td\t1\n"), [(id("q 1"), 8, true)]);
    }

    #[test]
    fn a_header_is_read_whole() {
        let mut rows = Rows::new(OutputFormat::Tsv, true);
        let mut reader = &b"query_id\t\" odd\tname \"\nq\td\n"[..];
        rows.next(&mut reader, (&mut Vec::new(), 0)).unwrap();
        assert_eq!(rows.names().unwrap(), ["query_id", " odd\tname "]);
        rows.next(&mut reader, (&mut Vec::new(), 0)).unwrap();
        assert_eq!(rows.query_id().as_deref(), Some("q"));
    }
}
