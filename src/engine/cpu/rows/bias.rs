//! Biases of linear layers, and the activation that follows one of them in BERT.

use crate::engine::cpu::gemm::panels::{PANEL, Panels};
use crate::engine::cpu::level::for_each_level;
use crate::engine::cpu::rows::math::{exp2, multiply_add, row_by_row};

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

for_each_level! {
/// `x · Φ(x)` of `x = value + bias` (Hendrycks and Gimpel, 2016), in its exact form, as PyTorch's `gelu`.
pub fn gelu(panels: &mut Panels<'_>, bias: &[f32]) {
    for (panel, bias) in bias.as_chunks::<PANEL>().0.iter().enumerate().take(panels.count()) {
        for values in panels.panel_mut(panel) {
            row_by_row();
            for (value, bias) in values.iter_mut().zip(bias) {
                let x = *value + bias;
                *value = x * normal_distribution::<FMA>(x);
            }
        }
    }
}
}

/// Φ to 1e-7: Abramowitz and Stegun, 26.2.17 by way of 7.1.26.
#[inline(always)]
fn normal_distribution<const FMA: bool>(x: f32) -> f32 {
    let z = x.abs() * std::f32::consts::FRAC_1_SQRT_2;
    let t = 1. / multiply_add::<FMA>(0.327_591_1, z, 1.);
    let series = [1.061_405_4, -1.453_152_1, 1.421_413_8, -0.284_496_72, 0.254_829_6];
    let mut sum = series[0];
    for coefficient in &series[1..] {
        sum = multiply_add::<FMA>(sum, t, *coefficient);
    }
    // Beyond −126 the power is 0, as half of the tail is to f32's last digit.
    let tail = 0.5 * t * sum * exp2::<FMA>(z * z * -std::f32::consts::LOG2_E);
    if x < 0. { tail } else { 1. - tail }
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Tensor};

    use super::*;
    use crate::engine::cpu::Level;

    #[test]
    fn gelu_is_the_exact_one_at_every_level() {
        let rows = 128;
        let inputs: Vec<f32> = (0..rows * PANEL).map(|index| (index as f32 / 2048. - 1.) * 12.).collect();
        let bias: Vec<f32> = (0..PANEL).map(|feature| feature as f32 / 8. - 2.).collect();
        let biased: Vec<f32> = inputs.iter().zip(bias.iter().cycle()).map(|(input, bias)| input + bias).collect();
        let expected = Tensor::new(biased.as_slice(), &Device::Cpu).unwrap().gelu_erf().unwrap();
        let expected = expected.to_vec1::<f32>().unwrap();
        for level in Level::all() {
            let mut values = inputs.clone();
            gelu(level, &mut Panels::new(&mut values, rows), &bias);
            for ((value, expected), input) in values.iter().zip(&expected).zip(&biased) {
                assert!((value - expected).abs() < 5e-7 * (1. + input.abs()), "{level}: gelu({input}) = {value}");
            }
            let mut sums = inputs.clone();
            add_bias(level, &mut Panels::new(&mut sums, rows), &bias);
            assert_eq!(sums, biased, "{level}");
        }
    }

    #[test]
    fn what_is_not_a_number_stays_so() {
        let mut values = vec![f32::NAN; 32 * PANEL];
        values[1] = f32::INFINITY;
        gelu(Level::available(), &mut Panels::new(&mut values, 32), &[0.; PANEL]);
        assert!(values[0].is_nan() && values[1] == f32::INFINITY);
    }
}
