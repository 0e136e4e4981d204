//! SwiGLU (Shazeer, 2020): `silu(gate) · up`.

use candle_core::{CpuStorage, CustomOp2, Layout, Result, Shape, Tensor};
use rayon::prelude::*;

use super::precision::f32_slice;

/// `silu(gate) · up`, element by element, of two f32 tensors of one shape.
///
/// # Errors
/// If the shapes differ.
pub fn swiglu(gate: &Tensor, up: &Tensor) -> Result<Tensor> {
    gate.apply_op2_no_bwd(up, &SwiGlu)
}

struct SwiGlu;

impl CustomOp2 for SwiGlu {
    fn name(&self) -> &'static str {
        "swiglu"
    }

    fn cpu_fwd(&self, s1: &CpuStorage, l1: &Layout, s2: &CpuStorage, l2: &Layout) -> Result<(CpuStorage, Shape)> {
        if l1.dims() != l2.dims() {
            candle_core::bail!("swiglu of {:?} and {:?}", l1.dims(), l2.dims());
        }
        let (gate, up) = (f32_slice(s1, l1)?, f32_slice(s2, l2)?);
        let output = gate.par_iter().zip(up).map(|(&gate, &up)| gate / (1. + (-gate).exp()) * up).collect();
        Ok((CpuStorage::F32(output), l1.shape().clone()))
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    #[test]
    fn it_is_silu_times_up_without_overflow() -> Result<()> {
        let gate = Tensor::new(&[-200f32, -1., 0., 1., 200.], &Device::Cpu)?;
        let up = Tensor::new(&[3f32, 2., 5., 2., 1.], &Device::Cpu)?;
        let values = swiglu(&gate, &up)?.to_vec1::<f32>()?;
        for (value, expected) in values.iter().zip([0., -0.537_882_84, 0., 1.462_117_2, 200.]) {
            assert!((value - expected).abs() < 1e-6, "{value} {expected}");
        }
        Ok(())
    }
}
