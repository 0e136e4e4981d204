//! One candidate out of JSON.

use serde_json::value::RawValue;

use super::entry::{Draft, Drafted, Spoiled, unless_blank};
use super::names::{Field, Names};
use super::values::{Kind, Object, kind, string, wrong_type};
use crate::record::add_fields;

/// A candidate out of a list, with the query's identifier that it repeats.
pub struct Listed {
    /// The candidate.
    pub drafted: Drafted,
    /// The query's identifier, where it was asked for.
    pub query_id: Option<String>,
}

/// Reads an element of a list of candidates: an object, or a string that is the text. With `wants_query_id` the
/// query's identifier is taken from the candidate (as `rank_llm` writes it) instead of being carried.
pub fn listed(value: &RawValue, names: &Names, wants_query_id: bool) -> Listed {
    let spoiled = |problem| Listed { drafted: Err(Spoiled { id: None, problem }), query_id: None };
    match kind(value) {
        Kind::String => match string("the candidate", value) {
            Ok(text) => Listed { drafted: Ok(Draft { text, ..Draft::default() }), query_id: None },
            Err(problem) => spoiled(problem),
        },
        Kind::Object => match Object::parse(value.get()) {
            Ok(mut object) => {
                let names_of_query = if wants_query_id { names.of(Field::QueryId) } else { &[] };
                match object.take_id(names_of_query) {
                    Ok(query_id) => Listed { drafted: draft(object, names), query_id },
                    Err(problem) => spoiled(problem),
                }
            }
            Err(problem) => spoiled(problem),
        },
        found => spoiled(format!("the candidate is {found}, an object or a string is expected")),
    }
}

/// Makes a candidate of an object; what is not known is carried.
pub fn draft(object: Object<'_>, names: &Names) -> Drafted {
    let mut draft = Draft::default();
    match fill(&mut draft, object, names) {
        Ok(()) => Ok(draft),
        Err(problem) => Err(Spoiled { id: draft.id, problem }),
    }
}

fn fill(draft: &mut Draft, mut object: Object<'_>, names: &Names) -> Result<(), String> {
    draft.id = object.take_id(names.of(Field::Id))?;
    let body = object.take(names.of(Field::Text));
    // The text's own object may hold the identifier, so that it is read before anything else can go wrong.
    let nested = match body {
        Some((name, value)) if kind(value) == Kind::Object => Some((name, nest(draft, value)?)),
        Some((name, value)) => {
            draft.text = text(&name, value)?;
            None
        }
        None => return Err(format!("there is no text: none of {} has a value", names.listed(Field::Text))),
    };
    draft.score = object.take_score(names.of(Field::Score))?;
    draft.rank = object.take_rank(names.of(Field::Rank))?;
    let title = object.take_string(names.of(Field::Title))?.and_then(unless_blank);
    draft.title = title.or(draft.title.take());
    draft.fields =
        object.rest(|name| Field::ALL.iter().any(|&field| names.of(field).iter().any(|known| known == name)));
    add_fields(&mut draft.fields, nested.and_then(|(name, rest)| Some(vec![(name, rest?)])).unwrap_or_default());
    Ok(())
}

/// Reads `"doc": {"contents": …, "title": …}` and gives back what is left of that object.
fn nest(draft: &mut Draft, value: &RawValue) -> Result<Option<Box<RawValue>>, String> {
    let mut object = Object::parse(value.get())?;
    if draft.id.is_none() {
        draft.id = object.take_id(Field::Id.aliases())?;
    }
    let Some((name, value)) = object.take(Field::Text.aliases()) else {
        return Err(format!("there is no text in {}", value.get().chars().take(80).collect::<String>()));
    };
    draft.text = text(&name, value)?;
    draft.title = object.take_string(Field::Title.aliases())?.and_then(unless_blank);
    let fields = object.rest(|name| Field::ALL.iter().any(|field| field.aliases().contains(&name)));
    if fields.is_empty() {
        return Ok(None);
    }
    let members = fields.iter().map(|(name, value)| format!("{}:{value}", serde_json::Value::from(name.as_str())));
    let rest = format!("{{{}}}", members.collect::<Vec<_>>().join(","));
    RawValue::from_string(rest).map(Some).map_err(|error| error.to_string())
}

