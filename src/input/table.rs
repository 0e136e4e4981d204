//! CSV and TSV: a query with one candidate per row, below a header or under the names of `--columns`.

use std::collections::VecDeque;

use anyhow::{Context, Result, anyhow, bail};

use super::InputOptions;
use super::dialect::{DELIMITERS, Delimiter, Dialect, Quotes};
use super::entry::{
    CandidateResult, Entries, Entry, InvalidCandidate, ParsedCandidate, ParsedQuery, query_text, rank, score, too_long,
    unless_blank, utf_8_of,
};
use super::header::Header;
use super::names::Field;
use super::notes::Notes;
use super::row::{Row, Step};
use super::skim::Skim;
use super::source::Source;
use super::table_reader::TableReader;
use super::texts::Elsewhere;
use crate::exit::UsageError;
use crate::record::Fields;

/// How a table without a header is read.
const NO_HEADER: &str = "if the file has no header, name its columns in their order, as in \
                         --no-header --columns query_id,id,query,text";

/// The rows of a table.
pub struct Rows {
    table: TableReader,
    header: Header,
    limit: usize,
    /// Whether the row that was read last still has to become an entry: the first one of a table without a header.
    unread: bool,
    any: bool,
    /// Columns that are compared with the identifier, until they are seen to differ from it.
    rivals: Vec<(Field, usize)>,
    notes: Notes,
    ready: VecDeque<Entry>,
}

impl Rows {
    /// Reads the header; if the options have the names of columns in order, there is none.
    ///
    /// # Errors
    /// The source can't be read, or the header lacks a column that is needed.
    pub fn open(source: Source, usual: Dialect, options: &InputOptions, limit: usize) -> Result<Self> {
        let (columns, elsewhere) = (&options.columns, Elsewhere::of(options));
        let mut table = TableReader::open(source, usual, options.tables, limit)?;
        let name = table.name().clone();
        let first = names(table.row());
        let unread = !columns.in_order().is_empty();
        let header = if unread {
            if Header::is_likely(&first) {
                bail!("{name}:{}: this line looks like a header: leave --no-header out", table.row().line());
            }
            Header::new(columns.in_order().to_vec(), columns, elsewhere).context("--columns")?
        } else {
            utf_8_of("line", table.row().raw())
                .map_err(|problem| anyhow!("{name}:{}: the header {problem}", table.row().line()))?;
            table.begin_below_header();
            Header::new(first, columns, elsewhere).map_err(|error| {
                if error.is::<UsageError>() {
                    return UsageError::new(format!("{name}: {error}")).into();
                }
                anyhow!("{name}: the header can't be used: {error}{}", remedy(table.row(), table.dialect(), options))
            })?
        };
        let rivals = header.rivals().to_vec();
        Ok(Self { table, header, limit, unread, any: false, rivals, notes: Notes::default(), ready: VecDeque::new() })
    }

    fn read(&mut self, skim: Skim) -> Result<Option<Entry>> {
        let read = if std::mem::take(&mut self.unread) { Some(true) } else { self.table.read()? };
        while let Some(note) = self.table.take_note() {
            self.ready.push_back(Entry::Note(note));
        }
        let Some(fits) = read else {
            return if self.any {
                Ok(None)
            } else {
                Err(anyhow!("{} holds no rows below its header", self.table.name()))
            };
        };
        self.any = true;
        let line = self.table.row().line();
        if !fits {
            return Ok(Some(Entry::Bad { line, query_id: None, problem: too_long(self.limit, "row"), content: None }));
        }
        if let Some(problem) = self.table.misplaced() {
            return Ok(Some(self.bad(line, None, problem.to_owned())));
        }
        if self.table.row().len() != self.header.width() {
            let problem = self.table.ragged(self.header.width())?;
            return Ok(Some(self.bad(line, self.query_id(), problem)));
        }
        if let Some(query_id) = self.passed(skim) {
            return Ok(Some(Entry::Passed { line, query_id, is_group: false }));
        }
        if !self.rivals.is_empty()
            && let Some(note) = self.disagreement()
        {
            self.ready.push_back(Entry::Note(note));
        }
        Ok(Some(self.row(line).unwrap_or_else(|problem| self.bad(line, self.query_id(), problem))))
    }

    fn bad(&self, line: u64, query_id: Option<String>, problem: String) -> Entry {
        let content = Some(String::from_utf8_lossy(self.table.row().raw()).into_owned());
        Entry::Bad { line, query_id, problem, content }
    }

    /// Names the column that an identifier is taken from, once for each pair of columns, where two of them disagree.
    fn disagreement(&mut self) -> Option<String> {
        let row = self.table.row();
        let position = self.rivals.iter().position(|&(field, rival)| {
            let used = self.header.index(field).and_then(|index| row.cell(index));
            let cells = used.zip(row.cell(rival)).map(|(used, other)| (used.trim_ascii(), other.trim_ascii()));
            cells.is_some_and(|(used, other)| !used.is_empty() && !other.is_empty() && used != other)
        })?;
        let (field, rival) = self.rivals.remove(position);
        let index = self.header.index(field)?;
        let cell = |index: usize| String::from_utf8_lossy(row.cell(index).unwrap_or_default()).into_owned();
        let (used, other) = (self.header.name(index), self.header.name(rival));
        let place = format!("{}:{}", self.table.name(), row.line());
        self.notes.disagreement(&place, field, (used, &cell(index)), (other, &cell(rival)));
        self.notes.next()
    }

