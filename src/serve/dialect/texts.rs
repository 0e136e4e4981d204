//! The texts of a request: strings, or objects around strings.

use std::fmt;

use ahash::AHashSet;
use serde_json::value::RawValue;

use super::Limits;
use super::body::{Body, Kind, LONGEST_SHOWN, invalid, kind, list_of, malformed, object_of, shown, text_of};
use super::options::required;
use crate::serve::request::{Problem, ProblemKind};

/// More names of fields than objects that are ranked have.
const MOST_RANK_FIELDS: usize = 100;

/// More parts than a document has; each is read to see whether it is a text.
const MOST_PARTS: usize = 100;

/// What stands in an object that is no text.
const MEDIA: [&str; 6] = ["image", "image_url", "video", "video_url", "audio", "input_audio"];

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
    pub fn of(body: &Body<'_>, limits: &Limits) -> Result<Self, Problem> {
        let name = |value: &RawValue| {
            text_of(value, &"`rank_fields`").unwrap_or_else(|| {
                Err(malformed(format!("`rank_fields` has {}: names of fields are expected", shown(value))))
            })
        };
        let fields: Vec<String> = match body.get("rank_fields") {
            None => Vec::new(),
            Some(value) => match list_of(value, MOST_RANK_FIELDS) {
                Some((names, count)) if count == names.len() => {
                    names.into_iter().map(name).collect::<Result<_, _>>()?
                }
                Some((_, count)) => {
                    return Err(invalid(format!(
                        "`rank_fields` has {count} names, and at most {MOST_RANK_FIELDS} are taken"
                    )));
                }
                None => return Err(malformed(format!("`rank_fields` is {}: a list is expected", kind(value)))),
            },
        };
        let mut seen = AHashSet::new();
        if let Some(name) = fields.iter().find(|name| !seen.insert(name.as_str())) {
            let name: String = name.chars().take(LONGEST_SHOWN).collect();
            // Texts would become many times as long as the body.
            return Err(invalid(format!("`rank_fields` names `{name}` twice: remove one of them")));
        }
        Ok(Self { limits: *limits, fields })
    }

    /// A query.
    pub fn query(&self, value: &RawValue, place: Place<'_>) -> Result<String, Problem> {
        self.within(text(value, place)?, place)
    }

    /// The queries of a list, or the one that stands in its place.
    pub fn queries(&self, value: &RawValue, field: &str) -> Result<Vec<String>, Problem> {
        self.each(value, field, |value, place| self.query(value, place))
    }

    /// The documents of a list, or the one that stands in its place.
    pub fn documents(&self, value: &RawValue, field: &str) -> Result<Vec<String>, Problem> {
        self.each(value, field, |value, place| self.document(value, place))
    }

    /// The entries of a list, which has at least one and no more than a request can have.
    pub fn entries<'a>(
        &self,
        value: &'a RawValue,
        field: &str,
        (right, what): (&str, &str),
    ) -> Result<Vec<&'a RawValue>, Problem> {
        let most = self.limits.documents;
        match list_of(value, most) {
            None => Err(malformed(format!("`{field}` is {}: {right} is expected", kind(value)))),
            Some((_, 0)) => Err(malformed(format!("`{field}` is empty: at least one text is needed"))),
            Some((_, count)) if count > most => {
                let message = format!(
                    "`{field}` has {count} {what}, and a request can have at most {most}: send several requests"
                );
                Err(Problem::new(ProblemKind::TooLarge, message))
            }
            Some((entries, _)) => Ok(entries),
        }
    }

    fn each(
        &self,
        value: &RawValue,
        field: &str,
        read: impl Fn(&RawValue, Place<'_>) -> Result<String, Problem>,
    ) -> Result<Vec<String>, Problem> {
        if kind(value) == Kind::Text {
            return Ok(vec![read(value, Place { field, index: None })?]);
        }
        let entries = self.entries(value, field, ("a list of texts", "texts"))?;
        let read = |(index, value)| read(value, Place { field, index: Some(index) });
        entries.into_iter().enumerate().map(read).collect()
    }

    /// A document.
    pub fn document(&self, value: &RawValue, place: Place<'_>) -> Result<String, Problem> {
        let text = match object_of(value, &place) {
            Some(object) if !self.fields.is_empty() => self.joined(&object?, place)?,
            None if kind(value) == Kind::Text && self.fields.iter().any(|field| field != "text") => {
                return Err(invalid(format!(
                    "{place} is a text, which has no fields for `rank_fields` to name: write an object, or leave `rank_fields` out"
                )));
            }
            _ => text(value, place)?,
        };
        self.within(text, place)
    }

    /// The values of the fields that the request names, in its order, as Cohere considers them.
    fn joined(&self, object: &Body<'_>, place: Place<'_>) -> Result<String, Problem> {
        let part = |name: &String| {
            let Some(value) = object.get(name) else {
                let message = format!("{place} has no `{name}`, which `rank_fields` names: write it, or an empty text");
                return Err(invalid(message));
            };
            match kind(value) {
                Kind::Text => text(value, place),
                Kind::Number | Kind::Flag => Ok(value.get().to_owned()),
                other => Err(malformed(format!("`{name}` of {place} is {other}: a text is expected"))),
            }
        };
        let parts: Vec<String> = self.fields.iter().map(part).collect::<Result<_, _>>()?;
        Ok(parts.join("\n"))
    }

    fn within(&self, text: String, place: Place<'_>) -> Result<String, Problem> {
        within(text, place, &self.limits)
    }
}

