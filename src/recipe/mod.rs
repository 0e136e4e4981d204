//! Stage 2, prompt: a pair becomes tokens, and a logit a score. A recipe is a value: it is read from the checkpoint's own
//! files, from a table of published ones, or from a file of the user's.

// What stands in files can end nothing but the record or the run that it is in: no panic.
#![cfg_attr(
    not(test),
    warn(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::string_slice,
        clippy::get_unwrap,
        clippy::panic,
        clippy::unreachable,
        clippy::todo,
        clippy::unimplemented
    )
)]

use std::path::PathBuf;

use anyhow::Result;

use crate::record::Query;

mod activation;
mod builtin;
mod chat_template;
mod checkpoint;
mod fake;
mod file;
mod gguf;
mod known;
mod padding;
mod pair;
mod prompts;
#[cfg(test)]
mod prompts_tests;
mod python;
mod resolve;
mod segments;
mod sentence_transformers;
mod template;
mod tokenizer;
mod tokenizer_settings;
mod value;

pub use activation::{Activation, Function};
pub use builtin::names as recipe_names;
pub(crate) use fake::SEPARATOR;
pub use fake::fake_recipe;
pub use file::FileRecipe;
pub use padding::WithoutPadding;
pub use resolve::{DEFAULT_MAX_LENGTH, RecipeName, Resolved, resolve};
pub use tokenizer::{PairFrame, TextTokenizer};

/// The whole prompt of one pair.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prompt {
    /// Token ids, from the first of the template to the last.
    pub token_ids: Vec<u32>,
    /// Where the tokens of type 1 begin, which go on to the end: those of the second text of a pair. All others are of type 0.
    pub second_type: Option<usize>,
    /// Whether the document or the query was cut to fit the maximum length.
    pub truncated: bool,
    /// Whether the document was.
    pub document_cut: bool,
}

impl Prompt {
    /// A whole prompt whose tokens are all of type 0.
    pub fn whole(token_ids: Vec<u32>) -> Self {
        Self { token_ids, second_type: None, truncated: false, document_cut: false }
    }

    /// The type of a token.
    pub fn token_type(&self, token: usize) -> u8 {
        u8::from(self.second_type.is_some_and(|second| token >= second))
    }
}

/// A query that leaves no room for a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueryTooLong {
    /// The tokens that a prompt may have.
    pub tokens: usize,
}

impl std::fmt::Display for QueryTooLong {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            formatter,
            "the query and its instruction leave no room for a document in {} tokens; raise --max-length or shorten the query",
            self.tokens
        )
    }
}

impl std::error::Error for QueryTooLong {}

/// Puts pairs into prompts.
pub trait Prompts: Send + Sync {
    /// Whether the query leaves room for a document. Returns what users should know if it is cut to leave some.
    ///
    /// # Errors
    /// [`QueryTooLong`] if it doesn't, or a sentence if the query can't be put into the prompt.
    fn check_query(&self, query: &Query) -> Result<Option<String>> {
        self.check_query_within(query, usize::MAX)
    }

    /// As [`Prompts::check_query`], for prompts of this many tokens, if that is less than the longest prompt has.
    ///
    /// # Errors
    /// As those of [`Prompts::check_query`].
    fn check_query_within(&self, query: &Query, tokens: usize) -> Result<Option<String>>;

    /// The prompt of a query and a document. The same pair gives the same tokens, whatever its neighbours.
    ///
    /// # Errors
    /// If the tokenizer fails, or the recipe can't be followed for these texts.
    fn prompt(&self, query: &Query, document: &str) -> Result<Prompt> {
        self.prompt_within(query, document, usize::MAX)
    }

    /// As [`Prompts::prompt`], cut to this many tokens, if that is less than the longest prompt has.
    ///
    /// # Errors
    /// As those of [`Prompts::prompt`], and if the texts have no room in so few tokens.
    fn prompt_within(&self, query: &Query, document: &str, tokens: usize) -> Result<Prompt>;

    /// The tokens that the longest prompt of a query has left for a document, behind a text that stands in front of it. A document
    /// with fewer tokens is not cut, though tokens that meet others can become one more or one less.
    ///
    /// # Errors
    /// As those of [`Prompts::prompt`].
    fn room(&self, query: &Query, in_front: &str) -> Result<usize>;

    /// The beginning of a text that has so many tokens; the whole text, if it has no more.
    ///
    /// # Errors
    /// If the tokenizer fails.
    fn beginning<'a>(&self, text: &'a str, tokens: usize) -> Result<&'a str>;

    /// The whole prompt as a person reads it, with the template's control tokens in `⟦⟧`. The document is not cut.
    ///
    /// # Errors
    /// As those of [`Prompts::prompt`].
    fn text(&self, query: &Query, document: &str) -> Result<String>;
}

/// The recipe that the user names.
#[derive(Clone, Debug)]
pub enum RecipeSource {
    /// A built-in one.
    Named(String),
    /// One of the user's.
    File(Box<FileRecipe>),
}

/// What the user chooses about the recipe; all of it is optional.
#[derive(Clone, Debug, Default)]
pub struct RecipeChoice {
    /// The recipe, in place of the checkpoint's.
    pub recipe: Option<RecipeSource>,
    /// The function of the score, in place of the recipe's.
    pub score: Option<Function>,
    /// The instruction, in place of the recipe's default.
    pub instruction: Option<String>,
    /// The longest prompt in tokens.
    pub max_length: Option<usize>,
}

/// What a recipe must know of the model.
#[derive(Clone, Copy, Debug, Default)]
pub struct ModelFacts {
    /// Whether it is a classifier, with one output; else it is a language model.
    pub is_classifier: bool,
    /// Whether its attention looks both ways, so that it is given pairs of texts, if nothing else is known.
    pub is_encoder: bool,
    /// The types of tokens that it tells apart, if it does.
    pub token_types: Option<usize>,
    /// The tokens that a prompt may have, if that is known.
    pub positions: Option<usize>,
    /// The tokens that the model knows, if that is known.
    pub vocabulary: Option<usize>,
    /// Its family, if that is known.
    pub family: Option<&'static str>,
    /// Whether the metadata of a GGUF file describe it, and no `config.json`.
    pub is_in_gguf: bool,
}

impl ModelFacts {
    /// What describes the model, for messages.
    fn description(&self) -> &'static str {
        if self.is_in_gguf { "the GGUF file's metadata" } else { "config.json" }
    }
}

/// As the option that names it.
impl std::fmt::Display for RecipeSource {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let name = match self {
            Self::Named(name) => name,
            Self::File(recipe) => recipe.path(),
        };
        write!(formatter, "--recipe {name}")
    }
}

impl RecipeSource {
    /// The recipe of this name, or in this file.
    ///
    /// # Errors
    /// If there is neither, or the file is no recipe.
    pub fn read(text: &str) -> Result<Self> {
        match Self::path(text) {
            None => Ok(Self::Named(text.to_owned())),
            Some(path) => Ok(Self::File(Box::new(FileRecipe::read(&path)?))),
        }
    }

    /// The file that is read, if this is no built-in recipe's name.
    pub fn path(text: &str) -> Option<PathBuf> {
        let is_name = builtin::is_name(text);
        (!is_name).then(|| text.into())
    }
}
