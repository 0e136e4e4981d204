//! Runs: what a system retrieved for each query, as files of common tools hold it.

mod builder;
mod documents;
mod format;
mod left_out;
mod lines;
mod nested;
mod ranked;
mod ranked_line;
mod records;
mod table;

use std::path::Path;

use ahash::AHashMap;
use anyhow::{Result, bail};

pub use self::builder::RunBuilder;
pub use self::documents::{Documents, TieOrder};
pub(super) use self::format::PEEKED_BYTES;
pub use self::format::RunFileFormat;
pub use self::left_out::left_out;
pub(super) use self::ranked::came_back;
pub(super) use self::ranked_line::Id;
pub use self::records::{Entry, Record, Records};
#[cfg(feature = "parquet")]
use crate::fusion;
#[cfg(feature = "parquet")]
use crate::input::Field;
use crate::input::{MAX_RECORD_BYTES, Opened, Source};

/// A run: the documents of each query, best first.
#[derive(Debug)]
pub struct Run {
    name: String,
    tag: Option<String>,
    queries: Vec<RunQuery>,
    index: AHashMap<Box<str>, usize>,
    has_scores: bool,
    notes: Vec<String>,
}

/// One query of a run.
#[derive(Debug)]
pub struct RunQuery {
    /// The query's identifier.
    pub id: Box<str>,
    /// Its documents, best first.
    pub documents: Documents,
}

impl Run {
    /// Reads a run from a file, or from standard input where there is no path. Compressed ones are recognised by their content,
    /// as is the format where none is named.
    ///
    /// Documents are ordered as in trec_eval: by score as an `f32`, highest first, whatever their ranks are, and ties by
    /// identifier, the last in the order of bytes first. A run that has ranks only keeps their order. In ranked JSONL and
    /// tables `fused` counts before `logit`, and that before `score`, as different logits may have one probability; ties keep the order of the file, as
    /// these files list documents by rank.
    ///
    /// # Errors
    /// If the file can't be read, is empty or in no known format, or a line is malformed, has a score that is no finite number,
    /// or has a document that its query has had before. The message names the file and the line.
    pub fn read(path: Option<&Path>, format: Option<RunFileFormat>) -> Result<Self> {
        let mut source = open(path)?;
        let first_line = source.peek_line(format::PEEKED_BYTES)?;
        if first_line.trim_ascii().is_empty() {
            bail!("{} is empty: it holds no rankings", source.name);
        }
        let format = match format {
            Some(format) => format,
            None => RunFileFormat::of_content(&first_line, &source.name)?,
        };
        Self::of_source(source, format)
    }

    fn of_source(source: Source, format: RunFileFormat) -> Result<Self> {
        let findings = source.findings.clone();
        let run = match format {
            RunFileFormat::Trec | RunFileFormat::Msmarco | RunFileFormat::Tevatron => lines::read(source, format),
            RunFileFormat::Jsonl => ranked::read(source, MAX_RECORD_BYTES),
            RunFileFormat::Json => nested::read(source),
            RunFileFormat::Csv | RunFileFormat::Tsv => table::read(source, format, MAX_RECORD_BYTES),
        };
        Ok(Self { notes: findings.take_notes(), ..run? })
    }

    /// What users should know of the file.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// The file's name in messages.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The name in the run's own lines; only TREC runs have one.
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// Whether every document has a score, and not a rank or a place alone.
    pub fn has_scores(&self) -> bool {
        self.has_scores
    }

    /// The queries in the order in which they come first.
    pub fn queries(&self) -> &[RunQuery] {
        &self.queries
    }

    /// The documents of a query, best first; none where the run does not have the query.
    pub fn documents(&self, query: &str) -> Option<&Documents> {
        let index = self.index.get(query)?;
        self.queries.get(*index).map(|query| &query.documents)
    }
}

/// Opens a run. The rows of a file of columns are those of a table.
///
/// # Errors
/// If the file can't be read, or a column that has a meaning here has a type that can't be used.
fn open(path: Option<&Path>) -> Result<Source> {
    let opened = Opened::open(path)?;
    #[cfg(feature = "parquet")]
    if let Opened::Columns(table) = opened {
        let values = [&[fusion::FIELD][..], &["logit"][..], Field::Score.aliases(), Field::Rank.aliases()];
        let value = values.into_iter().find(|names| table.has(names));
        let needed = [(Field::QueryId.aliases(), "query ids"), (Field::Id.aliases(), "document ids")];
        let missing = needed.into_iter().find(|(names, _)| !table.has(names)).map(|(_, what)| what);
        let (Some(value), None) = (value, missing) else {
            bail!(
                "{} has no column of {}: a run in columns has a row for each document, with `query_id`, `id`, and `logit`, `score` or \
                 `rank`",
                table.name(),
                missing.unwrap_or("scores or ranks")
            );
        };
        return table.cells(&[Field::QueryId.aliases(), Field::Id.aliases(), value], true);
    }
    opened.into_text()
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
