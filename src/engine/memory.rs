//! The memory that a model's weights take on a device.

use anyhow::Result;
use candle_core::DType;

use super::Target;
use super::cpu::Arithmetic;
use crate::checkpoint::Weights;
use crate::model::{Architecture, Layer, Linear};
use crate::precision::Precision;

/// The bytes that a model's weights take on a device, without what a batch needs besides.
///
/// # Errors
/// If a tensor is missing or of another shape than described.
pub fn weights_memory(architecture: &Architecture, weights: &Weights, target: &Target) -> Result<u64> {
    let values = || architecture.tensors().iter().map(|tensor| tensor.rows.len() * tensor.inputs()).sum::<usize>();
    match target {
        Target::Gpu(gpu) => Ok((values() * gpu.value().size()) as u64),
        Target::Cpu(_) if architecture.sees_distances() => Ok((values() * size_of::<f32>()) as u64),
        Target::Cpu(arithmetic) => on_cpu(architecture, weights, *arithmetic),
    }
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
