//! Memory for what a forward computes in between.

use anyhow::Result;

use crate::engine::gpu::{Gpu, Memory};
use crate::model::{Architecture, HeadStep, Layer, Mlp};

/// Words that a token takes in what kernels must know of a batch, at most: its id, its position, a tile and two ranges. Those of
/// models with windows stand in two tiles, and few tokens begin one.
const INDICES: usize = 14;

/// The widest rows of a model's layers.
pub(super) struct Widths {
    /// The features of the residual stream, or those of the embedding where it is wider.
    hidden: usize,
    /// Queries, keys and values, or gates and ups.
    products: usize,
    queries: usize,
    inner: usize,
    /// Of vectors in the head.
    head: usize,
    /// Words that a token takes in what kernels must know of a batch.
    indices: usize,
}

impl Widths {
    pub(super) fn new(architecture: &Architecture) -> Self {
        let widest = |width: &dyn Fn(&Layer) -> usize| architecture.layers.iter().map(width).max().unwrap_or(0);
        let inner = widest(&|layer| layer.mlp.intermediate());
        let before_activation = widest(&|layer| match &layer.mlp {
            Mlp::Gated { .. } => 2 * layer.mlp.intermediate(),
            Mlp::Plain { .. } => layer.mlp.intermediate(),
        });
        let dense = architecture.head.steps.iter().map(|step| match step {
            HeadStep::Dense(linear, _) => linear.outputs(),
            HeadStep::Norm(_) => 0,
        });
        let merged = widest(&|layer| layer.attention.heads.query_width() + 2 * layer.attention.heads.key_width());
        Self {
            hidden: architecture.hidden.max(architecture.embedding.tokens.inputs()),
            products: merged.max(before_activation),
            queries: widest(&|layer| layer.attention.heads.query_width()),
            inner,
            head: dense.max().unwrap_or(0).max(architecture.hidden),
            indices: INDICES + usize::from(architecture.embedding.token_types.is_some()),
        }
    }

    /// Bytes of memory that a token of a batch takes.
    pub(super) fn bytes_per_token(&self, gpu: &Gpu) -> usize {
        let values = self.hidden + self.products + self.queries + self.inner;
        let quantized = if gpu.quantizes() { self.quantized() + size_of::<f32>() } else { 0 };
        self.hidden * 4 + gpu.value().size() * values + quantized + 4 * self.indices
    }

    /// Of what linear layers multiply.
    fn quantized(&self) -> usize {
        self.hidden.max(self.queries).max(self.inner)
    }
}

/// The memory for a batch.
pub(super) struct Activations {
    pub(super) tokens: usize,
    pub(super) pairs: usize,
    /// The hidden vectors, in f32.
    pub(super) hidden: Memory,
    /// The hidden vectors of the pooled tokens, and what the head makes of them.
    pub(super) pooled: Memory,
    pub(super) head: Memory,
    pub(super) logits: Memory,
    /// The normalized hidden vectors; from here on, values are of the device's type.
    pub(super) normed: Memory,
    pub(super) products: Memory,
    pub(super) attended: Memory,
    pub(super) inner: Memory,
    pub(super) pooled_queries: Memory,
    /// What a linear layer multiplies, in E4M3, and the scales of its rows; nothing where it multiplies other values.
    pub(super) quantized: Memory,
    pub(super) scales: Memory,
    /// The description of the batch that the kernels read.
    pub(super) indices: Memory,
}

impl Activations {
    /// Allocates for so many tokens and pairs.
    ///
    /// # Errors
    /// [`crate::engine::gpu::OutOfMemory`] if the device has not so much.
    pub(super) fn new(gpu: &Gpu, widths: &Widths, tokens: usize, pairs: usize) -> Result<Self> {
        let size = gpu.value().size();
        // A prompt's last layer has a row for each pair, of which there are at most as many as tokens.
        let values = |width: usize| gpu.memory(tokens.max(pairs) * width * size);
        let rows = if gpu.quantizes() { tokens.max(pairs) } else { 0 };
        Ok(Self {
            tokens,
            pairs,
            hidden: gpu.memory(tokens * widths.hidden * 4)?,
            pooled: gpu.memory(pairs * widths.head * 4)?,
            head: gpu.memory(pairs * widths.head * 4)?,
            logits: gpu.memory(pairs * 4)?,
            normed: values(widths.hidden)?,
            products: values(widths.products)?,
            attended: values(widths.queries)?,
            inner: values(widths.inner)?,
            pooled_queries: gpu.memory(pairs * widths.queries * size)?,
            quantized: gpu.memory(rows * widths.quantized())?,
            scales: gpu.memory(rows * size_of::<f32>())?,
            indices: gpu.memory(0)?,
        })
    }
}
