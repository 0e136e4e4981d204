//! The two matrices of a module, as they are stored.

use std::ops::Range;

use anyhow::{Result, bail, ensure};
use candle_core::DType;
use safetensors::Dtype;

use super::rows::Product;
use crate::checkpoint::safetensors_file::{Entry, Mapped};
use crate::checkpoint::{RowSource, StoredRows};

/// Two matrices of low rank, whose product is added to a module's weights.
#[derive(Clone, Copy)]
pub(super) struct Matrices<'a> {
    a: StoredRows<'a>,
    b: StoredRows<'a>,
    /// Values in a row of the module's weights.
    inputs: usize,
    rank: usize,
    scale: f32,
    is_embedding: bool,
}

/// What the matrices of a module should be.
pub(super) struct Expected {
    /// Rows of the module's weights.
    pub(super) outputs: usize,
    /// Values in a row of them.
    pub(super) inputs: usize,
    pub(super) rank: usize,
    pub(super) scale: f32,
    /// Whether they are those of an embedding, whose rows are the columns of the first.
    pub(super) is_embedding: bool,
}

impl Expected {
    /// The shapes of both matrices.
    pub(super) fn shapes(&self) -> [[usize; 2]; 2] {
        let Self { outputs, inputs, rank, is_embedding, .. } = *self;
        if is_embedding { [[rank, outputs], [inputs, rank]] } else { [[rank, inputs], [outputs, rank]] }
    }
}

impl<'a> Matrices<'a> {
    /// Takes the matrices out of a file, whose shapes are checked.
    pub(super) fn new(file: &'a Mapped, [a, b]: [&Entry; 2], expected: &Expected) -> Result<Self> {
        let [[_, a_inputs], [_, b_inputs]] = expected.shapes();
        let rows = |entry: &Entry, inputs| {
            Ok::<_, anyhow::Error>(StoredRows { dtype: dtype(entry)?, bytes: file.bytes(entry), inputs })
        };
        Ok(Self {
            a: rows(a, a_inputs)?,
            b: rows(b, b_inputs)?,
            inputs: expected.inputs,
            rank: expected.rank,
            scale: expected.scale,
            is_embedding: expected.is_embedding,
        })
    }

    /// The matrices in f32, for some rows of the module's weights.
    pub(super) fn product(&self, rows: Range<usize>) -> Product {
        let Self { rank, scale, .. } = *self;
        let (a, mut b) = match self.is_embedding {
            // Both are transposed: an embedding's rows are columns of the first.
            true => (transposed(&widened(&self.b, 0..self.inputs), rank), columns(&self.a, rank, rows)),
            false => (widened(&self.a, 0..rank), widened(&self.b, rows)),
        };
        b.iter_mut().for_each(|value| *value *= scale);
        Product { a, b, rank }
    }
}

/// The type of a tensor's values.
///
/// # Errors
/// If it is none of floats.
pub(super) fn dtype(entry: &Entry) -> Result<DType> {
    Ok(match entry.dtype {
        Dtype::F64 => DType::F64,
        Dtype::F32 => DType::F32,
        Dtype::F16 => DType::F16,
        Dtype::BF16 => DType::BF16,
        other => bail!("is of type {other:?}; rerank reads f64, f32, f16 and bf16"),
    })
}

/// Checks the shape of a tensor.
pub(super) fn check_shape(entry: &Entry, shape: &[usize]) -> Result<()> {
    ensure!(entry.shape == shape, "has shape {:?}, and should have {shape:?}", entry.shape);
    Ok(())
}

/// Some rows in f32.
pub(super) fn widened(stored: &StoredRows<'_>, rows: Range<usize>) -> Vec<f32> {
    let mut values = vec![0.; rows.len() * stored.inputs];
    for (row, values) in rows.zip(values.chunks_exact_mut(stored.inputs.max(1))) {
        stored.row(row, values);
    }
    values
}

/// Some columns of `rank` rows in f32, each as a row.
fn columns(stored: &StoredRows<'_>, rank: usize, columns: Range<usize>) -> Vec<f32> {
    let mut values = vec![0.; columns.len() * rank];
    let mut whole = vec![0.; stored.inputs];
    for row in 0..rank {
        stored.row(row, &mut whole);
        let targets = values.iter_mut().skip(row).step_by(rank.max(1));
        let column = whole.iter().skip(columns.start).take(columns.len());
        targets.zip(column).for_each(|(target, value)| *target = *value);
    }
    values
}

/// A matrix whose rows have `columns` values, transposed.
fn transposed(matrix: &[f32], columns: usize) -> Vec<f32> {
    (0..columns).flat_map(|column| matrix.iter().skip(column).step_by(columns.max(1)).copied()).collect()
}
