//! CSV and TSV with a header: a query with one candidate per row.

use std::io::BufRead;
use std::sync::Arc;

use anyhow::{Context, Result, anyhow, bail};
use csv::ByteRecord;

use super::entry::{Asked, Draft, Drafted, Entry, Spoiled, query_text, rank, score, too_long, unless_blank};
use super::header::Header;
use super::names::{Columns, Field};
use super::source::{Source, read_error};
use super::tally::{RecordTooLong, Tally};
use crate::record::Fields;

/// Bytes that the CSV parser reads at once.
const BUFFER_BYTES: usize = 64 * 1024;

const UNCLOSED_QUOTE: &str = "the row that starts here is not complete at the end of the file: a double quote is never \
                              closed; double a quote that belongs to the text";

/// The rows of a table.
pub struct Rows {
    reader: csv::Reader<Tally<Box<dyn BufRead + Send>>>,
    name: Arc<str>,
    header: Header,
    record: ByteRecord,
    limit: usize,
    /// Blank lines in front of what the parser sees.
    lines_skipped: u64,
    any: bool,
    /// Columns that are compared with the identifier, until they are seen to differ from it.
    rivals: Vec<(Field, usize)>,
    /// The row behind a note about it.
    waiting: Option<Entry>,
}

impl Rows {
    /// Reads the header.
    ///
    /// # Errors
    /// The source can't be read, or the header lacks a column that is needed.
    pub fn open(source: Source, delimiter: u8, columns: &Columns, limit: usize) -> Result<Self> {
        let mut reader = csv::ReaderBuilder::new()
            .delimiter(delimiter)
            .flexible(true)
            .has_headers(false)
            .buffer_capacity(BUFFER_BYTES)
            .from_reader(Tally::new(source.reader, limit));
        let mut record = ByteRecord::new();
        let (name, lines_skipped) = (source.name, source.lines_skipped);
        if !reader.read_byte_record(&mut record).map_err(|error| table_error(&name, lines_skipped + 1, limit, error))? {
            bail!("{name} is empty: it holds no queries");
        }
        reader.get_mut().end_record();
        let header = Header::new(&record, columns).with_context(|| format!("{name}: the header can't be used"))?;
        let rivals = header.rivals().to_vec();
        Ok(Self { reader, name, header, record, limit, lines_skipped, any: false, rivals, waiting: None })
    }

    fn read(&mut self) -> Result<Option<Entry>> {
        let before = self.next_line();
        let read = self.reader.read_byte_record(&mut self.record);
        if !read.map_err(|error| table_error(&self.name, before, self.limit, error))? {
            return if self.any { Ok(None) } else { Err(anyhow!("{} holds no rows below its header", self.name)) };
        }
        self.any = true;
        self.reader.get_mut().end_record();
        let line = self.first_line();
        let last = self.record.iter().next_back().unwrap_or_default();
        if last.contains(&b'\n') && self.reader.get_ref().ends_with_quote() == Some(false) {
            bail!("{}:{before}: {UNCLOSED_QUOTE}", self.name);
        }
        let entry = self.row(line).unwrap_or_else(|problem| Entry::Bad { line, query_id: self.query_id(), problem });
        if let Some(note) = self.disagreement(line) {
            self.waiting = Some(entry);
            return Ok(Some(Entry::Note(note)));
        }
        Ok(Some(entry))
    }

    /// Names the column that an identifier is taken from, once for each pair of columns, where two of them disagree.
    fn disagreement(&mut self, line: u64) -> Option<String> {
        let position = self.rivals.iter().position(|&(field, rival)| {
            let used = self.header.index(field).and_then(|index| self.record.get(index));
            let cells = used.zip(self.record.get(rival)).map(|(used, other)| (used.trim_ascii(), other.trim_ascii()));
            cells.is_some_and(|(used, other)| !used.is_empty() && !other.is_empty() && used != other)
        })?;
        let (field, rival) = self.rivals.remove(position);
        let index = self.header.index(field)?;
        let cell = |index: usize| String::from_utf8_lossy(&self.record[index]).into_owned();
        let (used, other, owner) = (
            self.header.name(index),
            self.header.name(rival),
            if field == Field::Id { "candidates" } else { "queries" },
        );
        Some(format!(
            "{}:{line}: the ids of {owner} are taken from `{used}` ({:?}), not from `{other}` ({:?}): --columns {}={other} \
             takes the other one",
            self.name,
            cell(index),
            cell(rival),
            field.name(),
        ))
    }

