//! JSON records: a query with its candidates, or a query with one candidate.

use anyhow::Result;

use super::candidate::{self, Listed};
use super::candidates;
use super::detect::InputFormat;
use super::elements::Elements;
use super::entry::{Entries, Entry, ParsedQuery, query_text, too_long, unless_blank, utf_8};
use super::findings::Findings;
use super::lines::{Lines, Piece};
use super::missing::{has, missing, neither};
use super::names::{Columns, Field, Names, is_same_name};
use super::notes::Notes;
use super::skim::Skim;
use super::source::{BYTE_ORDER_MARK, Source};
use super::syntax::is_incomplete;
use super::values::{Kind, Object, id, kind, list, text, wrong_type};
use crate::record::add_fields;

/// The source of the values.
pub enum Values {
    /// Lines with a value each.
    Lines(Lines),
    /// Values cut out of a stream.
    Elements(Elements),
}

impl Values {
    /// The values of a source: JSON over any number of lines, or JSONL.
    pub fn of(format: InputFormat, source: Source, limit: usize) -> Self {
        match format {
            InputFormat::Json => Self::Elements(Elements::new(source, limit)),
            _ => Self::Lines(Lines::new(source, limit)),
        }
    }

    /// The next value; `None` at the end.
    ///
    /// # Errors
    /// The source can't be read, or no next value can be found.
    pub fn next(&mut self) -> Result<Option<Piece<'_>>> {
        match self {
            Self::Lines(lines) => lines.next(),
            Self::Elements(elements) => elements.next(),
        }
    }

    /// The word for a unit of the source in messages.
    pub fn what(&self) -> &'static str {
        match self {
            Self::Lines(_) => "line",
            Self::Elements(_) => "JSON value",
        }
    }

    /// What is found in the source while it is read: only lines may be made of rows.
    pub fn findings(&self) -> Findings {
        match self {
            Self::Lines(lines) => lines.findings().clone(),
            Self::Elements(_) => Findings::default(),
        }
    }

    fn name(&self) -> &str {
        match self {
            Self::Lines(lines) => lines.name(),
            Self::Elements(elements) => elements.name(),
        }
    }
}

/// The records of a JSON or JSONL input.
pub struct Records {
    values: Values,
    names: Names,
    /// The longest record, in bytes.
    limit: usize,
    findings: Findings,
    notes: Notes,
    /// The record that was read, while its notes are reported.
    waiting: Option<Entry>,
}

impl Records {
    /// Makes a reader of records of at most `limit` bytes.
    pub fn new(values: Values, columns: &Columns, limit: usize) -> Self {
        let (notes, findings) = (Notes::new(values.name().into(), columns), values.findings());
        Self { values, names: Names::new(columns), limit, findings, notes, waiting: None }
    }

    /// The reader, for an input whose candidates may be ids alone.
    pub fn of_ids(self, columns: &Columns) -> Self {
        Self { names: self.names.of_ids(columns), ..self }
    }

    fn read(&mut self, skim: Skim) -> Result<Option<Entry>> {
        // Names that are still looked for may stand anywhere in a record.
        let skim = if self.notes.looks_for_names() { Skim::default() } else { skim };
        let what = self.values.what();
        let Some(Piece { line, bytes, is_cut, .. }) = self.values.next()? else { return Ok(None) };
        let Some(bytes) = bytes else {
            let problem = self.findings.take_too_long(line).unwrap_or_else(|| too_long(self.limit, what));
            return Ok(Some(Entry::Bad { line, query_id: None, problem, content: None }));
        };
        self.notes.begin(line);
        // Files were joined that had a mark each.
        let bytes = bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(bytes);
        let text = utf_8(bytes);
        let entry = text.clone().and_then(|text| record((line, text), skim, &self.names, &mut self.notes));
        Ok(Some(entry.unwrap_or_else(|problem| Entry::Bad {
            line,
            query_id: query_id(bytes, &self.names),
            problem: match text.is_ok_and(is_incomplete) {
                true if is_cut => format!("{problem}; the input ends in the middle of this record: it is truncated"),
                // That is what pretty-printed JSON looks like to a reader of lines.
                true if what == "line" => format!(
                    "{problem}; a JSONL line holds a whole value: pretty-printed JSON needs --input-format json"
                ),
                _ => problem,
            },
            content: Some(String::from_utf8_lossy(bytes).into_owned()),
        })))
    }
}

