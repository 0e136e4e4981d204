//! Finds the candidates of a record: in a list, in the answer of a search engine, or in lists of good and bad ones.

use serde_json::value::RawValue;

use super::candidate::{self, Listed};
use super::entry::ParsedCandidate;
use super::names::{Field, IDS_OF_TEXTS, Names, is_same_name, lists_of_ids};
use super::notes::Notes;
use super::values::{Kind, Object, as_object, id, kind, list, score, wrong_type};
use crate::record::{Fields, add_fields};

/// Objects in which search engines and vector databases put the list: Elasticsearch and `OpenSearch`, Solr, Vespa, Qdrant.
const LIST_CONTAINERS: [&str; 4] = ["hits", "response", "root", "result"];

/// The names of the list in such an object, beside those of candidates.
const LISTS_WITHIN: [&str; 2] = ["children", "points"];

/// Lists of Qdrant's answers that stand in no such object. As general names as these are those of the candidates only where
/// there is nothing else.
const BARE_LISTS: [&str; 2] = ["result", "points"];

/// Lists whose names state whether their candidates answer the query: training data of BGE, Sentence Transformers and MTEB,
/// Tevatron, DPR.
pub const LABELLED_LISTS: [&str; 12] = [
    "pos",
    "neg",
    "positive",
    "negative",
    "positives",
    "negatives",
    "positive_passages",
    "negative_passages",
    "positive_ctxs",
    "negative_ctxs",
    "hard_negative_ctxs",
    "hard_negatives",
];

/// The most candidates of a record. A list of more, of a few bytes each, would take many times its size in memory.
const MOST_CANDIDATES: usize = 1_000_000;

/// The field in which a candidate carries the name of its labelled list.
const LIST: &str = "list";

/// A list of candidates in a record.
struct List<'a> {
    name: String,
    values: Vec<&'a RawValue>,
    /// The identifiers and scores of candidates that are plain strings, where they have lists of their own.
    ids: Option<Vec<&'a RawValue>>,
    scores: Option<Vec<&'a RawValue>>,
}

/// Whether a record has candidates of its own.
pub fn are_in(object: &Object<'_>, names: &Names) -> Result<bool, String> {
    let lists: Vec<_> = names
        .of(Field::Candidates)
        .iter()
        .filter_map(|name| object.find(&[name]))
        .filter(|(_, value)| is_filled(value))
        .map(|(name, _)| name)
        .collect();
    if let [first, second, ..] = lists[..] {
        return Err(format!(
            "`{first}` and `{second}` are both lists of candidates: name the one that is meant, as in --columns \
             candidates={first}"
        ));
    }
    match object.find(names.of(Field::Candidates)) {
        Some((_, value)) if kind(value) == Kind::List => Ok(true),
        Some((name, value)) if object.find(names.of(Field::Text)).is_none() => match container(object, names) {
            Some(_) => Ok(true),
            // An identifier may have such a name, too.
            None if lists_of_ids().any(|known| is_same_name(known, name)) => Ok(false),
            None => Err(wrong_type(name, kind(value), "a list")),
        },
        _ if object.find(names.of(Field::Text)).is_some() => Ok(false),
        _ => Ok(container(object, names).is_some() || bare(object).is_some() || object.find(&LABELLED_LISTS).is_some()),
    }
}

/// Whether a value is a list that is not empty.
fn is_filled(value: &RawValue) -> bool {
    value.get().strip_prefix('[').is_some_and(|rest| rest.trim_start() != "]")
}

/// Takes the candidates out of a record. With `wants_query_id` the query's identifier is read from each of them. What is
/// left of an object around the list becomes fields.
pub fn take(
    object: &mut Object<'_>,
    names: &Names,
    wants_query_id: bool,
    notes: &mut Notes,
) -> Result<(Vec<Listed>, Fields), String> {
    let mut fields = Fields::new();
    let lists = match object.find(names.of(Field::Candidates)).map(|(_, value)| kind(value)) {
        Some(Kind::List) => vec![plain_list(object, names)?],
        _ => match container(object, names).and_then(|name| object.take(&[name])) {
            Some((name, value)) => {
                let mut inner = Object::parse(value.get())?;
                notes.look_at(&inner);
                let list = list_within(&mut inner, names).map(|(name, value)| List::new(name, value)).transpose()?;
                add_fields(&mut fields, as_object(name, &inner.rest(|_| true)));
                list.into_iter().collect()
            }
            None if bare(object).is_some() => {
                let list = bare(object).and_then(|name| object.take(&[name]));
                list.map(|(name, value)| List::new(name, value)).transpose()?.into_iter().collect()
            }
            None => {
                if object.find(&["prompt"]).is_some() {
                    notes.carried("prompt", Field::Instruction);
                }
                labelled_lists(object, names.are_of_ids())?
            }
        },
    };
    let mut candidates = Vec::new();
    for list in lists {
        list.read(names, wants_query_id, notes, &mut candidates)?;
    }
    Ok((candidates, fields))
}

fn plain_list<'a>(object: &mut Object<'a>, names: &Names) -> Result<List<'a>, String> {
    let (candidates, are_of_ids) = (names.of(Field::Candidates), names.are_of_ids());
    // An empty list of texts may stand beside one of ids.
    let is_filled = |name: &&String| object.find(&[name]).is_some_and(|(_, value)| is_filled(value));
    let filled = if are_of_ids { candidates.iter().find(is_filled) } else { None };
    let taken = filled.and_then(|name| object.take(&[name])).or_else(|| object.take(candidates));
    let Some((name, value)) = taken else { return Err("there is no list".to_owned()) };
    let mut list = List::new(name, value)?;
    list.take_beside(object, are_of_ids, (&IDS_OF_TEXTS, &["scores"]))?;
    Ok(list)
}

