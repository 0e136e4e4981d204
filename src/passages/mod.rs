//! Long documents: one that is longer than fits beside its query is cut into overlapping passages, each is scored with the whole
//! prompt, and the document's logit is made of theirs (FirstP, MaxP and the mean; Dai and Callan, SIGIR 2019).

// What stands in files can end nothing but the record or the run that it is in: no panic.
#![cfg_attr(
    not(test),
    warn(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::string_slice,
        clippy::get_unwrap,
        clippy::panic
    )
)]

mod boundaries;
mod cut;
#[cfg(test)]
mod tests;

use std::ops::Range;

use anyhow::{Result, ensure};
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};

use self::cut::Cut;
use crate::recipe::{Prompt, Prompts};
use crate::record::{Candidate, Query};

/// The field of a result that names the best passage of its document.
pub const FIELD: &str = "best_passage";

/// The most characters of a passage that the field repeats.
const SHOWN: usize = 160;

/// How the logits of a document's passages become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Aggregation {
    /// The highest.
    Max,
    /// The mean of all.
    Mean,
    /// That of the first passage, which alone is scored.
    First,
}

/// How long documents are cut into passages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Splitting {
    /// How their logits become one.
    pub aggregation: Aggregation,
    /// The most tokens of a passage; none for what fits beside the query and the title.
    pub tokens: Option<usize>,
    /// The tokens from the beginning of a passage to that of the next; none for three quarters of a passage.
    pub stride: Option<usize>,
}

/// What is scored of a document: the ranges of its text's bytes, in their order. Without white space at their ends, if the document
/// is cut.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Passages {
    /// The ranges. None, if documents are not cut into passages.
    pub ranges: Vec<Range<usize>>,
    /// Whether something of the document or the query is in no prompt.
    pub truncated: bool,
    /// Whether something of the document is in no prompt.
    pub document_cut: bool,
}

/// The best passage, as the output has it.
#[derive(Serialize)]
struct Best<'a> {
    start: usize,
    end: usize,
    passages: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<&'a str>,
}

impl Aggregation {
    /// The name in the options.
    pub fn name(self) -> &'static str {
        match self {
            Self::Max => "max",
            Self::Mean => "mean",
            Self::First => "first",
        }
    }

    /// The logit of a document, and the index of its best passage: the first of those with the highest logit. A logit that is not
    /// finite is the document's. Zero, if there are no logits.
    pub fn logit(self, logits: &[f32]) -> (f32, usize) {
        let (mut best, mut highest) = (0, f32::NEG_INFINITY);
        for (index, &logit) in logits.iter().enumerate() {
            if !logit.is_finite() {
                return (logit, index);
            }
            if logit > highest {
                (best, highest) = (index, logit);
            }
        }
        match self {
            _ if logits.is_empty() => (0., 0),
            Self::Max => (highest, best),
            Self::First => (logits.first().copied().unwrap_or_default(), 0),
            Self::Mean => {
                let sum: f64 = logits.iter().map(|&logit| f64::from(logit)).sum();
                ((sum / logits.len() as f64) as f32, best)
            }
        }
    }
}

impl Splitting {
    /// Checks that passages fit into the longest prompt.
    ///
    /// # Errors
    /// If they can't.
    pub fn check(&self, max_length: usize) -> Result<()> {
        if let Some(stride) = self.stride {
            ensure!(
                stride < max_length,
                "--stride {stride}: a passage begins at most as many tokens behind the one before as it has, and a whole prompt has at \
                 most {max_length}; lower it, or leave it out"
            );
        }
        if let Some(tokens) = self.tokens {
            ensure!(
                tokens < max_length,
                "--passage-tokens {tokens}: a whole prompt has at most {max_length} tokens, with its query; lower it, or leave it \
                 out, and passages have as many as fit"
            );
        }
        Ok(())
    }

    /// The prompts of a candidate: one of the whole document if it is not long, else one of each passage, with the title in front.
    ///
    /// # Errors
    /// If the prompts can't be made.
    pub fn prompts(
        &self,
        query: &Query,
        candidate: &Candidate,
        prompts: &dyn Prompts,
    ) -> Result<(Vec<Prompt>, Passages)> {
        let (whole, text) = (prompts.prompt(query, &candidate.document())?, &candidate.text);
        let is_long = match self.tokens {
            // No token is shorter than a byte, but for those that a tokenizer makes of a ligature.
            Some(tokens) if text.len() > tokens => prompts.beginning(text, tokens)?.len() < text.len(),
            _ => false,
        };
        if whole.document_cut || is_long {
            let (made, passages) = Cut::new(query, candidate, prompts, self)?.passages()?;
            if !made.is_empty() {
                return Ok((made, passages));
            }
        }
        // A text of white space alone loses nothing when it is cut.
        let (truncated, document_cut) = match whole.document_cut {
            true => {
                let title = prompts.prompt(query, candidate.title.as_deref().unwrap_or_default().trim())?;
                (title.truncated, title.document_cut)
            }
            false => (whole.truncated, false),
        };
        let ranges = std::iter::once(0..text.len()).collect();
        Ok((vec![whole], Passages { ranges, truncated, document_cut }))
    }
}

impl Passages {
    /// The field of the output that names the best passage, by its characters, and repeats how it begins if texts are written.
    ///
    /// # Errors
    /// If it can't be written as JSON, which does not happen.
    pub fn field(&self, best: usize, text: &str, with_text: bool) -> Result<Box<RawValue>> {
        let range = self.ranges.get(best).cloned().unwrap_or_default();
        let passage = text.get(range.clone()).unwrap_or_default();
        let start = text.get(..range.start).unwrap_or_default().chars().count();
        let shown = passage.char_indices().nth(SHOWN).map_or(passage.len(), |(end, _)| end);
        let best = Best {
            start,
            end: start + passage.chars().count(),
            passages: self.ranges.len(),
            text: passage.get(..shown).filter(|_| with_text),
        };
        Ok(to_raw_value(&best)?)
    }
}