impl Iterator for Records {
    type Item = Result<Entry>;

    fn next(&mut self) -> Option<Result<Entry>> {
        self.skim(Skim::default())
    }
}

impl Entries for Records {
    fn skim(&mut self, skim: Skim) -> Option<Result<Entry>> {
        if let Some(note) = self.notes.next() {
            return Some(Ok(Entry::Note(note)));
        }
        if let Some(entry) = self.waiting.take() {
            return Some(Ok(entry));
        }
        match self.read(skim) {
            Ok(entry) => {
                self.notes.take(&self.findings);
                if entry.is_none() {
                    self.notes.end();
                }
                self.waiting = entry;
                let note = self.notes.next().map(Entry::Note);
                note.or_else(|| self.waiting.take()).map(Ok)
            }
            Err(error) => Some(Err(error)),
        }
    }
}

/// The query's identifier in a record that can't be used, if it can be read.
fn query_id(record: &[u8], names: &Names) -> Option<String> {
    let mut object = Object::parse(std::str::from_utf8(record).ok()?).ok()?;
    object.take_id(names.of(Field::QueryId)).ok()?
}

fn record((line, text): (u64, &str), skim: Skim, names: &Names, notes: &mut Notes) -> Result<Entry, String> {
    let object = Object::parse(text)?;
    notes.look_at(&object);
    let is_group = candidates::are_in(&object, names)?;
    if let Some(query_id) = passed(&object, skim, names, is_group) {
        Ok(Entry::Passed { line, query_id, is_group })
    } else if is_group {
        group(line, object, names, notes)
    } else if object.find(names.of(Field::Text)).is_some() || has_pair_ids(&object, names) {
        pair(line, object, names, notes)
    } else {
        Err(neither(names, &object))
    }
}

/// The query's identifier in a record that is passed over. None is where the identifier stands in the query or in its candidates.
fn passed(object: &Object<'_>, skim: Skim, names: &Names, is_group: bool) -> Option<String> {
    if skim.is_off() {
        return None;
    }
    let (name, value) = object.find(if is_group { names.group_query_id() } else { names.of(Field::QueryId) })?;
    let query_id = id(name, value).ok()??;
    let passes = if is_group { skim.passes_group(&query_id) } else { skim.passes_row(&query_id) };
    passes.then_some(query_id)
}

/// Whether the identifiers alone show that this is a pair: `{"id", "query"}` may be a query that lacks its candidates,
/// `{"qid", "id", "query"}` and `{"docid", "query"}` are not. Where candidates are ids alone, all are pairs.
fn has_pair_ids(object: &Object<'_>, names: &Names) -> bool {
    match object.find(names.of(Field::Id)) {
        Some((name, _)) => {
            names.are_of_ids() || !Names::is_plain_id(name) || object.find(names.of(Field::QueryId)).is_some()
        }
        None => false,
    }
}

fn group(line: u64, mut object: Object<'_>, names: &Names, notes: &mut Notes) -> Result<Entry, String> {
    let mut query = query(&mut object, names, names.group_query_id(), notes)?;
    let wants_query_id = query.id.is_none();
    let (listed, around) = candidates::take(&mut object, names, wants_query_id, notes)?;
    let mut candidates = Vec::new();
    for Listed { candidate, query_id } in listed {
        match (&query.id, query_id) {
            (Some(first), Some(other)) if *first != other => {
                query.text = Err(format!("its candidates repeat another query id, {other:?}: they must agree"));
                query.lacks_text = false;
            }
            (None, Some(id)) => query.id = Some(id),
            _ => {}
        }
        candidates.push(candidate);
    }
    notes.options_of_requests(&object);
    let fields = [Field::QueryId, Field::Query, Field::Instruction, Field::Candidates];
    add_fields(&mut query.fields, object.rest(|name| fields.iter().any(|&field| names.is_of(field, name))));
    add_fields(&mut query.fields, around);
    Ok(Entry::Group { line, query, candidates })
}

