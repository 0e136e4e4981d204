//! RMSNorm (Zhang and Sennrich, 2019): `x · w / √(mean(x²) + ε)`.
//!
//! The squares of a row are summed panel by panel, whenever a panel of the residual stream is finished and still in the
//! cache; the multiplications are done where rows are packed for the next product.

use crate::engine::cpu::Level;
use crate::engine::cpu::gemm::panels::{Features, Panels};
use crate::engine::cpu::gemm::transpose::transpose;
use crate::engine::cpu::level::for_each_level;
use crate::engine::cpu::rows::math::{multiply_add, row_by_row};

/// Partial sums of a row: independent, so that they run in vector lanes; always as many, so that the order is fixed.
const LANES: usize = 16;

/// Sums of squares of each row.
#[derive(Default)]
pub struct Squares {
    sums: Vec<[f32; LANES]>,
}

impl Squares {
    /// Begins anew, for so many rows.
    pub fn clear(&mut self, rows: usize) {
        self.sums.clear();
        self.sums.resize(rows, [0.; LANES]);
    }

    /// Adds the squares of one panel's rows.
    pub fn add(&mut self, panel: &[Features], level: Level) {
        add(level, &mut self.sums, panel);
    }

    /// Adds the squares of all panels.
    pub fn add_all(&mut self, panels: &Panels<'_>, level: Level) {
        (0..panels.count()).for_each(|panel| self.add(panels.panel(panel), level));
    }

    /// The factor of each row, `1 / √(mean(x²) + ε)`, for rows of `features` values.
    pub fn scales(&self, features: usize, epsilon: f32, level: Level) -> Vec<f32> {
        let mut scales = vec![0f32; self.sums.len().next_multiple_of(LANES)];
        factors(level, &self.sums, (features as f32, epsilon), &mut scales, level);
        scales.truncate(self.sums.len());
        scales
    }
}

for_each_level! {
/// Sixteen rows at a time: their lanes are turned, so that all sixteen are summed, and divided, side by side.
fn factors(sums: &[[f32; LANES]], mean: (f32, f32), scales: &mut [f32], level: Level) {
    let (features, epsilon) = mean;
    for (sums, scales) in sums.chunks(LANES).zip(scales.as_chunks_mut::<LANES>().0) {
        let mut square = [[0f32; LANES]; LANES];
        square[..sums.len()].copy_from_slice(sums);
        let square: [[f32; LANES]; LANES] = bytemuck::cast(transpose(&bytemuck::cast(square), level));
        let mut total = square[0];
        for lanes in &square[1..] {
            for (total, lane) in total.iter_mut().zip(lanes) {
                *total += lane;
            }
        }
        for (scale, total) in scales.iter_mut().zip(total) {
            *scale = 1. / (total / features + epsilon).sqrt();
        }
    }
}
}

for_each_level! {
fn add(sums: &mut [[f32; LANES]], panel: &[Features]) {
    for (values, sums) in panel.iter().zip(sums) {
        row_by_row();
        for half in values.as_chunks::<LANES>().0 {
            for (sum, value) in sums.iter_mut().zip(half) {
                *sum = multiply_add::<FMA>(*value, *value, *sum);
            }
        }
    }
}
}
