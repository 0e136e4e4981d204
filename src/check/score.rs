//! Scores texts with one engine: in batches, and every pair alone.

use anyhow::{Context, Result, ensure};

use super::golden::Golden;
use crate::batch::{Limits, plan};
use crate::engine::Engine;
use crate::recipe::{Prompt, Prompts};
use crate::record::Query;

/// The logits of the documents of all texts.
pub(super) struct Logits {
    /// Those of batches, as a run packs them.
    pub(super) batched: Vec<Vec<f32>>,
    /// Those of pairs that are computed alone.
    pub(super) alone: Vec<Vec<f32>>,
}

/// The prompts of all texts.
///
/// # Errors
/// If the recipe has no place for a text, or a query leaves no room for a document.
pub(super) fn prompts(prompts: &dyn Prompts, golden: &[Golden]) -> Result<Vec<Vec<Prompt>>> {
    let of_texts = |golden: &Golden| {
        let texts = &golden.texts;
        let query = Query { text: texts.query.clone(), instruction: texts.instruction.clone(), ..Query::default() };
        prompts.check_query(&query)?;
        texts.documents.iter().map(|document| prompts.prompt(&query, document)).collect::<Result<Vec<_>>>()
    };
    let place = |golden: &Golden| format!("the query {:?}", golden.texts.query);
    golden.iter().map(|golden| of_texts(golden).with_context(|| place(golden))).collect()
}

/// Scores all prompts, in batches and one by one.
///
/// # Errors
/// If the engine fails.
pub(super) fn score(engine: &mut dyn Engine, prompts: &[Vec<Prompt>], limits: Limits) -> Result<Logits> {
    let tokens = engine.reserve(limits)?;
    let limits = Limits { tokens, ..limits };
    let batched = scored(engine, prompts, limits)?;
    let mut alone = Vec::new();
    for prompts in prompts {
        let each = prompts.iter().map(|prompt| Ok(scored(engine, &[vec![prompt.clone()]], limits)?[0][0]));
        alone.push(each.collect::<Result<Vec<_>>>()?);
    }
    Ok(Logits { batched, alone })
}

fn scored(engine: &mut dyn Engine, prompts: &[Vec<Prompt>], limits: Limits) -> Result<Vec<Vec<f32>>> {
    let mut logits: Vec<Vec<f32>> = prompts.iter().map(|prompts| vec![f32::NAN; prompts.len()]).collect();
    for batch in plan(prompts, limits) {
        let given = engine.run(&batch)?;
        let pairs = batch.pairs().count();
        ensure!(given.len() == pairs, "the model gave {} logits for {pairs} pairs", given.len());
        for (pair, logit) in batch.pairs().zip(given) {
            logits[pair.group][pair.candidate] = logit;
        }
    }
    Ok(logits)
}
