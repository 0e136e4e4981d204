//! JSON records: a query with its candidates, or a query with one candidate.

use anyhow::Result;

use super::candidate::{self, Listed};
use super::elements::Elements;
use super::entry::{Asked, Entry, query_text, too_long, unless_blank, utf_8};
use super::lines::{Lines, Piece};
use super::names::{Columns, Field, Names};
use super::notes::Notes;
use super::values::{Kind, Object, kind, list, string, wrong_type};
use crate::record::{Fields, add_fields};

/// Where the values come from.
pub enum Values {
    /// One per line.
    Lines(Lines),
    /// Cut out of the stream.
    Elements(Elements),
}

/// The records of a JSON or JSONL input.
pub struct Records {
    values: Values,
    names: Names,
    /// The longest record, in bytes.
    limit: usize,
    notes: Notes,
    /// The record that was read, while its notes are reported.
    waiting: Option<Entry>,
}

impl Records {
    /// Records of at most `limit` bytes.
    pub fn new(values: Values, columns: &Columns, limit: usize) -> Self {
        Self { values, names: Names::new(columns), limit, notes: Notes::default(), waiting: None }
    }

    fn read(&mut self) -> Result<Option<Entry>> {
        let (piece, what) = match &mut self.values {
            Values::Lines(lines) => (lines.next(), "line"),
            Values::Elements(elements) => (elements.next(), "JSON value"),
        };
        let Some(Piece { line, bytes, .. }) = piece? else { return Ok(None) };
        let Some(bytes) = bytes else {
            return Ok(Some(Entry::Bad { line, query_id: None, problem: too_long(self.limit, what) }));
        };
        let entry = utf_8(bytes).and_then(|text| record(line, text, &self.names));
        Ok(Some(entry.unwrap_or_else(|problem| Entry::Bad {
            line,
            query_id: query_id(bytes, &self.names),
            problem: if what == "line" { hint_at_whole_values(problem) } else { problem },
        })))
    }
}

impl Iterator for Records {
    type Item = Result<Entry>;

    fn next(&mut self) -> Option<Result<Entry>> {
        if let Some(note) = self.notes.next() {
            return Some(Ok(Entry::Note(note)));
        }
        if let Some(entry) = self.waiting.take() {
            return Some(Ok(entry));
        }
        match self.read() {
            Ok(entry) => {
                self.waiting = entry;
                let note = self.notes.next().map(Entry::Note);
                note.or_else(|| self.waiting.take()).map(Ok)
            }
            Err(error) => Some(Err(error)),
        }
    }
}

/// A JSON value that ends with its line is what pretty-printed JSON looks like to a reader of lines.
fn hint_at_whole_values(problem: String) -> String {
    if problem.contains("EOF") {
        return format!("{problem}; a JSONL line holds a whole value: pretty-printed JSON needs --input-format json");
    }
    problem
}

/// The query's identifier as far as a record that can't be used still tells it.
fn query_id(record: &[u8], names: &Names) -> Option<String> {
    let mut object = Object::parse(std::str::from_utf8(record).ok()?).ok()?;
    object.take_id(names.of(Field::QueryId)).ok()?
}

fn record(line: u64, text: &str, names: &Names) -> Result<Entry, String> {
    let object = Object::parse(text)?;
    let has = |field| object.find(names.of(field)).is_some();
    match object.find(names.of(Field::Candidates)) {
        Some((_, value)) if kind(value) == Kind::List => group(line, object, names),
        Some((name, value)) if !has(Field::Text) => Err(wrong_type(name, kind(value), "a list")),
        _ if has(Field::Text) || has_pair_ids(&object, names) => pair(line, object, names),
        _ => Err(format!(
            "there is neither a list of candidates ({}) nor a text ({})",
            names.listed(Field::Candidates),
            names.listed(Field::Text)
        )),
    }
}

/// Whether the identifiers alone say that this is a pair: `{"id", "query"}` may be a query that lacks its candidates,
/// `{"qid", "id", "query"}` and `{"docid", "query"}` are not.
fn has_pair_ids(object: &Object<'_>, names: &Names) -> bool {
    match object.find(names.of(Field::Id)) {
        Some((name, _)) => !Names::is_plain_id(name) || object.find(names.of(Field::QueryId)).is_some(),
        None => false,
    }
}

fn group(line: u64, mut object: Object<'_>, names: &Names) -> Result<Entry, String> {
    let mut query = query(&mut object, names, names.group_query_id())?;
    let wants_query_id = query.id.is_none();
    let mut candidates = Vec::new();
    if let Some((name, value)) = object.take(names.of(Field::Candidates)) {
        for value in list(&name, value)? {
            let Listed { drafted, query_id } = candidate::listed(value, names, wants_query_id);
            match (&query.id, query_id) {
                (Some(first), Some(other)) if *first != other => {
                    query.text = Err(format!("its candidates repeat another query id, {other:?}: they must agree"));
                }
                (None, Some(id)) => query.id = Some(id),
                _ => {}
            }
            candidates.push(drafted);
        }
    }
    let known = |name: &str| {
        let fields = [Field::QueryId, Field::Query, Field::Instruction, Field::Candidates];
        fields.iter().any(|&field| names.of(field).iter().any(|known| known == name))
    };
    add_fields(&mut query.fields, object.rest(known));
    Ok(Entry::Group { line, query, candidates })
}

fn pair(line: u64, mut object: Object<'_>, names: &Names) -> Result<Entry, String> {
    let mut query = query(&mut object, names, names.of(Field::QueryId))?;
    let of_query = std::mem::take(&mut query.fields);
    let mut candidate = candidate::draft(object, names);
    if let Ok(draft) = &mut candidate {
        add_fields(&mut draft.fields, of_query);
    }
    Ok(Entry::Row { line, query, candidate })
}

/// Takes the query out of a record. A problem of its text or its instruction is kept in the query, so that the
/// message can name its identifier.
fn query(object: &mut Object<'_>, names: &Names, id_names: &[String]) -> Result<Asked, String> {
    let id = object.take_id(id_names)?;
    let mut asked = Asked { id, text: Ok(String::new()), instruction: None, fields: Fields::new() };
    asked.text = match object.take(names.of(Field::Query)) {
        None => Err(format!("there is no query: none of {} has a value", names.listed(Field::Query))),
        Some((name, value)) => match kind(value) {
            Kind::String => string(&name, value).and_then(query_text),
            Kind::Object => nested_query(&mut asked, Object::parse(value.get())?),
            found => Err(wrong_type(&name, found, "a string or an object with a text")),
        },
    };
    match object.take_string(names.of(Field::Instruction)) {
        Ok(instruction) => asked.instruction = instruction.and_then(unless_blank).or(asked.instruction),
        Err(problem) => asked.text = asked.text.and(Err(problem)),
    }
    Ok(asked)
}

/// Reads `"query": {"text": …, "qid": …}`; the rest of that object becomes fields of the query.
fn nested_query(asked: &mut Asked, mut object: Object<'_>) -> Result<String, String> {
    let ids: Vec<_> = Field::QueryId.aliases().iter().chain(&["id", "_id"]).collect();
    if asked.id.is_none() {
        asked.id = object.take_id(&ids)?;
    }
    let text = object.take_string(&["text", "query", "question"])?;
    asked.instruction = object.take_string(Field::Instruction.aliases())?.and_then(unless_blank);
    asked.fields = object.rest(|_| true);
    text.ok_or_else(|| "there is no query: the object under it has no `text`".to_owned()).and_then(query_text)
}

#[cfg(test)]
#[path = "json_tests.rs"]
mod tests;
