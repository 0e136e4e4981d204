//! One group in the making: ids and ranks are filled, duplicates found.

use std::sync::Arc;

use super::entry::{Asked, Drafted, Spoiled};
use super::seen::{Seen, Sight};
use crate::record::{BadRecord, Candidate, Group, Place, Query};

/// A group that still takes candidates.
#[derive(Debug)]
pub struct Assembly {
    group: Group,
    seen: Seen,
    position: u64,
}

impl Assembly {
    /// An empty group.
    pub fn new(query: Query, place: Place) -> Self {
        Self { group: Group { query, candidates: Vec::new(), place }, seen: Seen::default(), position: 0 }
    }

    /// Adds the candidate that stands on `line`. A candidate that can't be used takes its position in the list too.
    ///
    /// # Errors
    /// The candidate is spoiled or its identifier stands in the group already.
    pub fn add(&mut self, line: u64, drafted: Drafted) -> Result<(), BadRecord> {
        self.position += 1;
        let draft = drafted.map_err(|Spoiled { id, problem }| self.bad(line, id, problem))?;
        let sight = Sight { line, is_generated: draft.id.is_none() };
        let id = draft.id.unwrap_or_else(|| self.position.to_string());
        if let Some(first) = self.seen.earlier(&id, sight) {
            let problem = duplicate(&id, first, sight);
            return Err(self.bad(line, Some(id), problem));
        }
        self.group.candidates.push(Candidate {
            id,
            text: draft.text,
            title: draft.title,
            original_rank: draft.rank.unwrap_or_else(|| i64::try_from(self.position).unwrap_or(i64::MAX)),
            original_score: draft.score,
            fields: draft.fields,
        });
        Ok(())
    }

    /// Adds a candidate of a row that repeats the query.
    ///
    /// # Errors
    /// As [`Assembly::add`], and where the row does not repeat the query as it was told first.
    pub fn add_row(&mut self, line: u64, query: Asked, drafted: Drafted) -> Result<(), BadRecord> {
        let first = self.group.place.line;
        let problem = match query.text {
            Err(problem) => Some(problem),
            Ok(text) if text != self.group.query.text => Some(format!(
                "the query's text on line {line} differs from that on line {first}: rows with one query id must repeat \
                 one text"
            )),
            Ok(_) if query.instruction != self.group.query.instruction => Some(format!(
                "the instruction on line {line} differs from that on line {first}: rows with one query id must repeat \
                 one instruction"
            )),
            Ok(_) => None,
        };
        match problem {
            None => self.add(line, drafted),
            Some(problem) => {
                let id = drafted.map_or_else(|spoiled| spoiled.id, |draft| draft.id);
                self.add(line, Err(Spoiled { id, problem }))
            }
        }
    }

    /// The group.
    pub fn finish(self) -> Group {
        self.group
    }

    fn bad(&self, line: u64, id: Option<String>, problem: String) -> BadRecord {
        let id = id.unwrap_or_else(|| self.position.to_string());
        BadRecord {
            place: Place { file: Arc::clone(&self.group.place.file), line },
            record: Some(format!("query {:?}, candidate {id:?}", self.group.query.id)),
            problem,
        }
    }
}

/// The message for a candidate's identifier that stands in its group already. A generated one is the position in the
/// list.
fn duplicate(id: &str, first: Sight, second: Sight) -> String {
    let Sight { line, .. } = second;
    let at = if first.line == line { String::new() } else { format!(" on line {}", first.line) };
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
             line {line})"
        ),
    }
}
