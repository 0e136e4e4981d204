//! Elementary functions that the compiler turns into vector code.

use std::f32::consts::LOG2_E;

/// Added to a number of moderate size, this rounds it to a whole one, which then stands in the lowest bits.
const LARGE: f32 = 12_582_912.;

/// `2^x` to 1.5e-7 of its value; 0 below −126, and infinite from 128 on. Like `f32::exp2`, but in vector lanes.
///
/// The whole part of x goes into the exponent, the rest through the Taylor series of 2^x around 0, to the sixth power.
#[inline(always)]
pub(super) fn exp2(x: f32) -> f32 {
    let clamped = if x < 128. { x } else { 128. };
    let clamped = if clamped > -126. { clamped } else { -126. };
    let shifted = clamped + LARGE;
    let rest = clamped - (shifted - LARGE);
    let series = [1.540_353e-4, 1.333_355_8e-3, 9.618_129e-3, 5.550_410_9e-2, 0.240_226_51, std::f32::consts::LN_2, 1.];
    let mut sum = series[0];
    for coefficient in &series[1..] {
        sum = sum * rest + coefficient;
    }
    let value = f32::from_bits(sum.to_bits().wrapping_add(shifted.to_bits() << 23));
    let value = if x < -126. { 0. } else { value };
    // A NaN fails every comparison, and must come through.
    if x.is_nan() { x } else { value }
}

/// `e^x`, as [`exp2`].
#[inline(always)]
pub(super) fn exp(x: f32) -> f32 {
    exp2(x * LOG2_E)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn powers_of_two(x in -125f32..127.99) {
            let exact = f64::from(x).exp2();
            prop_assert!((f64::from(exp2(x)) / exact - 1.).abs() < 2e-7, "{x}");
        }

        #[test]
        fn powers_of_e(x in -86f32..88.) {
            let exact = f64::from(x).exp();
            // The rounding of x · log₂ e weighs in.
            prop_assert!((f64::from(exp(x)) / exact - 1.).abs() < 1e-7 * (2. + f64::from(x.abs())), "{x}");
        }
    }

    #[test]
    fn edges() {
        assert_eq!([exp2(0.), exp2(1.), exp2(-3.), exp2(127.)], [1., 2., 0.125, 2f32.powi(127)]);
        assert_eq!([exp2(f32::NEG_INFINITY), exp2(-127.), exp2(-3e38)], [0.; 3]);
        assert_eq!([exp2(f32::INFINITY), exp2(128.), exp2(3e38)], [f32::INFINITY; 3]);
        assert!(exp2(f32::NAN).is_nan());
    }
}
