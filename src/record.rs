//! The nouns of the program: [`Query`], [`Candidate`], [`Group`], [`Ranking`], and where a record was read ([`Place`]).

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use serde::Serialize;
use serde_json::value::RawValue;

/// Fields of a record that `rerank` does not know and carries to the output as they were, in their order.
/// The values are the bytes of the input (JSON), without line breaks.
pub type Fields = Vec<(String, Box<RawValue>)>;

/// Fields that are compared one by one.
const FEW_FIELDS: usize = 32;

/// Adds those of `more` whose names `fields` does not have yet.
pub fn add_fields(fields: &mut Fields, more: Fields) {
    // Of thousands, each can't be compared with all others.
    if fields.len() + more.len() > FEW_FIELDS {
        let mut known: HashSet<String> = fields.iter().map(|(name, _)| name.clone()).collect();
        fields.extend(more.into_iter().filter(|(name, _)| known.insert(name.clone())));
        return;
    }
    for (name, value) in more {
        if fields.iter().all(|(known, _)| *known != name) {
            fields.push((name, value));
        }
    }
}

/// Gives a field a value, in place of the one that it has.
pub fn set_field(fields: &mut Fields, name: &str, value: Box<RawValue>) {
    match fields.iter_mut().find(|(known, _)| known == name) {
        Some((_, old)) => *old = value,
        None => fields.push((name.to_owned(), value)),
    }
}

/// A search query.
#[derive(Clone, Debug, Default)]
pub struct Query {
    /// Identifier, unique in a run. Where the input has none: the query's ordinal, counted from 1.
    pub id: String,
    /// The query as it is put into the prompt; never empty.
    pub text: String,
    /// Whether the input has no identifier for it.
    pub has_generated_id: bool,
    /// Where it stands among the queries of the input: a number that grows in the input's order, whatever part of it is read.
    pub position: u64,
    /// The hash of the query and its candidates as they were read, where the output's run records that; else 0.
    pub content: u64,
    /// Overrides the run's instruction for this query.
    pub instruction: Option<String>,
    /// Unknown fields of the query's own record.
    pub fields: Fields,
}

/// One document that a first stage proposed for a query.
#[derive(Clone, Debug, Default)]
pub struct Candidate {
    /// Identifier, unique in its query. Where the input has none: the position in the list, counted from 1.
    pub id: String,
    /// Whether the input has no identifier for it.
    pub has_generated_id: bool,
    /// The text, possibly empty.
    pub text: String,
    /// The title, scored in front of the text.
    pub title: Option<String>,
    /// The rank that the first stage gave, or the position in the list, counted from 1. Breaks ties.
    pub original_rank: i64,
    /// The score that the first stage gave; finite.
    pub original_score: Option<f64>,
    /// Unknown fields, carried to the output.
    pub fields: Fields,
}

impl Candidate {
    /// The text that is scored: the title, a space and the text, as BEIR and MTEB join them; the text alone
    /// where there is no title.
    pub fn document(&self) -> Cow<'_, str> {
        match self.title.as_deref().map(str::trim) {
            None | Some("") => Cow::Borrowed(&self.text),
            Some(title) => Cow::Owned(format!("{title} {}", self.text)),
        }
    }

    /// Whether there is no text to score.
    pub fn is_empty(&self) -> bool {
        self.document().trim().is_empty()
    }

    /// Bytes that the candidate's texts and fields take, without the structures that hold them.
    fn bytes(&self) -> usize {
        let fields: usize = self.fields.iter().map(|(name, value)| name.len() + value.get().len()).sum();
        self.id.len() + self.text.len() + self.title.as_ref().map_or(0, String::len) + fields
    }
}

/// One query with its candidates, in the order in which they were read.
#[derive(Clone, Debug)]
pub struct Group {
    /// The query.
    pub query: Query,
    /// Its candidates; may be empty.
    pub candidates: Vec<Candidate>,
    /// Where the group's first row stands.
    pub place: Place,
}

impl Group {
    /// Bytes that the candidates' texts and fields take.
    pub fn bytes(&self) -> usize {
        self.candidates.iter().map(Candidate::bytes).sum()
    }
}

/// A candidate with the score that the model gave it.
#[derive(Clone, Debug)]
pub struct Ranked {
    /// The candidate as it was read.
    pub candidate: Candidate,
    /// The model's raw output, finite.
    pub logit: f32,
    /// What the user sees: the function of the logit that the recipe has, mostly a probability.
    pub score: f32,
    /// Whether the document was cut to the maximum length.
    pub truncated: bool,
    /// The score of the first stage and the reranker together, if they are fused: it orders the ranking.
    pub fused: Option<f64>,
}

/// One query's candidates, best first.
#[derive(Clone, Debug)]
pub struct Ranking {
    /// The query.
    pub query: Query,
    /// Its candidates; the rank is the index plus one.
    pub results: Vec<Ranked>,
}

/// Where a record was read: a file (or `standard input`) and a line, counted from 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The file's name as the user gave it.
    pub file: Arc<str>,
    /// The line on which the record starts.
    pub line: u64,
}

impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}", self.file, self.line)
    }
}

/// A record that can't be used. The run may stop at it or go on without it (`--on-error`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadRecord {
    /// Where it stands.
    pub place: Place,
    /// The name of the record, as far as it could be read.
    pub name: Box<RecordName>,
    /// What is wrong and what helps, as a sentence without a full stop.
    pub problem: String,
    /// The record as it stands in the file, where it is at hand.
    pub content: Option<String>,
}

/// The name of a record that can't be used, as far as it could be read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct RecordName {
    /// The query's identifier.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub query_id: Option<String>,
    /// The query's text, where it has no identifier.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub query: Option<String>,
    /// The candidate's identifier.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
}

impl RecordName {
    /// The name of a query.
    pub fn query(query_id: Option<String>) -> Box<Self> {
        Box::new(Self { query_id, ..Self::default() })
    }

    /// The name of a candidate.
    pub fn candidate(query_id: Option<String>, id: Option<String>) -> Box<Self> {
        Box::new(Self { query_id, query: None, id })
    }
}

impl fmt::Display for RecordName {
    /// `query "q1"`, `query "q1", candidate "d7"`, or nothing.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let query = self.query_id.as_ref().or(self.query.as_ref()).map(|query| format!("query {query:?}"));
        let candidate = self.id.as_ref().map(|id| format!("candidate {id:?}"));
        formatter.write_str(&query.into_iter().chain(candidate).collect::<Vec<_>>().join(", "))
    }
}

impl fmt::Display for BadRecord {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name.to_string().as_str() {
            "" => write!(formatter, "{}: {}", self.place, self.problem),
            name => write!(formatter, "{}: {name}: {}", self.place, self.problem),
        }
    }
}

impl std::error::Error for BadRecord {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_title_stands_in_front_of_the_text() {
        let mut candidate = Candidate { text: "It is red.".into(), ..Candidate::default() };
        assert_eq!(candidate.document(), "It is red.");
        candidate.title = Some(" ".into());
        assert_eq!(candidate.document(), "It is red.");
        candidate.title = Some("Mars".into());
        assert_eq!(candidate.document(), "Mars It is red.");
    }
}
