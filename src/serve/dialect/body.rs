//! The fields of a request's body, with messages that name the field, what stands there, and what is expected.
//!
//! Values stay raw until they are read: a tree of what a client sent can take many times the memory of the body.

use std::fmt;

use indexmap::IndexMap;
use indexmap::map::Entry;
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::serve::request::{Problem, ProblemKind};

/// Fields by their names, in the client's order. The hash differs from process to process, so that nobody can choose names that collide.
type Fields<'a> = IndexMap<String, &'a RawValue, ahash::RandomState>;

/// An object: the body, or one in it. A field that is null counts as absent.
#[derive(Debug)]
pub(super) struct Body<'a>(Fields<'a>);

/// Nothing bounds what a client may write into a field.
pub(super) const LONGEST_SHOWN: usize = 40;

/// More fields than any client writes.
const MOST_FIELDS: usize = 1000;

/// A field has a wrong type or is missing.
pub(super) fn malformed(message: impl Into<String>) -> Problem {
    Problem::new(ProblemKind::Malformed, message)
}

/// A value can't be used.
pub(super) fn invalid(message: impl Into<String>) -> Problem {
    Problem::new(ProblemKind::Invalid, message)
}

impl<'a> Body<'a> {
    /// Reads a body.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Problem> {
        let text = std::str::from_utf8(bytes).map_err(|error| {
            malformed(format!("the body is not UTF-8 after its first {} bytes", error.valid_up_to()))
        })?;
        let text = text.trim_start_matches('\u{feff}').trim_ascii();
        if text.is_empty() {
            return Err(malformed("the body is empty: a JSON object is expected, with a query and documents"));
        }
        if text.starts_with('{') {
            return fields_of(text, &"the body");
        }
        match serde_json::from_str::<&RawValue>(text) {
            Ok(other) => Err(malformed(format!("the body is {}: an object is expected", kind(other)))),
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
    pub fn get(&self, name: &str) -> Option<&'a RawValue> {
        self.0.get(name).copied().filter(|value| value.get() != "null")
    }

    /// The fields that are there.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &'a RawValue)> {
        self.0.iter().filter(|(_, value)| value.get() != "null").map(|(name, value)| (name.as_str(), *value))
    }

    /// A text; an empty one counts as absent.
    pub fn text(&self, name: &str) -> Result<Option<String>, Problem> {
        let Some(value) = self.get(name) else { return Ok(None) };
        let text = text_of(value, &quoted(name)).unwrap_or_else(|| Err(wrong(name, value, "a text")))?;
        Ok(Some(text).filter(|text| !text.is_empty()))
    }

    /// True or false, which some clients write as a string.
    pub fn flag(&self, name: &str) -> Result<Option<bool>, Problem> {
        let Some(value) = self.get(name) else { return Ok(None) };
        flag_of(value).map(Some).ok_or_else(|| wrong(name, value, "true or false"))
    }

    /// An object.
    pub fn object(&self, name: &str) -> Result<Option<Body<'a>>, Problem> {
        let Some(value) = self.get(name) else { return Ok(None) };
        object_of(value, &quoted(name)).unwrap_or_else(|| Err(wrong(name, value, "an object"))).map(Some)
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
        if (number as f32).is_finite() {
            return Ok(Some(number as f32));
        }
        Err(invalid(format!("`{name}` is {}: a number from -3.4e38 to 3.4e38 is expected", shown(value))))
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
pub(super) fn wrong(name: &str, value: &RawValue, right: &str) -> Problem {
    malformed(format!("`{name}` is {}: {right} is expected", shown(value)))
}

fn out_of_range(name: &str, value: &RawValue, least: i64) -> Problem {
    let right = if least == i64::MIN { "a whole number".to_owned() } else { format!("a whole number from {least} on") };
    invalid(format!("`{name}` is {}: {right} is expected", shown(value)))
}

/// A field's name as messages have it.
fn quoted(name: &str) -> String {
    format!("`{name}`")
}

/// A number or a short word as it stands, and of everything else what it is.
pub(super) fn shown(value: &RawValue) -> &str {
    match value.get() {
        text if text.len() <= LONGEST_SHOWN && !text.starts_with(['[', '{']) => text,
        _ => kind(value).name(),
    }
}

/// The kinds of JSON values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// `null`.
    Null,
    /// `true` or `false`.
    Flag,
    /// A number.
    Number,
    /// A string.
    Text,
    /// An array.
    List,
    /// An object.
    Object,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Flag => "true or false",
            Self::Number => "a number",
            Self::Text => "a text",
            Self::List => "a list",
            Self::Object => "an object",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// What a value is.
pub(super) fn kind(value: &RawValue) -> Kind {
    match value.get().as_bytes().first() {
        Some(b'n') => Kind::Null,
        Some(b't' | b'f') => Kind::Flag,
        Some(b'"') => Kind::Text,
        Some(b'[') => Kind::List,
        Some(b'{') => Kind::Object,
        _ => Kind::Number,
    }
}

