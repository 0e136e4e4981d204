//! Assembles one group: fills in missing ids and ranks, and finds duplicates.

use std::sync::Arc;

use serde_json::Value;
use serde_json::value::RawValue;

use super::entry::{CandidateResult, InvalidCandidate, ParsedQuery};
use super::first_seen::{FirstSeen, Occurrence};
use super::original_ranks;
use crate::record::{BadRecord, Candidate, Fields, Group, Place, Query, RecordName, add_fields};

/// A group to which candidates are still added.
#[derive(Debug)]
pub struct Assembly {
    group: Group,
    /// The word for what the numbers of records count.
    unit: &'static str,
    seen: FirstSeen,
    position: u64,
    has_ranks: bool,
}

impl Assembly {
    /// Makes a group without candidates; `unit` is the word for what the numbers of records count.
    pub fn new(query: Query, place: Place, unit: &'static str) -> Self {
        let group = Group { query, candidates: Vec::new(), place };
        Self { group, unit, seen: FirstSeen::default(), position: 0, has_ranks: false }
    }

    /// Adds the candidate that stands on `line`. A candidate that can't be used counts as a position of the list too.
    ///
    /// # Errors
    /// The candidate is invalid, or its identifier stands in the group already.
    pub fn add(&mut self, line: u64, candidate: CandidateResult) -> Result<(), BadRecord> {
        self.position += 1;
        let parsed = candidate.map_err(|InvalidCandidate { id, problem }| self.bad(line, id, problem))?;
        let text = parsed.text.map_err(|problem| self.bad(line, parsed.id.clone(), problem))?;
        let occurrence = Occurrence { file: 0, line, is_generated: parsed.id.is_none() };
        let id = parsed.id.unwrap_or_else(|| self.position.to_string());
        if let Some(first) = self.seen.earlier(&id, occurrence) {
            let problem = duplicate(&id, self.unit, [first, occurrence]);
            return Err(self.bad(line, Some(id), problem));
        }
        self.has_ranks |= parsed.rank.is_some();
        self.group.candidates.push(Candidate {
            id,
            has_generated_id: occurrence.is_generated,
            text,
            title: parsed.title,
            original_rank: parsed.rank.unwrap_or_else(|| i64::try_from(self.position).unwrap_or(i64::MAX)),
            original_score: parsed.score,
            fields: parsed.fields,
        });
        Ok(())
    }

    /// Adds a candidate of a row that repeats the query, whose fields may stand in any of its rows.
    ///
    /// # Errors
    /// As [`Assembly::add`], and where the row does not repeat the query as the rows before it have it.
    pub fn add_row(&mut self, line: u64, query: ParsedQuery, candidate: CandidateResult) -> Result<(), BadRecord> {
        let (first, unit) = (self.group.place.line, self.unit);
        let problem = match query.text {
            Err(problem) => Some(problem),
            Ok(text) if text != self.group.query.text => Some(format!(
                "the query's text on {unit} {line} differs from that on {unit} {first}: rows with one query id must repeat \
                 one text"
            )),
            Ok(_) if query.instruction != self.group.query.instruction => Some(format!(
                "the instruction on {unit} {line} differs from that on {unit} {first}: rows with one query id must repeat \
                 one instruction"
            )),
            Ok(_) => other_field(&self.group.query.fields, &query.fields).map(|name| {
                format!(
                    "the query's field `{name}` on {unit} {line} differs from that of a row before: rows with one query id must \
                     repeat its fields; what differs by the candidate stands beside the query, and not in it"
                )
            }),
        };
        match problem {
            None => {
                add_fields(&mut self.group.query.fields, query.fields);
                self.add(line, candidate)
            }
            Some(problem) => {
                let id = candidate.map_or_else(|invalid| invalid.id, |parsed| parsed.id);
                self.add(line, Err(InvalidCandidate { id, problem }))
            }
        }
    }

    /// The query's identifier.
    pub fn query_id(&self) -> &str {
        &self.group.query.id
    }

    /// Returns the group, with ranks that order its candidates, and a note if these are not those of the input.
    pub fn finish(mut self) -> (Group, Option<String>) {
        let note = original_ranks::settle(&mut self.group, self.has_ranks);
        (self.group, note)
    }

    fn bad(&self, line: u64, id: Option<String>, problem: String) -> BadRecord {
        let id = id.unwrap_or_else(|| self.position.to_string());
        BadRecord {
            place: Place { file: Arc::clone(&self.group.place.file), line },
            name: RecordName::candidate(Some(self.group.query.id.clone()), Some(id)),
            problem,
            content: None,
        }
    }
}

/// The name of a field that has another value in a later row of the query.
fn other_field<'a>(fields: &Fields, later: &'a Fields) -> Option<&'a str> {
    let has_other = |(name, value): &&(String, Box<RawValue>)| {
        fields.iter().any(|(known, first)| known == name && !is_same_value(first, value))
    };
    later.iter().find(has_other).map(|(name, _)| name.as_str())
}

fn is_same_value(one: &RawValue, other: &RawValue) -> bool {
    // Blanks between the parts of a value make no other value of it.
    let parsed = |value: &RawValue| serde_json::from_str::<Value>(value.get()).ok();
    one.get() == other.get() || parsed(one).is_some_and(|one| parsed(other) == Some(one))
}

/// The message for a candidate whose identifier is in its group already. A generated identifier is the position in the
/// list.
fn duplicate(id: &str, unit: &str, [first, second]: [Occurrence; 2]) -> String {
    let Occurrence { line, .. } = second;
    let at = if first.line == line { String::new() } else { format!(" on {unit} {}", first.line) };
    match (first.is_generated, second.is_generated) {
        (true, _) => format!(
            "this candidate id was generated for the candidate{at} at position {id} of the query's candidates, which has \
             none: give every candidate an id, or none of them"
        ),
        (_, true) => format!(
            "this candidate has no id, and the one generated from its position {id} among the query's candidates stands{at} \
             already: give every candidate an id, or none of them"
        ),
        _ if first.line == line => {
            "this candidate id stands twice in the list: an id names one candidate of its query".to_owned()
        }
        _ => format!(
            "this candidate id stands{at} already: an id names one candidate of its query, remove one of the two (here: \
             {unit} {line})"
        ),
    }
}
