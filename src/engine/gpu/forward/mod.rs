//! The GPU's interpreter of a description: the same packed batches as on the processor, all tokens at once. Nothing waits inside a
//! forward: the host sets its launches out and then waits for the logits.

mod activations;
mod head;
mod indices;
mod layer;
mod layout;
mod matrices;
mod pass;
mod placement;
mod streaming;
mod weights;

use std::cell::RefCell;
use std::sync::Arc;

use anyhow::{Context, Result};
use indicatif::BinaryBytes;

use self::activations::{Activations, Widths};
use self::indices::Indices;
use self::layout::{GpuLayout, Needs, Packed, Parts};
use self::matrices::activates_at_once;
use self::pass::Pass;
use self::placement::LEAST_TOKENS;
use self::weights::GpuWeights;
use crate::batch::{Batch, Limits};
use crate::engine::cpu::Rope;
use crate::engine::gpu::{Gpu, Memory, OutOfMemory};
use crate::engine::{Engine, Model, Profile, Work, check_batch, support};
use crate::model::{Architecture, Layer, Rotary};

pub use self::placement::{MOST_TOKENS, Placement};

/// The most tokens that memory is reserved for.
const MOST_RESERVED: usize = 1 << 31;

/// Layers, embedding, norms and head in a GPU's memory, and memory for a batch.
pub struct GpuEngine {
    gpu: Gpu,
    architecture: Arc<Architecture>,
    widths: Widths,
    weights: GpuWeights,
    /// Cosines and sines of each rotary embedding that layers have, as far as positions came up.
    angles: Vec<[Memory; 2]>,
    ropes: Vec<Rope>,
    activations: Option<Activations>,
    /// More tokens than this did not fit once.
    most_tokens: usize,
    /// The tokens of a batch that are likely to fit: half of those that did not.
    fitting_tokens: usize,
    /// The profile of the time, if one is kept.
    profile: Option<Profile>,
    /// The warnings of the self-test, and of layers that are uploaded for each batch.
    warnings: Vec<String>,
}

impl GpuEngine {
    /// Reads the weights into the device's memory, as far as they fit there; other layers stay in host memory.
    ///
    /// # Errors
    /// If the description has what this engine lacks, a tensor is missing or of another shape than described, or the device has
    /// no memory for them.
    pub fn load(model: &Model, gpu: Gpu) -> Result<Self> {
        let placement = Placement::new(&model.architecture, &gpu)?;
        Self::load_placed(model, gpu, placement)
    }

    /// The same with the layers where a placement has them.
    ///
    /// # Errors
    /// As [`GpuEngine::load`].
    pub fn load_placed(model: &Model, mut gpu: Gpu, placement: Placement) -> Result<Self> {
        let architecture = &model.architecture;
        support::check(architecture, true)?;
        let heads = architecture.layers.first().context("the model has no layers")?.attention.heads;
        let rotaries = rotaries(architecture);
        let remedy = more_memory(&gpu);
        let load = || -> Result<Self> {
            assert!(placement.streamed == 0 || !gpu.quantizes(), "layers in 8 bits are not uploaded");
            gpu.self_test_quantized()?;
            let mut warnings = gpu.self_test(heads, has_windows(architecture))?;
            if architecture.layers.iter().any(|layer| activates_at_once(&layer.mlp, &gpu.unquantized())) {
                warnings.extend(gpu.self_test_gated()?);
            }
            warnings.extend(placement.warning());
            let weights = GpuWeights::load(model, &rotaries, (&gpu, &placement))?;
            let mut engine = Self {
                angles: Vec::new(),
                ropes: rotaries.iter().map(|rotary| Rope::new(*rotary)).collect(),
                architecture: Arc::clone(architecture),
                widths: Widths::new(architecture),
                weights,
                activations: None,
                most_tokens: usize::MAX,
                fitting_tokens: usize::MAX,
                profile: None,
                warnings,
                gpu,
            };
            // While there is memory for what libraries try out with each weight.
            engine.try_run(&Batch::filled(LEAST_TOKENS, architecture.longest_prompt()))?;
            Ok(engine)
        };
        load().map_err(|error| match error.is::<OutOfMemory>() {
            true => error.context(format!("the model does not fit; {remedy}, or use --device cpu or a smaller model")),
            false => error,
        })
    }

