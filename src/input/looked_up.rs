//! Completes records that name their queries or documents by ids alone: the texts stand in other files.

use std::collections::VecDeque;
use std::sync::Arc;

use anyhow::Result;

use super::document::Document;
use super::entry::{CandidateResult, Entries, Entry, InvalidCandidate, ParsedCandidate, ParsedQuery, query_text};
use super::skim::Skim;
use super::texts::{SharedTexts, Texts};
use crate::exit::UsageError;

/// What helps where records have texts of their own.
const OWN_TEXT: &str = "the texts of all candidates are taken from the file that --collection names, or none of them: leave --collection \
                        (or --beir) out, or remove the texts from the input; if what was taken for a text is an id, name it with \
                        --columns id=NAME";

/// The entries of an input with the texts of other files.
pub struct LookedUp {
    entries: Box<dyn Entries>,
    /// The input's name.
    name: Arc<str>,
    texts: SharedTexts,
    ready: VecDeque<Entry>,
    /// Whether it was reported that queries have texts of their own, or that a title is not used.
    has_noted_query: bool,
    has_noted_title: bool,
}

impl LookedUp {
    /// Entries of an input of this name, and what is reported in front of them.
    pub fn new(name: Arc<str>, entries: Box<dyn Entries>, texts: SharedTexts, notes: Vec<String>) -> Self {
        let ready = notes.into_iter().map(Entry::Note).collect();
        Self { entries, name, texts, ready, has_noted_query: false, has_noted_title: false }
    }

    fn read(&mut self, skim: Skim) -> Result<Option<Entry>> {
        if let Some(entry) = self.ready.pop_front() {
            return Ok(Some(entry));
        }
        let Some(entry) = self.entries.skim(skim).transpose()? else { return Ok(None) };
        let shared = self.texts.clone();
        let mut opened = shared.lock();
        let Some(texts) = opened.as_mut() else { return Ok(Some(entry)) };
        let entry = match entry {
            Entry::Group { line, query, candidates } => {
                let query = self.query(texts, line, query);
                let candidates =
                    candidates.into_iter().map(|candidate| self.candidate(texts, (line, &query), candidate));
                let candidates = candidates.collect::<Result<_>>()?;
                Entry::Group { line, query, candidates }
            }
            Entry::Row { line, query, candidate } => {
                let query = self.query(texts, line, query);
                let candidate = self.candidate(texts, (line, &query), candidate)?;
                Entry::Row { line, query, candidate }
            }
            other => {
                texts.has_candidate |= matches!(other, Entry::Passed { .. });
                other
            }
        };
        self.ready.push_back(entry);
        Ok(self.ready.pop_front())
    }

    fn query(&mut self, texts: &Texts, line: u64, query: ParsedQuery) -> ParsedQuery {
        let Some(queries) = &texts.queries else { return query };
        if query.lacks_text {
            let no_id = || format!("there is no query: neither a text nor an id {}", by_id("--queries", "query_id"));
            let text = query.id.as_deref().ok_or_else(no_id).and_then(|id| queries.text(id)).and_then(query_text);
            return ParsedQuery { text, lacks_text: false, ..query };
        }
        if query.text.is_ok() && !std::mem::replace(&mut self.has_noted_query, true) {
            self.note(format!(
                "{}:{line}: the record has its query's text, which is used; --queries gives one to records that have none",
                self.name
            ));
        }
        query
    }

    /// Completes a candidate. That of a query that can't be used is refused with it: its document need not be read.
    fn candidate(
        &mut self,
        texts: &mut Texts,
        (line, query): (u64, &ParsedQuery),
        candidate: CandidateResult,
    ) -> Result<CandidateResult> {
        let parsed = match candidate {
            Ok(parsed) if query.text.is_ok() => parsed,
            other => return Ok(other),
        };
        let Some(collection) = &mut texts.collection else { return Ok(Ok(parsed)) };
        let is_first = !std::mem::replace(&mut texts.has_candidate, true);
        let has_text = parsed.text.as_ref().is_ok_and(|text| !text.trim().is_empty());
        let problem = match &parsed.id {
            _ if has_text && is_first => {
                let problem = format!("{}:{line}: the candidate has a text: {OWN_TEXT}", self.name);
                return Err(UsageError::new(problem).into());
            }
            _ if has_text => format!("the candidate has a text, and others before it have none: {OWN_TEXT}"),
            None => format!("there is neither a text nor an id {}", by_id("--collection", "id")),
            Some(id) => match collection.find(id)? {
                Ok(document) => return Ok(Ok(self.with_document(line, parsed, document))),
                Err(problem) => problem,
            },
        };
        Ok(Err(InvalidCandidate { id: parsed.id, problem }))
    }

    fn with_document(&mut self, line: u64, parsed: ParsedCandidate, document: Document) -> ParsedCandidate {
        let has_other = parsed.title.is_some() && document.title.is_some() && parsed.title != document.title;
        if has_other && !std::mem::replace(&mut self.has_noted_title, true) {
            self.note(format!(
                "{}:{line}: the candidate's title is that of the collection, where both have one",
                self.name
            ));
        }
        ParsedCandidate { text: Ok(document.text), title: document.title.or(parsed.title), ..parsed }
    }

    fn note(&mut self, note: String) {
        self.ready.push_back(Entry::Note(note));
    }
}

/// By what texts are found, and how to name it.
fn by_id(file: &str, field: &str) -> String {
    format!("by which {file} has one: name the id with --columns {field}=NAME")
}

impl Iterator for LookedUp {
    type Item = Result<Entry>;

    fn next(&mut self) -> Option<Result<Entry>> {
        self.skim(Skim::default())
    }
}

impl Entries for LookedUp {
    fn skim(&mut self, skim: Skim) -> Option<Result<Entry>> {
        self.read(skim).transpose()
    }
}
