//! JSON objects whose values stay raw until somebody asks for them, and typed reading of those values.

use std::collections::HashSet;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::entry;
use crate::record::Fields;

/// A JSON object in the order of its keys; of a key that stands twice the last value counts.
#[derive(Debug)]
pub struct Object<'a>(Vec<(String, &'a RawValue)>);

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
        let (name, value) = &self.0[index];
        Some((name, value))
    }

    /// Takes out the value of the first of the names that has one; null counts as none.
    pub fn take<S: AsRef<str>>(&mut self, names: &[S]) -> Option<(String, &'a RawValue)> {
        let index = self.position(names)?;
        Some(self.0.remove(index))
    }

    fn position<S: AsRef<str>>(&self, names: &[S]) -> Option<usize> {
        let entries = &self.0;
        names
            .iter()
            .find_map(|name| entries.iter().position(|(key, value)| key == name.as_ref() && kind(value) != Kind::Null))
    }

    /// Takes out a string; an empty one is one.
    pub fn take_string<S: AsRef<str>>(&mut self, names: &[S]) -> Result<Option<String>, String> {
        self.take(names).map(|(name, value)| string(&name, value)).transpose()
    }

    /// Takes out an identifier: a string or an integer, kept as its decimal text. An empty one counts as none.
    pub fn take_id<S: AsRef<str>>(&mut self, names: &[S]) -> Result<Option<String>, String> {
        let Some((name, value)) = self.take(names) else { return Ok(None) };
        match kind(value) {
            Kind::String => string(&name, value).map(entry::unless_blank),
            Kind::Number if is_integer(value) => Ok(Some(value.get().to_owned())),
            found => Err(wrong_type(&name, found, "a string or an integer")),
        }
    }

    /// Takes out a finite number.
    pub fn take_score<S: AsRef<str>>(&mut self, names: &[S]) -> Result<Option<f64>, String> {
        let Some((name, value)) = self.take(names) else { return Ok(None) };
        match kind(value) {
            Kind::Number => entry::score(value.get()).map(Some),
            found => Err(wrong_type(&name, found, "a number")),
        }
    }

    /// Takes out an integer.
    pub fn take_rank<S: AsRef<str>>(&mut self, names: &[S]) -> Result<Option<i64>, String> {
        let Some((name, value)) = self.take(names) else { return Ok(None) };
        match kind(value) {
            Kind::Number => entry::rank(value.get()).map(Some),
            found => Err(wrong_type(&name, found, "an integer")),
        }
    }

    /// What was not taken, to be carried to the output. A null under one of the known names says nothing and is left out.
    pub fn rest(self, is_known: impl Fn(&str) -> bool) -> Fields {
        let said = |(name, value): &(String, &RawValue)| kind(value) != Kind::Null || !is_known(name);
        self.0.into_iter().filter(said).map(|(name, value)| (name, on_one_line(value))).collect()
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Object<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Entries).map(|mut entries| {
            keep_last(&mut entries);
            Object(entries)
        })
    }
}

struct Entries;

impl<'de> Visitor<'de> for Entries {
    type Value = Vec<(String, &'de RawValue)>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = map.next_entry()? {
            entries.push(entry);
        }
        Ok(entries)
    }
}

fn keep_last(entries: &mut Vec<(String, &RawValue)>) {
    let mut seen = HashSet::with_capacity(entries.len());
    let keep: Vec<bool> = entries.iter().rev().map(|(key, _)| seen.insert(key.as_str())).collect();
    if keep.contains(&false) {
        let mut keep = keep.into_iter().rev();
        entries.retain(|_| keep.next() != Some(false));
    }
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
        Kind::String => serde_json::from_str(value.get()).map_err(|error| format!("`{name}` is not a string: {error}")),
        found => Err(wrong_type(name, found, "a string")),
    }
}

/// A value as a list of raw values.
pub fn list<'a>(name: &str, value: &'a RawValue) -> Result<Vec<&'a RawValue>, String> {
    serde_json::from_str(value.get()).map_err(|_| wrong_type(name, kind(value), "a list"))
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

fn not_json(text: &str, error: &serde_json::Error) -> String {
    let message = error.to_string();
    let message = message.rsplit_once(" at line ").map_or(message.as_str(), |(message, _)| message);
    let (line, column) = (error.line(), error.column());
    let place =
        if line > 1 { format!("line {line} of the record, column {column}") } else { format!("column {column}") };
    let near = text.lines().nth(line.saturating_sub(1)).unwrap_or_default().as_bytes();
    let near = near.get(column.saturating_sub(3)..).unwrap_or_default();
    let near = String::from_utf8_lossy(&near[..near.len().min(12)]);
    let hint = if ["NaN", "Infinity"].iter().any(|token| near.contains(token)) {
        "; NaN and Infinity, which Python writes, are not JSON: write null or leave the field out"
    } else {
        ""
    };
    format!("is not JSON: {message} ({place}){hint}")
}

#[cfg(test)]
#[path = "values_tests.rs"]
mod tests;