/// A text that is no longer than the limits allow.
pub(super) fn within(text: String, place: Place<'_>, limits: &Limits) -> Result<String, Problem> {
    let most = limits.characters;
    if text.len() > most {
        let count = text.chars().count();
        if count > most {
            return Err(invalid(format!("{place} has {count} characters, and at most {most} are taken: shorten it")));
        }
    }
    Ok(text)
}

/// A text, or an object around one: `{"text": …}`, or vLLM's `{"content": […]}` with one part that is a text.
fn text(value: &RawValue, place: Place<'_>) -> Result<String, Problem> {
    let Some(object) = object_of(value, &place) else { return string(value, place) };
    let object = object?;
    refuse_media(&object, place)?;
    if let Some(value) = object.get("text") {
        return string(value, place);
    }
    match object.get("content") {
        Some(content) if kind(content) == Kind::List => one_part(content, place),
        Some(content) => string(content, place),
        None => Err(malformed(format!(
            "{place} is an object without `text`: write a text, {{\"text\": …}}, or name its fields in `rank_fields`"
        ))),
    }
}

fn string(value: &RawValue, place: Place<'_>) -> Result<String, Problem> {
    text_of(value, &place).unwrap_or_else(|| Err(malformed(format!("{place} is {}: a text is expected", shown(value)))))
}

fn one_part(content: &RawValue, place: Place<'_>) -> Result<String, Problem> {
    let (parts, count) = list_of(content, MOST_PARTS).unwrap_or_default();
    let parts: Vec<Body<'_>> =
        parts.into_iter().filter_map(|part| object_of(part, &place)).collect::<Result<_, _>>()?;
    for part in &parts {
        refuse_media(part, place)?;
        if let Some(medium) = part.text("type")?.filter(|medium| medium != "text") {
            let medium: String = medium.chars().take(LONGEST_SHOWN).collect();
            return Err(not_a_text(place, &medium));
        }
    }
    // A part has no parts: what is read of it is no deeper, however deep it is.
    match parts.as_slice() {
        [part] if count == 1 && part.has("text") => string(required(part, "text", "a text")?, place),
        _ => {
            Err(malformed(format!("{place} has `content` with other than one part that has a `text`: write one text")))
        }
    }
}

fn refuse_media(object: &Body<'_>, place: Place<'_>) -> Result<(), Problem> {
    MEDIA.iter().find(|name| object.has(name)).map_or(Ok(()), |medium| Err(not_a_text(place, medium)))
}

fn not_a_text(place: Place<'_>, medium: &str) -> Problem {
    invalid(format!("{place} has `{medium}`, and this service scores texts: leave it out, and write a text"))
}
