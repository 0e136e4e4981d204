//! Rows of a matrix with what an adapter adds to them.

use std::ops::Range;
use std::sync::OnceLock;

use candle_core::DType;

use super::Matrices;
use crate::checkpoint::RowSource;
use crate::engine::cpu::Level;
use crate::engine::cpu::level::for_each_level;

/// `W + B · A`, in f32, a row when it is asked for.
pub(super) struct MergedRows<'a> {
    base: Box<dyn RowSource + 'a>,
    matrices: Matrices<'a>,
    /// The rows of the whole matrix that are meant.
    rows: Range<usize>,
    product: OnceLock<Product>,
    level: Level,
}

/// `B · A`, where B has the scale in it.
pub(super) struct Product {
    /// `(rank, inputs)`.
    pub(super) a: Vec<f32>,
    /// `(rows, rank)`.
    pub(super) b: Vec<f32>,
    pub(super) rank: usize,
}

impl<'a> MergedRows<'a> {
    pub(super) fn new(base: Box<dyn RowSource + 'a>, matrices: Matrices<'a>, rows: Range<usize>) -> Self {
        Self { base, matrices, rows, product: OnceLock::new(), level: Level::available() }
    }
}

impl RowSource for MergedRows<'_> {
    fn inputs(&self) -> usize {
        self.base.inputs()
    }

    fn stored_as(&self) -> DType {
        // Merged values are none of those that a narrower type has.
        DType::F32
    }

    fn form(&self) -> String {
        self.base.form()
    }

    fn is_quantized(&self) -> bool {
        self.base.is_quantized()
    }

    #[expect(clippy::indexing_slicing, reason = "the shapes of both matrices are checked when the adapter is read")]
    fn row(&self, row: usize, values: &mut [f32]) {
        self.base.row(row, values);
        // Where tensors are only looked for, nothing is computed.
        let Product { a, b, rank } = self.product.get_or_init(|| self.matrices.product(self.rows.clone()));
        add(self.level, values, &b[row * rank..][..*rank], a);
    }

    fn stored_rows(&self, _: Range<usize>) -> Option<&[u8]> {
        None
    }
}

for_each_level! {
    /// Adds the rows of a matrix, each multiplied by a factor, one after the other: the sums are the same at every level.
    fn add(values: &mut [f32], factors: &[f32], matrix: &[f32]) {
        const TOGETHER: usize = 4;
        let inputs = values.len();
        let (fours, rest) = factors.as_chunks::<TOGETHER>();
        let (rows_of_fours, rows_of_rest) = matrix.split_at(fours.len() * TOGETHER * inputs);
        for (factors, rows) in fours.iter().zip(rows_of_fours.chunks_exact((TOGETHER * inputs).max(1))) {
            let (first, second) = rows.split_at(2 * inputs);
            let ((a, b), (c, d)) = (first.split_at(inputs), second.split_at(inputs));
            let rows = a.iter().zip(b).zip(c.iter().zip(d));
            for (value, ((a, b), (c, d))) in values.iter_mut().zip(rows) {
                *value = *value + factors[0] * a + factors[1] * b + factors[2] * c + factors[3] * d;
            }
        }
        for (factor, row) in rest.iter().zip(rows_of_rest.chunks_exact(inputs.max(1))) {
            for (value, added) in values.iter_mut().zip(row) {
                *value += factor * added;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_are_the_same_at_every_level() {
        let mut random = crate::random::Random(7);
        let mut next =
            |count: usize| -> Vec<f32> { (0..count).map(|_| random.below(2001) as f32 / 1000. - 1.).collect() };
        for (inputs, rank) in [(1, 1), (37, 3), (64, 4), (100, 9), (5, 16)] {
            let (base, factors, matrix) = (next(inputs), next(rank), next(rank * inputs));
            let by_level: Vec<Vec<f32>> = Level::all()
                .map(|level| {
                    let mut values = base.clone();
                    add(level, &mut values, &factors, &matrix);
                    values
                })
                .collect();
            for (index, found) in by_level[0].iter().enumerate() {
                let terms = factors.iter().zip(matrix.iter().skip(index).step_by(inputs));
                let exact = f64::from(base[index]) + terms.map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
                assert!((f64::from(*found) - exact).abs() < 1e-5, "{inputs} inputs, rank {rank}");
            }
            assert!(by_level.iter().all(|values| *values == by_level[0]), "{inputs} inputs, rank {rank}");
        }
    }
}
