//! RMSNorm (Zhang and Sennrich, 2019): `x · w / √(mean(x²) + ε)`.
//!
//! The squares of a row are summed panel by panel, whenever a panel of the residual stream is finished and still in the
//! cache; the multiplications are done where rows are packed for the next product.

use crate::engine::cpu::Level;
use crate::engine::cpu::gemm::panels::{Features, PANEL, Panels};
use crate::engine::cpu::gemm::transpose::transpose;
use crate::engine::cpu::level::for_each_level;
use crate::engine::cpu::rows::bias::add_bias;
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

/// Weights of one norm.
pub struct RmsNorm {
    /// Filled up to whole panels with zeros.
    weight: Vec<f32>,
    features: usize,
    epsilon: f32,
}

impl RmsNorm {
    /// `weight` has one value for each feature.
    pub fn new(mut weight: Vec<f32>, epsilon: f32) -> Self {
        let features = weight.len();
        weight.resize(features.next_multiple_of(PANEL), 0.);
        Self { weight, features, epsilon }
    }

    /// The weight, and zeros behind it up to whole panels.
    pub fn weight(&self) -> &[f32] {
        &self.weight
    }

    /// The factor of each row whose squares were summed.
    pub fn scales(&self, squares: &Squares, level: Level) -> Vec<f32> {
        squares.scales(self.features, self.epsilon, level)
    }

    /// Adds `before` (whole panels of features, or nothing, if it is empty) to each row and normalizes it in its place.
    pub fn apply(&self, panels: &mut Panels<'_>, before: &[f32], level: Level) {
        add_bias(level, panels, before);
        let mut squares = Squares::default();
        squares.clear(panels.rows());
        squares.add_all(panels, level);
        multiply(level, panels, &self.scales(&squares, level), &self.weight);
    }
}

for_each_level! {
/// `value · row scale · feature scale`
fn multiply(panels: &mut Panels<'_>, scales: &[f32], weight: &[f32]) {
    for (panel, weights) in weight.as_chunks::<PANEL>().0.iter().enumerate() {
        for (values, scale) in panels.panel_mut(panel).iter_mut().zip(scales) {
            row_by_row();
            for (value, weight) in values.iter_mut().zip(weights) {
                *value = *value * scale * weight;
            }
        }
    }
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