    /// Makes room for a batch of so many tokens and pairs.
    fn make_room(&mut self, tokens: usize, pairs: usize) -> Result<()> {
        if self.activations.as_ref().is_some_and(|room| room.tokens >= tokens && room.pairs >= pairs) {
            return Ok(());
        }
        if tokens > self.most_tokens {
            let bytes = tokens.saturating_mul(self.widths.bytes_per_token(&self.gpu));
            return Err(OutOfMemory { bytes }.into());
        }
        // The old memory is freed first.
        let old = self.activations.take();
        let pairs = pairs.max(old.as_ref().map_or(0, |old| old.pairs));
        let tokens = tokens.max(old.as_ref().map_or(0, |old| old.tokens));
        drop(old);
        let made = Activations::new(&self.gpu, &self.widths, tokens, pairs);
        if made.as_ref().is_err_and(|error| error.is::<OutOfMemory>()) {
            self.most_tokens = tokens - 1;
        }
        self.activations = Some(made?);
        Ok(())
    }

    /// One logit for each pair; [`OutOfMemory`] if the batch is too large.
    fn run_whole(&mut self, batch: &Batch) -> Result<Vec<f32>> {
        let logits = self.try_run(batch);
        if logits.as_ref().is_err_and(|error| error.is::<OutOfMemory>()) {
            // Its memory is freed, so that a smaller batch fits.
            self.activations = None;
            self.most_tokens = self.most_tokens.min(batch.token_ids.len().saturating_sub(1));
        }
        logits
    }

    fn try_run(&mut self, batch: &Batch) -> Result<Vec<f32>> {
        check_batch(&self.architecture, batch)?;
        let parts = self.upload(batch)?;
        let activations = self.activations.as_ref().context("there is room, as it was just made")?;
        let (tokens, pairs) = (batch.token_ids.len(), batch.pairs().count());
        let indices = Indices::new(&activations.indices, parts);
        let attention = &self.architecture.layers[0].attention;
        let pass = Pass {
            gpu: &self.gpu,
            angles: &self.angles,
            activations,
            features: self.architecture.hidden,
            heads: attention.heads,
            mask: attention.mask,
            laps: self.profile.as_ref().map(|_| RefCell::default()),
        };
        if pass.laps.is_some() {
            self.gpu.device().mark(0)?;
        }
        pass.run(&mut self.weights, &indices, (tokens, pairs), self.architecture.pooling)?;
        let mut logits = vec![0f32; pairs];
        activations.logits.download(bytemuck::cast_slice_mut(&mut logits))?;
        if let (Some(laps), Some(profile)) = (pass.laps, &mut self.profile) {
            for (index, kind) in laps.into_inner().into_iter().enumerate() {
                let seconds = self.gpu.device().between(index, index + 1)?;
                profile.nanoseconds[kind as usize] += (seconds * 1e9) as u64;
            }
        }
        Ok(logits)
    }

    /// Makes room for a batch, and copies what kernels must know of it. Returns where its parts stand.
    fn upload(&mut self, batch: &Batch) -> Result<Parts> {
        let attention = &self.architecture.layers[0].attention;
        let needs = Needs {
            mask: attention.mask,
            pooling: self.architecture.pooling,
            windows: has_windows(&self.architecture),
            types: self.architecture.embedding.token_types.is_some(),
        };
        let Packed { words, parts } = GpuLayout::new(batch, self.gpu.tiling(attention.heads), needs).pack(batch);
        self.make_room(batch.token_ids.len(), batch.pairs().count())?;
        self.reach(batch.positions.iter().max().map_or(0, |&most| most as usize + 1))?;
        let activations = self.activations.as_mut().context("there is room, as it was just made")?;
        let bytes: &[u8] = bytemuck::cast_slice(&words);
        if activations.indices.bytes() < bytes.len() {
            // Some more, so that it does not grow with every batch.
            activations.indices = self.gpu.memory(bytes.len() * 3 / 2)?;
        }
        activations.indices.upload(bytes)?;
        Ok(parts)
    }

