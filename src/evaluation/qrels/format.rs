//! The formats of qrels, and how one is recognised.

use anyhow::{Result, bail};
use clap::ValueEnum;

use super::read::grade;

/// The bytes of the first line that the format is recognised by.
pub(super) const PEEKED_BYTES: usize = 1 << 20;

/// A format of qrels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum QrelsFormat {
    /// TREC's and MS MARCO's: query-id, a column without meaning, document-id and grade, between white space
    Trec,
    /// BEIR's: query-id, document-id and grade, between tabs, below a header
    Beir,
    /// One JSON object: grades by document ids by query ids
    Json,
}

impl QrelsFormat {
    /// The format of a file with this first line.
    ///
    /// # Errors
    /// If it is that of no qrels.
    pub(super) fn of_content(line: &[u8], name: &str) -> Result<Self> {
        let line = String::from_utf8_lossy(line);
        let columns: Vec<&str> = line.split_ascii_whitespace().collect();
        let is_grade = |text: &str| grade(text).is_ok();
        match columns[..] {
            [first, ..] if first.starts_with('{') => Ok(Self::Json),
            // The grade of a line in TREC's format is checked when the line is read, and named then.
            [_, _, _, _] => Ok(Self::Trec),
            [_, _, last] if is_header(&columns) || is_grade(last) => Ok(Self::Beir),
            [_, _, _, _, _, ..] => bail!(
                "{name} has {} columns in its first line, and qrels have four (query-id 0 document-id grade) or, as BEIR's, \
                 three; a run is named without --qrels",
                columns.len()
            ),
            _ => bail!(
                "the format of {name} can't be recognised: qrels are expected, with query-id, 0, document-id and grade on each \
                 line, or --qrels-format beir or json"
            ),
        }
    }
}

/// Whether these are the names of columns: none of them is a grade.
pub(super) fn is_header(columns: &[&str]) -> bool {
    columns.last().is_some_and(|name| GRADES.contains(&name.to_lowercase().as_str()))
}

/// Names of the column with the grades.
pub(super) const GRADES: [&str; 5] = ["score", "grade", "relevance", "rel", "label"];
