//! Biases of linear layers.

use crate::engine::cpu::gemm::panels::{PANEL, Panels};
use crate::engine::cpu::level::for_each_level;
use crate::engine::cpu::rows::math::row_by_row;

for_each_level! {
/// Adds a value to each feature. `bias` has whole panels of them.
pub fn add_bias(panels: &mut Panels<'_>, bias: &[f32]) {
    for (panel, bias) in bias.as_chunks::<PANEL>().0.iter().enumerate().take(panels.count()) {
        for values in panels.panel_mut(panel) {
            row_by_row();
            for (value, bias) in values.iter_mut().zip(bias) {
                *value += bias;
            }
        }
    }
}
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::cpu::Level;

    #[test]
    fn each_feature_has_its_bias_at_every_level() {
        let rows = 64;
        let inputs: Vec<f32> = (0..2 * rows * PANEL).map(|index| index as f32 / 64.).collect();
        let bias: Vec<f32> = (0..2 * PANEL).map(|feature| feature as f32 / 8. - 2.).collect();
        for level in Level::all() {
            let mut sums = inputs.clone();
            add_bias(level, &mut Panels::new(&mut sums, rows), &bias);
            for (index, (sum, input)) in sums.iter().zip(&inputs).enumerate() {
                assert_eq!(*sum, input + bias[index / (rows * PANEL) * PANEL + index % PANEL], "{level}");
            }
        }
    }
}
