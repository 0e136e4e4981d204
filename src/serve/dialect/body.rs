//! The fields of a request's body, with messages that name the field, what stands there, and what is expected.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error, MapAccess, Visitor};
use serde_json::{Map, Value};

use crate::serve::request::{Problem, ProblemKind};

/// The object that a body is. A field that is null counts as absent.
#[derive(Debug, PartialEq)]
pub(super) struct Body(Map<String, Value>);

/// Nothing bounds what a client may write into a field.
const LONGEST_SHOWN: usize = 40;

/// A field has a wrong type or is missing.
pub(super) fn malformed(message: impl Into<String>) -> Problem {
    Problem::new(ProblemKind::Malformed, message)
}

/// A value can't be used.
pub(super) fn invalid(message: impl Into<String>) -> Problem {
    Problem::new(ProblemKind::Invalid, message)
}

impl Body {
    /// Reads a body.
    pub fn parse(bytes: &[u8]) -> Result<Self, Problem> {
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        if bytes.trim_ascii().is_empty() {
            return Err(malformed("the body is empty: a JSON object is expected, with a query and documents"));
        }
        if bytes.trim_ascii_start().first() == Some(&b'{') {
            return serde_json::from_slice(bytes)
                .map_err(|error| malformed(format!("the body can't be read: {error}")));
        }
        match serde_json::from_slice::<Value>(bytes) {
            Ok(other) => Err(malformed(format!("the body is {}: an object is expected", kind(&other)))),
            Err(error) => Err(malformed(format!("the body is not JSON: {error}"))),
        }
    }

    /// Whether a field is there.
    pub fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// Whether a field is there, even if it is null.
    pub fn names(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// A field.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name).filter(|value| !value.is_null())
    }

    /// Takes out a field, so that its texts need not be copied.
    pub fn take(&mut self, name: &str) -> Option<Value> {
        self.0.get_mut(name).map(Value::take).filter(|value| !value.is_null())
    }

    /// A text; an empty one counts as absent.
    pub fn text(&self, name: &str) -> Result<Option<String>, Problem> {
        match self.get(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone()).filter(|text| !text.is_empty())),
            Some(other) => Err(wrong(name, other, "a text")),
        }
    }

    /// True or false, which some clients write as a string.
    pub fn flag(&self, name: &str) -> Result<Option<bool>, Problem> {
        let Some(value) = self.get(name) else { return Ok(None) };
        flag_of(value).map(Some).ok_or_else(|| wrong(name, value, "true or false"))
    }

    /// A whole number from `least` on, which may be written as 3.0 or "3".
    pub fn integer(&self, name: &str, least: i64) -> Result<Option<i64>, Problem> {
        let Some(value) = self.get(name) else { return Ok(None) };
        let Some(number) = number_of(value) else { return Err(wrong(name, value, "a whole number")) };
        let whole = number.fract() == 0. && number >= least as f64;
        // A number above all that can be counted means the same as the largest one.
        if whole { Ok(Some(number as i64)) } else { Err(out_of_range(name, value, least)) }
    }

    /// A finite number.
    pub fn number(&self, name: &str) -> Result<Option<f32>, Problem> {
        let Some(value) = self.get(name) else { return Ok(None) };
        let Some(number) = number_of(value) else { return Err(wrong(name, value, "a number")) };
        let number = number as f32;
        if number.is_finite() { Ok(Some(number)) } else { Err(invalid(format!("`{name}` is too large a number"))) }
    }

    /// What the fields of several names agree on.
    pub fn agreed<T: PartialEq>(
        &self,
        names: &[&str],
        read: impl Fn(&Self, &str) -> Result<Option<T>, Problem>,
    ) -> Result<Option<T>, Problem> {
        let mut found: Option<(&str, T)> = None;
        for name in names {
            match (read(self, name)?, &found) {
                (Some(value), Some((other, first))) if value != *first => return Err(disagree(other, name)),
                (Some(value), None) => found = Some((name, value)),
                _ => {}
            }
        }
        Ok(found.map(|(_, value)| value))
    }
}

/// Two fields that mean the same have different values.
pub(super) fn disagree(first: &str, second: &str) -> Problem {
    invalid(format!("`{first}` and `{second}` contradict each other: leave one of them out"))
}

/// A field has another type.
pub(super) fn wrong(name: &str, value: &Value, right: &str) -> Problem {
    malformed(format!("`{name}` is {}: {right} is expected", shown(value)))
}

fn out_of_range(name: &str, value: &Value, least: i64) -> Problem {
    invalid(format!("`{name}` is {}: a whole number from {least} on is expected", shown(value)))
}

/// A number or a short word as it stands, and of everything else what it is.
pub(super) fn shown(value: &Value) -> String {
    match value {
        Value::Bool(_) | Value::Number(_) => value.to_string(),
        Value::String(text) if text.len() <= LONGEST_SHOWN => value.to_string(),
        _ => kind(value).to_owned(),
    }
}

/// What a value is.
pub(super) fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// True or false, or the text of it.
pub(super) fn flag_of(value: &Value) -> Option<bool> {
    match value {
        Value::Bool(flag) => Some(*flag),
        Value::String(text) if text.eq_ignore_ascii_case("true") => Some(true),
        Value::String(text) if text.eq_ignore_ascii_case("false") => Some(false),
        _ => None,
    }
}

fn number_of(value: &Value) -> Option<f64> {
    let number = match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim_ascii().parse().ok(),
        _ => None,
    };
    number.filter(|number| !number.is_nan())
}

impl<'de> Deserialize<'de> for Body {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Members)
    }
}

struct Members;

impl<'de> Visitor<'de> for Members {
    type Value = Body;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Body, A::Error> {
        let mut fields = Map::new();
        while let Some((name, value)) = map.next_entry::<String, Value>()? {
            if fields.get(&name).is_some_and(|first| *first != value) {
                let name: String = name.chars().take(LONGEST_SHOWN).collect();
                return Err(A::Error::custom(format!(
                    "`{name}` stands twice, with different values: remove one of them"
                )));
            }
            fields.insert(name, value);
        }
        Ok(Body(fields))
    }
}
