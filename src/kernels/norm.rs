//! RMSNorm (Zhang and Sennrich, 2019): `x · w / √(mean(x²) + ε)`.

use candle_core::{CpuStorage, CustomOp2, Layout, Result, Shape, Tensor};
use rayon::prelude::*;

use super::precision::f32_slice;

/// Partial sums of a row: independent, so that they run in vector lanes; always as many, so that the order is fixed.
const LANES: usize = 16;

/// Normalizes rows of the weight's length, all f32: every row of `(tokens, features)` with a weight of `(features)`, or
/// every head of `(tokens, heads · head_dim)` with one weight of `(head_dim)`, as Qwen3 does with queries and keys.
///
/// # Errors
/// If the shapes don't fit.
pub fn rms_norm(input: &Tensor, weight: &Tensor, epsilon: f32) -> Result<Tensor> {
    input.apply_op2_no_bwd(weight, &RmsNorm { epsilon })
}

struct RmsNorm {
    epsilon: f32,
}

impl CustomOp2 for RmsNorm {
    fn name(&self) -> &'static str {
        "rms-norm"
    }

    fn cpu_fwd(&self, s1: &CpuStorage, l1: &Layout, s2: &CpuStorage, l2: &Layout) -> Result<(CpuStorage, Shape)> {
        let (input, weight) = (f32_slice(s1, l1)?, f32_slice(s2, l2)?);
        let mut output = vec![0f32; input.len()];
        output.par_chunks_mut(weight.len()).zip(input.par_chunks(weight.len())).for_each(|(output, row)| {
            let scale = 1. / (sum_of_squares(row) / row.len() as f32 + self.epsilon).sqrt();
            for ((output, value), weight) in output.iter_mut().zip(row).zip(weight) {
                *output = value * scale * weight;
            }
        });
        Ok((CpuStorage::F32(output), l1.shape().clone()))
    }
}

fn sum_of_squares(row: &[f32]) -> f32 {
    let mut lanes = [0f32; LANES];
    let (chunks, rest) = row.as_chunks::<LANES>();
    for chunk in chunks {
        for (lane, value) in lanes.iter_mut().zip(chunk) {
            *lane += value * value;
        }
    }
    for (lane, value) in lanes.iter_mut().zip(rest) {
        *lane += value * value;
    }
    lanes.iter().sum()
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    #[test]
    fn rows_and_heads_agree_with_candle() -> Result<()> {
        let weight = Tensor::randn(1f32, 0.2, 48, &Device::Cpu)?;
        let input = Tensor::randn(0f32, 3., (7, 3 * 48), &Device::Cpu)?;
        let ours = rms_norm(&input, &weight, 1e-6)?.reshape((21, 48))?;
        let candle = candle_nn::ops::rms_norm(&input.reshape((21, 48))?, &weight, 1e-6)?;
        let difference = (ours - candle)?.abs()?.max_all()?.to_scalar::<f32>()?;
        assert!(difference < 2e-6, "{difference}");
        Ok(())
    }
}
