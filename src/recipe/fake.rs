//! A recipe without a model: words become hashes. It serves to try a pipeline out, and to test everything around a model.

use anyhow::{Result, ensure};

use super::{Prompt, Recipe};
use crate::record::Query;

/// The token between the query's words and the document's, and at the end; no word has this id.
pub(crate) const SEPARATOR: u32 = 0;

/// `query words · separator · document words · separator`; a word's id is a hash of its letters in lower case.
pub struct FakeRecipe {
    max_length: usize,
}

impl FakeRecipe {
    /// Prompts have at most `max_length` tokens.
    pub fn new(max_length: usize) -> Self {
        Self { max_length }
    }
}

impl Recipe for FakeRecipe {
    fn check_query(&self, query: &Query) -> Result<()> {
        let words = words(&query.text).count();
        ensure!(words + 2 < self.max_length, "the query leaves no room for a document in {} tokens", self.max_length);
        Ok(())
    }

    fn prompt(&self, query: &Query, document: &str) -> Result<Prompt> {
        let mut token_ids: Vec<u32> = words(&query.text).chain([SEPARATOR]).collect();
        let room = self.max_length.saturating_sub(token_ids.len() + 1);
        let mut document = words(document);
        token_ids.extend(document.by_ref().take(room));
        token_ids.push(SEPARATOR);
        Ok(Prompt { token_ids, truncated: document.next().is_some() })
    }
}

/// The FNV-1a hash of each run of letters and digits.
fn words(text: &str) -> impl Iterator<Item = u32> + '_ {
    let words = text.split(|character: char| !character.is_alphanumeric()).filter(|word| !word.is_empty());
    words.map(|word| {
        let bytes = word.bytes().map(|byte| byte.to_ascii_lowercase());
        bytes.fold(0x811c_9dc5, |hash: u32, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)).max(1)
    })
}