fn text(name: &str, value: &RawValue) -> Result<String, String> {
    match kind(value) {
        Kind::String => string(name, value),
        found => Err(wrong_type(name, found, "a string")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::input::names::Columns;

    fn read(text: &str) -> Listed {
        listed(&RawValue::from_string(text.into()).unwrap(), &Names::new(&Columns::default()), true)
    }

    fn carried(draft: &Draft) -> String {
        draft.fields.iter().map(|(name, value)| format!("{name}={value};")).collect()
    }

    #[test]
    fn every_known_field_is_found_and_the_rest_carried_in_order() {
        let read = read(
            r#"{"z":1,"docno":7,"contents":"t","title":"T","bm25_score":2.5,"rank":4,"qid":"q","url":"u","docid":"n"}"#,
        );
        let draft = read.drafted.unwrap();
        assert_eq!(read.query_id.unwrap(), "q");
        assert_eq!((draft.id.as_deref(), draft.text.as_str(), draft.title.as_deref()), (Some("7"), "t", Some("T")));
        assert_eq!((draft.score, draft.rank), (Some(2.5), Some(4)));
        assert_eq!(carried(&draft), "z=1;url=\"u\";docid=\"n\";");
    }

    #[test]
    fn the_object_under_doc_gives_text_title_and_id_and_its_rest_is_carried() {
        let draft = read(r#"{"score":1,"doc":{"_id":"d","segment":"t","title":"T","url":"u","n":null},"x":2}"#)
            .drafted
            .unwrap();
        assert_eq!((draft.id.as_deref(), draft.text.as_str(), draft.title.as_deref()), (Some("d"), "t", Some("T")));
        assert_eq!(carried(&draft), "x=2;doc={\"url\":\"u\",\"n\":null};");
        let draft = read(r#"{"docid":"e","document":{"text":"t"}}"#).drafted.unwrap();
        assert_eq!((draft.id.as_deref(), carried(&draft).as_str()), (Some("e"), ""));
    }

    #[test]
    fn a_candidate_may_be_a_plain_string_or_an_empty_text() {
        assert_eq!(read(r#""a \u00e9""#).drafted.unwrap().text, "a é");
        assert_eq!(read(r#"{"text": ""}"#).drafted.unwrap().text, "");
    }

    #[test]
    fn a_spoiled_candidate_says_what_is_wrong_and_keeps_its_id() {
        for (text, id, problem) in [
            ("7", None, "the candidate is a number, an object or a string is expected"),
            (r#"{"id":"d"}"#, Some("d"), "no text"),
            (r#"{"id":"d","text":null}"#, Some("d"), "no text"),
            (r#"{"id":"d","text":["a"]}"#, Some("d"), "`text` has the wrong type: it is a list"),
            (r#"{"id":"d","text":1}"#, Some("d"), "it is a number, a string is expected"),
            (r#"{"id":{},"text":"t"}"#, None, "`id` has the wrong type: it is an object"),
            (r#"{"id":"d","text":"t","score":"1"}"#, Some("d"), "`score` has the wrong type"),
            (r#"{"id":"d","text":"t","score":-1e999}"#, Some("d"), "not a finite number"),
            (r#"{"id":"d","text":"t","title":1}"#, Some("d"), "`title` has the wrong type"),
            (r#"{"doc":{"id":"d","url":"u"}}"#, Some("d"), "there is no text in"),
            (r#"{"qid":[],"text":"t"}"#, None, "`qid` has the wrong type"),
        ] {
            let spoiled = read(text).drafted.unwrap_err();
            assert_eq!(spoiled.id.as_deref(), id, "{text}");
            assert!(spoiled.problem.contains(problem), "{text}: {}", spoiled.problem);
        }
    }
}
