//! A linear layer: weights kept as small as the precision allows, widened to f32 for candle's product.

use candle_core::{CpuStorage, CustomOp1, DType, Device, Layout, Result, Shape, Tensor, bail};
use rayon::prelude::*;

use super::precision::Precision;
use super::product::product;

/// Weights are widened in blocks of output features, so that the f32 copy stays at about so many values (64 MiB).
const WIDENED_VALUES: usize = 16 << 20;

/// `y = x · Wᵀ`, without bias.
#[derive(Clone, Debug)]
pub struct Linear {
    weight: Tensor,
    precision: Precision,
}

impl Linear {
    /// Takes a weight of shape `(out, in)` in f32, bf16 or f16.
    ///
    /// # Errors
    /// If it can't be converted.
    pub fn new(weight: &Tensor, precision: Precision) -> Result<Self> {
        let weight = weight.to_dtype(precision.storage(weight.dtype()))?.contiguous()?;
        Ok(Self { weight, precision })
    }

    /// `(tokens, in)` to `(tokens, out)`, both f32.
    ///
    /// # Errors
    /// If the shapes don't fit.
    pub fn forward(&self, input: &Tensor) -> Result<Tensor> {
        let inputs = self.weight.dim(1)?;
        self.forward_in_blocks(&self.precision.round_tensor(input)?, (WIDENED_VALUES / inputs).max(1))
    }

    fn forward_in_blocks(&self, input: &Tensor, block: usize) -> Result<Tensor> {
        let outputs = self.weight.dim(0)?;
        let mut parts = Vec::new();
        for start in (0..outputs).step_by(block) {
            let rows = self.weight.narrow(0, start, block.min(outputs - start))?;
            parts.push(product(input, &widen(&rows)?)?);
        }
        match parts.as_slice() {
            [whole] => Ok(whole.clone()),
            _ => Tensor::cat(&parts, 1),
        }
    }
}

/// f32 values of a contiguous tensor; exact for every type that it takes.
///
/// # Errors
/// If the type is none of f32, bf16 and f16.
pub(super) fn widen(weight: &Tensor) -> Result<Tensor> {
    match (weight.dtype(), weight.device()) {
        (DType::F32, _) => Ok(weight.clone()),
        (_, Device::Cpu) => weight.apply_op1_no_bwd(&Widen),
        _ => weight.to_dtype(DType::F32),
    }
}

struct Widen;

impl CustomOp1 for Widen {
    fn name(&self) -> &'static str {
        "widen"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let Some((start, end)) = layout.contiguous_offsets() else { bail!("widen needs a contiguous tensor") };
        let wide: Vec<f32> = match storage {
            CpuStorage::BF16(values) => values[start..end].par_iter().map(|value| value.to_f32()).collect(),
            CpuStorage::F16(values) => values[start..end].par_iter().map(|value| value.to_f32()).collect(),
            _ => bail!("widen takes bf16 and f16"),
        };
        Ok((CpuStorage::F32(wide), layout.shape().clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operands_are_rounded_and_sums_are_not() -> Result<()> {
        // 1 + 2⁻⁹ is 1 in bf16; 256 such products sum to 256 in f32, where a bf16 sum would stop growing.
        let weight = Tensor::full(1f32 + 1. / 512., (1, 300), &Device::Cpu)?;
        let input = Tensor::ones((2, 300), DType::F32, &Device::Cpu)?;
        let bf16 = Linear::new(&weight, Precision::Bf16)?.forward(&input)?.to_vec2::<f32>()?;
        let exact = Linear::new(&weight, Precision::F32)?.forward(&input)?.to_vec2::<f32>()?;
        assert_eq!(bf16, [[300.], [300.]]);
        assert_eq!(exact, [[300.585_94], [300.585_94]]);
        Ok(())
    }

    #[test]
    fn a_large_weight_is_widened_in_blocks() -> Result<()> {
        let weight = Tensor::randn(0f32, 1., (300, 40), &Device::Cpu)?.to_dtype(DType::BF16)?;
        let input = Tensor::randn(0f32, 1., (90, 40), &Device::Cpu)?;
        let layer = Linear::new(&weight, Precision::F32)?;
        let whole = layer.forward(&input)?.to_vec2::<f32>()?;
        for block in [1, 7, 128, 299] {
            assert_eq!(layer.forward_in_blocks(&input, block)?.to_vec2::<f32>()?, whole, "{block} at a time");
        }
        Ok(())
    }

    #[test]
    fn narrow_checkpoints_stay_narrow_in_f32() -> Result<()> {
        let weight = Tensor::randn(0f32, 1., (70, 33), &Device::Cpu)?.to_dtype(DType::BF16)?;
        let layer = Linear::new(&weight, Precision::F32)?;
        assert_eq!(layer.weight.dtype(), DType::BF16);
        let input = Tensor::randn(0f32, 1., (9, 33), &Device::Cpu)?;
        let wide = Linear::new(&weight.to_dtype(DType::F32)?, Precision::F32)?;
        assert_eq!(layer.forward(&input)?.to_vec2::<f32>()?, wide.forward(&input)?.to_vec2::<f32>()?);
        Ok(())
    }
}