fn labelled_lists<'a>(object: &mut Object<'a>, are_of_ids: bool) -> Result<Vec<List<'a>>, String> {
    let mut lists = Vec::new();
    for name in LABELLED_LISTS {
        if let Some((name, value)) = object.take(&[name]) {
            let mut list = match kind(value) {
                Kind::String => List { name, values: vec![value], ids: None, scores: None },
                _ => List::new(name, value)?,
            };
            let (id, ids, scores) =
                (format!("{}_id", list.name), format!("{}_ids", list.name), format!("{}_scores", list.name));
            list.take_beside(object, are_of_ids, (&[&id, &ids], &[&scores]))?;
            lists.push(list);
        }
    }
    Ok(lists)
}

/// The name of an object that holds a list of candidates.
fn container(object: &Object<'_>, names: &Names) -> Option<&'static str> {
    LIST_CONTAINERS.into_iter().find(|name| {
        let inner = object.find(&[name]).filter(|(_, value)| kind(value) == Kind::Object);
        let inner = inner.and_then(|(_, value)| Object::parse(value.get()).ok());
        inner.is_some_and(|mut inner| list_within(&mut inner, names).is_some())
    })
}

/// The name of a list that counts where there is no other.
fn bare(object: &Object<'_>) -> Option<&'static str> {
    let is_list = |name: &&str| object.find(&[name]).is_some_and(|(_, value)| kind(value) == Kind::List);
    BARE_LISTS.into_iter().find(is_list).filter(|_| object.find(&LABELLED_LISTS).is_none())
}

fn list_within<'a>(inner: &mut Object<'a>, names: &Names) -> Option<(String, &'a RawValue)> {
    let own = names.of(Field::Candidates).iter().map(String::as_str).chain(LISTS_WITHIN);
    let is_list = |name: &&str| inner.find(&[name]).is_some_and(|(_, value)| kind(value) == Kind::List);
    let name = own.into_iter().find(is_list)?.to_owned();
    inner.take(&[name])
}

/// Whether a candidate is no object: a text, or an identifier where texts are looked up.
fn is_plain(value: &RawValue) -> bool {
    matches!(kind(value), Kind::String | Kind::Number)
}

impl<'a> List<'a> {
    fn new(name: String, value: &'a RawValue) -> Result<Self, String> {
        let values = list(&name, value)?;
        if values.len() > MOST_CANDIDATES {
            return Err(format!(
                "`{name}` has {} values, and a record can have {MOST_CANDIDATES} candidates: write one pair per line",
                values.len()
            ));
        }
        Ok(Self { name, values, ids: None, scores: None })
    }

    /// Takes the lists of the identifiers and scores of candidates that are plain strings, or identifiers that are numbers.
    fn take_beside(
        &mut self,
        object: &mut Object<'a>,
        are_of_ids: bool,
        (ids, scores): (&[&str], &[&str]),
    ) -> Result<(), String> {
        let is_plain = |value: &&RawValue| kind(value) == Kind::String || (are_of_ids && is_plain(value));
        if !self.values.is_empty() && self.values.iter().all(is_plain) {
            self.ids = self.beside(object, ids)?;
            self.scores = self.beside(object, scores)?;
        }
        Ok(())
    }

    /// Takes a list that has a value for each candidate.
    fn beside(&self, object: &mut Object<'a>, names: &[&str]) -> Result<Option<Vec<&'a RawValue>>, String> {
        if object.find(names).is_none_or(|(_, value)| kind(value) != Kind::List) {
            return Ok(None);
        }
        let Some((name, value)) = object.take(names) else { return Ok(None) };
        let values = list(&name, value)?;
        if values.len() != self.values.len() {
            return Err(format!(
                "`{name}` has {} values and `{}` has {}: each candidate needs one",
                values.len(),
                self.name,
                self.values.len()
            ));
        }
        Ok(Some(values))
    }

    fn read(
        &self,
        names: &Names,
        wants_query_id: bool,
        notes: &mut Notes,
        candidates: &mut Vec<Listed>,
    ) -> Result<(), String> {
        for (index, value) in self.values.iter().enumerate() {
            // Numbers are no texts, whatever stands beside them.
            let is_id = is_plain(value) && (self.ids.is_none() || kind(value) == Kind::Number);
            let mut listed = match names.are_of_ids() && is_id {
                true => Listed { candidate: Ok(self.named(value)?), query_id: None },
                false => candidate::listed(value, names, wants_query_id, notes),
            };
            if let Ok(parsed) = &mut listed.candidate {
                self.complete(parsed, index)?;
            }
            candidates.push(listed);
        }
        Ok(())
    }

    /// The candidate of an identifier.
    fn named(&self, value: &RawValue) -> Result<ParsedCandidate, String> {
        let text = Err(format!("there is no text, as the values of `{}` are taken for ids", self.name));
        Ok(ParsedCandidate { id: id(&self.name, value)?, text, ..ParsedCandidate::default() })
    }

    fn complete(&self, parsed: &mut ParsedCandidate, index: usize) -> Result<(), String> {
        if let Some(ids) = self.ids.as_ref().and_then(|ids| ids.get(index)) {
            parsed.id = id("its identifier", ids)?;
        }
        if let Some(scores) = self.scores.as_ref().and_then(|scores| scores.get(index)) {
            parsed.score = score("its score", scores)?;
        }
        if LABELLED_LISTS.contains(&&*self.name) {
            let name =
                serde_json::value::to_raw_value(&self.name).map_err(|_| "the name can't be carried".to_owned())?;
            add_fields(&mut parsed.fields, vec![(LIST.to_owned(), name)]);
        }
        Ok(())
    }
}
