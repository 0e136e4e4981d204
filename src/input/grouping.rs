//! Turns entries into groups: adjacent rows of one query are gathered, and queries that come back are found.

use std::collections::VecDeque;
use std::sync::Arc;

use anyhow::{Result, anyhow};

use super::Event;
use super::assembly::Assembly;
use super::entry::{CandidateResult, Entry, ParsedQuery};
use super::equal_ranks;
use super::first_seen::{FirstSeen, Occurrence};
use crate::record::{BadRecord, Place, Query, RecordName};

/// Turns the entries of a file into events. Holds one query at a time, and a few bytes of every earlier one.
pub struct Grouping {
    entries: Box<dyn Iterator<Item = Result<Entry>> + Send>,
    file: Arc<str>,
    ready: VecDeque<Event>,
    run: Run,
    seen: FirstSeen,
    /// Queries so far, unusable ones included.
    ordinal: u64,
    state: State,
    /// Whether equal ranks were reported.
    settled: bool,
}

/// The adjacent rows of one query that are being read.
enum Run {
    None,
    /// Rows that are gathered.
    Open(Key, Box<Assembly>),
    /// Rows of a query that was reported as bad, once for all of them.
    Refused(Key),
}

/// What the rows of one query have in common: its identifier, or its text if there is no identifier.
#[derive(Debug, Hash)]
enum Key {
    Id(String),
    Text(String),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Empty,
    Reading,
    Ended,
}

impl Grouping {
    /// Groups the entries of a file.
    pub fn new(file: Arc<str>, entries: Box<dyn Iterator<Item = Result<Entry>> + Send>) -> Self {
        let (ready, seen) = (VecDeque::new(), FirstSeen::default());
        Self { entries, file, ready, run: Run::None, seen, ordinal: 0, state: State::Empty, settled: false }
    }

    fn accept(&mut self, entry: Entry) {
        if !matches!(entry, Entry::Note(_)) {
            self.state = State::Reading;
        }
        match entry {
            Entry::Note(note) => self.ready.push_back(Event::Note(note)),
            Entry::Group { line, query, candidates } => self.accept_group(line, query, candidates),
            Entry::Row { line, query, candidate } => self.accept_row(line, query, candidate),
            Entry::Bad { line, query_id, problem, content } => {
                // Outside of a run of rows the record was most likely a query of its own.
                self.ordinal += u64::from(matches!(self.run, Run::None));
                let name = RecordName::query(query_id);
                self.ready.push_back(Event::Bad(BadRecord { place: self.place(line), name, problem, content }));
            }
        }
    }

    fn accept_group(&mut self, line: u64, query: ParsedQuery, candidates: Vec<CandidateResult>) {
        self.flush();
        self.ordinal += 1;
        let Some(query) = self.begin(line, query, "give every query its own id, or join the candidates in one list")
        else {
            return;
        };
        let mut assembly = Assembly::new(query, self.place(line));
        for candidate in candidates {
            if let Err(bad) = assembly.add(line, candidate) {
                self.ready.push_back(Event::Bad(bad));
            }
        }
        self.complete(assembly);
    }

    fn accept_row(&mut self, line: u64, query: ParsedQuery, candidate: CandidateResult) {
        if !self.run.goes_on(&query) {
            let Some(key) = Key::of(&query) else {
                let id = candidate.map_or_else(|invalid| invalid.id, |parsed| parsed.id);
                let problem = query.text.err().unwrap_or_default();
                return self.refuse(line, RecordName::candidate(None, id), problem);
            };
            self.flush();
            self.ordinal += 1;
            self.run = self.start(line, key, query.clone());
        }
        if let Run::Open(_, assembly) = &mut self.run
            && let Err(bad) = assembly.add_row(line, query, candidate)
        {
            self.ready.push_back(Event::Bad(bad));
        }
    }

