//! A model's weights on their way from a checkpoint to a GPU's memory.

use anyhow::{Context, Result};
use candle_core::DType;
use half::{bf16, f16};
use rayon::prelude::*;

use crate::checkpoint::{RowSource, Weights};
use crate::engine::gpu::{Gpu, Memory, Type, Weight};
use crate::model::{Architecture, Attention, Layer, Linear, Norm, Tensor};

/// Everything that a forward multiplies with.
pub(super) struct GpuWeights {
    pub(super) embedding: Weight,
    pub(super) layers: Vec<GpuLayer>,
    /// The last norm, and the row of the head.
    pub(super) norm: (Memory, f32),
    pub(super) head: Memory,
}

/// A layer's weights. A norm is its weight and its ε.
pub(super) struct GpuLayer {
    pub(super) attention_norm: (Memory, f32),
    /// Outputs of queries, then of keys, then of values.
    pub(super) query_key_value: Weight,
    pub(super) query_norm: (Memory, f32),
    pub(super) key_norm: (Memory, f32),
    pub(super) output: Weight,
    pub(super) mlp_norm: (Memory, f32),
    /// Outputs of gates, then of ups.
    pub(super) gate_and_up: Weight,
    pub(super) intermediate: usize,
    pub(super) down: Weight,
}

impl GpuWeights {
    /// Copies the weights. `head` is the row that the pooled vectors are multiplied with.
    ///
    /// # Errors
    /// If a tensor is missing or of another shape than described, or the device has no memory for it.
    pub(super) fn load(architecture: &Architecture, weights: &Weights, head: &[f32], gpu: &Gpu) -> Result<Self> {
        let load = Load { weights, gpu };
        let norm = architecture.final_norm.as_ref().context("the model has no last norm")?;
        Ok(Self {
            embedding: load.matrix(&[&architecture.embedding.tokens])?,
            layers: architecture.layers.iter().map(|layer| GpuLayer::load(layer, &load)).collect::<Result<_>>()?,
            norm: load.norm(norm)?,
            head: gpu.vector(head)?,
        })
    }
}

impl GpuLayer {
    fn load(layer: &Layer, load: &Load<'_>) -> Result<Self> {
        let Attention { query, key, value, output, query_key_norms, .. } = &layer.attention;
        let [query_norm, key_norm] = query_key_norms.as_ref().context("a layer has no norms of queries and keys")?;
        let inner: Vec<&Linear> = layer.mlp.inner();
        Ok(Self {
            attention_norm: load.norm(layer.attention_norm.as_ref().context("a layer has no norm of attention")?)?,
            query_key_value: load.linears(&[query, key, value])?,
            query_norm: load.norm(query_norm)?,
            key_norm: load.norm(key_norm)?,
            output: load.linears(&[output])?,
            mlp_norm: load.norm(&layer.mlp_norm)?,
            gate_and_up: load.linears(&inner)?,
            intermediate: layer.mlp.intermediate(),
            down: load.linears(&[layer.mlp.down()])?,
        })
    }
}

struct Load<'a> {
    weights: &'a Weights,
    gpu: &'a Gpu,
}

impl Load<'_> {
    fn linears(&self, linears: &[&Linear]) -> Result<Weight> {
        self.matrix(&linears.iter().map(|linear| &linear.weight).collect::<Vec<_>>())
    }

    /// Matrices of the same inputs, one below the other.
    fn matrix(&self, parts: &[&Tensor]) -> Result<Weight> {
        let inputs = parts.first().map_or(0, |tensor| tensor.inputs());
        let mut weight = self.gpu.weight(parts.iter().map(|tensor| tensor.rows.len()).sum(), inputs)?;
        let mut row = 0;
        for tensor in parts {
            let rows = self.weights.matrix(tensor)?;
            let count = tensor.rows.len();
            let is_same = same(rows.stored_as(), self.gpu.value());
            match rows.stored_rows(0..count).filter(|_| is_same) {
                Some(bytes) => weight.fill(row, bytes)?,
                None => weight.fill(row, &converted(rows.as_ref(), count, self.gpu.value()))?,
            }
            self.weights.release(tensor);
            row += count;
        }
        Ok(weight)
    }

    fn norm(&self, norm: &Norm) -> Result<(Memory, f32)> {
        Ok((self.gpu.vector(&self.weights.vector(&norm.weight)?)?, norm.epsilon as f32))
    }
}

fn same(dtype: DType, value: Type) -> bool {
    matches!((dtype, value), (DType::F32, Type::F32) | (DType::BF16, Type::Bf16) | (DType::F16, Type::F16))
}

/// The values of all rows in the device's type.
fn converted(matrix: &dyn RowSource, rows: usize, value: Type) -> Vec<u8> {
    let row_bytes = matrix.inputs() * value.size();
    let mut bytes = vec![0u8; rows * row_bytes];
    bytes.par_chunks_exact_mut(row_bytes).enumerate().for_each_init(
        || vec![0f32; matrix.inputs()],
        |values, (row, bytes)| {
            matrix.row(row, values);
            for (target, wide) in bytes.chunks_exact_mut(value.size()).zip(values) {
                match value {
                    Type::F32 => target.copy_from_slice(&wide.to_le_bytes()),
                    Type::Bf16 => target.copy_from_slice(&bf16::from_f32(*wide).to_le_bytes()),
                    Type::F16 => target.copy_from_slice(&f16::from_f32(*wide).to_le_bytes()),
                }
            }
        },
    );
    bytes
}
