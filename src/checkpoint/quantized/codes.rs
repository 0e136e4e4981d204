//! The integers (or floats of 8 bits) that stand for weights, and how formats pack them.

use std::sync::LazyLock;

/// The values of all bytes as F8_E4M3 without infinities: 4 bits of exponent, 3 of mantissa.
static F8_E4M3: LazyLock<[f32; 256]> = LazyLock::new(|| {
    std::array::from_fn(|byte| {
        let (exponent, mantissa) = (byte >> 3 & 15, (byte & 7) as f32);
        let size = match (exponent, byte & 7) {
            (15, 7) => f32::NAN,
            (0, _) => mantissa * 2f32.powi(-9),
            _ => (8. + mantissa) * 2f32.powi(exponent as i32 - 10),
        };
        if byte & 0x80 == 0 { size } else { -size }
    })
});

/// The nibble of a word that holds each of 8 columns, in AWQ's order for its own kernels.
const AWQ_NIBBLES: [u32; 8] = [0, 4, 1, 5, 2, 6, 3, 7];

/// The integers of a matrix, unsigned where they are packed.
pub(super) enum Codes<'a> {
    /// Rows of bits without gaps, the lowest first, each beginning with a byte of its own: 8 values are as many bytes as a value
    /// has bits.
    Rows { bytes: &'a [u8], stride: usize, bits: u32 },
    /// Words of as many whole values as fit; what is left of a word is not used.
    WholeInWords { bytes: &'a [u8], stride: usize, bits: u32 },
    /// Inputs packed in words, which stand in rows of a word for each output; 32 values are as many words as a value has bits.
    Columns { bytes: &'a [u8], outputs: usize, bits: u32 },
    /// A row of words for each input; a word has 8 outputs.
    Awq { bytes: &'a [u8], words: usize },
    /// A byte for each value, with a sign.
    Signed { bytes: &'a [u8], inputs: usize },
    /// A float of 8 bits for each value.
    Float8 { bytes: &'a [u8], inputs: usize },
}

impl Codes<'_> {
    /// The bits of an integer; none of floats.
    pub(super) fn bits(&self) -> Option<u32> {
        match self {
            Self::Rows { bits, .. } | Self::WholeInWords { bits, .. } | Self::Columns { bits, .. } => Some(*bits),
            Self::Awq { .. } => Some(4),
            Self::Signed { .. } => Some(8),
            Self::Float8 { .. } => None,
        }
    }

    /// The integers of one output.
    pub(super) fn read(&self, row: usize, values: &mut [f32]) {
        match *self {
            Self::Rows { bytes, stride, bits } => dense(row_of(bytes, row, stride), bits, values),
            Self::WholeInWords { bytes, stride, bits } => whole_in_words(row_of(bytes, row, stride), bits, values),
            Self::Columns { bytes, outputs, bits } => {
                let words = column(bytes, row, outputs);
                match bits {
                    2 => columns::<2>(words, values),
                    3 => columns_of_three_bits(words, values),
                    4 => columns::<4>(words, values),
                    _ => columns::<8>(words, values),
                }
            }
            Self::Awq { bytes, words } => {
                let shift = awq_shift(row);
                for (value, word) in values.iter_mut().zip(column(bytes, row / 8, words)) {
                    *value = (word >> shift & 15) as f32;
                }
            }
            Self::Signed { bytes, inputs } => {
                for (value, &byte) in values.iter_mut().zip(row_of(bytes, row, inputs)) {
                    *value = f32::from(byte.cast_signed());
                }
            }
            Self::Float8 { bytes, inputs } => {
                let table = &*F8_E4M3;
                for (value, &byte) in values.iter_mut().zip(row_of(bytes, row, inputs)) {
                    *value = *table.get(usize::from(byte)).unwrap_or(&f32::NAN);
                }
            }
        }
    }
}

/// Where an output's nibble begins in its word.
pub(super) fn awq_shift(output: usize) -> u32 {
    4 * AWQ_NIBBLES.get(output % 8).copied().unwrap_or_default()
}

#[expect(clippy::indexing_slicing, reason = "sizes of parts are checked before they become rows")]
fn row_of(bytes: &[u8], row: usize, stride: usize) -> &[u8] {
    &bytes[row * stride..][..stride]
}

/// The words of a column, from the first row of words to the last.
pub(super) fn column(bytes: &[u8], column: usize, columns: usize) -> impl Iterator<Item = u32> {
    let words = bytes.as_chunks().0.get(column..).unwrap_or_default();
    words.iter().step_by(columns).map(|word| u32::from_le_bytes(*word))
}

fn dense(bytes: &[u8], bits: u32, values: &mut [f32]) {
    match bits {
        2 => dense_of::<2>(bytes, values),
        3 => dense_of::<3>(bytes, values),
        4 => dense_of::<4>(bytes, values),
        5 => dense_of::<5>(bytes, values),
        6 => dense_of::<6>(bytes, values),
        7 => dense_of::<7>(bytes, values),
        _ => dense_of::<8>(bytes, values),
    }
}

fn dense_of<const BITS: usize>(bytes: &[u8], values: &mut [f32]) {
    let (whole, rest) = values.as_chunks_mut::<8>();
    let (bytes, more) = bytes.as_chunks::<BITS>();
    for (values, bytes) in whole.iter_mut().zip(bytes) {
        eight_of::<BITS>(bytes, values);
    }
    eight_of::<BITS>(bytes.get(whole.len()).map_or(more, |bytes| bytes), rest);
}

/// Up to 8 values.
#[inline]
fn eight_of<const BITS: usize>(bytes: &[u8], values: &mut [f32]) {
    let mut word = [0; 8];
    for (target, byte) in word.iter_mut().zip(bytes) {
        *target = *byte;
    }
    let word = u64::from_le_bytes(word);
    for (index, value) in values.iter_mut().enumerate() {
        *value = (word >> (index * BITS) & ((1 << BITS) - 1)) as u32 as f32;
    }
}

fn whole_in_words(bytes: &[u8], bits: u32, values: &mut [f32]) {
    for (values, word) in values.chunks_mut((32 / bits) as usize).zip(bytes.as_chunks().0) {
        let mut word = u32::from_le_bytes(*word);
        for value in values {
            *value = (word & ((1 << bits) - 1)) as f32;
            word >>= bits;
        }
    }
}

fn columns<const BITS: usize>(words: impl Iterator<Item = u32>, values: &mut [f32]) {
    for (values, word) in values.chunks_mut(32 / BITS).zip(words) {
        for (index, value) in values.iter_mut().enumerate() {
            *value = (word >> (index * BITS) & ((1 << BITS) - 1)) as u16 as f32;
        }
    }
}

fn columns_of_three_bits(mut words: impl Iterator<Item = u32>, values: &mut [f32]) {
    for values in values.chunks_mut(32) {
        let [first, second, third] = std::array::from_fn(|_| u64::from(words.next().unwrap_or_default()));
        let (low, high) = (first | second << 32, second | third << 32);
        for (index, value) in values.iter_mut().enumerate() {
            let bits = if index < 21 { low >> (index * 3) } else { high >> (index * 3 - 32) };
            *value = (bits & 7) as f32;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A value's bits in a stream, one by one.
    fn value(bytes: &[u8], index: usize, bits: usize) -> f32 {
        let bit = |place: usize| u32::from(bytes[place / 8] >> (place % 8) & 1);
        (0..bits).map(|bit_of_value| bit(index * bits + bit_of_value) << bit_of_value).sum::<u32>() as f32
    }

    proptest! {
        #[test]
        fn bits_without_gaps_are_read_as_a_stream(bits in 2usize..9, count in 1usize..100, seed: [u8; 16]) {
            let bytes: Vec<u8> = (0..count * bits / 8 + 8).map(|byte| seed[byte % 16].wrapping_mul(byte as u8 | 1)).collect();
            let mut values = vec![0.; count];
            dense(&bytes, bits as u32, &mut values);
            let expected: Vec<f32> = (0..count).map(|index| value(&bytes, index, bits)).collect();
            prop_assert_eq!(&values, &expected);
            // A column of single words is the same stream.
            if [2, 3, 4, 8].contains(&bits) {
                let bytes = &bytes[..bytes.len() / 4 * 4];
                let count = count.min(bytes.len() * 8 / bits);
                Codes::Columns { bytes, outputs: 1, bits: bits as u32 }.read(0, &mut values[..count]);
                prop_assert_eq!(&values[..count], &expected[..count]);
            }
        }
    }

    #[test]
    fn floats_of_eight_bits_have_their_values() {
        for (byte, value) in
            [(0x00, 0.), (0x01, 0.001_953_125), (0x38, 1.), (0xb8, -1.), (0x7e, 448.), (0x08, 0.015_625)]
        {
            assert_eq!(F8_E4M3[byte], value, "{byte:#x}");
        }
        assert!(F8_E4M3[0x7f].is_nan() && F8_E4M3[0xff].is_nan());
        assert_eq!(F8_E4M3[0x80].to_bits(), (-0f32).to_bits());
    }
}
