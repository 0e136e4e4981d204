//! A model's weights on their way from a checkpoint to a GPU's memory.

use anyhow::Result;
use candle_core::DType;
use half::{bf16, f16};
use rayon::prelude::*;

use super::head::GpuHead;
use super::layer::GpuLayer;
use crate::checkpoint::{RowSource, Weights};
use crate::engine::Model;
use crate::engine::gpu::{Gpu, GpuNorm, Memory, Type, Weight};
use crate::model::{Embedding, Linear, Norm, Rotary, Tensor};

/// Everything that a forward multiplies with.
pub(super) struct GpuWeights {
    pub(super) embedding: GpuEmbedding,
    pub(super) layers: Vec<GpuLayer>,
    pub(super) final_norm: Option<GpuNorm>,
    pub(super) head: GpuHead,
}

/// The tables of the embedding, and what follows them.
pub(super) struct GpuEmbedding {
    pub(super) tokens: Weight,
    pub(super) scale: f32,
    /// With the row of the first position.
    pub(super) positions: Option<(Weight, usize)>,
    pub(super) types: Option<Weight>,
    pub(super) norm: Option<GpuNorm>,
    pub(super) projection: Option<GpuLinear>,
}

/// A linear layer.
pub(super) struct GpuLinear {
    pub(super) weight: Weight,
    pub(super) bias: Option<Memory>,
}

impl GpuWeights {
    /// Copies the weights. `rotaries` are the rotary embeddings that the layers' tables of angles are of.
    ///
    /// # Errors
    /// If a tensor is missing or of another shape than described, or the device has no memory for it.
    pub(super) fn load(model: &Model, rotaries: &[Rotary], gpu: &Gpu) -> Result<Self> {
        let architecture = &model.architecture;
        let load = Load { weights: &model.weights, gpu };
        let layer = |layer| GpuLayer::load(layer, rotaries, &load);
        Ok(Self {
            embedding: GpuEmbedding::load(&architecture.embedding, &load)?,
            layers: architecture.layers.iter().map(layer).collect::<Result<_>>()?,
            final_norm: load.optional_norm(architecture.final_norm.as_ref())?,
            head: GpuHead::load(model, gpu)?,
        })
    }
}

impl GpuEmbedding {
    fn load(embedding: &Embedding, load: &Load<'_>) -> Result<Self> {
        let Embedding { tokens, scale, positions, token_types, norm, projection } = embedding;
        let table = |tensor: &Tensor| load.matrix(&[tensor]);
        let positions =
            positions.as_ref().map(|positions| -> Result<_> { Ok((table(&positions.table)?, positions.first)) });
        Ok(Self {
            tokens: table(tokens)?,
            scale: *scale,
            positions: positions.transpose()?,
            types: token_types.as_ref().map(table).transpose()?,
            norm: load.optional_norm(norm.as_ref())?,
            projection: projection.as_ref().map(|linear| load.linear(linear)).transpose()?,
        })
    }
}

/// Where weights come from, and where they go.
pub(super) struct Load<'a> {
    pub(super) weights: &'a Weights,
    pub(super) gpu: &'a Gpu,
}

impl Load<'_> {
    pub(super) fn linear(&self, linear: &Linear) -> Result<GpuLinear> {
        Ok(GpuLinear { weight: self.matrix(&[&linear.weight])?, bias: self.biases(&[linear])? })
    }

    /// The matrices of linear layers of the same inputs, one below the other.
    pub(super) fn linears(&self, linears: &[&Linear]) -> Result<Weight> {
        self.matrix(&linears.iter().map(|linear| &linear.weight).collect::<Vec<_>>())
    }

    /// The biases of linear layers one after the other, with zeros where one has none; none if no layer has any.
    pub(super) fn biases(&self, linears: &[&Linear]) -> Result<Option<Memory>> {
        if linears.iter().all(|linear| linear.bias.is_none()) {
            return Ok(None);
        }
        let mut values = Vec::new();
        for linear in linears {
            values.extend(self.bias(linear)?.unwrap_or_else(|| vec![0.; linear.outputs()]));
        }
        self.gpu.vector(&values).map(Some)
    }

    pub(super) fn bias(&self, linear: &Linear) -> Result<Option<Vec<f32>>> {
        linear.bias.as_ref().map(|bias| self.weights.vector(bias)).transpose()
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

    pub(super) fn norm(&self, norm: &Norm) -> Result<GpuNorm> {
        let mut weight = self.weights.vector(&norm.weight)?;
        weight.iter_mut().for_each(|weight| *weight += norm.weight_offset);
        let bias = norm.bias.as_ref().map(|bias| self.gpu.vector(&self.weights.vector(bias)?));
        Ok(GpuNorm {
            kind: norm.kind,
            weight: self.gpu.vector(&weight)?,
            bias: bias.transpose()?,
            epsilon: norm.epsilon as f32,
        })
    }

    pub(super) fn optional_norm(&self, norm: Option<&Norm>) -> Result<Option<GpuNorm>> {
        norm.map(|norm| self.norm(norm)).transpose()
    }
}

pub(super) fn same(dtype: DType, value: Type) -> bool {
    matches!((dtype, value), (DType::F32, Type::F32) | (DType::BF16, Type::Bf16) | (DType::F16, Type::F16))
}

/// The values of all rows in the device's type.
pub(super) fn converted(matrix: &dyn RowSource, rows: usize, value: Type) -> Vec<u8> {
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
