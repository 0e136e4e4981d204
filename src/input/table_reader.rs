//! Reads the rows of a table in any role. The options, then the file's first lines, then its format determine how its cells are
//! written.

use std::io::BufRead;
use std::sync::Arc;

use anyhow::{Result, anyhow, bail};

use super::dialect::{Delimiter, Dialect, Quotes, TableOptions};
use super::entry::{JOINED, too_long};
use super::findings::Findings;
use super::row::{Row, Step};
use super::source::{BYTE_ORDER_MARK, Source, read_error};
use crate::progress::counted;

/// The columns with which the tables begin that this program writes; it quotes what needs it in TSV too.
pub const WRITTEN_COLUMNS: [&str; 9] =
    ["query_id", "query", "rank", "id", "score", "logit", "original_rank", "original_score", "truncated"];

/// Reads the rows of a table.
pub struct TableReader {
    name: Arc<str>,
    reader: Box<dyn BufRead + Send>,
    dialect: Dialect,
    limit: usize,
    row: Row,
    /// The line of a row before this one that has an odd quote in a cell without quotes.
    stray: Option<u64>,
    /// Whether cells that look as if a CSV writer had quoted them are still to be reported.
    watches_quotes: bool,
    /// Whether a cell `\N` is still to be reported.
    watches_nulls: bool,
    /// The header as it stands in the file; empty where there is none.
    header: Vec<u8>,
    notes: Vec<String>,
    findings: Findings,
}

impl TableReader {
    /// Reads the first row. A line `sep=;` in front of it is obeyed.
    ///
    /// # Errors
    /// The source can't be read, its quoting is malformed, or it has no rows.
    pub fn open(mut source: Source, usual: Dialect, options: TableOptions, limit: usize) -> Result<Self> {
        let first_line = source.peek_line(limit)?;
        let separator = Delimiter::of_separator_line(first_line.trim_ascii_start());
        let delimiter = options.delimiter.or(separator).map_or(usual.delimiter, |Delimiter(byte)| byte);
        let quoted = || separator.is_some() || has_quoted_header(&first_line, delimiter);
        let quotes = options.quotes.unwrap_or_else(|| if quoted() { Quotes::Csv } else { usual.quotes });
        let Source { name, reader, lines_skipped, findings, .. } = source;
        let mut table = Self {
            name,
            reader,
            dialect: Dialect { delimiter, quotes, trim: false },
            limit,
            row: Row::behind(lines_skipped),
            stray: None,
            watches_quotes: quotes == Quotes::None && options.quotes.is_none(),
            watches_nulls: true,
            header: Vec::new(),
            notes: Vec::new(),
            findings,
        };
        if let Some(separator) = separator {
            table.row.read(&mut *table.reader, Dialect::TSV, limit).map_err(|error| read_error(&table.name, error))?;
            if separator.0 != delimiter {
                let (declared, taken) = (separator.typed(), Delimiter(delimiter).typed());
                let name = &table.name;
                table
                    .notes
                    .push(format!("{name}:1: cells are split at {taken}, as --delimiter sets, not at {declared}"));
            }
        }
        match table.read()? {
            Some(true) => Ok(table),
            Some(false) => bail!("{}:{}: {}", table.name, table.row.line(), too_long(limit, "row")),
            None => bail!("{} is empty: it holds no rows", table.name),
        }
    }

    /// Reads the next row: `false` where it is too long and was passed over, `None` at the end.
    ///
    /// # Errors
    /// The source can't be read, or its quoting is malformed: where the next row begins is not known then.
    pub fn read(&mut self) -> Result<Option<bool>> {
        if self.row.has_stray_quote() {
            self.stray = Some(self.row.line());
        } else if self.row.len() > 0 {
            self.stray = None;
        }
        let step = self.row.read(&mut *self.reader, self.dialect, self.limit);
        self.row.number(self.findings.row_of(self.row.line()));
        let (name, line) = (&self.name, self.row.line());
        match step.map_err(|error| read_error(name, error))? {
            Step::Row => {
                self.watch_quotes();
                self.watch_nulls();
                Ok(Some(true))
            }
            Step::End => Ok(None),
            Step::TooLong if self.dialect.quotes == Quotes::None => Ok(Some(false)),
            Step::TooLong => bail!(
                "{name}:{line}: {}; or is a double quote never closed in the row that starts here? A quote that belongs to \
                 the text is doubled",
                too_long(self.limit, "row")
            ),
            Step::Malformed { line, problem } => Err(anyhow!("{name}:{line}: {problem}")),
        }
    }

    /// The row at hand is a header. From now on white space around cells is dropped if it has any.
    pub fn begin_below_header(&mut self) {
        self.dialect.trim = self.row.is_padded();
        self.header = self.row.raw().to_vec();
    }

