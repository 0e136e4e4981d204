//! The queries of a TREC run, by their identifiers.

use std::collections::HashMap;
use std::path::Path;

use anyhow::{Result, anyhow, bail};

use super::document::LineFormat;
use super::entry::too_long;
use super::lines::{Lines, Piece};
use super::source::Source;

/// A file of queries: JSONL (`{"_id", "text"}`) or `id<TAB>text` without a header. It is held in memory.
#[derive(Debug)]
pub struct Queries {
    file: String,
    texts: HashMap<String, (String, u64)>,
}

impl Queries {
    /// Reads the file.
    ///
    /// # Errors
    /// It can't be read, a line is malformed, or one identifier has two texts.
    pub fn open(path: &Path, limit: usize) -> Result<Self> {
        Self::read(Source::open(Some(path))?, limit)
    }

    fn read(source: Source, limit: usize) -> Result<Self> {
        let file = source.name.to_string();
        let mut lines = Lines::new(source, limit);
        let mut texts: HashMap<String, (String, u64)> = HashMap::new();
        let mut format = None;
        while let Some(Piece { line, bytes, .. }) = lines.next()? {
            let bytes = bytes.ok_or_else(|| anyhow!("{file}:{line}: {}", too_long(limit, "line")))?;
            let format = *format.get_or_insert_with(|| LineFormat::of(bytes));
            let (id, text) = format.query(bytes).map_err(|problem| anyhow!("{file}:{line}: {problem}"))?;
            let (known, first) = texts.entry(id.clone()).or_insert_with(|| (text.clone(), line));
            if *known != text {
                bail!("{file}:{line}: the query id {id:?} has another text than on line {first}: remove one of them");
            }
        }
        Ok(Self { file, texts })
    }

    /// The text of a query, or that it is missing.
    pub fn text(&self, id: &str) -> Result<String, String> {
        let known = self.texts.get(id).map(|(text, _)| text.clone());
        known.ok_or_else(|| format!("the queries in {} have no query {id:?}", self.file))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &'static str) -> Result<Queries> {
        Queries::read(Source::from_reader("q.tsv".into(), Box::new(text.as_bytes()))?, 30)
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
            ("1\ta text that is too long for this limit", "q.tsv:1: the line is longer than 30 bytes"),
        ] {
            let error = read(text).unwrap_err().to_string();
            assert!(error.contains(message), "{error}");
        }
    }
}
