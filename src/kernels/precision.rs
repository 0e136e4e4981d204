//! The precision of a product's operands.

use candle_core::{CpuStorage, CustomOp1, DType, Layout, Result, Shape, Tensor, bail};
use half::{bf16, f16};
use rayon::prelude::*;

/// To what the operands of products are rounded. Products are summed in f32, and everything between products is f32.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precision {
    /// Not rounded.
    F32,
    /// 8 bits of precision.
    Bf16,
    /// 11 bits of precision, up to 65,504.
    F16,
}

impl Precision {
    /// The type in which weights are kept: the checkpoint's own where that loses nothing.
    pub fn storage(self, checkpoint: DType) -> DType {
        match self {
            Self::F32 => checkpoint,
            Self::Bf16 => DType::BF16,
            Self::F16 => DType::F16,
        }
    }

    /// Rounds one value, to the nearest with ties to even.
    #[inline]
    pub fn round(self, value: f32) -> f32 {
        match self {
            Self::F32 => value,
            Self::Bf16 => bf16::from_f32(value).to_f32(),
            Self::F16 => f16::from_f32(value).to_f32(),
        }
    }

    /// Rounds a contiguous f32 tensor.
    ///
    /// # Errors
    /// If it is not contiguous f32.
    pub fn round_tensor(self, values: &Tensor) -> Result<Tensor> {
        match self {
            Self::F32 => Ok(values.clone()),
            _ => values.apply_op1_no_bwd(&self),
        }
    }
}

impl CustomOp1 for Precision {
    fn name(&self) -> &'static str {
        "round"
    }

    fn cpu_fwd(&self, values: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let rounded = f32_slice(values, layout)?.par_iter().map(|&value| self.round(value)).collect();
        Ok((CpuStorage::F32(rounded), layout.shape().clone()))
    }
}

/// The values of a contiguous f32 tensor on the CPU.
pub(super) fn f32_slice<'a>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [f32]> {
    match layout.contiguous_offsets() {
        Some((start, end)) => Ok(&storage.as_slice::<f32>()?[start..end]),
        None => bail!("the kernel needs a contiguous tensor"),
    }
}
