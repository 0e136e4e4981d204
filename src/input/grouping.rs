//! Turns entries into groups: adjacent rows of one query are gathered, and queries that come back are found.

use std::collections::VecDeque;
use std::sync::Arc;

use anyhow::{Result, anyhow};

use super::adjacent::{Key, Run};
use super::assembly::Assembly;
use super::entry::{CandidateResult, Entry, ParsedQuery};
use super::first_seen::FirstSeen;
use super::mixed_ids::MixedIds;
use super::selection::Selection;
use super::several::OpenInput;
use super::{Event, Skimmed, Whole};
use crate::exit::UsageError;
use crate::record::{BadRecord, Place, Query, RecordName};

/// A query's number in its file stands below the file's number in the position of the query.
const FILE_SHIFT: u32 = 40;

/// Why a query without an id can't be read where only some files are.
const NO_NUMBER: &str = "the query has no id, and its number in the input is not known, as another shard reads the files before \
                         it: give every query an id, or concatenate the files to one input";

/// Why rows with and without ids can't be mixed: a row that lacks its id would become a query of its own.
const NAMED_IN_PART: &str = "give every row of the file the id of its query, or none of them";

/// Turns the entries of one file or several into events. Holds one query at a time, and a few bytes of every earlier one.
pub struct Grouping {
    input: OpenInput,
    selection: Selection,
    ready: VecDeque<Event>,
    run: Run,
    seen: FirstSeen,
    /// Queries so far, unusable ones included.
    ordinal: u64,
    /// Those of earlier files.
    before: u64,
    state: State,
    /// Where a query stands that is passed over, and is to be reported behind what is ready.
    passed: Option<u64>,
    /// Why nothing can be read behind what is ready.
    failed: Option<anyhow::Error>,
    /// Whether it was reported that ranks follow scores.
    settled: bool,
    mixed_ids: MixedIds,
    /// Whether the rows of this file name their queries by ids; nothing is known before the first row.
    rows_have_ids: Option<bool>,
    /// What is given the number of queries at the end of the input.
    whole: Whole,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Empty,
    Reading,
    Ended,
}

impl Grouping {
    /// Groups the entries of an input.
    pub fn new(input: OpenInput, selection: Selection) -> Self {
        Self {
            input,
            selection,
            ready: VecDeque::new(),
            run: Run::None,
            seen: FirstSeen::default(),
            ordinal: 0,
            before: 0,
            state: State::Empty,
            passed: None,
            failed: None,
            settled: false,
            mixed_ids: MixedIds::default(),
            rows_have_ids: None,
            whole: Whole::default(),
        }
    }

    /// Gives the number of queries on when the input was read to its end.
    pub fn count_for(&mut self, whole: Whole) {
        self.whole = whole;
    }

    /// Adds a note that is reported before what comes next.
    pub fn note(&mut self, note: String) {
        self.ready.push_back(Event::Note(note));
    }

