//! The texts of queries, by their identifiers.

use std::collections::HashMap;
use std::path::Path;

use anyhow::{Result, anyhow, bail};

use super::detect::InputFormat;
use super::dialect::TableOptions;
use super::document;
use super::entry::too_long;
use super::json::Values;
use super::lines::Piece;
use super::source::Source;
use super::text_table::{Role, TextTable, looks_like_csv};

/// A file of queries: JSON or JSONL (`{"_id", "text"}`) or a table. It is held in memory.
#[derive(Debug)]
pub struct Queries {
    file: String,
    texts: HashMap<String, (String, u64)>,
    is_table: bool,
    /// The word for what the numbers of records count.
    unit: &'static str,
    notes: Vec<String>,
}

impl Queries {
    /// Reads the file.
    ///
    /// # Errors
    /// If it can't be read, a line is malformed, or one identifier has two texts.
    pub fn open(path: &Path, tables: TableOptions, limit: usize) -> Result<Self> {
        let is_csv = InputFormat::of_name(path) == Some(InputFormat::Csv);
        Self::read(Source::open(Some(path))?, tables, is_csv, limit)
    }

    fn read(mut source: Source, tables: TableOptions, is_csv: bool, limit: usize) -> Result<Self> {
        let first_line = source.peek_line(limit)?;
        let file = source.name.to_string();
        if first_line.trim_ascii().is_empty() {
            bail!("{file} is empty: it holds no queries");
        }
        let format = InputFormat::of_content(&first_line).filter(|format| format.is_json());
        let is_table = format.is_none();
        let mut queries =
            Self { file, texts: HashMap::new(), is_table, unit: source.findings.unit(), notes: Vec::new() };
        if let Some(format) = format {
            queries.read_values(Values::of(format, source, limit), limit)?;
        } else {
            let is_csv = is_csv || looks_like_csv(&first_line);
            queries.read_rows(TextTable::open(source, tables, (Role::Queries, is_csv), limit)?)?;
        }
        Ok(queries)
    }

    fn read_values(&mut self, mut values: Values, limit: usize) -> Result<()> {
        let (what, findings) = (values.what(), values.findings());
        while let Some(Piece { line, bytes, .. }) = values.next()? {
            let problem = || findings.take_too_long(line).unwrap_or_else(|| too_long(limit, what));
            let query = bytes.ok_or_else(problem).and_then(document::query);
            self.add(line, query)?;
        }
        self.notes.extend(findings.take_notes());
        Ok(())
    }

    fn read_rows(&mut self, mut table: TextTable) -> Result<()> {
        while table.read()? {
            let (row, layout) = (table.row(), table.layout());
            let query = layout.id(row).and_then(|id| Ok((id.to_owned(), layout.text(row)?.to_owned())));
            self.add(row.line(), query)?;
            self.notes.extend(table.take_note());
        }
        Ok(())
    }

    fn add(&mut self, line: u64, query: Result<(String, String), String>) -> Result<()> {
        let (file, unit) = (&self.file, self.unit);
        let (id, text) = query.map_err(|problem| anyhow!("{file}:{line}: {problem}"))?;
        let (known, first) = self.texts.entry(id.clone()).or_insert_with(|| (text.clone(), line));
        if *known != text {
            bail!("{file}:{line}: the query id {id:?} has another text than on {unit} {first}: remove one of them");
        }
        Ok(())
    }

    /// Whether the queries stand in a table.
    pub fn is_table(&self) -> bool {
        self.is_table
    }

    /// Takes the notes about how the file was interpreted.
    pub fn take_notes(&mut self) -> Vec<String> {
        std::mem::take(&mut self.notes)
    }

    /// Returns the text of a query, or the message that it is missing.
    pub fn text(&self, id: &str) -> Result<String, String> {
        let known = self.texts.get(id).map(|(text, _)| text.clone());
        known.ok_or_else(|| format!("the queries in {} have no query {id:?}", self.file))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &'static str) -> Result<Queries> {
        Queries::read(
            Source::from_reader("q.tsv".into(), Box::new(text.as_bytes()))?,
            TableOptions::default(),
            false,
            30,
        )
    }

    #[test]
    fn a_query_is_found_by_its_id() {
        let queries = read("\u{feff}1\tone\r\n\n2\ttwo\n2\ttwo").unwrap();
        assert_eq!(queries.text("1"), Ok("one".into()));
        assert_eq!(queries.text("2"), Ok("two".into()));
        assert!(queries.text("3").unwrap_err().contains("q.tsv have no query \"3\""));
        assert_eq!(read("{\"_id\":\"7\",\"text\":\"seven\"}").unwrap().text("7"), Ok("seven".into()));
    }

    #[test]
    fn a_malformed_file_is_an_error_that_names_the_line() {
        for (text, message) in [
            ("1\tone\n1\tother", "q.tsv:2: the query id \"1\" has another text than on line 1"),
            ("1\tone\ntwo", "q.tsv:2: "),
            ("{}", "q.tsv:1: there is no query id"),
            ("1\ta text that is too long for this limit", "q.tsv:1: the row is longer than 30 bytes"),
        ] {
            let error = read(text).unwrap_err().to_string();
            assert!(error.contains(message), "{error}");
        }
    }
}
