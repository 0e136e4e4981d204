//! Elementary functions that the compiler turns into vector code.

use std::f32::consts::LOG2_E;

/// Added to a number of moderate size, this rounds it to a whole one, which then stands in the lowest bits.
const LARGE: f32 = 12_582_912.;

/// To be called for each row: keeps the compiler from computing many rows at once, lane by lane, with gathered loads, where
/// the lanes of one row fill its registers.
#[inline(always)]
pub(crate) fn row_by_row() {
    // SAFETY: there is no instruction.
    unsafe { std::arch::asm!("", options(nomem, nostack, preserves_flags)) };
}

/// `a · b + c`, in one instruction where there is one.
#[inline(always)]
pub(crate) fn multiply_add<const FMA: bool>(a: f32, b: f32, c: f32) -> f32 {
    if FMA { a.mul_add(b, c) } else { a * b + c }
}

/// `2^x` to 3e-7 of its value for x from −126 to 127.5; 0 below −126.5, a NaN for a NaN.
///
/// The whole part of x goes into the exponent, the rest through the Taylor series of 2^x around 0, to the sixth power.
#[inline(always)]
pub(crate) fn exp2<const FMA: bool>(x: f32) -> f32 {
    let shifted = x + LARGE;
    let rest = x - (shifted - LARGE);
    let series = [1.540_353e-4, 1.333_355_8e-3, 9.618_129e-3, 5.550_411e-2, 0.240_226_5, std::f32::consts::LN_2, 1.];
    let mut sum = series[0];
    for coefficient in &series[1..] {
        sum = multiply_add::<FMA>(sum, rest, *coefficient);
    }
    let power = f32::from_bits((shifted.to_bits() << 23).wrapping_add(127 << 23));
    if x < -126.5 { 0. } else { sum * power }
}

/// `1 / (1 + e^−x)`.
#[inline(always)]
pub(crate) fn sigmoid<const FMA: bool>(x: f32) -> f32 {
    // Beyond, the result is 0 or 1 to the last digit that matters: x · sigmoid(x) is above −1e-36 there.
    let bounded = if x < -87. { -87. } else { x };
    let bounded = if bounded > 87. { 87. } else { bounded };
    1. / (1. + exp2::<FMA>(bounded * -LOG2_E))
}

/// `tanh(x)` to 2e-7.
#[inline(always)]
pub(crate) fn tanh<const FMA: bool>(x: f32) -> f32 {
    2. * sigmoid::<FMA>(2. * x) - 1.
}

/// `max(x, 0)`; a NaN stays one.
#[inline(always)]
pub(crate) fn relu(x: f32) -> f32 {
    if x < 0. { 0. } else { x }
}

/// `x · Φ(x)` (Hendrycks and Gimpel, 2016), in its exact form, as PyTorch's `gelu`.
#[inline(always)]
pub(crate) fn gelu<const FMA: bool>(x: f32) -> f32 {
    let half = 0.5 * x;
    multiply_add::<FMA>(half, error_function::<FMA>(x), half)
}

/// The same, approximated as PyTorch's `gelu(approximate="tanh")`: `(1 + tanh(y)) / 2` is `sigmoid(2 · y)`.
#[inline(always)]
pub(crate) fn gelu_tanh<const FMA: bool>(x: f32) -> f32 {
    const SCALE: f32 = 2. * 0.797_884_6;
    x * sigmoid::<FMA>(SCALE * x * multiply_add::<FMA>(0.044_715 * x, x, 1.))
}

/// `erf(x / √2)` to 4e-7: an odd rational function that is closest to it from −4 to 4, and ±1 beyond.
#[inline(always)]
fn error_function<const FMA: bool>(x: f32) -> f32 {
    const BEYOND: f32 = 5.656_854;
    // By powers of x²: those of erf's argument, divided by as many twos.
    let above =
        [-3.0119902e-12, 6.1223987e-10, -9.285302e-08, -5.0315125e-06, -1.2992922e-04, -1.0446088e-03, -1.1381614e-02];
    let below = [-9.1037947e-07, -2.6671756e-05, -4.2070675e-04, -3.6866646e-03, -1.4264739e-02];
    let square = x * x;
    let series = |coefficients: &[f32]| {
        let mut sum = coefficients[0];
        for coefficient in &coefficients[1..] {
            sum = multiply_add::<FMA>(sum, square, *coefficient);
        }
        sum
    };
    let quotient = x * series(&above) / series(&below);
    let bounded = if x > BEYOND { 1. } else { quotient };
    if x < -BEYOND { -1. } else { bounded }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn powers_of_two(x in -126f32..127.4) {
            let exact = f64::from(x).exp2();
            for value in [exp2::<false>(x), exp2::<true>(x)] {
                prop_assert!((f64::from(value) / exact - 1.).abs() < 3e-7, "{x}");
            }
        }

        #[test]
        fn sigmoids(x in -86f32..200.) {
            let exact = 1. / (1. + (-f64::from(x)).exp());
            // The rounding of x · log₂ e weighs in.
            let tolerance = 1e-7 * (3. + f64::from(x.abs()));
            prop_assert!((f64::from(sigmoid::<true>(x)) / exact - 1.).abs() < tolerance, "{x}");
        }
    }

    #[test]
    fn edges() {
        assert_eq!([0., 1., -3., 127.].map(exp2::<false>), [1., 2., 0.125, 2f32.powi(127)]);
        assert_eq!([f32::NEG_INFINITY, -127., -3e38].map(exp2::<true>), [0.; 3]);
        assert!(exp2::<true>(f32::NAN).is_nan() && sigmoid::<true>(f32::NAN).is_nan());
        assert!(sigmoid::<true>(f32::NEG_INFINITY) < 1e-36 && sigmoid::<true>(f32::INFINITY) == 1.);
    }
}
