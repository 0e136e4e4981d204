//! The texts of a request: strings, or objects around strings.

use std::fmt;

use serde_json::{Map, Value};

use super::Limits;
use super::body::{Body, invalid, kind, malformed};
use crate::serve::request::{Problem, ProblemKind};

/// Reads texts within limits.
pub(super) struct Texts {
    limits: Limits,
    /// The fields that a document's text is made of; without any, `text`.
    fields: Vec<String>,
}

/// Where a text stands.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    /// The field.
    pub field: &'a str,
    /// Which entry of its list.
    pub index: Option<usize>,
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.index {
            Some(index) => write!(formatter, "`{}[{index}]`", self.field),
            None => write!(formatter, "`{}`", self.field),
        }
    }
}

impl Texts {
    /// A reader for texts of this body, which may name the fields of its documents.
    pub fn of(body: &mut Body, limits: &Limits) -> Result<Self, Problem> {
        let name = |value: Value| match value {
            Value::String(name) => Ok(name),
            other => Err(malformed(format!("`rank_fields` has {}: names of fields are expected", kind(&other)))),
        };
        let fields = match body.take("rank_fields") {
            None => Vec::new(),
            Some(Value::Array(names)) => names.into_iter().map(name).collect::<Result<_, _>>()?,
            Some(other) => return Err(malformed(format!("`rank_fields` is {}: a list is expected", kind(&other)))),
        };
        Ok(Self { limits: *limits, fields })
    }

    /// A query.
    pub fn query(&self, value: Value, place: Place<'_>) -> Result<String, Problem> {
        let query = match value {
            Value::Object(object) => inner_text(object, place)?,
            value => string(value, place)?,
        };
        if query.trim().is_empty() {
            return Err(invalid(format!("{place} is empty: a query has at least one character")));
        }
        self.within(query, place)
    }

    /// The queries of a list, or the one that stands in its place.
    pub fn queries(&self, value: Value, field: &str) -> Result<Vec<String>, Problem> {
        self.each(value, field, |value, place| self.query(value, place))
    }

    /// The documents of a list, or the one that stands in its place.
    pub fn documents(&self, value: Value, field: &str) -> Result<Vec<String>, Problem> {
        self.each(value, field, |value, place| self.document(value, place))
    }

    /// Refuses more documents than a request can have.
    pub fn count(&self, count: usize, field: &str) -> Result<(), Problem> {
        let most = self.limits.documents;
        if count == 0 {
            return Err(malformed(format!("`{field}` is empty: at least one text is needed")));
        }
        if count > most {
            let message =
                format!("`{field}` has {count} texts, and a request can have at most {most}: send several requests");
            return Err(Problem::new(ProblemKind::TooLarge, message));
        }
        Ok(())
    }

    fn each(
        &self,
        value: Value,
        field: &str,
        read: impl Fn(Value, Place<'_>) -> Result<String, Problem>,
    ) -> Result<Vec<String>, Problem> {
        let values = match value {
            Value::Array(values) => values,
            Value::String(_) => vec![value],
            other => return Err(malformed(format!("`{field}` is {}: a list of texts is expected", kind(&other)))),
        };
        self.count(values.len(), field)?;
        let read = |(index, value)| read(value, Place { field, index: Some(index) });
        values.into_iter().enumerate().map(read).collect()
    }

    /// A document.
    pub fn document(&self, value: Value, place: Place<'_>) -> Result<String, Problem> {
        let text = match value {
            Value::Object(object) if !self.fields.is_empty() => self.joined(&object, place)?,
            Value::Object(object) => inner_text(object, place)?,
            value => string(value, place)?,
        };
        self.within(text, place)
    }

    /// The values of the fields that the request names, in its order, as Cohere considers them.
    fn joined(&self, object: &Map<String, Value>, place: Place<'_>) -> Result<String, Problem> {
        let part = |name: &String| match object.get(name) {
            Some(Value::String(text)) => Ok(text.clone()),
            Some(scalar @ (Value::Number(_) | Value::Bool(_))) => Ok(scalar.to_string()),
            None | Some(Value::Null) => {
                Err(invalid(format!("{place} has no `{name}`, which `rank_fields` names: write it, or an empty text")))
            }
            Some(other) => Err(malformed(format!("`{name}` of {place} is {}: a text is expected", kind(other)))),
        };
        let parts: Vec<String> = self.fields.iter().map(part).collect::<Result<_, _>>()?;
        Ok(parts.join("\n"))
    }

    fn within(&self, text: String, place: Place<'_>) -> Result<String, Problem> {
        let most = self.limits.characters;
        if text.len() > most {
            let count = text.chars().count();
            if count > most {
                return Err(invalid(format!(
                    "{place} has {count} characters, and at most {most} are taken: shorten it"
                )));
            }
        }
        Ok(text)
    }
}

fn string(value: Value, place: Place<'_>) -> Result<String, Problem> {
    match value {
        Value::String(text) => Ok(text),
        other => Err(malformed(format!("{place} is {}: a text is expected", kind(&other)))),
    }
}

/// The text of `{"text": …}`, or of vLLM's `{"content": […]}` with one part that is a text.
fn inner_text(mut object: Map<String, Value>, place: Place<'_>) -> Result<String, Problem> {
    if let Some(medium) =
        ["image", "image_url", "video", "video_url", "audio", "input_audio"].iter().find(|name| holds(&object, name))
    {
        return Err(not_a_text(place, medium));
    }
    if let Some(value) = object.get_mut("text").map(Value::take).filter(|value| !value.is_null()) {
        return string(value, place);
    }
    match object.get_mut("content").map(Value::take) {
        Some(Value::String(text)) => Ok(text),
        Some(Value::Array(parts)) => one_part(parts, place),
        _ => Err(malformed(format!(
            "{place} is an object without `text`: write a text, {{\"text\": …}}, or name its fields in `rank_fields`"
        ))),
    }
}

fn holds(object: &Map<String, Value>, name: &str) -> bool {
    object.get(name).is_some_and(|value| !value.is_null())
}

fn one_part(mut parts: Vec<Value>, place: Place<'_>) -> Result<String, Problem> {
    let type_of =
        |part: &Value| part.get("type").and_then(Value::as_str).map(|name| name.chars().take(40).collect::<String>());
    if let Some(other) = parts.iter().filter_map(type_of).find(|name| name != "text") {
        return Err(not_a_text(place, &other));
    }
    match (parts.pop(), parts.is_empty()) {
        (Some(mut part), true) => match part.get_mut("text").map(Value::take) {
            Some(Value::String(text)) => Ok(text),
            _ => Err(malformed(format!("the part of {place} has no `text`"))),
        },
        _ => Err(malformed(format!("{place} has `content` with other than one part: write one text"))),
    }
}

fn not_a_text(place: Place<'_>, medium: &str) -> Problem {
    invalid(format!("{place} has `{medium}`, and this service scores texts: leave it out, and write a text"))
}