    /// The query's identifier in a row that is passed over.
    fn passed(&self, skim: Skim) -> Option<String> {
        if skim.is_off() {
            return None;
        }
        let cell = self.table.row().cell(self.header.index(Field::QueryId)?)?;
        let query_id = std::str::from_utf8(cell).ok().filter(|query_id| !query_id.trim().is_empty())?;
        skim.passes_row(query_id).then(|| query_id.to_owned())
    }

    /// The query's identifier in a row that can't be used, if it can be read.
    fn query_id(&self) -> Option<String> {
        let cell = self.table.row().cell(self.header.index(Field::QueryId)?)?;
        unless_blank(std::str::from_utf8(cell).ok()?.to_owned())
    }

    fn row(&self, line: u64) -> Result<Entry, String> {
        let id = self.cell(Field::QueryId)?.and_then(unless_blank);
        let (text, lacks_text) = match self.cell(Field::Query)? {
            Some(text) => {
                let is_blank = text.trim().is_empty();
                (query_text(text), is_blank)
            }
            None => (Err("there is no query: the row has no id by which --queries has it".to_owned()), true),
        };
        let instruction = self.cell(Field::Instruction)?.and_then(unless_blank);
        let query = ParsedQuery { id, text, lacks_text, instruction, fields: Fields::new() };
        Ok(Entry::Row { line, query, candidate: self.candidate() })
    }

    fn candidate(&self) -> CandidateResult {
        let mut parsed = ParsedCandidate::default();
        match self.fill(&mut parsed) {
            Ok(()) => Ok(parsed),
            Err(problem) => Err(InvalidCandidate { id: parsed.id, problem }),
        }
    }

    fn fill(&self, parsed: &mut ParsedCandidate) -> Result<(), String> {
        parsed.id = self.cell(Field::Id)?.and_then(unless_blank);
        parsed.text =
            self.cell(Field::Text)?.ok_or_else(|| "there is no text: the table has no column of texts".to_owned());
        parsed.title = self.cell(Field::Title)?.and_then(unless_blank);
        parsed.score = self.cell(Field::Score)?.and_then(unless_blank).map(|cell| score(&cell)).transpose()?;
        parsed.rank = self.cell(Field::Rank)?.and_then(unless_blank).map(|cell| rank(&cell)).transpose()?;
        for (index, name) in self.header.carried() {
            let value = serde_json::value::to_raw_value(&self.text(*index)?).map_err(|error| error.to_string())?;
            parsed.fields.push((name.clone(), value));
        }
        Ok(())
    }

    fn cell(&self, field: Field) -> Result<Option<String>, String> {
        self.header.index(field).map(|index| self.text(index).map(str::to_owned)).transpose()
    }

    fn text(&self, index: usize) -> Result<&str, String> {
        utf_8_of("cell", self.table.row().cell(index).unwrap_or_default())
            .map_err(|problem| format!("the column `{}` {problem}", self.header.name(index)))
    }
}

impl Iterator for Rows {
    type Item = Result<Entry>;

    fn next(&mut self) -> Option<Result<Entry>> {
        self.skim(Skim::default())
    }
}

impl Entries for Rows {
    fn skim(&mut self, skim: Skim) -> Option<Result<Entry>> {
        if let Some(entry) = self.ready.pop_front() {
            return Some(Ok(entry));
        }
        let entry = self.read(skim).transpose()?;
        match (entry, self.ready.pop_front()) {
            (Ok(entry), Some(note)) => {
                self.ready.push_back(entry);
                Some(Ok(note))
            }
            (entry, _) => Some(entry),
        }
    }
}

/// The delimiter that would make a header of a line that is none with the usual ones.
pub fn suggested_delimiter(line: &[u8], options: &InputOptions) -> Option<Delimiter> {
    DELIMITERS.into_iter().map(Delimiter).find(|&Delimiter(delimiter)| {
        let mut row = Row::default();
        let read = row.read(&mut &*line, Dialect { delimiter, ..Dialect::CSV }, line.len());
        matches!(read, Ok(Step::Row)) && Header::new(names(&row), &options.columns, Elsewhere::of(options)).is_ok()
    })
}

/// The remedy for a header that can't be used, if one is known.
fn remedy(row: &Row, dialect: Dialect, options: &InputOptions) -> String {
    if row.raw().contains(&b'\r') {
        return "; the lines end as on old Macs: convert the file with `tr '\\r' '\\n'`".to_owned();
    }
    if dialect.quotes == Quotes::None && row.cells().any(|name| name.starts_with(b"\"")) {
        return "; names stand in double quotes: use --quotes csv if cells do so in this file".to_owned();
    }
    match suggested_delimiter(row.raw(), options).filter(|delimiter| delimiter.0 != dialect.delimiter) {
        Some(delimiter) => {
            format!("; its columns stand between other characters: use --delimiter {}", delimiter.typed())
        }
        None if !Header::is_likely(&names(row)) && options.columns.is_empty() => format!("; {NO_HEADER}"),
        None => String::new(),
    }
}

fn names(row: &Row) -> Vec<String> {
    row.cells().map(|name| String::from_utf8_lossy(name).into_owned()).collect()
}

#[cfg(test)]
#[path = "table_tests.rs"]
mod tests;
