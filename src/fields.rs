//! The fields of a JSON object, with messages that name their values and what is expected.

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Map, Value};

/// An object of a file, such as a configuration. A field that is null counts as absent.
#[derive(Clone, Copy)]
pub(crate) struct Fields<'a>(&'a Map<String, Value>);

/// Nothing bounds what a file may call a field.
const LONGEST_SHOWN: usize = 60;

/// Sizes are below this, so that products of a few of them can be computed.
const MOST: u64 = 1 << 31;

impl<'a> Fields<'a> {
    /// The fields of a whole file.
    pub(crate) fn of(value: &'a Value) -> Result<Self> {
        value.as_object().map(Self).with_context(|| format!("it is {}, and should be an object", kind(value)))
    }

    /// The fields of an object.
    pub(crate) fn of_map(map: &'a Map<String, Value>) -> Self {
        Self(map)
    }

    pub(crate) fn get(self, name: &str) -> Option<&'a Value> {
        self.0.get(name).filter(|value| !value.is_null())
    }

    /// All fields that are not null.
    pub(crate) fn iter(self) -> impl Iterator<Item = (&'a str, &'a Value)> {
        self.0.iter().filter(|(_, value)| !value.is_null()).map(|(name, value)| (name.as_str(), value))
    }

    /// Refuses fields that are not among the known ones, in a file that is read whatever the recipe is.
    pub(crate) fn only_known(self, known: &[&str]) -> Result<()> {
        let others = self.others(known);
        ensure!(
            others.is_empty(),
            "it has fields that are not supported: {}; remove them if the scores do not depend on them",
            others.join(", ")
        );
        Ok(())
    }

    /// The same, in a file that a recipe of the user's takes the place of.
    pub(crate) fn only(self, known: &[&str]) -> Result<()> {
        let others = self.others(known);
        ensure!(
            others.is_empty(),
            "it has fields that are not supported: {}; --recipe NAME|FILE ignores the file, or remove them if the scores \
             do not depend on them",
            others.join(", ")
        );
        Ok(())
    }

    pub(crate) fn text(self, name: &str) -> Result<Option<&'a str>> {
        let text = |value: &'a Value| value.as_str().with_context(|| wrong(name, value, "a text"));
        self.get(name).map(text).transpose()
    }

    pub(crate) fn flag(self, name: &str) -> Result<bool> {
        let flag = |value: &Value| value.as_bool().with_context(|| wrong(name, value, "true or false"));
        self.get(name).map_or(Ok(false), flag)
    }

    /// A flag that is on where it is missing.
    pub(crate) fn flag_or_true(self, name: &str) -> Result<bool> {
        Ok(self.get(name).is_none() || self.flag(name)?)
    }

    pub(crate) fn number(self, name: &str) -> Result<Option<f64>> {
        let number = |value: &Value| {
            let number = value.as_f64().filter(|number| number.is_finite() && *number > 0.);
            number.with_context(|| wrong(name, value, "a number above 0"))
        };
        self.get(name).map(number).transpose()
    }

    pub(crate) fn object(self, name: &str) -> Result<Option<Self>> {
        let object = |value: &'a Value| value.as_object().map(Self).with_context(|| wrong(name, value, "an object"));
        self.get(name).map(object).transpose()
    }

    /// A size: a whole number from 1 on, which may be written as 128.0.
    pub(crate) fn size(self, name: &str) -> Result<Option<usize>> {
        let Some(value) = self.get(name) else { return Ok(None) };
        let whole = value.as_f64().filter(|number| number.fract() == 0. && (1. ..=9e15).contains(number));
        let whole = value.as_u64().or(whole.map(|number| number as u64));
        let Some(size) = whole else {
            bail!("{}", wrong(name, value, &format!("a whole number from 1 to {}", MOST - 1)))
        };
        ensure!((1..MOST).contains(&size), "{name} is {size}, and can be from 1 to {}", MOST - 1);
        Ok(Some(size as usize))
    }

    pub(crate) fn required_size(self, name: &str) -> Result<usize> {
        self.size(name)?.with_context(|| format!("it has no {name}"))
    }

    /// A whole number from 0 on.
    pub(crate) fn count_from_zero(self, name: &str) -> Result<Option<usize>> {
        let zero = self.get(name).is_some_and(|value| value.as_f64() == Some(0.));
        if zero { Ok(Some(0)) } else { self.size(name) }
    }

    /// The texts of a list.
    pub(crate) fn texts(self, name: &str) -> Result<Vec<&'a str>> {
        let Some(value) = self.get(name) else { return Ok(Vec::new()) };
        let texts = || value.as_array()?.iter().map(Value::as_str).collect::<Option<Vec<_>>>();
        texts().with_context(|| wrong(name, value, "a list of texts"))
    }

    /// Whether a field is there and null, where that means something else than that it is missing.
    pub(crate) fn is_null(self, name: &str) -> bool {
        self.0.get(name).is_some_and(Value::is_null)
    }

    /// Whether a field is there, even if it is null.
    pub(crate) fn has(self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// Whether there are no fields.
    pub(crate) fn is_empty(self) -> bool {
        self.0.is_empty()
    }

    /// The names of fields beside the `known` ones. A field that is null is none.
    pub(crate) fn others(self, known: &[&str]) -> Vec<String> {
        let shown = |name: &str| name.chars().take(LONGEST_SHOWN).collect();
        self.iter().map(|(name, _)| name).filter(|name| !known.contains(name)).map(shown).collect()
    }

    /// How many entries a list or an object has.
    pub(crate) fn count(self, name: &str) -> Option<usize> {
        match self.get(name)? {
            Value::Array(list) => Some(list.len()),
            Value::Object(object) => Some(object.len()),
            _ => None,
        }
    }
}

/// The object that a whole file is.
pub(crate) fn map_of(value: Value) -> Result<Map<String, Value>> {
    match value {
        Value::Object(map) => Ok(map),
        other => bail!("it is {}, and should be an object", kind(&other)),
    }
}

fn wrong(name: &str, value: &Value, right: &str) -> String {
    let mut shown: String = value.to_string().chars().take(60).collect();
    if shown.len() < value.to_string().len() {
        shown += "…";
    }
    format!("{name} is {shown}, and should be {right}")
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}
