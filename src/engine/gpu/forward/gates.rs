//! The weights of gates and ups in the order in which their product with SwiGLU takes them.

use std::borrow::Cow;

use anyhow::Result;
use rayon::prelude::*;

use super::weights::{Load, converted, same};
use crate::engine::gpu::{GATE_ROWS, Gpu, Weight};
use crate::model::{Activation, Mlp, Tensor};

/// Rows that are copied to the device at once.
const ROWS: usize = 1024;

/// Whether the product of an MLP's gates and ups is activated on its way to memory.
pub(super) fn activates_at_once(mlp: &Mlp, gpu: &Gpu) -> bool {
    let Mlp::Gated { gate, up, activation: Activation::Silu, .. } = mlp else { return false };
    gate.bias.is_none() && up.bias.is_none() && gpu.has_gated(gate.weight.inputs(), mlp.intermediate())
}

impl Load<'_> {
    /// Eight rows of gates, then the eight of ups of the same features, and so on; features are a multiple of eight.
    pub(super) fn gates_and_ups(&self, tensors: [&Tensor; 2]) -> Result<Weight> {
        let (features, inputs) = (tensors[0].rows.len(), tensors[0].inputs());
        let mut weight = self.gpu.weight(2 * features, inputs)?;
        let value = self.gpu.value();
        let sources = [self.weights.matrix(tensors[0])?, self.weights.matrix(tensors[1])?];
        let parts = sources.each_ref().map(|rows| {
            let is_same = same(rows.stored_as(), value);
            match rows.stored_rows(0..features).filter(|_| is_same) {
                Some(bytes) => Cow::Borrowed(bytes),
                None => Cow::Owned(converted(rows.as_ref(), features, value)),
            }
        });
        let block = GATE_ROWS * inputs * value.size();
        for first in (0..2 * features).step_by(ROWS) {
            let mut bytes = vec![0u8; ROWS.min(2 * features - first) / GATE_ROWS * block];
            bytes.par_chunks_exact_mut(block).enumerate().for_each(|(index, bytes)| {
                let index = first / GATE_ROWS + index;
                bytes.copy_from_slice(&parts[index % 2][index / 2 * block..][..block]);
            });
            weight.fill(first, &bytes)?;
        }
        drop(parts);
        tensors.iter().for_each(|tensor| self.weights.release(tensor));
        Ok(weight)
    }
}
