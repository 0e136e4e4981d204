//! The score of a decoder is read off a pair's last token: its hidden vector times one row.

use std::sync::Arc;

use anyhow::Result;

use super::Scorer;
use crate::batch::Batch;
use crate::kernels::{Arithmetic, Profile};
use crate::model::{Decoder, HeadKind, ModelConfig, Weights};

/// A decoder with a head of one row.
pub struct LastTokenScorer {
    decoder: Decoder,
    /// W_yes − W_no, or the classifier's row; f32, `hidden` values.
    head: Vec<f32>,
}

impl LastTokenScorer {
    /// Reads decoder and head. `answers` are the token ids of `yes` and `no`.
    ///
    /// # Errors
    /// If a tensor is missing or of another shape than the configuration says.
    pub fn load(
        config: &ModelConfig,
        weights: &Arc<Weights>,
        arithmetic: Arithmetic,
        answers: [u32; 2],
    ) -> Result<Self> {
        let (vocabulary, hidden) = (config.decoder.vocabulary, config.decoder.hidden);
        let head = match config.head {
            HeadKind::Classification => weights.row("score.weight", [1, hidden], 0)?,
            HeadKind::YesNo { tied } => {
                let name = if tied { "model.embed_tokens.weight" } else { "lm_head.weight" };
                let row = |token: u32| weights.row(name, [vocabulary, hidden], token as usize);
                // Subtracted in f32: in bf16, logits of unlike documents tie (Qwen3-Reranker, arXiv 2508.03306).
                row(answers[0])?.into_iter().zip(row(answers[1])?).map(|(yes, no)| yes - no).collect()
            }
        };
        Ok(Self { decoder: Decoder::load(&config.decoder, weights, arithmetic)?, head })
    }

    fn dot(&self, hidden: &[f32]) -> f32 {
        hidden.iter().zip(&self.head).map(|(value, weight)| value * weight).sum()
    }
}

impl Scorer for LastTokenScorer {
    fn score(&mut self, batch: &Batch) -> Result<Vec<f32>> {
        Ok(self.decoder.forward(batch)?.iter().map(|row| self.dot(row)).collect())
    }

    fn take_profile(&mut self) -> Option<Profile> {
        Some(self.decoder.take_profile())
    }

    fn operations(&self, batch: &Batch) -> [f64; 2] {
        self.decoder.operations(batch)
    }
}
