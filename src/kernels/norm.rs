//! RMSNorm (Zhang and Sennrich, 2019): `x · w / √(mean(x²) + ε)`.
//!
//! The squares of a row are summed panel by panel, whenever a panel of the residual stream is finished and still in the
//! cache; the multiplications are done where rows are packed for the next product.

use super::Level;
use super::level::for_each_level;
use super::math::{multiply_add, sum_of_lanes};
use super::panels::{Features, Panels};

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
    pub fn scales(&self, features: usize, epsilon: f32) -> Vec<f32> {
        let scale = |lanes: &[f32; LANES]| 1. / (sum_of_lanes(lanes) / features as f32 + epsilon).sqrt();
        self.sums.iter().map(scale).collect()
    }
}

for_each_level! {
fn add(sums: &mut [[f32; LANES]], panel: &[Features]) {
    for (values, sums) in panel.iter().zip(sums) {
        for half in values.as_chunks::<LANES>().0 {
            for (sum, value) in sums.iter_mut().zip(half) {
                *sum = multiply_add::<FMA>(*value, *value, *sum);
            }
        }
    }
}
}
