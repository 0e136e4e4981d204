//! A scorer without a model, which counts words in common. It serves to try a pipeline out, and to test everything around a
//! model.

use std::collections::HashSet;

use anyhow::{Result, ensure};

use super::Scorer;
use crate::batch::Batch;
use crate::recipe::{Prompt, Recipe};
use crate::record::Query;

/// The token between the query's words and the document's, and at the end; no word has this id.
const SEPARATOR: u32 = 0;

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

/// The share of the query's words that the document has, as a logit from −4 to 4.
pub struct FakeScorer;

impl Scorer for FakeScorer {
    fn score(&mut self, batch: &Batch) -> Result<Vec<f32>> {
        Ok(batch.pair_segments().map(|segment| logit(&batch.prompt(segment))).collect())
    }
}

fn logit(token_ids: &[u32]) -> f32 {
    let mut parts = token_ids.split(|&token| token == SEPARATOR);
    let query: HashSet<u32> = parts.next().unwrap_or_default().iter().copied().collect();
    let document: HashSet<u32> = parts.next().unwrap_or_default().iter().copied().collect();
    8. * query.intersection(&document).count() as f32 / query.len().max(1) as f32 - 4.
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::{Limits, plan};

    #[test]
    fn words_in_common_count_whatever_is_shared() -> Result<()> {
        let recipe = FakeRecipe::new(12);
        let query = Query { text: "Red planet".into(), ..Query::default() };
        let long = "red ".repeat(20);
        let prompts: Vec<Prompt> = ["Mars, the red planet.", "The red one", "", &long]
            .iter()
            .map(|document| recipe.prompt(&query, document))
            .collect::<Result<_>>()?;
        assert_eq!(prompts.iter().map(|prompt| prompt.truncated).collect::<Vec<_>>(), [false, false, false, true]);
        for share_prefixes in [false, true] {
            let batches =
                plan(std::slice::from_ref(&prompts), Limits { pairs: 9, tokens: 99, share_prefixes, fill: false });
            let mut logits = [0f32; 4];
            for (id, logit) in batches[0].pairs().zip(FakeScorer.score(&batches[0])?) {
                logits[id.candidate] = logit;
            }
            assert_eq!(logits, [4., 0., -4., 0.]);
        }
        Ok(())
    }
}
