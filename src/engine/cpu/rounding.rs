//! How operands of products are rounded.

use crate::precision::Precision;

/// How values become words of the left operand of a product, or of its right where that is no weight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rounding {
    /// f32, as they are.
    None,
    /// f32 of bf16's precision.
    Bf16,
    /// f32 of f16's precision and range.
    F16,
}

impl Precision {
    /// How operands are rounded that stay f32.
    pub(crate) fn rounding(self) -> Rounding {
        match self {
            Self::F32 | Self::Int16 => Rounding::None,
            Self::F16 => Rounding::F16,
            Self::Bf16 | Self::Int8 | Self::Fp8 => Rounding::Bf16,
        }
    }
}

impl Rounding {
    /// Rounds to the nearest, ties to even.
    #[inline(always)]
    pub(crate) fn round(self, value: f32) -> f32 {
        match self {
            Self::None => value,
            Self::Bf16 => f32::from_bits(u32::from(bf16_bits(value)) << 16),
            Self::F16 => half::f16::from_f32(value).to_f32(),
        }
    }
}

/// The nearest bf16, ties to even. A NaN stays one as long as its upper half is one, which is so for every NaN that
/// arithmetic makes.
#[inline(always)]
pub(crate) fn bf16_bits(value: f32) -> u16 {
    let bits = value.to_bits();
    (bits.wrapping_add(0x7fff + (bits >> 16 & 1)) >> 16) as u16
}

#[cfg(test)]
mod tests {
    use half::{bf16, f16};
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn rounding_is_that_of_the_half_crate(value: f32) {
            prop_assert_eq!(bf16_bits(value), bf16::from_f32(value).to_bits());
            prop_assert_eq!(Rounding::F16.round(value), f16::from_f32(value).to_f32());
            prop_assert_eq!(Rounding::None.round(value), value);
        }
    }

    #[test]
    fn what_is_not_finite_stays_so() {
        for value in [f32::INFINITY, f32::NEG_INFINITY, f32::NAN, f32::INFINITY - f32::INFINITY] {
            assert_eq!(Rounding::Bf16.round(value).is_nan(), value.is_nan());
            assert_eq!(Rounding::Bf16.round(value).is_infinite(), value.is_infinite());
        }
    }
}