    fn start(&mut self, line: u64, key: Key, query: ParsedQuery) -> Run {
        const REMEDY: &str = "the rows of one query must stand together: add --group, which gathers them in \
                              memory, or sort the input by query";
        if let Key::Text(text) = &key
            && let Some(Occurrence { line: first, .. }) =
                self.seen.earlier(&key, Occurrence { line, is_generated: false })
        {
            let name = Box::new(RecordName { query: Some(text.clone()), ..RecordName::default() });
            self.refuse(line, name, format!("this query comes back on line {line} after line {first}; {REMEDY}"));
            return Run::Refused(key);
        }
        match self.begin(line, query, REMEDY) {
            Some(query) => Run::Open(key, Box::new(Assembly::new(query, self.place(line)))),
            None => Run::Refused(key),
        }
    }

    /// Returns the query with its identifier, or `None` if it can't be used, which is then reported.
    fn begin(&mut self, line: u64, query: ParsedQuery, remedy: &str) -> Option<Query> {
        let occurrence = Occurrence { line, is_generated: query.id.is_none() };
        let id = query.id.unwrap_or_else(|| self.ordinal.to_string());
        let name = RecordName::query(Some(id.clone()));
        if let Some(first) = self.seen.earlier(&Key::Id(id.clone()), occurrence) {
            let first_line = first.line;
            let problem = match (first.is_generated, occurrence.is_generated) {
                (true, _) => format!(
                    "this query id was generated for the query on line {first_line}, which has none and is number {id} in \
                     the input: give every query an id, or none of them"
                ),
                (_, true) => format!(
                    "this query has no id, and the one generated from its number in the input, {id}, stands on line \
                     {first_line} already: give every query an id, or none of them"
                ),
                _ => format!("this query id comes back on line {line} after line {first_line}; {remedy}"),
            };
            self.refuse(line, name, problem);
            return None;
        }
        match query.text {
            Ok(text) => Some(Query {
                id,
                has_generated_id: occurrence.is_generated,
                text,
                instruction: query.instruction,
                fields: query.fields,
            }),
            Err(problem) => {
                self.refuse(line, name, problem);
                None
            }
        }
    }

    fn refuse(&mut self, line: u64, name: Box<RecordName>, problem: String) {
        self.ready.push_back(Event::Bad(BadRecord { place: self.place(line), name, problem, content: None }));
    }

    fn complete(&mut self, assembly: Assembly) {
        let mut group = assembly.finish();
        if let Some(note) = equal_ranks::settle(&mut group)
            && !std::mem::replace(&mut self.settled, true)
        {
            self.ready.push_back(Event::Note(format!("{}: {note}", group.place)));
        }
        self.ready.push_back(Event::Group(group));
    }

    fn flush(&mut self) {
        if let Run::Open(_, assembly) = std::mem::replace(&mut self.run, Run::None) {
            self.complete(*assembly);
        }
    }

    fn place(&self, line: u64) -> Place {
        Place { file: Arc::clone(&self.file), line }
    }
}

impl Iterator for Grouping {
    type Item = Result<Event>;

    fn next(&mut self) -> Option<Result<Event>> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Some(Ok(event));
            }
            if self.state == State::Ended {
                return None;
            }
            match self.entries.next() {
                Some(Ok(entry)) => self.accept(entry),
                Some(Err(error)) => {
                    self.state = State::Ended;
                    return Some(Err(error));
                }
                None => {
                    let state = std::mem::replace(&mut self.state, State::Ended);
                    if state == State::Empty {
                        return Some(Err(anyhow!("{} holds no queries", self.file)));
                    }
                    self.flush();
                }
            }
        }
    }
}

impl Run {
    fn goes_on(&self, query: &ParsedQuery) -> bool {
        match self {
            Self::None => false,
            Self::Open(key, _) | Self::Refused(key) => key.is_of(query),
        }
    }
}

impl Key {
    fn of(query: &ParsedQuery) -> Option<Self> {
        match (&query.id, &query.text) {
            (Some(id), _) => Some(Self::Id(id.clone())),
            (None, Ok(text)) => Some(Self::Text(text.clone())),
            (None, Err(_)) => None,
        }
    }

    fn is_of(&self, query: &ParsedQuery) -> bool {
        match self {
            Self::Id(key) => query.id.as_ref() == Some(key),
            Self::Text(key) => query.id.is_none() && query.text.as_ref() == Ok(key),
        }
    }
}

#[cfg(test)]
#[path = "grouping_tests.rs"]
mod tests;
