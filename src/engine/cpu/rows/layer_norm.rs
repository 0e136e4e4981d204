//! LayerNorm (Ba, Kiros and Hinton, 2016): `(x − mean) / √(variance + ε) · w + b`.

use crate::engine::cpu::Level;
use crate::engine::cpu::gemm::panels::{Features, PANEL, Panels};
use crate::engine::cpu::level::for_each_level;
use crate::engine::cpu::rows::math::{multiply_add, row_by_row};

/// Weights of one norm.
pub struct LayerNorm {
    /// Both filled up to whole panels with zeros.
    weight: Vec<f32>,
    bias: Vec<f32>,
    features: usize,
    epsilon: f32,
}

impl LayerNorm {
    /// `weight` and `bias` have one value for each feature.
    pub fn new(mut weight: Vec<f32>, mut bias: Vec<f32>, epsilon: f32) -> Self {
        let features = weight.len();
        assert_eq!(bias.len(), features);
        for values in [&mut weight, &mut bias] {
            values.resize(features.next_multiple_of(PANEL), 0.);
        }
        Self { weight, bias, features, epsilon }
    }

    /// Adds `before` (whole panels of features, zeros behind them; or nothing, if it is empty) to each row and normalizes it.
    /// What stands behind the features becomes zero.
    pub fn apply(&self, panels: &mut Panels<'_>, before: &[f32], level: Level) {
        normalize(level, self, panels, before);
    }

    /// 1 for the features of a panel, 0 behind them.
    fn inside(&self, panel: usize) -> Features {
        std::array::from_fn(|lane| if panel * PANEL + lane < self.features { 1. } else { 0. })
    }
}

for_each_level! {
/// The mean first, and the variance from what is left: a difference of sums of squares would lose digits.
fn normalize(norm: &LayerNorm, panels: &mut Panels<'_>, before: &[f32]) {
    let (rows, count) = (panels.rows(), norm.weight.len() / PANEL);
    let before = before.as_chunks::<PANEL>().0;
    let mut sums = vec![[0f32; PANEL]; rows];
    for panel in 0..count {
        let before = before.get(panel).unwrap_or(&[0.; PANEL]);
        for (values, sums) in panels.panel_mut(panel).iter_mut().zip(&mut sums) {
            row_by_row();
            for ((value, before), sum) in values.iter_mut().zip(before).zip(sums) {
                *value += before;
                *sum += *value;
            }
        }
    }
    let features = norm.features as f32;
    let means: Vec<f32> = sums.iter().map(|lanes| lanes.iter().sum::<f32>() / features).collect();
    sums.fill([0.; PANEL]);
    for panel in 0..count {
        let inside = norm.inside(panel);
        for ((values, sums), mean) in panels.panel(panel).iter().zip(&mut sums).zip(&means) {
            row_by_row();
            for ((value, inside), sum) in values.iter().zip(&inside).zip(sums) {
                let rest = (value - mean) * inside;
                *sum = multiply_add::<FMA>(rest, rest, *sum);
            }
        }
    }
    let scale = |lanes: &Features| 1. / (lanes.iter().sum::<f32>() / features + norm.epsilon).sqrt();
    let scales: Vec<f32> = sums.iter().map(scale).collect();
    let (weights, biases) = (norm.weight.as_chunks::<PANEL>().0, norm.bias.as_chunks::<PANEL>().0);
    for (panel, (weights, biases)) in weights.iter().zip(biases).enumerate() {
        for ((values, mean), scale) in panels.panel_mut(panel).iter_mut().zip(&means).zip(&scales) {
            row_by_row();
            for ((value, weight), bias) in values.iter_mut().zip(weights).zip(biases) {
                *value = multiply_add::<FMA>((*value - mean) * scale, *weight, *bias);
            }
        }
    }
}
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn rows_are_normalized_at_every_level(
            features in 1usize..100,
            rows in 1usize..3,
            offset in -100f32..100.,
            seed in 1u64..1 << 32,
        ) {
            let mut random = crate::random::Random(seed);
            let mut values = |count: usize| -> Vec<f32> {
                (0..count).map(|_| random.below(1 << 20) as f32 / (1 << 18) as f32 - 2.).collect()
            };
            let (weight, bias, rows) = (values(features), values(features), rows * 32);
            let (inputs, before) = (values(rows * features), values(features));
            let norm = LayerNorm::new(weight.clone(), bias.clone(), 1e-5);
            let padded = features.next_multiple_of(PANEL);
            let place = |row: usize, feature: usize| (feature / PANEL * rows + row) * PANEL + feature % PANEL;
            for level in Level::all() {
                let mut memory = vec![0f32; rows * padded];
                for row in 0..rows {
                    for feature in 0..features {
                        memory[place(row, feature)] = inputs[row * features + feature] + offset;
                    }
                }
                let mut filled = before.clone();
                filled.resize(padded, 0.);
                norm.apply(&mut Panels::new(&mut memory, rows), &filled, level);
                for row in 0..rows {
                    let sum = |feature: usize| f64::from(inputs[row * features + feature] + offset + before[feature]);
                    let mean = (0..features).map(sum).sum::<f64>() / features as f64;
                    let variance = (0..features).map(|feature| (sum(feature) - mean).powi(2)).sum::<f64>() / features as f64;
                    for feature in 0..features {
                        let expected = (sum(feature) - mean) / (variance + 1e-5).sqrt() * f64::from(weight[feature])
                            + f64::from(bias[feature]);
                        let value = f64::from(memory[place(row, feature)]);
                        // The last digit of what the mean is taken from, over the standard deviation.
                        let tolerance = 1e-5 + 3e-7 * f64::from(offset.abs() + 4.) / (variance + 1e-5).sqrt() * 2.;
                        prop_assert!((value - expected).abs() < tolerance * 2., "{level}: {value} for {expected}");
                    }
                    for feature in features..padded {
                        prop_assert_eq!(memory[place(row, feature)], 0.);
                    }
                }
            }
        }
    }
}