fn pair(line: u64, mut object: Object<'_>, names: &Names, notes: &mut Notes) -> Result<Entry, String> {
    let query = query(&mut object, names, names.of(Field::QueryId), notes)?;
    Ok(Entry::Row { line, query, candidate: candidate::parse_object(object, names, notes) })
}

/// Takes the query out of a record. A problem of its text or its instruction is kept in the query, so that the
/// message can name its identifier.
fn query(
    object: &mut Object<'_>,
    names: &Names,
    id_names: &[String],
    notes: &mut Notes,
) -> Result<ParsedQuery, String> {
    let mut parsed = ParsedQuery::default();
    if let Some((name, value)) = object.take(id_names) {
        parsed.id = id(&name, value)?;
        let used = (name.as_str(), parsed.id.as_deref().unwrap_or_default());
        notes.rivals(object, Field::QueryId, used, |name| id_names.iter().any(|known| is_same_name(known, name)));
    }
    parsed.text = match object.take(names.of(Field::Query)) {
        None => {
            parsed.lacks_text = true;
            Err(missing(Field::Query, names, object))
        }
        Some((name, value)) => match kind(value) {
            Kind::Object => {
                let inner = Object::parse(value.get())?;
                notes.look_at(&inner);
                nested_query(&mut parsed, inner)
            }
            Kind::List if list(&name, value).is_ok_and(|queries| queries.len() > 1) => {
                Err(format!("`{name}` is a list, and a record has one query: write a record for each"))
            }
            Kind::Boolean => Err(wrong_type(&name, Kind::Boolean, "a string or an object with a text")),
            _ => {
                let text = text(&name, value);
                parsed.lacks_text = text.as_ref().is_ok_and(|text| text.trim().is_empty());
                text.and_then(query_text).inspect(|text| {
                    notes.rivals(object, Field::Query, (&name, text), |other| names.is_of(Field::Query, other));
                })
            }
        },
    };
    match object.take_text(names.of(Field::Instruction)) {
        Ok(instruction) => parsed.instruction = instruction.and_then(unless_blank).or(parsed.instruction),
        Err(problem) if parsed.text.is_ok() || parsed.lacks_text => {
            (parsed.text, parsed.lacks_text) = (Err(problem), false);
        }
        Err(_) => {}
    }
    Ok(parsed)
}

/// Reads `"query": {"text": …, "qid": …}`; the rest of that object becomes fields of the query.
fn nested_query(parsed: &mut ParsedQuery, mut object: Object<'_>) -> Result<String, String> {
    let ids: Vec<_> = Field::QueryId.aliases().iter().chain(&["id", "_id"]).collect();
    if parsed.id.is_none() {
        parsed.id = object.take_id(&ids)?;
    }
    let text = object.take_text(&["text", "query", "question", "query_text"])?;
    parsed.instruction = object.take_text(Field::Instruction.aliases())?.and_then(unless_blank);
    let no_text = match has(&object) {
        None => "there is no query: the object under it has no `text`".to_owned(),
        Some(has) => {
            format!("there is no query: {has} under it and no `text`, which is needed: rename the one that is it")
        }
    };
    parsed.fields = object.rest(|_| true);
    parsed.lacks_text = text.as_ref().is_none_or(|text| text.trim().is_empty());
    text.ok_or(no_text).and_then(query_text)
}

#[cfg(test)]
#[path = "json_tests.rs"]
mod tests;
