//! Stage 4, score: a batch becomes logits. An engine interprets a model's description: [`cpu`] on the processor, [`gpu`] on
//! NVIDIA GPUs, and `candle` on the processor where attention is another.

mod candle;
pub mod cpu;
mod fake;
pub mod gpu;
mod head;
mod memory;
mod operations;
mod profile;
mod support;
mod target;
mod work;

use std::sync::Arc;

use anyhow::{Result, ensure};

use crate::batch::{Batch, Limits, LimitsChoice};
use crate::checkpoint::Weights;
use crate::exit::UsageError;
use crate::model::{Answers, Architecture, HeadOutput, Layer};
use crate::precision::Precision;

use memory::rests;

pub use fake::FakeEngine;
pub use head::LogitHead;
pub use memory::{StreamedLayers, WeightsMemory, weights_memory};
pub use profile::{KINDS, Kind, Profile};
pub use support::check;
pub use target::Target;
pub use work::Work;

/// Everything that an engine needs of a model.
#[derive(Clone)]
pub struct Model {
    /// What it computes.
    pub architecture: Arc<Architecture>,
    /// Its tensors.
    pub weights: Arc<Weights>,
    /// The tokens whose logits are the answers of a language model; none for a classifier.
    pub answers: Option<Answers>,
}

impl Model {
    /// A model with random weights, whose speed alone is of interest.
    pub fn random(architecture: Architecture) -> Self {
        let sizes = architecture.tensors().into_iter().map(|tensor| tensor.shape.iter().product());
        let weights = Arc::new(Weights::random(sizes.max().unwrap_or(0)));
        let is_language_model = !matches!(architecture.head.output, HeadOutput::Classifier(_));
        let answers = is_language_model.then_some(Answers { yes: 1, no: Some(0) });
        Self { architecture: Arc::new(architecture), weights, answers }
    }
}

/// Scores tokenized pairs.
pub trait Engine: Send {
    /// One logit per pair, in the batch's order of pairs. A pair's logit depends on its own tokens alone: not on the
    /// batch around it, and on the CPU to the bit.
    ///
    /// # Errors
    /// If the device fails. A logit that is not finite is no error here.
    fn run(&mut self, batch: &Batch) -> Result<Vec<f32>>;

    /// Makes room for batches of up to `limits`, or as much as there is memory for. Returns the tokens that fit.
    ///
    /// # Errors
    /// If there is no room at all, or the device fails.
    fn reserve(&mut self, limits: Limits) -> Result<usize> {
        Ok(limits.tokens)
    }

    /// The tokens of a batch that the device has memory for, as far as is known. A larger batch is scored in parts.
    fn fitting_tokens(&self) -> usize {
        usize::MAX
    }

    /// What users should know about how the device computes.
    fn warnings(&self) -> Vec<String> {
        Vec::new()
    }

    /// Keeps a profile of the time from now on, which may make scoring slower.
    fn begin_profile(&mut self) {}

    /// The profile since the last call, if one is kept.
    fn take_profile(&mut self) -> Option<Profile> {
        None
    }

    /// The operations and the bytes that a batch needs.
    fn work(&self, _batch: &Batch) -> Work {
        Work::default()
    }
}

/// Loads a model's weights for a device.
///
/// # Errors
/// If the engine there lacks what the description has, a tensor is missing or of another shape than described, or the device
/// fails or has no room for them.
pub fn load(model: &Model, target: &Target) -> Result<Box<dyn Engine>> {
    check_precision(&model.architecture, target)?;
    Ok(match target {
        Target::Cpu(arithmetic) if model.architecture.sees_distances() => {
            Box::new(candle::CandleEngine::load(model, *arithmetic)?)
        }
        Target::Cpu(arithmetic) => Box::new(cpu::forward::CpuEngine::load(model, *arithmetic)?),
        Target::Gpu(gpu) => Box::new(gpu::forward::GpuEngine::load(model, gpu.clone())?),
    })
}

/// The one precision in which a model can be computed, if there is but one.
pub fn only_precision(architecture: &Architecture) -> Option<Precision> {
    architecture.sees_distances().then_some(Precision::F32)
}

/// Refuses a precision in which a model can't be computed. Only the user's choice leads there.
///
/// # Errors
/// If there is but one, and the target has another; or if layers have sizes that the target does not multiply in it.
pub fn check_precision(architecture: &Architecture, target: &Target) -> Result<()> {
    let arithmetic = match target {
        Target::Gpu(gpu) if gpu.quantizes() => return check_quantized(architecture),
        Target::Gpu(_) => return Ok(()),
        Target::Cpu(arithmetic) => arithmetic,
    };
    let Some(only) = only_precision(architecture) else { return Ok(()) };
    let (wanted, only) = (arithmetic.precision.name(), only.name());
    if wanted != only {
        let family = architecture.family;
        let problem = format!("--dtype {wanted}: {family} models are computed in {only} only; leave --dtype out");
        return Err(UsageError::new(problem).into());
    }
    Ok(())
}

/// Refuses layers whose sizes products of 8-bit floats do not have.
fn check_quantized(architecture: &Architecture) -> Result<()> {
    for linear in architecture.layers.iter().flat_map(Layer::linears) {
        let (outputs, inputs) = (linear.outputs(), linear.weight.inputs());
        if ![outputs, inputs].iter().all(|count| count.is_multiple_of(gpu::QUANTIZED_ALIGNMENT)) {
            let problem = format!(
                "--dtype fp8 multiplies by multiples of {} features, and the model has a layer of {outputs} × {inputs}; use --dtype bf16",
                gpu::QUANTIZED_ALIGNMENT
            );
            return Err(UsageError::new(problem).into());
        }
    }
    Ok(())
}

/// What a batch may hold on a device, before the weights are loaded.
///
/// # Errors
/// If the device's free memory can't be queried, or the model can't be computed in the target's precision.
pub fn limits(choice: LimitsChoice, architecture: &Architecture, target: &Target) -> Result<Limits> {
    check_precision(architecture, target)?;
    let limits = match target {
        Target::Gpu(gpu) => choice.on_gpu(gpu::forward::Placement::new(architecture, gpu)?.tokens()),
        Target::Cpu(_) => choice.on_cpu(),
    };
    Ok(Limits { share_prefixes: limits.share_prefixes && architecture.shares_prefixes(), ..limits })
}

/// Checks that a batch has only what the model can take.
///
/// # Errors
/// If the batch is none, a token id is outside the vocabulary, or a token's type outside the table of types, a prompt is longer
/// than the model's learned positions, or beginnings are shared though what they become depends on what follows.
fn check_batch(architecture: &Architecture, batch: &Batch) -> Result<()> {
    batch.check()?;
    let vocabulary = architecture.vocabulary();
    for &token in &batch.token_ids {
        ensure!((token as usize) < vocabulary, "token {token} is outside the vocabulary of {vocabulary}");
    }
    if let Some(table) = &architecture.embedding.token_types {
        let types = table.rows.len();
        let most = batch.token_types.iter().copied().max().unwrap_or(0);
        ensure!(
            usize::from(most) < types,
            "a token is of type {most}, and the model has {types} types, counted from 0"
        );
    }
    let most = architecture.longest_prompt();
    let shares = architecture.shares_prefixes();
    for segment in &batch.segments {
        let length = segment.tokens.len();
        ensure!(length <= most, "a prompt has {length} tokens, and the model was made for {most}");
        ensure!(shares || segment.continues.is_none(), "the prompts of this model can't share their beginnings");
    }
    Ok(())
}