    /// The message for a row that belongs to the beginning of a file: tables were joined that had a header each.
    pub fn misplaced(&self) -> Option<&'static str> {
        let raw = self.row.raw();
        if raw == self.header {
            return Some(
                "the header stands here again: tables were joined that had one each; remove this line, or join them with \
                 `(cat A; tail -n +2 B)`",
            );
        }
        raw.starts_with(BYTE_ORDER_MARK).then_some(JOINED)
    }

    /// The row at hand.
    pub fn row(&self) -> &Row {
        &self.row
    }

    /// The file's name in messages.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// How the cells are written.
    pub fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// The next note about how the table is interpreted.
    pub fn take_note(&mut self) -> Option<String> {
        self.notes.pop()
    }

    /// The message for a row that has too few or too many cells.
    ///
    /// # Errors
    /// The row before has an odd quote: it is most likely the first line of this one, and was misread.
    pub fn ragged(&self, expected: usize) -> Result<String> {
        let (found, name) = (self.row.len(), &self.name);
        if let Some(line) = self.stray {
            bail!(
                "{name}:{line}: a double quote stands inside a cell that does not begin with one, and line {} has {found} \
                 cells instead of {expected}: a cell with a line break stands in double quotes as a whole; if quotes are \
                 text in this file, use --quotes none",
                self.row.line()
            );
        }
        let remedy = match self.dialect.quotes {
            Quotes::Csv => {
                "a field that holds the delimiter, a quote or a line break must stand in double quotes, with its quotes \
                 doubled"
            }
            Quotes::None => {
                "double quotes do not hold a field together in TSV; if a CSV writer made this file, use --quotes csv"
            }
        };
        let found = counted(found as u64, "field", "fields");
        Ok(format!("the row has {found}, the header has {expected}: {remedy}"))
    }

    fn watch_nulls(&mut self) {
        if self.watches_nulls && self.row.cells().any(|cell| cell == br"\N") {
            self.notes.push(format!(
                "{}:{}: a cell is `\\N`, with which PostgreSQL and MySQL write that there is no value; it is read as text here, \
                 as are their escapes such as `\\t`: export CSV from them (in PostgreSQL `COPY … (FORMAT csv, HEADER)`)",
                self.name,
                self.row.line()
            ));
            self.watches_nulls = false;
        }
    }

    fn watch_quotes(&mut self) {
        if !self.watches_quotes {
            return;
        }
        let Some(cell) = self.row.cells().find(|cell| looks_quoted(cell)) else { return };
        let shown: String = String::from_utf8_lossy(cell).chars().take(40).collect();
        self.notes.push(format!(
            "{}:{}: a cell looks as if a CSV writer had quoted it ({shown}…); quotes are read as text here: use --quotes csv \
             if they are not, or --quotes none to read them so without this note",
            self.name,
            self.row.line()
        ));
        self.watches_quotes = false;
    }
}

/// Whether a header by itself shows that quotes count: all its names stand in quotes, or they begin with those that this
/// program writes.
fn has_quoted_header(line: &[u8], delimiter: u8) -> bool {
    let unquoted = |name: &[u8]| name.strip_prefix(b"\"").and_then(|name| name.strip_suffix(b"\"")).map(<[u8]>::to_vec);
    let names: Vec<&[u8]> = line.trim_ascii().split(|&byte| byte == delimiter).map(<[u8]>::trim_ascii).collect();
    let is_ours = names.len() >= WRITTEN_COLUMNS.len()
        && names
            .iter()
            .zip(WRITTEN_COLUMNS)
            .all(|(name, ours)| unquoted(name).as_deref().unwrap_or(name) == ours.as_bytes());
    let mut row = Row::default();
    let read = row.read(&mut &*line, Dialect { delimiter, ..Dialect::CSV }, line.len());
    is_ours || matches!(read, Ok(Step::Row)) && row.len() > 1 && row.is_quoted()
}

/// Whether a cell is `"…""…"`: quotes around it, and those inside doubled.
fn looks_quoted(cell: &[u8]) -> bool {
    let inner = cell.strip_prefix(b"\"").and_then(|cell| cell.strip_suffix(b"\"")).unwrap_or_default();
    let mut runs = inner.split(|&byte| byte != b'"').map(<[u8]>::len).filter(|&length| length > 0).peekable();
    runs.peek().is_some() && runs.all(|length| length % 2 == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_csv_writer_quotes_is_recognised() {
        for (cell, looks) in [
            ("\"a \"\"b\"\" c\"", true),
            ("\"\"\"a\"\"\"", true),
            ("\"a\"", false),
            ("\"a\" and \"b\"", false),
            ("\"", false),
            ("a \"\"b\"\"", false),
        ] {
            assert_eq!(looks_quoted(cell.as_bytes()), looks, "{cell}");
        }
    }

    #[test]
    fn a_header_in_quotes_and_our_own_say_that_quotes_count() {
        assert!(has_quoted_header(b"\"qid\"\t\"text\"\r\n", b'\t'));
        assert!(has_quoted_header(WRITTEN_COLUMNS.join("\t").as_bytes(), b'\t'));
        assert!(!has_quoted_header(b"\"qid\"\ttext", b'\t'));
        assert!(!has_quoted_header(b"q1\t\"a\" or \"b\"", b'\t'));
        // Texts, not names.
        assert!(!has_quoted_header(b"\"a\"", b'\t'));
    }
}
