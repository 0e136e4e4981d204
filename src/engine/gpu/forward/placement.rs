//! Where a model's layers rest: on a device, or, as far as they do not fit there, in host memory.

use anyhow::Result;

use super::activations::Widths;
use super::weights::of_layer;
use crate::engine::gpu::{Gpu, SLOTS};
use crate::model::{Architecture, Embedding, HeadStep, Layer, Linear, Tensor};

/// Tokens of a batch beyond which a GPU is not faster.
pub const MOST_TOKENS: usize = 32_768;
/// Fewer tokens are tried in any case, and a failure is reported.
pub(super) const LEAST_TOKENS: usize = 64;
/// Tokens of a batch for which all layers may take the rest of the memory: those of the longest prompts by default.
const USEFUL_TOKENS: usize = 8192;
/// The most bytes that are left to cuBLAS and the driver.
const RESERVED_BYTES: usize = 512 << 20;
/// Of small memory, this part is left to them.
const RESERVED_PART: usize = 8;

/// How many of a model's layers are uploaded for each batch, and what that leaves of a device's memory.
///
/// An upload costs the same for any batch. So if not all layers fit beside a useful batch, as many are uploaded as the largest batch
/// needs: fewer would stay for a smaller batch, and each would be uploaded more often.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Placement {
    /// All layers.
    pub layers: usize,
    /// Layers whose matrices stay in host memory.
    pub streamed: usize,
    /// Bytes that weights take in the device's memory, with the slots for layers that are uploaded.
    pub device_bytes: usize,
    /// Tokens of a batch for which there is memory besides; 0 if there is none.
    fitting_tokens: usize,
}

impl Placement {
    /// Chooses for the memory that a device has free, and the batches that are wanted.
    ///
    /// # Errors
    /// If the device does not answer.
    pub fn new(architecture: &Architecture, gpu: &Gpu) -> Result<Self> {
        let layers = architecture.layers.len();
        let wanted = gpu.wanted_tokens().unwrap_or(MOST_TOKENS).clamp(LEAST_TOKENS, MOST_TOKENS);
        let resident = Self::of(architecture, gpu, 0)?;
        // What is uploaded for each batch is not rounded again each time.
        if gpu.quantizes() {
            return Ok(resident);
        }
        // The slots take the memory of as many layers.
        if resident.fitting_tokens >= wanted.min(USEFUL_TOKENS) || layers <= SLOTS || !are_alike(architecture) {
            return Ok(resident);
        }
        for streamed in SLOTS + 1..layers {
            let placement = Self::of(architecture, gpu, streamed)?;
            if placement.fitting_tokens >= wanted {
                return Ok(placement);
            }
        }
        Self::of(architecture, gpu, layers)
    }

    /// What it is with so many layers in host memory.
    ///
    /// # Errors
    /// If the device does not answer.
    pub fn of(architecture: &Architecture, gpu: &Gpu, streamed: usize) -> Result<Self> {
        let size = gpu.value().size();
        let layer = |(index, layer): (usize, &Layer)| {
            let size = if of_layer(gpu, index, architecture).quantizes() { 1 } else { size };
            layer.linears().map(|linear| bytes(&linear.weight, size)).sum::<usize>()
        };
        let sizes = || architecture.layers.iter().enumerate().map(layer);
        let (all, largest) = (sizes().sum::<usize>(), sizes().max().unwrap_or(0));
        let slots = if streamed > 0 { SLOTS } else { 0 };
        let device_bytes = others(architecture, size) + all - (streamed * largest).min(all) + slots * largest;
        let free = gpu.free_memory()?;
        let free = free.saturating_sub(device_bytes + RESERVED_BYTES.min(free / RESERVED_PART));
        let per_token = Widths::new(architecture).bytes_per_token(gpu);
        let fitting_tokens = free / 10 * 9 / per_token;
        Ok(Self { layers: architecture.layers.len(), streamed, device_bytes, fitting_tokens })
    }

    /// Tokens of a batch that is tried.
    pub fn tokens(&self) -> usize {
        self.fitting_tokens.clamp(LEAST_TOKENS, MOST_TOKENS)
    }

    /// What users should know, if layers are uploaded.
    pub(super) fn warning(&self) -> Option<String> {
        let Self { streamed, layers, .. } = self;
        (*streamed > 0).then(|| {
            format!(
                "{streamed} of {layers} layers do not fit into the GPU's memory: they stay in host memory, and are uploaded for each batch"
            )
        })
    }

    /// Whether a layer stays in host memory. Such layers are spread evenly, so that those between them are computed while one is
    /// uploaded.
    pub fn is_streamed(&self, layer: usize) -> bool {
        let before = |layer: usize| layer * self.streamed / self.layers.max(1);
        before(layer + 1) > before(layer)
    }
}

/// Whether the matrices of all layers have the same shapes: those that are uploaded share slots.
fn are_alike(architecture: &Architecture) -> bool {
    let shapes = |layer: &Layer| -> Vec<_> {
        layer.linears().map(|linear| [linear.outputs(), linear.weight.inputs()]).collect()
    };
    architecture.layers.windows(2).all(|layers| shapes(&layers[0]) == shapes(&layers[1]))
}

/// Bytes of what is not in layers: the embedding, and the head, which is f32. Vectors count for nothing.
fn others(architecture: &Architecture, size: usize) -> usize {
    let Embedding { tokens, positions, token_types, projection, .. } = &architecture.embedding;
    let positions = positions.as_ref().map(|positions| &positions.table);
    let projection = projection.as_ref().map(|linear| &linear.weight);
    let embedding = [Some(tokens), positions, token_types.as_ref(), projection];
    let dense = |step: &HeadStep| match step {
        HeadStep::Dense(Linear { weight, .. }, _) => bytes(weight, size_of::<f32>()),
        HeadStep::Norm(_) => 0,
    };
    let head = architecture.head.steps.iter().map(dense).sum::<usize>();
    embedding.into_iter().flatten().map(|table| bytes(table, size)).sum::<usize>() + head
}

/// Bytes of a matrix whose values have `size`.
fn bytes(matrix: &Tensor, size: usize) -> usize {
    matrix.rows.len() * matrix.inputs() * size
}
