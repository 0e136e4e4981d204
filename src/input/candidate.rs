//! Reads one candidate from JSON.

use serde_json::value::RawValue;

use super::content::{Content, Naming};
use super::entry::{CandidateResult, InvalidCandidate, ParsedCandidate};
use super::names::{Field, Names};
use super::notes::Notes;
use super::values::{Kind, Object, kind, rank, score, string, text};
use crate::record::add_fields;

/// A candidate out of a list, with the query's identifier that it repeats.
pub struct Listed {
    /// The candidate.
    pub candidate: CandidateResult,
    /// The query's identifier, if the caller wants it.
    pub query_id: Option<String>,
}

/// Reads an element of a list of candidates: an object, or a string that is the text. With `wants_query_id` the
/// query's identifier is taken from the candidate (as `rank_llm` writes it) instead of being carried.
pub fn listed(value: &RawValue, names: &Names, wants_query_id: bool, notes: &mut Notes) -> Listed {
    let invalid = |problem| Listed { candidate: Err(InvalidCandidate { id: None, problem }), query_id: None };
    match kind(value) {
        Kind::String => match string("the candidate", value) {
            Ok(text) => Listed {
                candidate: Ok(ParsedCandidate { text: Ok(text), ..ParsedCandidate::default() }),
                query_id: None,
            },
            Err(problem) => invalid(problem),
        },
        Kind::Object => match Object::parse(value.get()) {
            Ok(mut object) => {
                notes.look_at(&object);
                let names_of_query = if wants_query_id { names.of(Field::QueryId) } else { &[] };
                match object.take_id(names_of_query) {
                    Ok(query_id) => Listed { candidate: parse_object(object, names, notes), query_id },
                    Err(problem) => invalid(problem),
                }
            }
            Err(problem) => invalid(problem),
        },
        found => invalid(format!("the candidate is {found}, an object or a string is expected")),
    }
}

/// Reads a candidate from an object. Unknown fields are carried.
pub fn parse_object(mut object: Object<'_>, names: &Names, notes: &mut Notes) -> CandidateResult {
    let mut content = Content::default();
    let read = content.take(&mut object, Naming::new(names), notes).and_then(|()| {
        let score = number(&mut object, (names, Field::Score), notes, score)?;
        let rank = number(&mut object, (names, Field::Rank), notes, rank)?;
        Ok((score, rank))
    });
    let (score, rank) = match read {
        Ok(read) => read,
        Err(problem) => return Err(InvalidCandidate { id: content.id, problem }),
    };
    let mut fields = object.rest(|name| names.is_known(name));
    add_fields(&mut fields, content.container);
    Ok(ParsedCandidate { id: content.id, text: content.text, title: content.title, score, rank, fields })
}

/// Takes a number out of an object, and notes if another name of its field has another value.
fn number<T>(
    object: &mut Object<'_>,
    (names, field): (&Names, Field),
    notes: &mut Notes,
    read: impl Fn(&str, &RawValue) -> Result<Option<T>, String>,
) -> Result<Option<T>, String> {
    let Some((name, value)) = object.take(names.of(field)) else { return Ok(None) };
    let number = read(&name, value)?;
    if number.is_some() {
        let written = text(&name, value)?;
        notes.rivals(object, field, (&name, &written), |other| names.is_of(field, other));
    }
    Ok(number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::input::names::Columns;

    fn read(text: &str) -> Listed {
        let (names, mut notes) = (Names::new(&Columns::default()), Notes::default());
        listed(&RawValue::from_string(text.into()).unwrap(), &names, true, &mut notes)
    }

    fn carried(parsed: &ParsedCandidate) -> String {
        parsed.fields.iter().map(|(name, value)| format!("{name}={value};")).collect()
    }

    #[test]
    fn every_known_field_is_found_and_the_rest_carried_in_order() {
        let read = read(
            r#"{"z":1,"docno":7,"contents":"t","title":"T","bm25_score":2.5,"rank":4,"qid":"q","url":"u","docid":"n"}"#,
        );
        let parsed = read.candidate.unwrap();
        assert_eq!(read.query_id.unwrap(), "q");
        assert_eq!((parsed.id.as_deref(), parsed.title.as_deref()), (Some("7"), Some("T")));
        assert_eq!(parsed.text.as_deref(), Ok("t"));
        assert_eq!((parsed.score, parsed.rank), (Some(2.5), Some(4)));
        assert_eq!(carried(&parsed), "z=1;url=\"u\";docid=\"n\";");
    }

    #[test]
    fn the_object_under_doc_gives_text_title_and_id_and_its_rest_is_carried() {
        let parsed = read(r#"{"score":1,"doc":{"_id":"d","segment":"t","title":"T","url":"u","n":null},"x":2}"#)
            .candidate
            .unwrap();
        assert_eq!((parsed.id.as_deref(), parsed.title.as_deref()), (Some("d"), Some("T")));
        assert_eq!(parsed.text.as_deref(), Ok("t"));
        assert_eq!(carried(&parsed), "x=2;doc={\"url\":\"u\",\"n\":null};");
        let parsed = read(r#"{"docid":"e","document":{"text":"t"}}"#).candidate.unwrap();
        assert_eq!((parsed.id.as_deref(), carried(&parsed).as_str()), (Some("e"), ""));
    }

    #[test]
    fn a_candidate_may_be_a_plain_string_or_an_empty_text() {
        assert_eq!(read(r#""a \u00e9""#).candidate.unwrap().text.unwrap(), "a é");
        assert_eq!(read(r#"{"text": ""}"#).candidate.unwrap().text.unwrap(), "");
    }

    #[test]
    fn a_candidate_without_a_text_says_so_and_keeps_the_rest() {
        for (text, problem) in [
            (r#"{"id":"d","score":1,"x":2}"#, "there is no text: none of"),
            (r#"{"id":"d","text":null,"score":1,"x":2}"#, "there is no text: `text` is null"),
            (r#"{"doc":{"id":"d","y":2},"score":1,"x":2}"#, "in `doc`: there is no text"),
        ] {
            let parsed = read(text).candidate.unwrap();
            assert_eq!((parsed.id.as_deref(), parsed.score), (Some("d"), Some(1.)), "{text}");
            assert!(carried(&parsed).starts_with("x=2;"), "{text}");
            assert!(parsed.text.as_ref().unwrap_err().contains(problem), "{text}: {:?}", parsed.text);
        }
    }

    #[test]
    fn an_invalid_candidate_states_what_is_wrong_and_keeps_its_id() {
        for (text, id, problem) in [
            ("7", None, "the candidate is a number, an object or a string is expected"),
            (r#"{"id":"d","text":["a","b"]}"#, Some("d"), "`text` has the wrong type: it is a list"),
            (r#"{"id":"d","text":true}"#, Some("d"), "it is true or false, a string is expected"),
            (r#"{"id":{},"text":"t"}"#, None, "`id` has the wrong type: it is an object"),
            (r#"{"id":"d","text":"t","score":"one"}"#, Some("d"), "the score \"one\" is not a number"),
            (r#"{"id":"d","text":"t","score":-1e999}"#, Some("d"), "not a finite number"),
            (r#"{"id":"d","text":"t","title":{}}"#, Some("d"), "`title` has the wrong type"),
            (r#"{"qid":[],"text":"t"}"#, None, "`qid` has the wrong type"),
        ] {
            let invalid = read(text).candidate.unwrap_err();
            assert_eq!(invalid.id.as_deref(), id, "{text}");
            assert!(invalid.problem.contains(problem), "{text}: {}", invalid.problem);
        }
    }
}
