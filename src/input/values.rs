//! JSON objects whose values stay raw until they are read, and functions that read them as a type.

use std::collections::HashMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::entry;
use super::names::{is_same_name, is_styled};
use super::syntax::{lone_surrogate, not_json};
use crate::record::Fields;
use crate::slices::first;

/// A JSON object in the order of its keys; of a key that stands twice the last value counts.
#[derive(Debug)]
pub struct Object<'a> {
    entries: Vec<(String, &'a RawValue)>,
    /// A key that stands twice with different values.
    repeated: Option<String>,
    /// Whether a key has another form than the known names, such as `docId`.
    is_styled: bool,
}

impl<'a> Object<'a> {
    /// Reads an object.
    ///
    /// # Errors
    /// The text is not JSON or not an object.
    pub fn parse(text: &'a str) -> Result<Self, String> {
        if text.trim_ascii_start().starts_with('{') {
            return serde_json::from_str(text).map_err(|error| not_json(text, &error));
        }
        let value: &RawValue = serde_json::from_str(text).map_err(|error| not_json(text, &error))?;
        Err(format!("the record is {}: an object is expected", kind(value)))
    }

    /// Whether one of the names has a value; null counts as none.
    pub fn find<S: AsRef<str>>(&self, names: &[S]) -> Option<(&str, &'a RawValue)> {
        let index = self.position(names)?;
        self.entries.get(index).map(|(name, value)| (name.as_str(), *value))
    }

    /// Takes out the value of the first of the names that has one; null counts as none.
    pub fn take<S: AsRef<str>>(&mut self, names: &[S]) -> Option<(String, &'a RawValue)> {
        let index = self.position(names)?;
        Some(self.entries.remove(index))
    }

    /// A key that stands twice with different values, of which the last one counts.
    pub fn repeated(&self) -> Option<&str> {
        self.repeated.as_deref()
    }

    fn position<S: AsRef<str>>(&self, names: &[S]) -> Option<usize> {
        let find = |is_name: fn(&str, &str) -> bool| {
            let of = |name: &S| {
                self.entries.iter().position(|(key, value)| is_name(name.as_ref(), key) && kind(value) != Kind::Null)
            };
            names.iter().find_map(of)
        };
        find(|name, key| name == key).or_else(|| if self.is_styled { find(is_same_name) } else { None })
    }

    /// Takes out a text, as [`text`] reads it.
    pub fn take_text<S: AsRef<str>>(&mut self, names: &[S]) -> Result<Option<String>, String> {
        self.take(names).map(|(name, value)| text(&name, value)).transpose()
    }

    /// Takes out an identifier, as [`id`] reads it.
    pub fn take_id<S: AsRef<str>>(&mut self, names: &[S]) -> Result<Option<String>, String> {
        self.take(names).map_or(Ok(None), |(name, value)| id(&name, value))
    }

    /// The first of the names that is null.
    pub fn null<S: AsRef<str>>(&self, names: &[S]) -> Option<&str> {
        let is_named = |key: &str| names.iter().any(|name| name.as_ref() == key);
        let null = self.entries.iter().find(|(key, value)| kind(value) == Kind::Null && is_named(key));
        null.map(|(key, _)| key.as_str())
    }

    /// What was not taken and has a value, with its name.
    pub fn left(&self) -> impl Iterator<Item = (&str, &'a RawValue)> + Clone {
        self.entries.iter().filter(|(_, value)| kind(value) != Kind::Null).map(|(name, value)| (name.as_str(), *value))
    }

    /// What was not taken, to be carried to the output. A null under one of the known names has no meaning and is left out.
    pub fn rest(self, is_known: impl Fn(&str) -> bool) -> Fields {
        let has_value = |(name, value): &(String, &RawValue)| kind(value) != Kind::Null || !is_known(name);
        self.entries.into_iter().filter(has_value).map(|(name, value)| (name, on_one_line(value))).collect()
    }
}

/// Fields as one field, an object; none where there are none.
pub fn as_object(name: String, fields: &Fields) -> Fields {
    if fields.is_empty() {
        return Fields::new();
    }
    let members = fields.iter().map(|(name, value)| format!("{}:{value}", serde_json::Value::from(name.as_str())));
    let text = format!("{{{}}}", members.collect::<Vec<_>>().join(","));
    // Members that are JSON make an object that is JSON.
    RawValue::from_string(text).map(|object| vec![(name, object)]).unwrap_or_default()
}

impl<'de: 'a, 'a> Deserialize<'de> for Object<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Entries).map(|mut entries| {
            let repeated = keep_last(&mut entries);
            let is_styled = entries.iter().any(|(key, _)| is_styled(key));
            Object { entries, repeated, is_styled }
        })
    }
}

/// More fields than any tool writes. A line of them would take many times its size in memory.
const MOST_FIELDS: usize = 100_000;

/// The message about an object with more.
pub const TOO_MANY_FIELDS: &str = "an object has more than 100,000 fields";

struct Entries;

impl<'de> Visitor<'de> for Entries {
    type Value = Vec<(String, &'de RawValue)>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = map.next_entry()? {
            if entries.len() == MOST_FIELDS {
                return Err(A::Error::custom(TOO_MANY_FIELDS));
            }
            entries.push(entry);
        }
        Ok(entries)
    }
}

