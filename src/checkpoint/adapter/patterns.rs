//! The patterns of an adapter's configuration, which are Python's regular expressions.

use anyhow::{Context, Result, ensure};
use fancy_regex::Regex;

/// Longer than any list of a model's modules.
const LONGEST: usize = 64 << 10;
/// The most characters of a pattern that a message shows.
const SHOWN: usize = 100;

/// A regular expression, with the name of the field that has it.
#[derive(Debug)]
pub(super) struct Pattern {
    field: &'static str,
    regex: Regex,
}

impl Pattern {
    /// A pattern that has to match a whole name, as `re.fullmatch` of Python does.
    pub(super) fn whole(field: &'static str, pattern: &str) -> Result<Self> {
        Self::new(field, pattern, format!(r"^(?:{pattern})\z"))
    }

    /// A pattern that has to match the end of a name, from the beginning of one of its parts on.
    pub(super) fn at_end(field: &'static str, pattern: &str) -> Result<Self> {
        Self::new(field, pattern, format!(r"^(?:.*\.)?(?:{pattern})\z"))
    }

    /// A pattern that has to match some parts of a name, one after the other.
    pub(super) fn of_parts(field: &'static str, pattern: &str) -> Result<Self> {
        Self::new(field, pattern, format!(r"^(?:|.*\.){pattern}(?:\z|\..*)"))
    }

    /// A pattern whose group `index` has the number of a layer; `layers` is a pattern of what stands before the number.
    pub(super) fn of_layer(layers: Option<&str>) -> Result<Self> {
        let field = "layers_pattern";
        match layers {
            Some(layers) => Self::new(field, layers, format!(r"^(?:|.*?\.){layers}\.(?P<index>\d+)\.")),
            None => Self::new(field, "", r"^.*?\.[^.]*\.(?P<index>\d+)\.".to_owned()),
        }
    }

    fn new(field: &'static str, pattern: &str, whole: String) -> Result<Self> {
        let shown: String = pattern.chars().take(SHOWN).collect();
        ensure!(
            pattern.len() <= LONGEST,
            "{field} has a pattern of {} bytes, which is too long: {shown}…",
            pattern.len()
        );
        let regex = Regex::new(&whole)
            .with_context(|| format!("{field} is {shown:?}, which is no regular expression that rerank understands"))?;
        Ok(Self { field, regex })
    }

    /// Whether a name matches.
    ///
    /// # Errors
    /// If that takes too long.
    pub(super) fn matches(&self, name: &str) -> Result<bool> {
        self.regex.is_match(name).with_context(|| self.failed(name))
    }

    /// The number of the layer that a name is in.
    ///
    /// # Errors
    /// As [`Pattern::matches`].
    pub(super) fn layer(&self, name: &str) -> Result<Option<usize>> {
        let found = self.regex.captures(name).with_context(|| self.failed(name))?;
        Ok(found.and_then(|groups| groups.name("index")?.as_str().parse().ok()))
    }

    fn failed(&self, name: &str) -> String {
        format!("{} can't be matched with {name}: write the names of the modules as a list", self.field)
    }
}
