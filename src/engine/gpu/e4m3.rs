//! E4M3: floats of 8 bits, 4 of them for the exponent and 3 for the mantissa, without infinities (Micikevicius et al., 2022, "FP8
//! Formats for Deep Learning"), by rows of which each has a scale.

use float8::F8E4M3;

/// Rows of smaller values are zeros: their scale's inverse would be infinite.
const SMALLEST: f32 = 1e-30;
/// The largest number.
pub(super) const LARGEST: f32 = 448.;

/// The nearest number, of two the even one; beyond the largest the largest.
pub(super) fn narrowed(value: f32) -> u8 {
    F8E4M3::from_f32(value).to_bits()
}

/// The number that a byte is.
pub(super) fn widened(byte: u8) -> f32 {
    F8E4M3::from_bits(byte).to_f32()
}

/// Writes a row in E4M3. Returns what it must be multiplied by: with that, the value that is the largest is the largest number.
pub(super) fn narrow_row(row: &[f32], bytes: &mut [u8]) -> f32 {
    let largest = row.iter().fold(0f32, |largest, value| largest.max(value.abs()));
    let inverse = if largest > SMALLEST { LARGEST / largest } else { 0. };
    for (byte, value) in bytes.iter_mut().zip(row) {
        *byte = narrowed(value * inverse);
    }
    largest / LARGEST
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_rounded_to_the_nearest_and_ties_to_even() {
        for (value, expected) in [
            (0., 0.),
            (1., 1.),
            (1.0625, 1.),
            (1.0626, 1.125),
            (1.1875, 1.25),
            (-447., -448.),
            (1e9, 448.),
            // Steps of 2⁻⁹ below 2⁻⁶.
            (0.001, 0.001953125),
            (0.0009, 0.),
            (-0.0146, -0.013671875),
        ] {
            assert_eq!(widened(narrowed(value)), expected, "{value}");
        }
        assert!(widened(narrowed(f32::NAN)).is_nan());
    }

    #[test]
    fn a_row_reaches_the_largest_number_and_zeros_stay_zeros() {
        let mut bytes = [1; 4];
        let scale = narrow_row(&[0.5, -2., 0.25, 0.1], &mut bytes);
        assert_eq!(bytes.map(widened), [112., -448., 56., 22.]);
        assert_eq!(scale, 2. / 448.);
        assert_eq!((narrow_row(&[0., -0.], &mut bytes[..2]), &bytes[..2]), (0., &[0u8, 0x80][..]));
        // What is not a number stays none, so that the score is refused.
        narrow_row(&[1., f32::INFINITY], &mut bytes[..2]);
        assert!(widened(bytes[1]).is_nan());
    }
}
