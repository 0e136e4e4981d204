//! The matrices of layers, which are nearly all of a model: what they consist of, and their rows in a device's type.

use std::ops::Range;

use anyhow::Result;
use candle_core::DType;
use half::{bf16, f16};
use rayon::prelude::*;

use crate::checkpoint::{RowSource, Weights};
use crate::engine::gpu::{GATE_ROWS, Gpu, Type, Weight, e4m3};
use crate::model::{Activation, Layer, Linear, Mlp, Tensor};

/// The matrices of a layer on a device.
pub(super) struct Matrices {
    /// Outputs of queries, then of keys, then of values.
    pub(super) query_key_value: Weight,
    pub(super) output: Weight,
    /// Outputs of gates, then of ups; or both in the order in which their product is activated at once; or ups alone.
    pub(super) inner: Weight,
    pub(super) down: Weight,
}

/// A matrix that is multiplied as one, and consists of tensors of the same inputs.
pub(super) struct Merged<'a> {
    tensors: Vec<&'a Tensor>,
    order: Order,
}

/// In which order the rows of several tensors stand in a matrix.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Order {
    /// One tensor below the other.
    Below,
    /// [`GATE_ROWS`] of the first, as many of the second, and so on. Both have a multiple of them.
    InTurn,
}

/// The rows of a merged matrix, as the checkpoint has them.
pub(super) struct MergedRows<'a> {
    sources: Vec<Box<dyn RowSource + 'a>>,
    /// The rows of each source that are used.
    counts: Vec<usize>,
    order: Order,
    value: Type,
}

/// Whether the product of an MLP's gates and ups is activated on its way to memory.
pub(super) fn activates_at_once(mlp: &Mlp, gpu: &Gpu) -> bool {
    let Mlp::Gated { gate, up, activation: Activation::Silu, .. } = mlp else { return false };
    gate.bias.is_none() && up.bias.is_none() && gpu.has_gated(gate.weight.inputs(), mlp.intermediate())
}

impl Matrices {
    /// Makes each of a layer's matrices of what it consists of.
    ///
    /// # Errors
    /// The first that `make` returns.
    pub(super) fn make(layer: &Layer, gpu: &Gpu, mut make: impl FnMut(&Merged<'_>) -> Result<Weight>) -> Result<Self> {
        let [query_key_value, output, inner, down] = Merged::of_layer(layer, gpu);
        Ok(Self {
            query_key_value: make(&query_key_value)?,
            output: make(&output)?,
            inner: make(&inner)?,
            down: make(&down)?,
        })
    }

    /// All of them, in the order of [`Merged::of_layer`].
    pub(super) fn all_mut(&mut self) -> [&mut Weight; 4] {
        let Self { query_key_value, output, inner, down } = self;
        [query_key_value, output, inner, down]
    }
}

impl<'a> Merged<'a> {
    /// One tensor below the other.
    pub(super) fn below(tensors: Vec<&'a Tensor>) -> Self {
        Self { tensors, order: Order::Below }
    }

    /// The matrices of a layer, in the order in which a pass needs them.
    pub(super) fn of_layer(layer: &'a Layer, gpu: &Gpu) -> [Self; 4] {
        let attention = &layer.attention;
        let below = |linears: &[&'a Linear]| Self::below(linears.iter().map(|linear| &linear.weight).collect());
        let inner = below(&layer.mlp.inner());
        let order = if activates_at_once(&layer.mlp, gpu) { Order::InTurn } else { Order::Below };
        [
            below(&[&attention.query, &attention.key, &attention.value]),
            below(&[&attention.output]),
            Self { order, ..inner },
            below(&[layer.mlp.down()]),
        ]
    }

    /// What it consists of.
    pub(super) fn tensors(&self) -> &[&'a Tensor] {
        &self.tensors
    }

    /// How many rows, and values in each of them.
    pub(super) fn shape(&self) -> [usize; 2] {
        let inputs = self.tensors.first().map_or(0, |tensor| tensor.inputs());
        [self.tensors.iter().map(|tensor| tensor.rows.len()).sum(), inputs]
    }

    /// Finds the rows in the checkpoint.
    ///
    /// # Errors
    /// If a tensor is missing or of another shape than described.
    pub(super) fn find<'b>(&self, weights: &'b Weights, value: Type) -> Result<MergedRows<'b>> {
        Ok(MergedRows {
            sources: self.tensors.iter().map(|tensor| weights.matrix(tensor)).collect::<Result<_>>()?,
            counts: self.tensors.iter().map(|tensor| tensor.rows.len()).collect(),
            order: self.order,
            value,
        })
    }
}

