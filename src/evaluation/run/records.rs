//! Ranked JSONL with what [`Run`](super::Run) passes over: texts, the first stage's ranks, and scores beside logits.

use std::borrow::Cow;
use std::path::Path;

use anyhow::{Result, anyhow};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::RunFileFormat;
use super::format::PEEKED_BYTES;
use super::ranked_line::{Document, Line};
use crate::input::{Lines, MAX_RECORD_BYTES, Source, too_long, utf_8};

/// The records of a file of ranked JSONL, one for each query.
pub struct Records {
    lines: Lines,
}

/// A query with its results, as its line lists them.
pub struct Record<'a> {
    /// The query's identifier.
    pub query_id: Cow<'a, str>,
    /// The query's text.
    pub query: Option<String>,
    /// The results; the candidates, where a line is the input of a ranking.
    pub results: Vec<Entry<'a>>,
}

/// A document of a record. Other tools have values of other kinds under these names; such a value is as good as none.
pub struct Entry<'a> {
    /// The document's identifier.
    pub id: Cow<'a, str>,
    /// The score; none where a line is the input of a ranking, as it is the first stage's there.
    pub score: Option<f64>,
    /// The rank in the first stage.
    pub original_rank: Option<u64>,
    title: Option<&'a RawValue>,
    text: Option<&'a RawValue>,
}

impl Records {
    /// Opens a file that [`Run::read`](super::Run::read) has read; none if it is no ranked JSONL.
    ///
    /// # Errors
    /// If the file can't be read.
    pub fn open(path: &Path, format: Option<RunFileFormat>) -> Result<Option<Self>> {
        let mut source = Source::open(Some(path))?;
        let first_line = source.peek_line(PEEKED_BYTES)?;
        let format = format.map_or_else(|| RunFileFormat::of_content(&first_line, &source.name), Ok)?;
        Ok((format == RunFileFormat::Jsonl).then(|| Self { lines: Lines::new(source, MAX_RECORD_BYTES) }))
    }

    /// The next record; none at the end.
    ///
    /// # Errors
    /// If the file can't be read, or is not what it was when the run was read.
    pub fn read(&mut self) -> Result<Option<Record<'_>>> {
        let name = self.lines.name().to_owned();
        let Some(piece) = self.lines.next()? else { return Ok(None) };
        let line = piece.line;
        let changed =
            |problem: String| anyhow!("{name}:{line}: {problem}; the file was changed while it was evaluated");
        let text = piece.bytes.ok_or_else(|| too_long(MAX_RECORD_BYTES, "line")).and_then(utf_8).map_err(changed)?;
        let line: Line = serde_json::from_str(text).map_err(|error| changed(error.to_string()))?;
        Record::of(line).map(Some).ok_or_else(|| changed("an identifier is missing".to_owned()))
    }
}

impl<'a> Record<'a> {
    fn of(line: Line<'a>) -> Option<Self> {
        let is_ranked = line.results.is_some();
        let entry = |document: Document<'a>| {
            Some(Entry {
                id: document.id?.0,
                score: document.score.filter(|_| is_ranked),
                original_rank: document.original_rank.and_then(value).filter(|_| is_ranked),
                title: document.title,
                text: document.text,
            })
        };
        let documents = line.results.or(line.candidates)?;
        Some(Self {
            query_id: line.query_id?.0,
            query: line.query.and_then(value),
            results: documents.into_iter().map(entry).collect::<Option<_>>()?,
        })
    }
}

impl Entry<'_> {
    /// The document's title.
    pub fn title(&self) -> Option<String> {
        self.title.and_then(value)
    }

    /// The document's text.
    pub fn text(&self) -> Option<String> {
        self.text.and_then(value)
    }
}

fn value<'a, T: Deserialize<'a>>(raw: &'a RawValue) -> Option<T> {
    serde_json::from_str(raw.get()).ok()
}
