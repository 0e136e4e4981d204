//! RMSNorm (Zhang and Sennrich, 2019): `x · w / √(mean(x²) + ε)`.

use super::level::for_each_level;
use super::panels::Panels;

/// Partial sums of a row: independent, so that they run in vector lanes; always as many, so that the order is fixed.
const LANES: usize = 16;

for_each_level! {
/// The factor of each row, `1 / √(mean(x²) + ε)`, for rows of `features` values; what the panels have beyond is zeros.
pub fn rms_scales(panels: &Panels<'_>, features: usize, epsilon: f32, scales: &mut Vec<f32>) {
    let mut sums = vec![[0f32; LANES]; panels.rows()];
    for panel in 0..panels.count() {
        for (values, sums) in panels.panel(panel).iter().zip(&mut sums) {
            for half in values.as_chunks::<LANES>().0 {
                for (sum, value) in sums.iter_mut().zip(half) {
                    *sum += value * value;
                }
            }
        }
    }
    scales.clear();
    scales.extend(sums.iter().map(|lanes| 1. / (lanes.iter().sum::<f32>() / features as f32 + epsilon).sqrt()));
}
}