/// The text that a value at this place is; none, if it is something else.
pub(super) fn text_of(value: &RawValue, place: &dyn fmt::Display) -> Option<Result<String, Problem>> {
    let is_text = kind(value) == Kind::Text;
    is_text.then(|| serde_json::from_str(value.get()).map_err(|error| unreadable(value.get(), place, &error)))
}

/// The object that a value at this place is; none, if it is something else.
pub(super) fn object_of<'a>(value: &'a RawValue, place: &dyn fmt::Display) -> Option<Result<Body<'a>, Problem>> {
    let is_object = kind(value) == Kind::Object;
    is_object.then(|| fields_of(value.get(), place))
}

/// The fields of an object at this place.
fn fields_of<'a>(object: &'a str, place: &dyn fmt::Display) -> Result<Body<'a>, Problem> {
    match serde_json::from_str(object) {
        Ok(Members(Ok(fields))) => Ok(Body(fields)),
        Ok(Members(Err(fault))) => Err(malformed(format!("{place} {fault}"))),
        Err(error) => Err(unreadable(object, place, &error)),
    }
}

/// Why a value can't be read. In JSON that was checked, the only reason left is an escaped half of a surrogate pair.
fn unreadable(value: &str, place: &dyn fmt::Display, error: &serde_json::Error) -> Problem {
    let is_json = serde_json::from_str::<&RawValue>(value).is_ok();
    malformed(match half_of_pair(value).filter(|_| is_json) {
        Some(half) => format!(
            "{place} has {half}, one half of a surrogate pair, which is no character: remove it, or write both halves"
        ),
        None => format!("{place} can't be read: {error}"),
    })
}

/// The first escape of half a character in JSON, as `\ud800`.
fn half_of_pair(json: &str) -> Option<&str> {
    let code = |escape: &str| u16::from_str_radix(escape.strip_prefix("\\u")?, 16).ok();
    let mut at = 0;
    while let Some(found) = json.get(at..)?.find('\\') {
        at += found;
        let escape = json.get(at..at + 6).unwrap_or_default();
        let next = json.get(at + 6..at + 12).and_then(code);
        at += match (code(escape), next) {
            (Some(0xd800..=0xdbff), Some(0xdc00..=0xdfff)) => 12,
            (Some(0xd800..=0xdfff), _) => return Some(escape),
            (Some(_), _) => 6,
            (None, _) => 2,
        };
    }
    None
}

/// The entries of the list that a value is, at most as many as wanted, and how many there are; none, if it is something else.
pub(super) fn list_of(value: &RawValue, most: usize) -> Option<(Vec<&RawValue>, usize)> {
    let mut deserializer = serde_json::Deserializer::from_str(value.get());
    deserializer.deserialize_seq(Entries { most }).ok()
}

/// True or false, or the text of it.
pub(super) fn flag_of(value: &RawValue) -> Option<bool> {
    match value.get().trim_matches('"') {
        text if text.eq_ignore_ascii_case("true") => Some(true),
        text if text.eq_ignore_ascii_case("false") => Some(false),
        _ => None,
    }
}

fn number_of(value: &RawValue) -> Option<f64> {
    let number: Option<f64> = match kind(value) {
        Kind::Number | Kind::Text => value.get().trim_matches('"').trim_ascii().parse().ok(),
        _ => None,
    };
    number.filter(|number| !number.is_nan())
}

/// The fields of an object, or what is wrong with them, as a sentence without its subject.
struct Members<'a>(Result<Fields<'a>, String>);

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(MembersVisitor).map(Self)
    }
}

struct MembersVisitor;

impl<'de> Visitor<'de> for MembersVisitor {
    type Value = Result<Fields<'de>, String>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let (mut fields, mut count, mut fault) = (Fields::default(), 0, None);
        // An error of the JSON itself, which may come later, counts before a fault.
        while let Some((name, value)) = map.next_entry::<String, &RawValue>()? {
            if fault.is_some() {
                continue;
            }
            count += 1;
            if count > MOST_FIELDS {
                fault = Some(format!("has more than {MOST_FIELDS} fields"));
                continue;
            }
            match fields.entry(name) {
                Entry::Vacant(free) => {
                    free.insert(value);
                }
                Entry::Occupied(first) if first.get().get() == value.get() => {}
                Entry::Occupied(first) => {
                    let name: String = first.key().chars().take(LONGEST_SHOWN).collect();
                    fault = Some(format!("has `{name}` twice, with different values: remove one of them"));
                }
            }
        }
        Ok(fault.map_or(Ok(fields), Err))
    }
}

struct Entries {
    most: usize,
}

impl<'de> Visitor<'de> for Entries {
    type Value = (Vec<&'de RawValue>, usize);

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let (mut entries, mut count) = (Vec::new(), 0);
        while let Some(entry) = list.next_element()? {
            count += 1;
            if count <= self.most {
                entries.push(entry);
            }
        }
        Ok((entries, count))
    }
}
