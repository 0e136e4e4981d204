//! Rows whose products with weights show in which order they were summed.
//!
//! Of usual rows, sums in another order are off by a hundred thousandth of what results of 16 bits can hold, so that hardly one
//! differs; of weights with few digits, as quantized ones are, all sums are exact. These rows are made of the weights' own rows so
//! that each has one product that is zero but for the rounding of its sum.

use super::device::Type;
use super::e4m3;

/// The smallest power of two that pairs of inputs are scaled by, and how many powers there are: enough that f32 can't hold the
/// sums of weights with few digits, and that weights of a usual size stay in the range of f16.
const SMALLEST: i32 = -4;
const POWERS: u32 = 16;
/// The same for E4M3, in which the largest weight of a row is the largest number: its rows cancel but for their rounding, which is
/// small beside the sums.
const SMALLEST_OF_E4M3: i32 = -15;

/// For each row of weights of `inputs` values, a row whose product with it cancels: an input of one half is the weight of the
/// other half, and the other way round with the opposite sign.
pub(super) fn cancelling_rows(weights: &[u8], inputs: usize, value: Type) -> Vec<u8> {
    value.narrowed(&cancelling(&value.widened(weights), inputs, SMALLEST))
}

/// The same of weights of E4M3.
pub(super) fn cancelling_rows_of_e4m3(weights: &[u8], inputs: usize) -> Vec<u8> {
    let rows = cancelling(&weights.iter().copied().map(e4m3::widened).collect::<Vec<_>>(), inputs, SMALLEST_OF_E4M3);
    rows.into_iter().map(e4m3::narrowed).collect()
}

fn cancelling(weights: &[f32], inputs: usize, smallest: i32) -> Vec<f32> {
    let half = inputs / 2;
    let row = |weights: &[f32]| {
        let mut row = vec![0f32; inputs];
        for index in 0..half {
            let power = (index as u32).wrapping_mul(0x9e37_79b1) >> (u32::BITS - POWERS.ilog2());
            let scale = 2f32.powi(smallest + power.cast_signed());
            row[index] = weights[index + half] * scale;
            row[index + half] = -weights[index] * scale;
        }
        row
    };
    weights.chunks_exact(inputs).flat_map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_in_another_order_differ_even_of_weights_with_few_digits() {
        const INPUTS: usize = 65;
        for value in [Type::F32, Type::Bf16, Type::F16] {
            for row in 0..20 {
                let weights: Vec<f32> =
                    (0..INPUTS).map(|index| ((index * index + 7 * row) % 13) as f32 / 64. - 0.1).collect();
                let weights = value.narrowed(&weights);
                let rows = value.widened(&cancelling_rows(&weights, INPUTS, value));
                let products: Vec<f64> =
                    rows.iter().zip(value.widened(&weights)).map(|(row, weight)| f64::from(row * weight)).collect();
                let largest = products.iter().copied().fold(0., f64::max);
                assert!(largest > 0.1 && products.iter().sum::<f64>().abs() < 1e-6 * largest, "{value:?}");
                let sum = |products: &mut dyn Iterator<Item = &f64>| {
                    products.fold(0f32, |sum, &product| sum + product as f32)
                };
                let (forward, backward) = (sum(&mut products.iter()), sum(&mut products.iter().rev()));
                assert_ne!(forward, backward, "{value:?}, row {row}");
            }
        }
    }

    #[test]
    fn sums_of_e4m3_in_another_order_differ() {
        const INPUTS: usize = 96;
        const ROWS: usize = 20;
        let weights: Vec<u8> = (0..ROWS * INPUTS)
            .map(|index| e4m3::narrowed(((index * index * 31 + 7 * index) % 897) as f32 - 448.))
            .collect();
        let rows = cancelling_rows_of_e4m3(&weights, INPUTS);
        let mut differing = 0;
        for (row, weights) in rows.chunks_exact(INPUTS).zip(weights.chunks_exact(INPUTS)) {
            let products: Vec<f32> =
                row.iter().zip(weights).map(|(one, other)| e4m3::widened(*one) * e4m3::widened(*other)).collect();
            let sum = |products: &mut dyn Iterator<Item = &f32>| products.fold(0f32, |sum, product| sum + product);
            let (forward, backward) = (sum(&mut products.iter()), sum(&mut products.iter().rev()));
            let largest = products.iter().fold(0f32, |largest, product| largest.max(*product));
            assert!(largest > 1000. && forward.abs() < 1e-3 * largest, "{forward} of {largest}");
            // As results of 16 bits are compared.
            differing += usize::from(half::bf16::from_f32(forward) != half::bf16::from_f32(backward));
        }
        assert!(differing > ROWS / 4, "{differing} of {ROWS}");
    }
}
