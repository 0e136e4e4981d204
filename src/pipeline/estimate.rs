//! How long a run would take: the operations of its batches, at the rate that the engine reaches on a few layers.
//!
//! The weights are random, as no speed depends on them, so that nothing need be downloaded. A part of a batch of the input
//! itself is scored, as long prompts are slower.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::dry_run::Planned;
use crate::batch::Batch;
use crate::compute::Compute;
use crate::device::{DeviceChoice, Opened, Target};
use crate::model::{DecoderConfig, HeadKind, ModelConfig};
use crate::score::random_scorer;

/// The last layer computes less than the others: two show both kinds.
const LAYERS: usize = 2;
/// Tokens that the random model knows: few, as no product depends on it.
const VOCABULARY: usize = 4096;
/// Most tokens that are scored: enough to be as fast as with more.
const CPU_TOKENS: usize = 1024;
const GPU_TOKENS: usize = 16384;
/// How long is measured.
const TIME: Duration = Duration::from_millis(500);

/// A rate, and where it comes from.
pub(super) struct Speed {
    /// On all devices together.
    pub(super) operations_per_second: f64,
    pub(super) source: String,
}

/// Measures the device that the run would have.
///
/// # Errors
/// If it is not there, or has no memory for the layers.
pub(super) fn measure(planned: &Planned, model: &ModelConfig, sample: &Batch) -> Result<Speed> {
    let Planned { config, limits, expected, .. } = *planned;
    let devices = match &config.device {
        DeviceChoice::Auto if !cfg!(feature = "cuda") => vec![Opened::Cpu],
        device => device.open(|_| {})?,
    };
    let device = devices.first().context("there is no device")?;
    let compute = Compute::choose(device, config.instructions, config.precision, Some(expected))?;
    let target = compute.target(device)?;
    let (tokens, count) = match target {
        Target::Cpu(_) => (CPU_TOKENS, 1),
        Target::Gpu(_) => (GPU_TOKENS, devices.len()),
    };
    let layers = LAYERS.min(model.decoder.layers);
    let decoder = DecoderConfig { layers, vocabulary: VOCABULARY, ..model.decoder.clone() };
    let sample = shortened(sample, tokens);
    let operations = decoder.operations(&sample).all_operations();
    let model_part = ModelConfig { head: HeadKind::YesNo { tied: true }, decoder, ..model.clone() };
    let mut scorer = random_scorer(&model_part, &target)?;
    scorer.reserve(limits)?;
    // The first turn touches fresh memory.
    scorer.score(&sample)?;
    let began = Instant::now();
    let mut shortest = f64::INFINITY;
    while shortest.is_infinite() || began.elapsed() < TIME {
        let started = Instant::now();
        scorer.score(&sample)?;
        shortest = shortest.min(started.elapsed().as_secs_f64());
    }
    let source = format!(
        "{} on {}, {} threads; measured on {layers} of the {} layers, with random weights and {} tokens of this input",
        compute.precision.name(),
        device.describe(),
        rayon::current_num_threads(),
        model.decoder.layers,
        sample.token_ids.len(),
    );
    Ok(Speed { operations_per_second: operations / shortest * count as f64, source })
}

/// A part of a batch with at most so many tokens, or a single pair, in the random model's vocabulary.
fn shortened(batch: &Batch, tokens: usize) -> Batch {
    let mut batch = batch.clone();
    while batch.token_ids.len() > tokens {
        let Some([first, _]) = batch.halves() else { break };
        batch = first;
    }
    batch.token_ids.iter_mut().for_each(|token| *token %= VOCABULARY as u32);
    batch
}
