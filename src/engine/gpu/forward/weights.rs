//! A model's weights on their way from a checkpoint to a GPU's memory.

use anyhow::Result;

use super::head::GpuHead;
use super::layer::GpuLayer;
use super::matrices::Merged;
use super::placement::Placement;
use super::streaming::LayerMatrices;
use crate::checkpoint::Weights;
use crate::engine::Model;
use crate::engine::gpu::{Gpu, GpuNorm, Memory, Weight};
use crate::model::{Architecture, Embedding, Linear, Norm, Rotary, Tensor};

/// Everything that a forward multiplies with.
pub(super) struct GpuWeights {
    pub(super) embedding: GpuEmbedding,
    pub(super) layers: Vec<GpuLayer>,
    pub(super) matrices: LayerMatrices,
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
    /// Copies the weights, but for those layers' matrices that are to be streamed. `rotaries` are the rotary embeddings that the layers'
    /// tables of angles are of.
    ///
    /// # Errors
    /// If a tensor is missing or of another shape than described, or the device has no memory for it.
    pub(super) fn load(model: &Model, rotaries: &[Rotary], (gpu, placement): (&Gpu, &Placement)) -> Result<Self> {
        let architecture = &model.architecture;
        let whole = gpu.unquantized();
        let load = Load { weights: &model.weights, gpu: &whole };
        let layers = architecture.layers.iter().enumerate();
        let layers = layers.map(|(index, layer)| {
            let gpu = of_layer(gpu, index, architecture);
            GpuLayer::load(layer, rotaries, &Load { weights: &model.weights, gpu: &gpu })
        });
        Ok(Self {
            embedding: GpuEmbedding::load(&architecture.embedding, &load)?,
            layers: layers.collect::<Result<_>>()?,
            matrices: LayerMatrices::load(model, gpu, placement)?,
            final_norm: load.optional_norm(architecture.final_norm.as_ref())?,
            head: GpuHead::load(model, &whole)?,
        })
    }
}

/// How a layer is computed: the last one is never rounded to 8 bits. Of it, little is left to compute where one token is pooled.
pub(super) fn of_layer(gpu: &Gpu, index: usize, architecture: &Architecture) -> Gpu {
    if index + 1 == architecture.layers.len() { gpu.unquantized() } else { gpu.clone() }
}

impl GpuEmbedding {
    fn load(embedding: &Embedding, load: &Load<'_>) -> Result<Self> {
        let Embedding { tokens, scale, positions, token_types, norm, projection } = embedding;
        let table = |tensor: &Tensor| load.matrix(&Merged::below(vec![tensor]));
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

/// Rows that are copied to the device at once, where they must be written first.
const ROWS: usize = 1024;

/// Where weights come from, and where they go.
pub(super) struct Load<'a> {
    pub(super) weights: &'a Weights,
    pub(super) gpu: &'a Gpu,
}

impl Load<'_> {
    pub(super) fn linear(&self, linear: &Linear) -> Result<GpuLinear> {
        Ok(GpuLinear { weight: self.matrix(&Merged::below(vec![&linear.weight]))?, bias: self.biases(&[linear])? })
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

    /// A matrix on the device.
    pub(super) fn matrix(&self, merged: &Merged<'_>) -> Result<Weight> {
        let [outputs, inputs] = merged.shape();
        let mut weight = self.gpu.weight(outputs, inputs)?;
        let rows = merged.find(self.weights, self.gpu.value())?;
        if weight.is_quantized() {
            for first in (0..outputs).step_by(ROWS) {
                let (bytes, scales) = rows.quantized(first..outputs.min(first + ROWS));
                weight.fill_scaled(first, &bytes, &scales)?;
            }
        } else if let Some(parts) = rows.unchanged() {
            let mut row = 0;
            for part in parts {
                weight.fill(row, part)?;
                row += part.len() / weight.row_bytes();
            }
        } else {
            let mut bytes = vec![0; ROWS.min(outputs) * weight.row_bytes()];
            for first in (0..outputs).step_by(ROWS) {
                let bytes = &mut bytes[..ROWS.min(outputs - first) * weight.row_bytes()];
                rows.write(first, bytes);
                weight.fill(first, bytes)?;
            }
        }
        merged.tensors().iter().for_each(|tensor| self.weights.release(tensor));
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
