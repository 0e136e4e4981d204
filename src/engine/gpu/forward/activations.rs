//! Memory for what a forward computes in between.

use anyhow::Result;

use crate::engine::gpu::{Gpu, Memory, Type};
use crate::model::{Architecture, Layer};

/// Words that a token takes in what kernels must know of a batch, at most: its id, its position, a tile and two ranges.
const INDICES: usize = 14;

/// The widest rows of a model's layers.
pub(super) struct Widths {
    hidden: usize,
    /// Queries, keys and values, or gates and ups.
    products: usize,
    queries: usize,
    inner: usize,
}

impl Widths {
    pub(super) fn new(architecture: &Architecture) -> Self {
        let widest = |width: &dyn Fn(&Layer) -> usize| architecture.layers.iter().map(width).max().unwrap_or(0);
        let inner = widest(&|layer| layer.mlp.intermediate());
        let merged = widest(&|layer| layer.attention.heads.query_width() + 2 * layer.attention.heads.key_width());
        Self {
            hidden: architecture.hidden,
            products: merged.max(2 * inner),
            queries: widest(&|layer| layer.attention.heads.query_width()),
            inner,
        }
    }

    /// Bytes of memory that a token of a batch takes.
    pub(super) fn bytes_per_token(&self, value: Type) -> usize {
        let values = self.hidden + self.products + self.queries + self.inner;
        self.hidden * 4 + value.size() * values + 4 * INDICES
    }
}

/// The memory for a batch.
pub(super) struct Activations {
    pub(super) tokens: usize,
    pub(super) pairs: usize,
    /// The hidden vectors, in f32.
    pub(super) hidden: Memory,
    /// The hidden vectors of the pooled tokens.
    pub(super) pooled: Memory,
    pub(super) logits: Memory,
    /// The normalized hidden vectors; from here on, values are of the device's type.
    pub(super) normed: Memory,
    pub(super) products: Memory,
    pub(super) attended: Memory,
    pub(super) inner: Memory,
    pub(super) pooled_queries: Memory,
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
        Ok(Self {
            tokens,
            pairs,
            hidden: gpu.memory(tokens * widths.hidden * 4)?,
            pooled: gpu.memory(pairs * widths.hidden * 4)?,
            logits: gpu.memory(pairs * 4)?,
            normed: values(widths.hidden)?,
            products: values(widths.products)?,
            attended: values(widths.queries)?,
            inner: values(widths.inner)?,
            pooled_queries: gpu.memory(pairs * widths.queries * size)?,
            indices: gpu.memory(0)?,
        })
    }
}
