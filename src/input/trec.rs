//! A TREC run: `query-id Q0 document-id rank score tag`, its texts looked up in two other files.

use anyhow::Result;

use super::collection::Collection;
use super::entry::{Asked, Draft, Drafted, Entry, Spoiled, query_text, rank, score, too_long, utf_8};
use super::lines::{Lines, Piece};
use super::queries::Queries;
use crate::record::Fields;

/// The rows of a run.
pub struct Run {
    /// The run's lines.
    pub lines: Lines,
    /// The longest line, in bytes.
    pub limit: usize,
    /// The queries' texts.
    pub queries: Queries,
    /// The documents' texts.
    pub collection: Collection,
}

impl Run {
    fn read(&mut self) -> Result<Option<Entry>> {
        let Some(Piece { line, bytes, .. }) = self.lines.next()? else { return Ok(None) };
        let row = match bytes {
            Some(bytes) => utf_8(bytes).and_then(Row::parse),
            None => Err(too_long(self.limit, "line")),
        };
        match row {
            Err(problem) => Ok(Some(Entry::Bad { line, query_id: None, problem })),
            Ok(row) => {
                let text = self.queries.text(&row.query_id).and_then(query_text);
                // A query that can't be used is refused with all its rows: their documents need not be read.
                let candidate = if text.is_ok() { self.candidate(row.document)? } else { row.document };
                let query = Asked { id: Some(row.query_id), text, instruction: None, fields: Fields::new() };
                Ok(Some(Entry::Row { line, query, candidate }))
            }
        }
    }

    fn candidate(&mut self, drafted: Drafted) -> Result<Drafted> {
        let draft = match drafted {
            Ok(draft) => draft,
            Err(spoiled) => return Ok(Err(spoiled)),
        };
        Ok(match self.collection.find(draft.id.as_deref().unwrap_or_default())? {
            Ok(document) => Ok(Draft { text: document.text, title: document.title, ..draft }),
            Err(problem) => Err(Spoiled { id: draft.id, problem }),
        })
    }
}

impl Iterator for Run {
    type Item = Result<Entry>;

    fn next(&mut self) -> Option<Result<Entry>> {
        self.read().transpose()
    }
}

/// One line of a run.
struct Row {
    query_id: String,
    /// The candidate, its text still missing.
    document: Drafted,
}

impl Row {
    fn parse(line: &str) -> Result<Self, String> {
        let fields: Vec<_> = line.split_ascii_whitespace().collect();
        let [query_id, _, id, place, value, _] = fields[..] else {
            return Err(format!(
                "the line has {} fields, a run has six: query-id Q0 document-id rank score tag",
                fields.len()
            ));
        };
        let document = match (rank(place), score(value)) {
            (Ok(rank), Ok(score)) => {
                Ok(Draft { id: Some(id.into()), rank: Some(rank), score: Some(score), ..Draft::default() })
            }
            (Err(problem), _) | (_, Err(problem)) => Err(Spoiled { id: Some(id.into()), problem }),
        };
        Ok(Self { query_id: query_id.into(), document })
    }
}

#[cfg(test)]
#[path = "trec_tests.rs"]
mod tests;