    /// The line on which the next record starts, as far as that can be told before it is read.
    fn next_line(&self) -> u64 {
        let position = self.reader.position();
        let inside_line_end = self.reader.get_ref().byte_before(position.byte()) == Some(b'\r');
        self.lines_skipped + position.line() + u64::from(inside_line_end)
    }

    /// The line on which the record starts. The parser's own answer is the line where the one before ended: one too
    /// few behind CR LF, and too few behind blank lines.
    fn first_line(&self) -> u64 {
        let end = self.reader.position();
        let inside: usize = self.record.iter().map(|field| field.iter().filter(|&&byte| byte == b'\n').count()).sum();
        let terminator = u64::from(self.reader.get_ref().byte_before(end.byte()) == Some(b'\n'));
        self.lines_skipped + end.line().saturating_sub(inside as u64 + terminator)
    }

    /// The query's identifier as far as a row that can't be used still tells it.
    fn query_id(&self) -> Option<String> {
        let cell = self.record.get(self.header.index(Field::QueryId)?)?;
        unless_blank(std::str::from_utf8(cell).ok()?.to_owned())
    }

    fn row(&self, line: u64) -> Result<Entry, String> {
        let (found, expected) = (self.record.len(), self.header.width());
        if found != expected {
            return Err(format!(
                "the row has {found} fields, the header has {expected}: a field that holds the delimiter, a quote or a \
                 line break must stand in double quotes"
            ));
        }
        let id = self.cell(Field::QueryId)?.and_then(unless_blank);
        let text = self.cell(Field::Query)?.unwrap_or_default();
        let instruction = self.cell(Field::Instruction)?.and_then(unless_blank);
        let query = Asked { id, text: query_text(text), instruction, fields: Fields::new() };
        Ok(Entry::Row { line, query, candidate: self.candidate() })
    }

    fn candidate(&self) -> Drafted {
        let mut draft = Draft::default();
        match self.fill(&mut draft) {
            Ok(()) => Ok(draft),
            Err(problem) => Err(Spoiled { id: draft.id, problem }),
        }
    }

    fn fill(&self, draft: &mut Draft) -> Result<(), String> {
        draft.id = self.cell(Field::Id)?.and_then(unless_blank);
        draft.text = self.cell(Field::Text)?.unwrap_or_default();
        draft.title = self.cell(Field::Title)?.and_then(unless_blank);
        draft.score = self.cell(Field::Score)?.and_then(unless_blank).map(|cell| score(&cell)).transpose()?;
        draft.rank = self.cell(Field::Rank)?.and_then(unless_blank).map(|cell| rank(&cell)).transpose()?;
        for (index, name) in self.header.carried() {
            let value = serde_json::value::to_raw_value(&self.text(*index)?).map_err(|error| error.to_string())?;
            draft.fields.push((name.clone(), value));
        }
        Ok(())
    }

    fn cell(&self, field: Field) -> Result<Option<String>, String> {
        self.header.index(field).map(|index| self.text(index).map(str::to_owned)).transpose()
    }

    fn text(&self, index: usize) -> Result<&str, String> {
        std::str::from_utf8(&self.record[index]).map_err(|_| {
            let name = self.header.name(index);
            format!("the column `{name}` is not UTF-8: convert the file, for example with `iconv -t UTF-8`")
        })
    }
}

impl Iterator for Rows {
    type Item = Result<Entry>;

    fn next(&mut self) -> Option<Result<Entry>> {
        self.waiting.take().map(Ok).or_else(|| self.read().transpose())
    }
}

fn table_error(name: &str, line: u64, limit: usize, error: csv::Error) -> anyhow::Error {
    match error.into_kind() {
        csv::ErrorKind::Io(error) if error.get_ref().is_some_and(|inner| inner.is::<RecordTooLong>()) => anyhow!(
            "{name}:{line}: {}; or is a double quote never closed in the row that starts here? A quote that belongs to \
             the text is doubled",
            too_long(limit, "row")
        ),
        csv::ErrorKind::Io(error) => read_error(name, error),
        other => anyhow!("cannot read {name} near line {line}: {other:?}"),
    }
}

#[cfg(test)]
#[path = "table_tests.rs"]
mod tests;
