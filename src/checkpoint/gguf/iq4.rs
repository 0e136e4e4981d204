//! Values of four bits that stand for places in a table which is denser around 0: `dequantize_row_iq4_nl` and
//! `dequantize_row_iq4_xs` of llama.cpp, which candle does not have.

use half::f16;

const TABLE: [i8; 16] = [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113];

/// Values that share a scale.
const GROUP: usize = 32;

/// Blocks of a scale and 32 values.
pub(super) fn expand_nl(bytes: &[u8], values: &mut [f32]) {
    for ([low, high, fours @ ..], values) in bytes.as_chunks::<18>().0.iter().zip(values.as_chunks_mut::<GROUP>().0) {
        expand_group(f16::from_le_bytes([*low, *high]).to_f32(), fours, values);
    }
}

/// Blocks of a scale and 8 groups of 32 values, whose own scales have 6 bits: four, and behind them two more.
pub(super) fn expand_xs(bytes: &[u8], values: &mut [f32]) {
    for (block, values) in bytes.as_chunks::<136>().0.iter().zip(values.as_chunks_mut::<{ 8 * GROUP }>().0) {
        let [low, high, more_low, more_high, fours @ ..] = block;
        let (scales, groups) = fours.split_at(4);
        let scale = f16::from_le_bytes([*low, *high]).to_f32();
        let more = u16::from_le_bytes([*more_low, *more_high]);
        let scales = scales.iter().flat_map(|pair| [pair & 15, pair >> 4]).enumerate();
        let groups = groups.as_chunks::<16>().0.iter().zip(values.as_chunks_mut::<GROUP>().0);
        for ((index, four), (fours, values)) in scales.zip(groups) {
            let of_group = i32::from(four) | i32::from(more >> (2 * index) & 3) << 4;
            expand_group(scale * (of_group - 32) as f32, fours, values);
        }
    }
}

/// The first half of the values are the low four bits of the bytes.
fn expand_group(scale: f32, fours: &[u8], values: &mut [f32; GROUP]) {
    let (first, second) = values.split_at_mut(GROUP / 2);
    for ((first, second), pair) in first.iter_mut().zip(second).zip(fours) {
        *first = scale * of_table(pair & 15);
        *second = scale * of_table(pair >> 4);
    }
}

#[expect(clippy::indexing_slicing, reason = "four bits are less than the table's 16 places")]
fn of_table(four: u8) -> f32 {
    f32::from(TABLE[usize::from(four & 15)])
}