    fn accept(&mut self, entry: Entry) {
        if !matches!(entry, Entry::Note(_)) {
            self.state = State::Reading;
        }
        match entry {
            Entry::Note(note) => self.ready.push_back(Event::Note(note)),
            Entry::Group { line, query, candidates } => self.accept_group(line, query, candidates),
            Entry::Row { line, query, candidate } => self.accept_row(line, query, candidate),
            Entry::Passed { line, query_id, is_group } => self.pass(line, query_id, is_group),
            Entry::Bad { line, query_id, problem, content } => {
                // Outside of a run of rows the record was most likely a query of its own.
                self.ordinal += u64::from(matches!(self.run, Run::None));
                let name = RecordName::query(query_id);
                self.report(BadRecord { place: self.place(line), name, problem, content });
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
        let mut assembly = Assembly::new(query, self.place(line), self.input.unit);
        for candidate in candidates {
            if let Err(bad) = assembly.add(line, candidate) {
                self.report(bad);
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
            if self.rows_have_ids == Some(true) && matches!(key, Key::Text(_)) {
                // Nobody knows of which query the row is. The rows around it may be of one.
                let problem = format!("the row has no query id, and rows before it have one: {NAMED_IN_PART}");
                return self.refuse(line, Box::default(), problem);
            }
            self.flush();
            self.ordinal += 1;
            self.run = match self.check_naming(&key) {
                Ok(()) => self.start(line, key, query.clone()),
                Err(problem) => {
                    let name = Box::new(RecordName { query: query.id.clone(), ..RecordName::default() });
                    self.refuse(line, name, problem);
                    Run::Refused(key)
                }
            };
        }
        if let Run::Open(_, assembly) = &mut self.run
            && let Err(bad) = assembly.add_row(line, query, candidate)
        {
            self.report(bad);
        }
    }

    /// Takes a record of a query that is passed over. Later records are read as if it had been read as any other.
    fn pass(&mut self, line: u64, id: String, is_group: bool) {
        let is_selected = self.selection.has(&id);
        let key = Key::Id(id);
        // Some rows of a query of another shard may have been read in full.
        let goes_on = self.run.is_of(&key) && (matches!(self.run, Run::Passed(_)) || !is_selected);
        if !is_group && goes_on {
            return;
        }
        self.flush();
        self.ordinal += 1;
        self.seen.earlier(&key, self.input.occurrence(line, false));
        self.passed = is_selected.then(|| self.query_position());
        if !is_group {
            self.rows_have_ids = Some(true);
            self.run = Run::Passed(key);
        }
    }

    /// Checks that a row with an id comes behind others with one.
    fn check_naming(&mut self, key: &Key) -> std::result::Result<(), String> {
        let has_id = matches!(key, Key::Id(_));
        if has_id && self.rows_have_ids == Some(false) {
            return Err(format!("the row has a query id, and rows before it have none: {NAMED_IN_PART}"));
        }
        self.rows_have_ids = Some(has_id);
        Ok(())
    }

    fn start(&mut self, line: u64, key: Key, query: ParsedQuery) -> Run {
        const REMEDY: &str = "the rows of one query must stand together: add --group, which gathers them in \
                              memory, or sort the input by query";
        if let Key::Text(text) = &key
            && let Some(first) = self.seen.earlier(&key, self.input.occurrence(line, false))
        {
            let name = Box::new(RecordName { query: Some(text.clone()), ..RecordName::default() });
            let first = self.input.line_of(first);
            let unit = self.input.unit;
            self.refuse(line, name, format!("this query comes back on {unit} {line} after {first}; {REMEDY}"));
            return Run::Refused(key);
        }
        match self.begin(line, query, REMEDY) {
            Some(query) => Run::Open(key, Box::new(Assembly::new(query, self.place(line), self.input.unit))),
            None => Run::Refused(key),
        }
    }

    /// Returns the query with its identifier, or `None` if it can't be used, which is then reported.
    fn begin(&mut self, line: u64, query: ParsedQuery, remedy: &str) -> Option<Query> {
        let occurrence = self.input.occurrence(line, query.id.is_none());
        if occurrence.is_generated && self.selection == Selection::Files {
            self.failed = Some(UsageError::new(format!("{}: {NO_NUMBER}", self.place(line))).into());
            return None;
        }
        let id = query.id.unwrap_or_else(|| self.ordinal.to_string());
        let name = RecordName::query(Some(id.clone()));
        if let Some(first) = self.seen.earlier(&Key::Id(id.clone()), occurrence) {
            let (first_line, unit) = (self.input.line_of(first), self.input.unit);
            let problem = match (first.is_generated, occurrence.is_generated) {
                (true, _) => format!(
                    "this query id was generated for the query on {first_line}, which has none and is number {id} in \
                     the input: give every query an id, or none of them"
                ),
                (_, true) => format!(
                    "this query has no id, and the one generated from its number in the input, {id}, stands on \
                     {first_line} already: give every query an id, or none of them"
                ),
                _ => format!("this query id comes back on {unit} {line} after {first_line}; {remedy}"),
            };
            self.refuse(line, name, problem);
            return None;
        }
        match query.text {
            Ok(text) => Some(Query {
                id,
                has_generated_id: occurrence.is_generated,
                position: self.query_position(),
                text,
                instruction: query.instruction,
                fields: query.fields,
                content: 0,
            }),
            Err(problem) => {
                self.refuse(line, name, problem);
                None
            }
        }
    }

    fn refuse(&mut self, line: u64, name: Box<RecordName>, problem: String) {
        self.report(BadRecord { place: self.place(line), name, problem, content: None });
    }

    fn report(&mut self, bad: BadRecord) {
        if self.selection.reports(&bad.name) {
            self.ready.push_back(Event::Bad(bad));
        }
    }

    fn complete(&mut self, assembly: Assembly) {
        let (group, note) = assembly.finish();
        if !self.selection.has(&group.query.id) {
            return;
        }
        if let Some(note) = note
            && !std::mem::replace(&mut self.settled, true)
        {
            self.ready.push_back(Event::Note(format!("{}: {note}", group.place)));
        }
        if let Some(note) = self.mixed_ids.look_at(&group) {
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
        Place { file: Arc::clone(&self.input.name), line }
    }

    /// Where the query at hand stands in the input.
    fn query_position(&self) -> u64 {
        (self.input.number as u64) << FILE_SHIFT | (self.ordinal - self.before)
    }

    /// Goes on with the next file, if there is one. The rows of one query stand in one file.
    fn open_next(&mut self) -> Option<Result<()>> {
        let opened = self.input.open_next()?;
        self.flush();
        self.run = Run::None;
        self.before = self.ordinal;
        self.rows_have_ids = None;
        Some(opened.map(|notes| self.ready.extend(notes.into_iter().map(Event::Note))))
    }
}

impl Iterator for Grouping {
    type Item = Result<Event>;

    fn next(&mut self) -> Option<Result<Event>> {
        loop {
            match self.skim(&[])? {
                Ok(Skimmed::Event(event)) => return Some(Ok(event)),
                Ok(Skimmed::Finished(_)) => {}
                Err(error) => return Some(Err(error)),
            }
        }
    }
}

impl Grouping {
    /// The next event. These are the hashes of the queries that come next and can be passed over.
    pub fn skim(&mut self, finished: &[u64]) -> Option<Result<Skimmed>> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Some(Ok(Skimmed::Event(event)));
            }
            if let Some(position) = self.passed.take() {
                return Some(Ok(Skimmed::Finished(position)));
            }
            if let Some(error) = self.failed.take() {
                self.state = State::Ended;
                return Some(Err(error));
            }
            if self.state == State::Ended {
                return None;
            }
            match self.input.entries.skim(self.run.skim(finished, self.selection)) {
                Some(Ok(entry)) => self.accept(entry),
                Some(Err(error)) => {
                    self.state = State::Ended;
                    return Some(Err(error));
                }
                None => {
                    match self.open_next() {
                        Some(Ok(())) => continue,
                        Some(Err(error)) => {
                            self.failed = Some(error);
                            continue;
                        }
                        None => {}
                    }
                    let state = std::mem::replace(&mut self.state, State::Ended);
                    if state == State::Empty && self.selection != Selection::Files {
                        return Some(Err(anyhow!("{} holds no queries", self.input.name)));
                    }
                    self.flush();
                    self.whole.complete(self.ordinal);
                }
            }
        }
    }
}

#[cfg(test)]
#[path = "grouping_tests.rs"]
mod tests;
