//! 2 prompt: a pair becomes tokens. One recipe per reranker family; tokens, never tensors.

use anyhow::Result;

use crate::record::Query;

mod fake;
mod probability;
mod qwen3;
mod tokenizer;

pub use fake::FakeRecipe;
pub(crate) use fake::SEPARATOR;
pub use probability::probability;
pub use qwen3::{DEFAULT_INSTRUCTION, Qwen3Recipe};
pub use tokenizer::TextTokenizer;

/// The whole prompt of one pair.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prompt {
    /// Token ids, from the first of the template to the last.
    pub token_ids: Vec<u32>,
    /// Whether the document was cut to fit the maximum length.
    pub truncated: bool,
}

/// How one family of rerankers puts a pair into a prompt.
pub trait Recipe: Send + Sync {
    /// Whether the query leaves room for a document.
    ///
    /// # Errors
    /// A sentence with the remedy if it doesn't.
    fn check_query(&self, query: &Query) -> Result<()>;

    /// The prompt of a query and a document. The same pair gives the same tokens, whatever its neighbours.
    ///
    /// # Errors
    /// If the tokenizer fails.
    fn prompt(&self, query: &Query, document: &str) -> Result<Prompt>;
}
