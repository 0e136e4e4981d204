//! The self-test of the product of gates and ups: on this card it must compute what a product in memory and SwiGLU of it do.

use anyhow::Result;

use super::device::Type;
use super::gated::GATE_ROWS;
use super::operations::{Gpu, Rows};
use crate::random::Random;

/// Rows: the second tile of the second cluster has none, and the first not all.
const ROWS: usize = 300;
/// Inputs: more than three steps, the last not whole.
const INPUTS: usize = 200;
/// Features of a tile.
const TILE: usize = 64;
/// The last tile has fewer.
const LACKING: usize = 24;

impl Gpu {
    /// Tests the kernel, if the device has it. Where it is wrong it is not used any more; the warning that is returned says so.
    ///
    /// # Errors
    /// If the device fails.
    pub fn self_test_gated(&mut self) -> Result<Option<String>> {
        let whole = self.unquantized();
        if !whole.has_gated(INPUTS, TILE) {
            return Ok(None);
        }
        // Two tiles to a column of clusters: most warpgroups get a second one, and some of the first a third.
        let tiles = (3 * self.gated_clusters()).div_ceil(2);
        let deviation = whole.gated_deviation(tiles * TILE - LACKING)?;
        let tolerance = if self.value() == Type::Bf16 { 0.03 } else { 0.004 };
        if deviation <= tolerance {
            return Ok(None);
        }
        self.gated_is_wrong = true;
        Ok(Some(format!(
            "the product of gates and ups is off by {deviation} on this GPU and is not used, which is slower; please report it"
        )))
    }

    /// How far results are from the product and SwiGLU of it, as a share of one and their size.
    fn gated_deviation(&self, features: usize) -> Result<f32> {
        let mut random = Random(0x6a7ed);
        // Sums are about as large as one.
        let mut values = |count: usize, scale: f32| -> Vec<f32> {
            (0..count).map(|_| (random.below(1 << 16) as f32 / (1 << 15) as f32 - 1.) * scale).collect()
        };
        let (left, merged) = (values(ROWS * INPUTS, 1.), values(2 * features * INPUTS, 0.2));
        let left = self.narrowed(&left)?;
        let (gates, ups) = merged.split_at(features * INPUTS);
        let blocks = gates.chunks_exact(GATE_ROWS * INPUTS).zip(ups.chunks_exact(GATE_ROWS * INPUTS));
        let interleaved: Vec<f32> = blocks.flat_map(|(gates, ups)| gates.iter().chain(ups)).copied().collect();
        let weight = |values: &[f32]| -> Result<_> {
            let mut weight = self.weight(2 * features, INPUTS)?;
            weight.memory = self.narrowed(values)?;
            Ok(weight)
        };
        // Not numbers, so that what is not written is seen.
        let [products, expected, results] =
            [2 * features, features, features].map(|width| self.narrowed(&vec![f32::NAN; ROWS * width]));
        let (products, expected, results) = (products?, expected?, results?);
        let input = Rows::new(&left, ROWS, INPUTS);
        let of_products = Rows::new(&products, ROWS, 2 * features);
        let weights = weight(&merged)?;
        let product = self.product(input.into(), (&weights, 0..2 * features), of_products, false);
        // SAFETY: the memory was checked.
        unsafe { self.device().multiply_freely(&product) }?;
        self.swiglu(of_products, Rows::new(&expected, ROWS, features))?;
        self.multiply_gated(input, &weight(&interleaved)?, Rows::new(&results, ROWS, features))?;
        let (expected, results) = (self.widened(&expected)?, self.widened(&results)?);
        let deviations = results.iter().zip(&expected).map(|(one, other)| (one - other).abs() / (1. + other.abs()));
        // What is not a number is the largest in this order.
        Ok(deviations.max_by(f32::total_cmp).unwrap_or(f32::NAN))
    }
}
