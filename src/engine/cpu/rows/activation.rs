//! What stands between the products of an MLP: an activation, and the gate that it makes (Shazeer, 2020).

use crate::engine::cpu::gemm::panels::{Features, PANEL, Panels};
use crate::engine::cpu::level::for_each_level;
use crate::engine::cpu::rows::math::{gelu, gelu_tanh, relu, row_by_row, sigmoid, tanh};
use crate::model::Activation;

/// Calls a macro's body with the function of each activation, so that loops are compiled for each of them.
macro_rules! with_function {
    ($activation:expr, $function:ident => $body:expr) => {
        match $activation {
            Activation::Silu => {
                let $function = |x: f32| x * sigmoid::<FMA>(x);
                $body
            }
            Activation::Gelu => {
                let $function = gelu::<FMA>;
                $body
            }
            Activation::GeluTanh => {
                let $function = gelu_tanh::<FMA>;
                $body
            }
            Activation::Relu => {
                let $function = relu;
                $body
            }
            Activation::Tanh => {
                let $function = tanh::<FMA>;
                $body
            }
        }
    };
}

for_each_level! {
/// `activation(value + bias)`. `bias` has whole panels, as many as there are, or is empty.
pub fn activate(activation: Activation, panels: &mut Panels<'_>, bias: &[f32]) {
    with_function!(activation, function => {
        for panel in 0..panels.count() {
            let bias = bias_of(bias, panel);
            for values in panels.panel_mut(panel) {
                row_by_row();
                for (value, bias) in values.iter_mut().zip(bias) {
                    *value = function(*value + bias);
                }
            }
        }
    });
}
}

for_each_level! {
/// `activation(gate) · up` of panels 2n and 2n + 1 becomes panel n of `results`.
pub fn gate(activation: Activation, gates_and_ups: &Panels<'_>, results: &mut Panels<'_>) {
    if activation == Activation::Silu {
        swiglu::<FMA>(gates_and_ups, results);
        return;
    }
    with_function!(activation, function => {
        for panel in 0..gates_and_ups.count() / 2 {
            let (gates, ups) = (gates_and_ups.panel(2 * panel), gates_and_ups.panel(2 * panel + 1));
            for ((result, gates), ups) in results.panel_mut(panel).iter_mut().zip(gates).zip(ups) {
                row_by_row();
                for ((result, gate), up) in result.iter_mut().zip(gates).zip(ups) {
                    *result = function(*gate) * up;
                }
            }
        }
    });
}
}

/// The gate of silu, whose products are in another order than those of the others: scores of published models depend on it,
/// in the last digit.
#[inline(always)]
fn swiglu<const FMA: bool>(gates_and_ups: &Panels<'_>, results: &mut Panels<'_>) {
    for panel in 0..gates_and_ups.count() / 2 {
        let (gates, ups) = (gates_and_ups.panel(2 * panel), gates_and_ups.panel(2 * panel + 1));
        for ((result, gates), ups) in results.panel_mut(panel).iter_mut().zip(gates).zip(ups) {
            row_by_row();
            for ((result, gate), up) in result.iter_mut().zip(gates).zip(ups) {
                *result = gate * up * sigmoid::<FMA>(*gate);
            }
        }
    }
}

/// The bias of a panel; zeros without bias.
#[inline(always)]
fn bias_of(bias: &[f32], panel: usize) -> &Features {
    bias.as_chunks::<PANEL>().0.get(panel).unwrap_or(&[0.; PANEL])
}

/// The activation of one value, the same on every level.
pub fn activated(activation: Activation, x: f32) -> f32 {
    const FMA: bool = false;
    match activation {
        // Heads of published models are computed by it.
        Activation::Tanh => x.tanh(),
        other => with_function!(other, function => function(x)),
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Tensor};

    use super::*;
    use crate::engine::cpu::Level;

    const ALL: [Activation; 5] =
        [Activation::Silu, Activation::Gelu, Activation::GeluTanh, Activation::Relu, Activation::Tanh];

    fn expected(activation: Activation, inputs: &[f32]) -> Vec<f32> {
        let inputs = Tensor::new(inputs, &Device::Cpu).unwrap();
        let outputs = match activation {
            Activation::Silu => inputs.silu(),
            Activation::Gelu => inputs.gelu_erf(),
            Activation::GeluTanh => inputs.gelu(),
            Activation::Relu => inputs.relu(),
            Activation::Tanh => inputs.tanh(),
        };
        outputs.unwrap().to_vec1().unwrap()
    }

    #[test]
    fn activations_are_those_of_candle_at_every_level() {
        let rows = 128;
        let inputs: Vec<f32> = (0..rows * PANEL).map(|index| (index as f32 / 2048. - 1.) * 12.).collect();
        let bias: Vec<f32> = (0..PANEL).map(|feature| feature as f32 / 8. - 2.).collect();
        let biased: Vec<f32> = inputs.iter().zip(bias.iter().cycle()).map(|(input, bias)| input + bias).collect();
        for activation in ALL {
            let [with_bias, without] = [&biased, &inputs].map(|inputs| expected(activation, inputs));
            let near = |value: f32, expected: f32, input: f32| {
                assert!((value - expected).abs() < 5e-7 * (1. + input.abs()), "{activation:?}({input}) = {value}");
            };
            for level in Level::all() {
                let mut values = inputs.clone();
                activate(level, activation, &mut Panels::new(&mut values, rows), &bias);
                let mut plain = inputs.clone();
                activate(level, activation, &mut Panels::new(&mut plain, rows), &[]);
                // Panels of the same gates, and of ups that are 2.
                let mut pairs = [inputs.clone(), vec![2.; inputs.len()]].concat();
                let mut gated = vec![f32::NAN; inputs.len()];
                gate(level, activation, &Panels::new(&mut pairs, rows), &mut Panels::new(&mut gated, rows));
                for index in 0..inputs.len() {
                    near(values[index], with_bias[index], biased[index]);
                    near(plain[index], without[index], inputs[index]);
                    near(gated[index] / 2., without[index], inputs[index]);
                }
            }
            inputs.iter().zip(&without).for_each(|(&x, &expected)| near(activated(activation, x), expected, x));
        }
    }

    #[test]
    fn what_is_not_a_number_stays_so() {
        for activation in ALL {
            for level in Level::all() {
                let mut values = vec![f32::NAN; 32 * PANEL];
                activate(level, activation, &mut Panels::new(&mut values, 32), &[]);
                assert!(values.iter().all(|value| value.is_nan()), "{activation:?} {level}");
            }
            assert!(activated(activation, f32::NAN).is_nan());
        }
        for activation in [Activation::Silu, Activation::Gelu, Activation::GeluTanh, Activation::Relu] {
            let mut values = vec![f32::INFINITY; 32 * PANEL];
            activate(Level::available(), activation, &mut Panels::new(&mut values, 32), &[]);
            assert_eq!(values[0], f32::INFINITY, "{activation:?}");
        }
    }
}
