//! An engine without a model, which counts words in common. It serves to try a pipeline out, and to test everything around a
//! model.

use std::collections::HashSet;

use anyhow::Result;

use super::Engine;
use crate::batch::Batch;
use crate::recipe::SEPARATOR;

/// The share of the query's words that the document has, as a logit from −4 to 4.
pub struct FakeEngine;

impl Engine for FakeEngine {
    fn run(&mut self, batch: &Batch) -> Result<Vec<f32>> {
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
    use crate::recipe::{Prompt, RecipeChoice, fake_recipe};
    use crate::record::Query;

    #[test]
    fn words_in_common_count_whatever_is_shared() -> Result<()> {
        let recipe = fake_recipe(&RecipeChoice { max_length: Some(12), ..RecipeChoice::default() }).prompts;
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
            for (id, logit) in batches[0].pairs().zip(FakeEngine.run(&batches[0])?) {
                logits[id.candidate] = logit;
            }
            assert_eq!(logits, [4., 0., -4., 0.]);
        }
        Ok(())
    }
}