impl MergedRows<'_> {
    /// Writes as many rows as there is room for, from `first` on, in the device's type.
    pub(super) fn write(&self, first: usize, bytes: &mut [u8]) {
        let inputs = self.sources.first().map_or(0, |source| source.inputs());
        bytes.par_chunks_exact_mut(inputs * self.value.size()).enumerate().for_each_init(
            || vec![0f32; inputs],
            |values, (index, bytes)| {
                let (part, row) = self.place(first + index);
                let source = &self.sources[part];
                match self.stored(part, row..row + 1) {
                    Some(stored) => bytes.copy_from_slice(stored),
                    None => {
                        source.row(row, values);
                        narrow(values, self.value, bytes);
                    }
                }
            },
        );
    }

    /// Some rows in E4M3, and their scales.
    pub(super) fn quantized(&self, rows: Range<usize>) -> (Vec<u8>, Vec<f32>) {
        let inputs = self.sources.first().map_or(0, |source| source.inputs());
        let (mut bytes, mut scales) = (vec![0; rows.len() * inputs], vec![0f32; rows.len()]);
        bytes.par_chunks_exact_mut(inputs).zip(&mut scales).zip(rows).for_each_init(
            || vec![0f32; inputs],
            |values, ((bytes, scale), row)| {
                let (part, row) = self.place(row);
                self.sources[part].row(row, values);
                *scale = e4m3::narrow_row(values, bytes);
            },
        );
        (bytes, scales)
    }

    /// The bytes of whole sources, one below the other, where they need not be changed: an upload can read them where they are.
    pub(super) fn unchanged(&self) -> Option<Vec<&[u8]>> {
        let whole = |(part, count): (usize, &usize)| self.stored(part, 0..*count);
        let parts = || self.counts.iter().enumerate().map(whole).collect();
        if self.order == Order::Below { parts() } else { None }
    }

    /// Rows of a source, if they are stored in the device's type.
    fn stored(&self, part: usize, rows: Range<usize>) -> Option<&[u8]> {
        let source = &self.sources[part];
        same(source.stored_as(), self.value).then(|| source.stored_rows(rows)).flatten()
    }

    /// The source of a row, and the row there.
    fn place(&self, row: usize) -> (usize, usize) {
        match self.order {
            Order::InTurn => {
                let (block, inside) = (row / GATE_ROWS, row % GATE_ROWS);
                (block % self.sources.len(), block / self.sources.len() * GATE_ROWS + inside)
            }
            Order::Below => {
                let mut row = row;
                for (part, &count) in self.counts.iter().enumerate() {
                    if row < count {
                        return (part, row);
                    }
                    row -= count;
                }
                panic!("a matrix has fewer rows")
            }
        }
    }
}

fn same(dtype: DType, value: Type) -> bool {
    matches!((dtype, value), (DType::F32, Type::F32) | (DType::BF16, Type::Bf16) | (DType::F16, Type::F16))
}

/// The values in a device's type.
fn narrow(values: &[f32], value: Type, bytes: &mut [u8]) {
    for (target, wide) in bytes.chunks_exact_mut(value.size()).zip(values) {
        match value {
            Type::F32 => target.copy_from_slice(&wide.to_le_bytes()),
            Type::Bf16 => target.copy_from_slice(&bf16::from_f32(*wide).to_le_bytes()),
            Type::F16 => target.copy_from_slice(&f16::from_f32(*wide).to_le_bytes()),
        }
    }
}
