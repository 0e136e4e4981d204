//! What the bytes of an output depend on, by names that users know, and how two runs differ in it.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::inputs::Identity;

/// The most characters of a value that a message has.
const SHOWN: usize = 60;

/// The setting of the class of kernels.
pub(super) const KERNELS: &str = "the kernels' class";

/// The setting of what becomes of records that can't be used.
pub(super) const ON_ERROR: &str = "--on-error";

/// The setting of the precision.
pub(super) const PRECISION: &str = "the precision";

/// Names and values, in the order in which they are reported.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Settings(Map<String, Value>);

impl Settings {
    /// Adds a setting.
    pub(super) fn add(&mut self, name: &str, value: impl Into<Value>) {
        self.0.insert(name.to_owned(), value.into());
    }

    /// Adds a setting that may be absent.
    pub(super) fn add_some(&mut self, name: &str, value: Option<impl Into<Value>>) {
        if let Some(value) = value {
            self.add(name, value);
        }
    }

    /// The text of a setting.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name)?.as_str()
    }

    /// Whether an option that is on or off was given.
    pub(crate) fn is_given(&self, name: &str) -> bool {
        self.0.get(name) == Some(&Value::Bool(true))
    }

    /// These settings with those of a new run, where `is_taken` has their names, or their values are files and `files` are taken.
    pub(super) fn taking(&self, new: &Self, files: bool, is_taken: impl Fn(&str) -> bool) -> Self {
        let is_file = |value: &Value| matches!(Identity::of_value(Some(value)), Some(Identity::File { .. }));
        let take = |(name, old): (&String, &Value)| {
            let new = new.0.get(name).filter(|new| is_taken(name) || files && is_file(old) && is_file(new));
            (name.clone(), new.unwrap_or(old).clone())
        };
        Self(self.0.iter().map(take).collect())
    }

    /// The identity of a file that is read.
    pub(super) fn identity(&self, name: &str) -> Option<Identity> {
        Identity::of_value(self.0.get(name))
    }

    /// What a new run has otherwise than this one, a sentence for each setting.
    pub(crate) fn differences(&self, new: &Self) -> Vec<String> {
        let names = new.0.keys().chain(self.0.keys().filter(|name| !new.0.contains_key(*name)));
        names.filter_map(|name| difference(name, self.0.get(name), new.0.get(name))).collect()
    }

    /// What this run and another one were run with, for each setting in which they differ: the ends of two sentences.
    pub(crate) fn contrasts(&self, other: &Self) -> Vec<(String, String)> {
        let names = other.0.keys().chain(self.0.keys().filter(|name| !other.0.contains_key(*name)));
        let differing = names.filter(|name| self.0.get(*name) != other.0.get(*name));
        differing.filter_map(|name| contrast(name, self.0.get(name), other.0.get(name))).collect()
    }
}

fn contrast(name: &str, one: Option<&Value>, other: Option<&Value>) -> Option<(String, String)> {
    if let (Some(one), Some(other)) = (Identity::of_value(one), Identity::of_value(other)) {
        let difference = one.difference(&other)?;
        return Some((format!("with {name}"), format!("with another state of it: {name} {difference}")));
    }
    let with = |value: Option<&Value>| match value {
        None | Some(Value::Bool(false)) => format!("without {name}"),
        Some(Value::Bool(true)) => format!("with {name}"),
        value => format!("with {name} {}", shown(value)),
    };
    Some((with(one), with(other) + hint(name)))
}

fn difference(name: &str, old: Option<&Value>, new: Option<&Value>) -> Option<String> {
    if old == new {
        return None;
    }
    if let (Some(old), Some(new)) = (Identity::of_value(old), Identity::of_value(new)) {
        return old.difference(&new).map(|difference| format!("{name} {difference}"));
    }
    let (old, new) = (shown(old), shown(new));
    Some(format!("{name} was {old}, and is {new}{}", hint(name)))
}

/// How users can change a setting, where no option has its name.
fn hint(name: &str) -> &'static str {
    match name {
        KERNELS => " (RERANK_INSTRUCTIONS can force it)",
        _ => "",
    }
}

fn shown(value: Option<&Value>) -> String {
    match value {
        None => "not given".to_owned(),
        Some(Value::Bool(true)) => "given".to_owned(),
        Some(Value::Bool(false)) => "not given".to_owned(),
        // Control characters must not reach the terminal.
        Some(Value::String(text)) => {
            let short: String = text.chars().take(SHOWN).collect();
            let more = if short.len() < text.len() { "…" } else { "" };
            format!("{short:?}{more}")
        }
        Some(value) => value.to_string().chars().take(SHOWN).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_are_put_into_words() {
        let (mut old, mut new) = (Settings::default(), Settings::default());
        old.add("--top-k", 5);
        old.add("instruction", "a\u{1b}[31m".repeat(20));
        old.add("same", "x");
        new.add("same", "x");
        new.add_some("--top-k", None::<u64>);
        new.add("instruction", "b");
        new.add("--group", true);
        let differences = old.differences(&new);
        assert_eq!(differences.len(), 3, "{differences:?}");
        assert!(
            differences[0].starts_with("instruction was \"a\\u{1b}[31m") && differences[0].ends_with("and is \"b\"")
        );
        assert_eq!(differences[1], "--group was not given, and is given");
        assert_eq!(differences[2], "--top-k was 5, and is not given");
        assert!(old.differences(&old.clone()).is_empty());
        let contrasts = old.contrasts(&new);
        assert_eq!(contrasts[1], ("without --group".to_owned(), "with --group".to_owned()));
        assert_eq!(contrasts[2], ("with --top-k 5".to_owned(), "without --top-k".to_owned()));
        assert!(contrasts.len() == 3 && old.contrasts(&old.clone()).is_empty());
    }
}
