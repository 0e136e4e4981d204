//! Estimates how long a run would take: the operations of its batches are divided by the rate that a model with a few of the
//! layers reaches here.
//!
//! The weights of that model are random, since the speed does not depend on them, so that nothing needs to be downloaded. It
//! scores a part of a batch of the input itself, because the rate depends on the prompts' lengths.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::dry_run::Planned;
use crate::batch::{Batch, Limits};
use crate::compute::{Compute, Stored};
use crate::engine::Target;
use crate::engine::{self, Engine, Model};
use crate::model::{Architecture, HeadOutput};
use crate::setup::count_of_threads;

/// Layers of the largest measured model. The last layer computes less than the others, so that models of one layer and of two
/// show both kinds.
const LAYERS: usize = 2;
/// The vocabulary of the measured model: a small one, as the speed does not depend on it.
const VOCABULARY: usize = 4096;
/// Most tokens of the measured batch; with more of them the rate is no higher.
const CPU_TOKENS: usize = 1024;
const GPU_TOKENS: usize = 16384;
/// How long the measurement takes.
const TIME: Duration = Duration::from_millis(500);

/// A rate of operations, and how it was found.
pub(super) struct Speed {
    /// The rate of all devices together.
    pub(super) operations_per_second: f64,
    pub(super) source: String,
}

/// Where the run would compute.
pub(super) struct Place {
    compute: Compute,
    /// The first device.
    pub(super) target: Target,
    device: String,
    /// How many devices.
    count: usize,
}

impl Place {
    /// Opens the devices that the run would have.
    ///
    /// # Errors
    /// If one is not there, or can't compute in the precision that the user named.
    pub(super) fn open(planned: &Planned, model: &Architecture) -> Result<Self> {
        let choice = &planned.config.model;
        let devices = choice.device.open(choice.gpu_memory, |_| {})?;
        let device = devices.first().context("there is no device")?;
        let compute = Compute::choose(
            device,
            choice.instructions,
            choice.precision.or(engine::only_precision(model)),
            Some(Stored::whole(planned.expected)),
        )?;
        let target = compute.target(device)?.for_batches(choice.limits);
        Ok(Self { compute, target, device: device.describe(), count: devices.len() })
    }
}

/// Measures the devices that the run would have.
///
/// # Errors
/// If the device has no memory for the layers, or fails.
pub(super) fn measure(limits: Limits, model: &Architecture, sample: &Batch, place: &Place) -> Result<Speed> {
    let Place { compute, target, device, count } = place;
    let (tokens, count) = match target {
        Target::Cpu(_) => (CPU_TOKENS, 1),
        Target::Gpu(_) => (GPU_TOKENS, *count),
    };
    let sample = shortened(sample, tokens);
    let mut parts = Vec::new();
    for layers in 1..=LAYERS.min(model.layers.len()) {
        let mut engine = engine::load(&Model::random(part(model, layers)), target)?;
        engine.reserve(limits)?;
        parts.push(engine);
    }
    let seconds = whole_model(&mean_seconds(&mut parts, &sample)?, model.layers.len());
    let source = format!(
        "{} on {}, {}; measured on {} of the {} layers, with random weights and {} tokens of this input",
        compute.precision.name(),
        device,
        count_of_threads(),
        parts.len(),
        model.layers.len(),
        sample.token_ids.len(),
    );
    let operations = model.operations(&sample).all_operations();
    Ok(Speed { operations_per_second: operations / seconds * count as f64, source })
}

/// The model with its last layers alone, and with few tokens.
fn part(model: &Architecture, layers: usize) -> Architecture {
    let mut part = model.clone();
    part.layers.drain(..model.layers.len() - layers);
    let tokens = &mut part.embedding.tokens;
    tokens.shape[0] = VOCABULARY;
    tokens.rows = 0..VOCABULARY;
    if let HeadOutput::Vocabulary(head) = &mut part.head.output {
        head.clone_from(tokens);
    }
    part
}

/// The mean times of models of one layer, of two and so on. They run in turns, so that a disturbance affects all of them.
fn mean_seconds(engines: &mut [Box<dyn Engine>], sample: &Batch) -> Result<Vec<f64>> {
    // The first forward pass is slower, as it touches fresh memory.
    engines.iter_mut().try_for_each(|engine| engine.run(sample).map(drop))?;
    let began = Instant::now();
    let mut seconds = vec![0.; engines.len()];
    let mut turns = 0.;
    while turns == 0. || began.elapsed() < TIME {
        for (engine, seconds) in engines.iter_mut().zip(&mut seconds) {
            let started = Instant::now();
            engine.run(sample)?;
            *seconds += started.elapsed().as_secs_f64();
        }
        turns += 1.;
    }
    seconds.iter_mut().for_each(|seconds| *seconds /= turns);
    Ok(seconds)
}

/// The time of all layers: the first figure is that of the last layer, which is quicker, and each other layer takes the
/// difference of the first two.
fn whole_model(seconds: &[f64], layers: usize) -> f64 {
    match *seconds {
        [last, both, ..] => last + (both - last).max(last) * (layers - 1) as f64,
        [last] => last,
        [] => 0.,
    }
}

/// A part of a batch that has at most `tokens` tokens, or is a single pair; its token ids are in the measured vocabulary.
fn shortened(batch: &Batch, tokens: usize) -> Batch {
    let mut batch = batch.clone();
    while batch.token_ids.len() > tokens {
        let Some([first, _]) = batch.halves() else { break };
        batch = first;
    }
    batch.token_ids.iter_mut().for_each(|token| *token %= VOCABULARY as u32);
    batch
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_layers_but_the_last_take_what_the_second_adds() {
        assert_eq!(whole_model(&[1., 4.], 2), 4.);
        assert_eq!(whole_model(&[1., 4.], 28), 1. + 27. * 3.);
        assert_eq!(whole_model(&[2.], 1), 2.);
        // A measurement that was disturbed does not make a full layer cheaper than the last one.
        assert_eq!(whole_model(&[3., 2.], 3), 9.);
    }
}
