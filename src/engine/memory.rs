//! The memory that a model's weights take on a device.

use anyhow::Result;
use candle_core::DType;
use serde::Serialize;

use super::Target;
use super::cpu::Arithmetic;
use super::gpu::forward::Placement;
use crate::checkpoint::Weights;
use crate::model::{Architecture, Layer, Linear};
use crate::precision::Precision;

/// The memory that a model's weights take, without what a batch needs besides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WeightsMemory {
    /// Bytes on the device.
    pub bytes: u64,
    /// The layers that do not rest there; none where all do.
    pub streamed: Option<StreamedLayers>,
}

/// The layers that stay in host memory, and are uploaded to a GPU for each batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct StreamedLayers {
    /// How many.
    pub layers: usize,
    /// How many layers the model has.
    pub of: usize,
    /// Bytes that their matrices take there: as the checkpoint has them.
    pub host_bytes: u64,
}

/// The memory that a model's weights take on a device, and beside it.
///
/// # Errors
/// If a tensor is missing or of another shape than described, or the device does not answer.
pub fn weights_memory(architecture: &Architecture, weights: &Weights, target: &Target) -> Result<WeightsMemory> {
    let values = || architecture.tensors().iter().map(|tensor| tensor.rows.len() * tensor.inputs()).sum::<usize>();
    let bytes = match target {
        Target::Gpu(gpu) => {
            let placement = Placement::new(architecture, gpu)?;
            let streamed = streamed(architecture, weights, &placement)?;
            return Ok(WeightsMemory { bytes: placement.device_bytes as u64, streamed });
        }
        Target::Cpu(_) if architecture.sees_distances() => (values() * size_of::<f32>()) as u64,
        Target::Cpu(arithmetic) => on_cpu(architecture, weights, *arithmetic)?,
    };
    Ok(WeightsMemory { bytes, streamed: None })
}

/// The layers that do not rest on a GPU.
fn streamed(architecture: &Architecture, weights: &Weights, placement: &Placement) -> Result<Option<StreamedLayers>> {
    let Placement { layers: of, streamed: layers, .. } = *placement;
    let mut host_bytes = 0;
    for (_, layer) in architecture.layers.iter().enumerate().filter(|(index, _)| placement.is_streamed(*index)) {
        for linear in layer.linears() {
            host_bytes += weights.matrix_bytes(&linear.weight)?;
        }
    }
    Ok((layers > 0).then_some(StreamedLayers { layers, of, host_bytes }))
}

/// The tables stay as they are stored, and so do quantized layers, of which one at a time is packed besides.
fn on_cpu(architecture: &Architecture, weights: &Weights, arithmetic: Arithmetic) -> Result<u64> {
    let mut resting = weights.matrix_bytes(&architecture.embedding.tokens)?;
    if let Some(positions) = &architecture.embedding.positions {
        resting += weights.matrix_bytes(&positions.table)?;
    }
    let mut expanded = 0;
    for layer in &architecture.layers {
        let mut packed = 0;
        for linear in linears(layer) {
            let matrix = weights.matrix(&linear.weight)?;
            let bytes = packed_bytes(linear, matrix.stored_as(), arithmetic);
            if rests(matrix.is_quantized(), arithmetic) {
                resting += weights.matrix_bytes(&linear.weight)?;
                packed += bytes;
            } else {
                resting += bytes;
            }
        }
        expanded = expanded.max(packed);
    }
    Ok(resting + expanded)
}

/// Whether a matrix stays as the checkpoint has it: not in int8, in which it takes about as much memory as it does there.
pub(super) fn rests(is_quantized: bool, arithmetic: Arithmetic) -> bool {
    is_quantized && arithmetic.precision != Precision::Int8
}

fn linears(layer: &Layer) -> Vec<&Linear> {
    let attention = &layer.attention;
    let mut linears = vec![&attention.query, &attention.key, &attention.value, &attention.output, layer.mlp.down()];
    linears.extend(layer.mlp.inner());
    linears
}

fn packed_bytes(linear: &Linear, stored: DType, arithmetic: Arithmetic) -> u64 {
    (linear.outputs() * linear.weight.inputs() * arithmetic.weight_bytes(stored)) as u64
}
