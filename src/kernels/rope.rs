//! Rotary position embedding (Su et al., 2021), in the half-split layout of GPT-NeoX: feature `i` of a head turns
//! together with feature `i + head_dim / 2`.

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor, bail};
use rayon::prelude::*;

use super::precision::f32_slice;

/// Cosines and sines for the tokens of one batch.
pub struct Rope {
    cosines: Vec<f32>,
    sines: Vec<f32>,
    head_dim: usize,
}

impl Rope {
    /// For tokens at `positions`.
    ///
    /// The angles are computed in f32 as the reference (transformers) does: at position 30,000 the rounding of
    /// `position · frequency` is visible in the result.
    pub fn new(positions: &[u32], head_dim: usize, theta: f64) -> Self {
        let frequencies: Vec<f32> = (0..head_dim / 2)
            .map(|pair| 1. / theta.powf(f64::from((2 * pair) as f32 / head_dim as f32)) as f32)
            .collect();
        let angles = || positions.iter().flat_map(|&position| frequencies.iter().map(move |f| position as f32 * f));
        Self {
            cosines: angles().map(|angle| f64::from(angle).cos() as f32).collect(),
            sines: angles().map(|angle| f64::from(angle).sin() as f32).collect(),
            head_dim,
        }
    }

    /// For some of the tokens, by index.
    pub fn select(&self, tokens: &[usize]) -> Self {
        let half = self.head_dim / 2;
        let rows = |table: &[f32]| tokens.iter().flat_map(|token| table[token * half..][..half].to_vec()).collect();
        Self { cosines: rows(&self.cosines), sines: rows(&self.sines), head_dim: self.head_dim }
    }

    /// Turns every head of `(tokens, heads · head_dim)`, f32.
    ///
    /// # Errors
    /// If the shape is another one.
    pub fn turn(&self, input: &Tensor) -> Result<Tensor> {
        input.apply_op1_no_bwd(&Turn(self))
    }
}

struct Turn<'a>(&'a Rope);

impl CustomOp1 for Turn<'_> {
    fn name(&self) -> &'static str {
        "rope"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let Self(rope) = self;
        let (tokens, features) = layout.shape().dims2()?;
        let half = rope.head_dim / 2;
        if tokens * half != rope.cosines.len() || !features.is_multiple_of(rope.head_dim) {
            bail!("rope for {} angles on {tokens} × {features}", rope.cosines.len());
        }
        let mut output = f32_slice(storage, layout)?.to_vec();
        output.par_chunks_mut(features).enumerate().for_each(|(token, row)| {
            let (cosines, sines) = (&rope.cosines[token * half..][..half], &rope.sines[token * half..][..half]);
            for head in row.chunks_exact_mut(rope.head_dim) {
                let (first, second) = head.split_at_mut(half);
                for (((one, other), cosine), sine) in first.iter_mut().zip(second).zip(cosines).zip(sines) {
                    (*one, *other) = (*one * cosine - *other * sine, *other * cosine + *one * sine);
                }
            }
        });
        Ok((CpuStorage::F32(output), layout.shape().clone()))
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    #[test]
    fn it_agrees_with_candle_at_any_position() -> Result<()> {
        let positions = [0u32, 1, 2, 77, 900, 31_999];
        let (heads, head_dim) = (3, 16);
        let input = Tensor::randn(0f32, 1., (positions.len(), heads * head_dim), &Device::Cpu)?;
        let rope = Rope::new(&positions, head_dim, 1e6);
        let table = |values: &[f32]| Tensor::from_slice(values, (positions.len(), head_dim / 2), &Device::Cpu);
        let candle = candle_nn::rotary_emb::rope_thd(
            &input.reshape((1, positions.len(), heads, head_dim))?,
            &table(&rope.cosines)?,
            &table(&rope.sines)?,
        )?;
        let ours = rope.turn(&input)?;
        let difference = (&ours - candle.reshape(ours.shape())?)?.abs()?.max_all()?.to_scalar::<f32>()?;
        assert!(difference < 1e-6, "{difference}");

        let some = rope.select(&[3, 5]).turn(&input.index_select(&Tensor::new(&[3u32, 5], &Device::Cpu)?, 0)?)?;
        assert_eq!(some.to_vec2::<f32>()?, [ours.to_vec2::<f32>()?[3].clone(), ours.to_vec2::<f32>()?[5].clone()]);
        Ok(())
    }

    #[test]
    fn turning_keeps_lengths_and_relative_angles() -> Result<()> {
        let (head_dim, one) = (8, [0.3f32, -1.2, 0.7, 0.1, 2., 0.4, -0.6, 1.1]);
        let other = [1.5f32, 0.2, -0.9, 0.8, -0.3, 1.7, 0.5, -1.4];
        let dot_at = |left: u32, right: u32| -> Result<f32> {
            let turn = |values: &[f32], position| {
                Rope::new(&[position], head_dim, 1e4).turn(&Tensor::from_slice(values, (1, head_dim), &Device::Cpu)?)
            };
            (turn(&one, left)? * turn(&other, right)?)?.sum_all()?.to_scalar()
        };
        assert!((dot_at(5, 9)? - dot_at(105, 109)?).abs() < 1e-4);
        assert!((dot_at(5, 9)? - dot_at(5, 12)?).abs() > 1e-3);
        Ok(())
    }
}