/// Leaves the last value of each key; returns a key that had different ones.
fn keep_last(entries: &mut Vec<(String, &RawValue)>) -> Option<String> {
    // Most objects have a few keys, which are faster compared with each other than hashed.
    const FEW: usize = 12;
    let is_repeated =
        |(index, (key, _)): (usize, &(String, _))| first(entries, index).iter().any(|(other, _)| other == key);
    if entries.len() <= FEW && !entries.iter().enumerate().any(is_repeated) {
        return None;
    }
    let mut last = HashMap::with_capacity(entries.len());
    for (index, (key, value)) in entries.iter().enumerate() {
        last.insert(key.as_str(), (index, *value));
    }
    if last.len() == entries.len() {
        return None;
    }
    let is_last = |index: usize, key: &str| last.get(key).is_some_and(|(last, _)| *last == index);
    let keep: Vec<bool> = entries.iter().enumerate().map(|(index, (key, _))| is_last(index, key)).collect();
    let differs =
        |(key, value): &&(String, &RawValue)| last.get(key.as_str()).is_some_and(|(_, last)| last.get() != value.get());
    let repeated = entries.iter().find(differs).map(|(key, _)| key.clone());
    let mut keep = keep.into_iter();
    entries.retain(|_| keep.next() != Some(false));
    repeated
}

/// The kinds of JSON values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `null`.
    Null,
    /// `true` or `false`.
    Boolean,
    /// A number.
    Number,
    /// A string.
    String,
    /// A list.
    List,
    /// An object.
    Object,
}

impl fmt::Display for Kind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Null => "null",
            Self::Boolean => "true or false",
            Self::Number => "a number",
            Self::String => "a string",
            Self::List => "a list",
            Self::Object => "an object",
        })
    }
}

/// What a value is.
pub fn kind(value: &RawValue) -> Kind {
    match value.get().as_bytes().first() {
        Some(b'"') => Kind::String,
        Some(b'{') => Kind::Object,
        Some(b'[') => Kind::List,
        Some(b'n') => Kind::Null,
        Some(b't' | b'f') => Kind::Boolean,
        _ => Kind::Number,
    }
}

/// The message for a value of the wrong type.
pub fn wrong_type(name: &str, found: Kind, expected: &str) -> String {
    format!("`{name}` has the wrong type: it is {found}, {expected} is expected")
}

/// A value as a string.
pub fn string(name: &str, value: &RawValue) -> Result<String, String> {
    match kind(value) {
        Kind::String => serde_json::from_str(value.get()).map_err(|error| match lone_surrogate(value.get()) {
            Some((place, escape)) => format!(
                "`{name}` holds a lone surrogate, `{escape}`, as its character {place}: that is half of a character, most \
                 likely of an emoji that was cut in two; remove it or write \\ufffd for it"
            ),
            None => not_json(value.get(), &error),
        }),
        found => Err(wrong_type(name, found, "a string")),
    }
}

/// A value as a list of raw values.
pub fn list<'a>(name: &str, value: &'a RawValue) -> Result<Vec<&'a RawValue>, String> {
    serde_json::from_str(value.get()).map_err(|_| wrong_type(name, kind(value), "a list"))
}

/// A value as a text: a string, a number as it is written, or a list of one of them, as Solr writes fields that may have
/// several values.
pub fn text(name: &str, value: &RawValue) -> Result<String, String> {
    match kind(value) {
        Kind::Number => Ok(value.get().to_owned()),
        Kind::List => match list(name, value)?[..] {
            [only] if matches!(kind(only), Kind::String | Kind::Number) => text(name, only),
            ref several => Err(format!(
                "{}: it has {} parts, join them in one",
                wrong_type(name, Kind::List, "a string"),
                several.len()
            )),
        },
        _ => string(name, value),
    }
}

/// A value as an identifier: a string or an integer, kept as its decimal text. A blank one counts as none.
pub fn id(name: &str, value: &RawValue) -> Result<Option<String>, String> {
    match kind(value) {
        Kind::Null => Ok(None),
        Kind::String => string(name, value).map(entry::unless_blank),
        Kind::Number if is_integer(value) => Ok(Some(value.get().to_owned())),
        Kind::Number => Err(format!(
            "{}; where some are missing, pandas makes numbers as {} of integers: write them as `Int64`, or as strings",
            wrong_type(name, Kind::Number, "a string or an integer"),
            value.get()
        )),
        found => Err(wrong_type(name, found, "a string or an integer")),
    }
}

/// A value as a score: a finite number or its decimal text. A blank one counts as none.
pub fn score(name: &str, value: &RawValue) -> Result<Option<f64>, String> {
    match kind(value) {
        Kind::Null => Ok(None),
        Kind::Number => entry::score(value.get()).map(Some),
        Kind::String => entry::unless_blank(string(name, value)?).map(|score| entry::score(&score)).transpose(),
        found => Err(wrong_type(name, found, "a number")),
    }
}

/// A value as a rank: an integer or its decimal text. A blank one counts as none.
pub fn rank(name: &str, value: &RawValue) -> Result<Option<i64>, String> {
    match kind(value) {
        Kind::Null => Ok(None),
        Kind::Number => entry::rank(value.get()).map(Some),
        Kind::String => entry::unless_blank(string(name, value)?).map(|rank| entry::rank(&rank)).transpose(),
        found => Err(wrong_type(name, found, "an integer")),
    }
}

fn is_integer(value: &RawValue) -> bool {
    value.get().trim_start_matches('-').bytes().all(|byte| byte.is_ascii_digit())
}

/// The value's own bytes; without its blanks where a line break is among them, since an output line is one line.
fn on_one_line(value: &RawValue) -> Box<RawValue> {
    let text = value.get();
    if !text.contains(['\n', '\r']) {
        return value.to_owned();
    }
    let (mut in_string, mut escaped) = (false, false);
    let compact = text.chars().filter(|&character| {
        let keep = in_string || !character.is_ascii_whitespace();
        if character == '"' && !escaped {
            in_string = !in_string;
        }
        escaped = character == '\\' && !escaped;
        keep
    });
    RawValue::from_string(compact.collect()).unwrap_or_else(|_| value.to_owned())
}

#[cfg(test)]
#[path = "values_tests.rs"]
mod tests;
