//! Products whose rows don't depend on one another.
//!
//! candle multiplies f32 matrices with the `gemm` crate, which sums every element of the result in one order: fused
//! multiply-adds along the inner dimension, in runs whose length depends on that dimension alone. Two shortcuts for small
//! matrices break the rule (read in gemm 0.19, `gemm_basic_generic`): one row or column, or at most 256 results, are
//! summed across vector lanes; and at most 64 × 64 results take another run length. Padding with zero rows keeps clear of
//! both. (A third, for an inner dimension of one or two, sums in the same order.)

use candle_core::{D, Result, Tensor};

/// gemm's other run length is for results of at most so many rows and columns.
const SMALL: usize = 64;
/// Rows that keep clear of the other shortcut when there are more than [`SMALL`] columns.
const FEW: usize = 8;

/// `left · rightᵀ`: f32 `(rows, inner)` times `(columns, inner)`, summed in f32, to `(rows, columns)`.
///
/// # Errors
/// If the shapes don't fit.
pub(super) fn product(left: &Tensor, right: &Tensor) -> Result<Tensor> {
    let (rows, columns) = (left.dim(0)?, right.dim(0)?);
    if columns < FEW {
        let padded = right.pad_with_zeros(0, 0, FEW - columns)?;
        return product(left, &padded)?.narrow(D::Minus1, 0, columns)?.contiguous();
    }
    let needed = if columns > SMALL { FEW } else { SMALL + 1 };
    if rows >= needed {
        return left.matmul(&right.t()?);
    }
    left.pad_with_zeros(0, 0, needed - rows)?.matmul(&right.t()?)?.narrow(0, 0, rows)
}

#[cfg(test)]
mod tests {
    use candle_core::Device;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn a_row_is_the_same_alone_and_among_others(rows in 1usize..150, inner in 3usize..1300, columns in 1usize..150) {
            let left = Tensor::randn(0f32, 1., (rows, inner), &Device::Cpu)?;
            let right = Tensor::randn(0f32, 1., (columns, inner), &Device::Cpu)?;
            let together = product(&left, &right)?.to_vec2::<f32>()?;
            for row in [0, rows / 2, rows - 1] {
                let alone = product(&left.narrow(0, row, 1)?, &right)?.to_vec2::<f32>()?;
                prop_assert_eq!(&alone[0], &together[row]);
            }
            let exact = left.to_dtype(candle_core::DType::F64)?.matmul(&right.to_dtype(candle_core::DType::F64)?.t()?)?;
            let exact = exact.to_vec2::<f64>()?;
            for (row, exact) in together.iter().zip(&exact) {
                for (value, exact) in row.iter().zip(exact) {
                    prop_assert!((f64::from(*value) - exact).abs() < 2e-5 * (inner as f64).sqrt() + 1e-4 * exact.abs());
                }
            }
        }
    }
}
