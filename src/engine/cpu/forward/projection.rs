//! A linear layer of the description, packed, and its bias.

use std::ops::Range;

use anyhow::Result;

use super::expansion::Free;
use crate::checkpoint::{RowSource, Weights};
use crate::engine::cpu::{Arithmetic, Linear, PANEL, Panels, Source, add_bias};
use crate::engine::rests;
use crate::model::{self, Heads, Tensor};

/// A linear layer, and its bias if it has one.
pub(super) struct Projection {
    pub(super) linear: Linear,
    /// Filled up as the outputs are; empty without bias.
    bias: Vec<f32>,
    arithmetic: Arithmetic,
    /// Where the weights are, if they are packed anew for each batch.
    resting: Option<Resting>,
}

/// Weights that stay as the checkpoint has them.
struct Resting {
    matrices: Vec<Tensor>,
    sources: Vec<Source>,
}

impl Projection {
    /// Reads layers of the same inputs whose outputs are computed together. `sources` names the outputs in their order.
    ///
    /// # Errors
    /// If a tensor is missing or of another shape than described.
    pub(super) fn load(
        layers: &[&model::Linear],
        sources: &[Source],
        weights: &Weights,
        arithmetic: Arithmetic,
    ) -> Result<Self> {
        let matrices = layers.iter().map(|layer| weights.matrix(&layer.weight)).collect::<Result<Vec<_>>>()?;
        let matrices: Vec<&dyn RowSource> = matrices.iter().map(AsRef::as_ref).collect();
        let rests = rests(matrices.iter().any(|matrix| matrix.is_quantized()), arithmetic);
        let linear = match rests {
            true => Linear::unpacked(&matrices, sources.len(), arithmetic)?,
            false => Linear::new(&matrices, sources, arithmetic)?,
        };
        let resting = rests.then(|| Resting {
            matrices: layers.iter().map(|layer| layer.weight.clone()).collect(),
            sources: sources.to_vec(),
        });
        layers.iter().for_each(|layer| weights.release(&layer.weight));
        let mut bias = Vec::new();
        if layers.iter().any(|layer| layer.bias.is_some()) {
            let of = |layer: &&model::Linear| match &layer.bias {
                Some(bias) => weights.vector(bias),
                None => Ok(vec![0.; layer.outputs()]),
            };
            let values = layers.iter().map(of).collect::<Result<Vec<_>>>()?;
            bias.extend(sources.iter().map(|source| source.map_or(0., |(layer, output)| values[layer][output])));
            bias.resize(bias.len().next_multiple_of(PANEL), 0.);
        }
        Ok(Self { linear, bias, arithmetic, resting })
    }

    /// Whether the weights stay as the checkpoint has them, and are packed anew for each batch.
    pub(super) fn rests(&self) -> bool {
        self.resting.is_some()
    }

    /// Packs weights that rest.
    ///
    /// # Errors
    /// As [`Projection::load`].
    pub(super) fn expand(&mut self, weights: &Weights, free: &mut Free) -> Result<()> {
        let Some(Resting { matrices, sources }) = &self.resting else { return Ok(()) };
        let matrices = matrices.iter().map(|matrix| weights.matrix(matrix)).collect::<Result<Vec<_>>>()?;
        let matrices: Vec<&dyn RowSource> = matrices.iter().map(AsRef::as_ref).collect();
        self.linear.pack(&matrices, sources, free.pop().unwrap_or_default());
        Ok(())
    }

    /// Gives back the memory of weights that rest.
    pub(super) fn rest(&mut self, free: &mut Free) {
        if self.resting.is_some() {
            free.push(self.linear.unpack());
        }
    }

    /// The bias of some panels of outputs; nothing without bias.
    pub(super) fn bias(&self, panels: Range<usize>) -> &[f32] {
        if self.bias.is_empty() { &[] } else { &self.bias[panels.start * PANEL..panels.end * PANEL] }
    }

    /// The bias of all outputs.
    pub(super) fn whole_bias(&self) -> &[f32] {
        &self.bias
    }

    /// Adds the bias of some panels to their products.
    pub(super) fn add_bias(&self, panels: Range<usize>, products: &mut Panels<'_>) {
        let bias = self.bias(panels);
        if !bias.is_empty() {
            add_bias(self.arithmetic.level, products, bias);
        }
    }
}

/// All outputs of one layer, as they are.
pub(super) fn as_they_are(outputs: usize) -> Vec<Source> {
    (0..outputs).map(|row| Some((0, row))).collect()
}

/// The outputs of `count` heads, each filled up to whole panels.
pub(super) fn by_head(heads: Heads, count: usize) -> Vec<Source> {
    let width = heads.panels() * PANEL;
    let row =
        |output: usize| (output % width < heads.head_dim).then(|| output / width * heads.head_dim + output % width);
    (0..count * width).map(|output| row(output).map(|row| (0, row))).collect()
}

/// The outputs of two layers, a panel of each in turn.
pub(super) fn in_turn(outputs: usize) -> Vec<Source> {
    (0..outputs.next_multiple_of(PANEL) * 2)
        .map(|output| (output / PANEL % 2, output / (2 * PANEL) * PANEL + output % PANEL))
        .map(|(part, row)| (row < outputs).then_some((part, row)))
        .collect()
}
