//! Prompts without the padding tokens at their ends. A classifier's score is that of the last token before them, which sees
//! nothing of what follows, so that they need not be computed.

use std::sync::Arc;

use anyhow::Result;

use super::{Prompt, Prompts};
use crate::record::Query;

/// Prompts whose last tokens are not padding.
pub struct WithoutPadding {
    /// The prompts as the recipe makes them.
    pub prompts: Arc<dyn Prompts>,
    /// The padding token.
    pub token: u32,
}

impl Prompts for WithoutPadding {
    fn check_query_within(&self, query: &Query, tokens: usize) -> Result<Option<String>> {
        self.prompts.check_query_within(query, tokens)
    }

    fn room(&self, query: &Query, in_front: &str) -> Result<usize> {
        self.prompts.room(query, in_front)
    }

    fn beginning<'a>(&self, text: &'a str, tokens: usize) -> Result<&'a str> {
        self.prompts.beginning(text, tokens)
    }

    fn prompt_within(&self, query: &Query, document: &str, tokens: usize) -> Result<Prompt> {
        let mut prompt = self.prompts.prompt_within(query, document, tokens)?;
        let length = prompt.token_ids.iter().rposition(|token| *token != self.token).map_or(1, |last| last + 1);
        prompt.token_ids.truncate(length);
        Ok(prompt)
    }

    fn text(&self, query: &Query, document: &str) -> Result<String> {
        self.prompts.text(query, document)
    }
}
