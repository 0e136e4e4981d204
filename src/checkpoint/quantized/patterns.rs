//! How configurations name modules: by their names, by regular expressions, by their classes.

use anyhow::{Context, Result};
use fancy_regex::Regex;

use super::parts::Module;

/// A regular expression of Python, which is compared from the beginning of a module's name.
pub(super) struct Expression {
    text: String,
    compiled: Regex,
}

impl Expression {
    /// # Errors
    /// If it is no regular expression.
    pub(super) fn new(text: &str) -> Result<Self> {
        let compiled = Regex::new(&format!("^(?:{text})"));
        let compiled =
            compiled.with_context(|| format!("`{text}` is no regular expression that rerank understands"))?;
        Ok(Self { text: text.to_owned(), compiled })
    }

    fn matches(&self, name: &str) -> Result<bool> {
        // Expressions with look-around may go back and forth without end; a limit stops them.
        self.compiled.is_match(name).with_context(|| format!("the regular expression `{}` can't be applied", self.text))
    }

    /// Whether it matches the name of a module, as it is stored or as transformers calls it.
    ///
    /// # Errors
    /// If it is too hard to tell.
    pub(super) fn matches_module(&self, module: &Module<'_>) -> Result<bool> {
        any(module, |name| self.matches(name))
    }
}

fn any(module: &Module<'_>, matches: impl Fn(&str) -> Result<bool>) -> Result<bool> {
    for name in module.names() {
        if matches(name)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Modules as compressed-tensors names them.
pub(super) enum Target {
    /// A module's name, or the class of modules.
    Name(String),
    /// `re:…`
    Expression(Expression),
}

impl Target {
    /// # Errors
    /// If it is a regular expression that can't be read.
    pub(super) fn new(text: &str) -> Result<Self> {
        match text.strip_prefix("re:") {
            Some(expression) => Ok(Self::Expression(Expression::new(expression)?)),
            None => Ok(Self::Name(text.to_owned())),
        }
    }

    /// How closely it names a module, the closest first: by its name, by an expression, by its class.
    ///
    /// # Errors
    /// As [`Expression::matches_module`].
    pub(super) fn rank(&self, module: &Module<'_>) -> Result<Option<u8>> {
        Ok(match self {
            Self::Name(name) if module.names().contains(&name.as_str()) => Some(0),
            Self::Name(class) if is_class(class, module) => Some(2),
            Self::Name(_) => None,
            Self::Expression(expression) => expression.matches_module(module)?.then_some(1),
        })
    }
}

/// Whether a module is of a class of PyTorch: matrices are those of linear layers, or tables.
fn is_class(class: &str, module: &Module<'_>) -> bool {
    let is_table = ["embed_tokens", "embeddings", "embedding"].iter().any(|table| module.name.ends_with(table));
    match class {
        "Linear" | "LinearBase" => !is_table,
        "Embedding" => is_table,
        _ => false,
    }
}

/// A list of modules that are not quantized, as transformers reads it: an entry names a module, one that it is a part of, or
/// the end of its name; or it is an expression for one of the first two.
pub(super) struct NotConverted(Vec<(String, Expression)>);

impl NotConverted {
    /// # Errors
    /// If an entry is no regular expression.
    pub(super) fn new(entries: &[&str]) -> Result<Self> {
        // A module's name ends with the expression, or a dot follows. Some mark expressions as compressed-tensors does.
        let expression = |entry: &str| {
            let entry = entry.strip_prefix("re:").unwrap_or(entry);
            Expression::new(&format!(r"(?:{entry})(?:(?<=\.)|(?=\.|$))"))
        };
        Ok(Self(entries.iter().map(|&entry| Ok((entry.to_owned(), expression(entry)?))).collect::<Result<_>>()?))
    }

    /// The entry that names a module.
    ///
    /// # Errors
    /// As [`Expression::matches_module`].
    pub(super) fn find(&self, module: &Module<'_>) -> Result<Option<&str>> {
        for (entry, expression) in &self.0 {
            let is_end = module.names().iter().any(|name| name.ends_with(entry.as_str()));
            if is_end || expression.matches_module(module)? {
                return Ok(Some(entry));
            }
        }
        Ok(None)
    }
}