    /// Makes the angles reach to so many positions.
    fn reach(&mut self, positions: usize) -> Result<()> {
        let half = self.architecture.layers[0].attention.heads.head_dim / 2;
        let reached = self.angles.first().is_some_and(|[cosines, _]| cosines.bytes() >= positions * half * 4);
        if reached || self.ropes.is_empty() {
            return Ok(());
        }
        let mut angles = Vec::new();
        for rope in &mut self.ropes {
            rope.reach(positions.next_power_of_two());
            let [cosines, sines] = rope.tables();
            angles.push([self.gpu.vector(cosines)?, self.gpu.vector(sines)?]);
        }
        self.angles = angles;
        Ok(())
    }
}

/// How there could be more memory.
fn more_memory(gpu: &Gpu) -> String {
    match gpu.device().memory_limit() {
        Some(limit) => format!("allow more than the {} of --gpu-memory", BinaryBytes(limit as u64)),
        None => "end other programs on the GPU".to_owned(),
    }
}

/// The rotary embeddings of the layers, each once.
fn rotaries(architecture: &Architecture) -> Vec<Rotary> {
    let mut rotaries = Vec::new();
    for rotary in architecture.layers.iter().filter_map(|layer| layer.attention.rotary) {
        if !rotaries.contains(&rotary) {
            rotaries.push(rotary);
        }
    }
    rotaries
}

fn has_windows(architecture: &Architecture) -> bool {
    architecture.layers.iter().any(|layer: &Layer| layer.attention.window.is_some())
}

impl Engine for GpuEngine {
    /// A batch for which the device has too little memory is scored in two parts.
    fn run(&mut self, batch: &Batch) -> Result<Vec<f32>> {
        match self.run_whole(batch) {
            Err(error) if error.is::<OutOfMemory>() => {
                let Some([first, second]) = batch.halves() else {
                    let (tokens, remedy) = (batch.token_ids.len(), more_memory(&self.gpu));
                    let problem =
                        format!("a prompt of {tokens} tokens does not fit on the GPU; lower --max-length, or {remedy}");
                    return Err(error.context(problem));
                };
                self.fitting_tokens = self.fitting_tokens.min((batch.token_ids.len() / 2).max(LEAST_TOKENS));
                let mut logits = self.run(&first)?;
                logits.extend(self.run(&second)?);
                Ok(logits)
            }
            logits => logits,
        }
    }

    fn reserve(&mut self, limits: Limits) -> Result<usize> {
        // No GPU has memory for more tokens, and their sizes in bytes would overflow.
        let mut tokens = limits.tokens.min(MOST_RESERVED);
        loop {
            // The first forward pass allocates what libraries need once, so that no batch runs out of memory for it later.
            let tried = self.make_room(tokens, limits.pairs.min(tokens));
            match tried
                .and_then(|()| self.run_whole(&Batch::filled(tokens, self.architecture.longest_prompt())).map(drop))
            {
                Err(error) if error.is::<OutOfMemory>() && tokens > LEAST_TOKENS => tokens /= 2,
                Err(error) if error.is::<OutOfMemory>() => {
                    let remedy = more_memory(&self.gpu);
                    return Err(error.context(format!(
                        "beside the model there is no room for a batch; {remedy}, or use --device cpu"
                    )));
                }
                reserved => return reserved.map(|()| tokens),
            }
        }
    }

    fn fitting_tokens(&self) -> usize {
        self.fitting_tokens
    }

    fn warnings(&self) -> Vec<String> {
        let device = self.gpu.device();
        let warnings = self.warnings.iter().cloned().chain(device.warnings());
        warnings.map(|warning| format!("{}: {warning}", device.name())).collect()
    }

    /// Kernel by kernel, by the device's own clock.
    fn begin_profile(&mut self) {
        self.profile = Some(Profile::default());
    }

    fn take_profile(&mut self) -> Option<Profile> {
        self.profile.as_mut().map(std::mem::take)
    }

    fn work(&self, batch: &Batch) -> Work {
        self.architecture.operations_and_bytes(batch, self.gpu.value().size())
    }
}
