//! 16 × 16 words, rows to columns: what turns rows into the right operand's order, and sums by feature into rows.

use super::Level;

/// Sixteen rows of sixteen words.
pub(super) type Square = [[u32; 16]; 16];

/// Rows become columns.
#[inline(always)]
pub(super) fn transpose(square: &Square, level: Level) -> Square {
    #[cfg(target_arch = "x86_64")]
    if level >= Level::Avx512 {
        // SAFETY: the level says that the processor has AVX-512.
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

    // SAFETY: rows of 16 words are as large as vectors.
    let mut rows: [__m512i; 16] = unsafe { std::mem::transmute(*square) };
    macro_rules! round {
        ($size:literal) => {{
            // Lanes 16 … 31 are those of the second row.
            let lanes = |upper: bool| -> [u32; 16] {
                std::array::from_fn(|lane| match (lane & $size == 0, upper) {
                    (true, false) => lane as u32,
                    (false, false) => (16 + lane - $size) as u32,
                    (true, true) => (lane + $size) as u32,
                    (false, true) => (16 + lane) as u32,
                })
            };
            // SAFETY: arrays of 16 words are as large as vectors.
            let (low, high): (__m512i, __m512i) =
                unsafe { (std::mem::transmute(lanes(false)), std::mem::transmute(lanes(true))) };
            for row in 0..16 {
                if row & $size == 0 {
                    let (first, second) = (rows[row], rows[row + $size]);
                    rows[row] = _mm512_permutex2var_epi32(first, low, second);
                    rows[row + $size] = _mm512_permutex2var_epi32(first, high, second);
                }
            }
        }};
    }
    round!(8);
    round!(4);
    round!(2);
    round!(1);
    // SAFETY: as above.
    unsafe { std::mem::transmute(rows) }
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
