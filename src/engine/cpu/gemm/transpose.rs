//! 16 × 16 words, rows to columns: what turns rows into the right operand's order, and sums by feature into rows.

use crate::engine::cpu::Level;

/// Sixteen rows of sixteen words.
pub(crate) type Square = [[u32; 16]; 16];

/// Rows become columns.
#[inline(always)]
pub(crate) fn transpose(square: &Square, level: Level) -> Square {
    #[cfg(target_arch = "x86_64")]
    if level >= Level::Avx512 {
        // SAFETY: the level is chosen only where the processor has AVX-512.
        return unsafe { avx512(square) };
    }
    let _ = level;
    std::array::from_fn(|column| std::array::from_fn(|row| square[row][column]))
}

/// Four rounds: in the first, quadrants of 8 × 8 change places across the diagonal, in the second those of 4 × 4 inside
/// each, and so on.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
fn avx512(square: &Square) -> Square {
    use std::arch::x86_64::*;

    // SAFETY: reads the 16 words of the array.
    let load = |words: &[u32; 16]| unsafe { _mm512_loadu_si512(words.as_ptr().cast()) };
    let mut rows = [_mm512_setzero_si512(); 16];
    for (row, words) in rows.iter_mut().zip(square) {
        *row = load(words);
    }
    macro_rules! round {
        ($size:literal) => {{
            const LANES: [[u32; 16]; 2] = lanes($size);
            let (low, high) = (load(&LANES[0]), load(&LANES[1]));
            let mut row = 0;
            while row < 16 {
                let (first, second) = (rows[row], rows[row + $size]);
                rows[row] = _mm512_permutex2var_epi32(first, low, second);
                rows[row + $size] = _mm512_permutex2var_epi32(first, high, second);
                row += if (row + 1) & $size == 0 { 1 } else { 1 + $size };
            }
        }};
    }
    round!(8);
    round!(4);
    round!(2);
    round!(1);
    let mut turned = [[0; 16]; 16];
    for (words, row) in turned.iter_mut().zip(rows) {
        // SAFETY: writes the 16 words of the array.
        unsafe { _mm512_storeu_si512(words.as_mut_ptr().cast(), row) };
    }
    turned
}

/// Which lanes of two rows, `size` apart, make up the new ones; 16 … 31 are those of the second.
#[cfg(target_arch = "x86_64")]
const fn lanes(size: usize) -> [[u32; 16]; 2] {
    let mut lanes = [[0; 16]; 2];
    let mut lane = 0;
    while lane < 16 {
        let stays = lane & size == 0;
        lanes[0][lane] = if stays { lane } else { 16 + lane - size } as u32;
        lanes[1][lane] = if stays { lane + size } else { 16 + lane } as u32;
        lane += 1;
    }
    lanes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_become_columns_at_every_level() {
        let square: Square = std::array::from_fn(|row| std::array::from_fn(|column| (row * 16 + column) as u32));
        for level in Level::all() {
            let turned = transpose(&square, level);
            for row in 0..16 {
                for column in 0..16 {
                    assert_eq!(turned[column][row], square[row][column], "{level}");
                }
            }
        }
    }
}
