//! Reads a run. It holds no text, which is looked up in other files, and is small, so it is read as a whole, and the lines of one
//! query need not follow one another.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::Result;

use super::entry::{Entries, Entry, InvalidCandidate, ParsedCandidate, ParsedQuery, too_long, utf_8};
use super::gather::{Gathered, QueryRows, gathered_note};
use super::lines::{Lines, Piece};
use super::position::Position;
use super::run_line::{Document, Fault, Listed, RunFormat, UNRANKED, settle_ranks};
use super::skim::Skim;

/// Bytes of a run that are held, in its lines' structures; of a longer one the lines behind these must stand together.
pub const MAX_GATHERED_BYTES: usize = 256 << 20;

/// A line of a run with its content.
type Row = (u64, Document);

/// The rows of a run, query by query.
pub struct Run {
    lines: Lines,
    format: RunFormat,
    limit: usize,
    /// Queries that were read, and one of which more rows may follow.
    gathered: VecDeque<QueryRows<Row>>,
    last: Option<QueryRows<Row>>,
    ready: VecDeque<Entry>,
    /// The rows of the query at hand, with its identifier.
    rows: Option<(String, std::vec::IntoIter<Row>)>,
    position: Position,
    settled: bool,
}

impl Run {
    /// Reads a run, up to `most_bytes` of it.
    ///
    /// # Errors
    /// It can't be read.
    pub fn open(lines: Lines, format: RunFormat, limit: usize, most_bytes: usize) -> Result<Self> {
        let position = Position { read: Arc::new(AtomicU64::new(0)), size: 0 };
        let ready = VecDeque::new();
        let (gathered, last) = (VecDeque::new(), None);
        let mut run = Self { lines, format, limit, gathered, last, ready, rows: None, position, settled: false };
        run.gather(most_bytes)?;
        Ok(run)
    }

    /// How many of the lines have been given on; `None` where not all were read at the beginning.
    pub fn position(&self) -> Option<Position> {
        (self.position.size > 0).then(|| self.position.clone())
    }

    fn gather(&mut self, most_bytes: usize) -> Result<()> {
        let (mut gathered, mut bytes, mut count) = (Gathered::default(), 0, 0);
        let complete = loop {
            let Some((query, row)) = self.line()? else { break true };
            bytes += size_of::<Row>() + row.1.as_ref().map_or(0, |listed| listed.id.len());
            count += 1;
            gathered.add(query.as_deref(), row);
            if bytes > most_bytes {
                break false;
            }
        };
        self.ready.extend(self.lines.findings().take_notes().into_iter().map(Entry::Note));
        let name = self.lines.name();
        if gathered.interleaved() > 0 {
            self.ready.push_back(Entry::Note(gathered_note(name, gathered.interleaved())));
        }
        if complete {
            self.position.size = count;
        } else {
            let note = format!(
                "{name}: the run is long: of its lines behind the first {count}, those of one query must stand together \
                 (--group holds all of them in memory)"
            );
            self.ready.push_back(Entry::Note(note));
        }
        (self.gathered, self.last) = gathered.finish();
        Ok(())
    }

    /// The next line with its query's identifier.
    fn line(&mut self) -> Result<Option<(Option<String>, Row)>> {
        let Some(Piece { line, bytes, .. }) = self.lines.next()? else { return Ok(None) };
        let text = bytes.ok_or_else(|| too_long(self.limit, "line")).and_then(utf_8);
        let (query, document) = match text {
            Ok(text) => self.format.parse(text),
            Err(problem) => (None, Err(Fault { id: None, problem: problem.into() })),
        };
        Ok(Some((query.map(str::to_owned), (line, document))))
    }

    /// The next query with its rows.
    fn query(&mut self) -> Result<Option<QueryRows<Row>>> {
        if let Some(query) = self.gathered.pop_front() {
            return Ok(Some(query));
        }
        while let Some((query, row)) = self.line()? {
            match &mut self.last {
                Some((last, rows)) if query.as_ref().is_none_or(|query| query == last) => rows.push(row),
                last => {
                    if let Some(complete) = last.replace((query.unwrap_or_default(), vec![row])) {
                        return Ok(Some(complete));
                    }
                }
            }
        }
        Ok(self.last.take())
    }

    fn read(&mut self, skim: Skim) -> Result<Option<Entry>> {
        loop {
            if let Some(entry) = self.ready.pop_front() {
                return Ok(Some(entry));
            }
            if let Some((id, row)) = self.rows.as_mut().and_then(|(id, rows)| Some((id.clone(), rows.next()?))) {
                self.position.read.fetch_add(1, Ordering::Relaxed);
                return Ok(Some(entry(id, row)));
            }
            let Some((id, mut rows)) = self.query()? else { return Ok(None) };
            if let Some((line, _)) = rows.first().filter(|_| skim.passes_group(&id)) {
                self.position.read.fetch_add(rows.len() as u64, Ordering::Relaxed);
                return Ok(Some(Entry::Passed { line: *line, query_id: id, is_group: true }));
            }
            self.settle(&id, &mut rows);
            self.rows = Some((id, rows.into_iter()));
        }
    }

    /// Corrects the ranks of a query, and reports that the first time.
    fn settle(&mut self, id: &str, rows: &mut [Row]) {
        let first = rows.first().map_or(0, |(line, _)| *line);
        let mut listed: Vec<&mut Listed> = rows.iter_mut().filter_map(|(_, row)| row.as_mut().ok()).collect();
        // Ranks that the run does not have can't be corrected.
        let has_ranks = match self.format {
            RunFormat::Trec | RunFormat::Msmarco => true,
            RunFormat::Tevatron => false,
            RunFormat::Columns => listed.iter().any(|document| document.rank != UNRANKED),
        };
        let Some(reason) = settle_ranks(&mut listed).filter(|_| has_ranks) else { return };
        if std::mem::replace(&mut self.settled, true) {
            return;
        }
        let rule = match self.format {
            RunFormat::Trec | RunFormat::Tevatron | RunFormat::Columns => {
                "the score, descending, and ties the id, descending, as in trec_eval"
            }
            RunFormat::Msmarco => "the order of the lines",
        };
        self.ready.push_back(Entry::Note(format!(
            "{}:{first}: the ranks of query {id:?} do not order its documents ({reason}): wherever that is so, \
             `original_rank` follows {rule}",
            self.lines.name()
        )));
    }
}

/// A line of a run, whose texts stand in other files.
fn entry(query_id: String, (line, document): Row) -> Entry {
    let no_text = || "a run holds no texts".to_owned();
    let candidate = match document {
        Err(Fault { id: None, problem }) => {
            return Entry::Bad { line, query_id: None, problem: problem.into_string(), content: None };
        }
        Err(Fault { id, problem }) => {
            Err(InvalidCandidate { id: id.map(str::into_string), problem: problem.into_string() })
        }
        Ok(Listed { id, rank, score }) => Ok(ParsedCandidate {
            id: Some(id.into_string()),
            text: Err(no_text()),
            rank: Some(rank),
            score,
            ..ParsedCandidate::default()
        }),
    };
    let query = ParsedQuery { id: Some(query_id), text: Err(no_text()), lacks_text: true, ..ParsedQuery::default() };
    Entry::Row { line, query, candidate }
}

impl Iterator for Run {
    type Item = Result<Entry>;

    fn next(&mut self) -> Option<Result<Entry>> {
        self.skim(Skim::default())
    }
}

impl Entries for Run {
    fn skim(&mut self, skim: Skim) -> Option<Result<Entry>> {
        self.read(skim).transpose()
    }
}

#[cfg(test)]
#[path = "trec_tests.rs"]
mod tests;
