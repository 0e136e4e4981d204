//! Scores with a decoder: the logit is the product of the hidden vector of a pair's last token with one row of weights.

use std::sync::Arc;

use anyhow::{Context, Result};

use super::Scorer;
use crate::batch::{Batch, Limits};
use crate::checkpoint::Weights;
use crate::device::Target;
use crate::engine::cpu::forward::Decoder;
use crate::engine::gpu::OutOfMemory;
use crate::engine::gpu::forward::GpuDecoder;
use crate::engine::{Profile, Work};
use crate::model::{HeadKind, ModelConfig};

/// The most tokens that a GPU reserves memory for.
const MOST_RESERVED: usize = 1 << 31;

/// A decoder with a head of one row.
pub struct LastTokenScorer {
    forward: Forward,
}

enum Forward {
    /// The decoder, and W_yes − W_no, or the classifier's row; f32, `hidden` values.
    Cpu(Box<Decoder>, Vec<f32>),
    /// The decoder, which has the row too.
    Gpu(Box<GpuDecoder>),
}

impl LastTokenScorer {
    /// Reads decoder and head. `answers` are the token ids of `yes` and `no`.
    ///
    /// # Errors
    /// If a tensor is missing or of another shape than the configuration gives, or does not fit on the device.
    pub fn load(config: &ModelConfig, weights: &Arc<Weights>, target: &Target, answers: [u32; 2]) -> Result<Self> {
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
        let forward = match target {
            Target::Cpu(arithmetic) => {
                Forward::Cpu(Box::new(Decoder::load(&config.decoder, weights, *arithmetic)?), head)
            }
            Target::Gpu(gpu) => Forward::Gpu(Box::new(GpuDecoder::load(&config.decoder, weights, &head, gpu.clone())?)),
        };
        Ok(Self { forward })
    }
}

impl Scorer for LastTokenScorer {
    fn score(&mut self, batch: &Batch) -> Result<Vec<f32>> {
        match &mut self.forward {
            Forward::Cpu(decoder, head) => {
                let dot = |hidden: &Vec<f32>| hidden.iter().zip(&*head).map(|(value, weight)| value * weight).sum();
                Ok(decoder.forward(batch)?.iter().map(dot).collect())
            }
            Forward::Gpu(decoder) => score_in_parts(decoder, batch),
        }
    }

    fn reserve(&mut self, limits: Limits) -> Result<usize> {
        let Forward::Gpu(decoder) = &mut self.forward else { return Ok(limits.tokens) };
        // No GPU has memory for more tokens, and their sizes in bytes would overflow.
        let mut tokens = limits.tokens.min(MOST_RESERVED);
        loop {
            // The first forward pass allocates what libraries need once, so that no batch runs out of memory for it later.
            let tried = decoder.reserve(tokens, limits.pairs.min(tokens));
            match tried.and_then(|()| decoder.score(&Batch::filled(tokens)).map(drop)) {
                Err(error) if error.is::<OutOfMemory>() && tokens > 64 => tokens /= 2,
                Err(error) if error.is::<OutOfMemory>() => {
                    return Err(error.context("beside the model there is no room for a batch; end other programs on the GPU, or use --device cpu"));
                }
                reserved => return reserved.map(|()| tokens),
            }
        }
    }

    fn warnings(&self) -> Vec<String> {
        match &self.forward {
            Forward::Cpu(..) => Vec::new(),
            Forward::Gpu(decoder) => decoder.warnings(),
        }
    }

    fn begin_profile(&mut self) {
        match &mut self.forward {
            Forward::Cpu(decoder, _) => drop(decoder.take_profile()),
            Forward::Gpu(decoder) => decoder.begin_profile(),
        }
    }

    fn take_profile(&mut self) -> Option<Profile> {
        match &mut self.forward {
            Forward::Cpu(decoder, _) => Some(decoder.take_profile()),
            Forward::Gpu(decoder) => decoder.take_profile(),
        }
    }

    fn work(&self, batch: &Batch) -> Work {
        match &self.forward {
            Forward::Cpu(decoder, _) => decoder.work(batch),
            Forward::Gpu(decoder) => decoder.work(batch),
        }
    }
}

/// A batch for which the device has too little memory is scored in two parts.
fn score_in_parts(decoder: &mut GpuDecoder, batch: &Batch) -> Result<Vec<f32>> {
    match decoder.score(batch) {
        Err(error) if error.is::<OutOfMemory>() => {
            let Some([first, second]) = batch.halves() else {
                let tokens = batch.token_ids.len();
                return Err(error).with_context(|| {
                    format!(
                        "a prompt of {tokens} tokens does not fit on the GPU; lower --max-length, or free its memory"
                    )
                });
            };
            let mut logits = score_in_parts(decoder, &first)?;
            logits.extend(score_in_parts(decoder, &second)?);
            Ok(logits)
        }
        scored => scored,
    }
}
