//! Products on vector registers: a few rows at a time, their results in registers, one word of the inner dimension after
//! the other. What a word is, and how many lanes a register has, is the [`Lanes`]' affair.

use crate::engine::cpu::gemm::microkernel::{BLOCK, Run, SIDE, WORDS};

/// A vector instruction set's way to multiply words.
pub(crate) trait Lanes {
    /// A register of results.
    type Vector: Copy;
    /// How the right operand's words are stored.
    type Right;
    /// Results in a register; divides 16.
    const LANES: usize;

    /// Zeros.
    unsafe fn zero() -> Self::Vector;
    /// Results that were computed before.
    unsafe fn load(results: *const u32) -> Self::Vector;
    /// Keeps results.
    unsafe fn store(results: *mut u32, values: Self::Vector);
    /// Words of as many outputs.
    unsafe fn right(words: *const Self::Right) -> Self::Vector;
    /// `sum + left · right` for one word of a row.
    unsafe fn add(sum: Self::Vector, left: u32, right: Self::Vector) -> Self::Vector;
    /// Hints that a cache line is needed soon, where rows take long enough for the hint to cost nothing.
    #[inline(always)]
    unsafe fn fetch(_line: *const u8) {}
}

/// Bytes of a cache line.
const LINE: usize = 64;

/// `REGISTERS` hold the 32 results of a row; so many `ROWS` are computed at once. See [`crate::engine::cpu::gemm::microkernel::Multiply`].
///
/// # Safety
/// The operands hold the runs' steps, the results 32 × 32; the processor has the instructions of `L`.
#[inline(always)]
pub(crate) unsafe fn multiply<L: Lanes, const REGISTERS: usize, const ROWS: usize>(
    runs: &[Run],
    right: *const u8,
    results: *mut u32,
    add: bool,
    soon: *const u8,
) {
    let (mut right, mut soon) = (right.cast::<L::Right>(), soon);
    for (index, &run) in runs.iter().enumerate() {
        // SAFETY: as the caller's; the right operand goes on behind this run's blocks.
        unsafe {
            multiply_run::<L, REGISTERS, ROWS>(run, right, results, add || index > 0, soon);
            right = right.add(run.steps * BLOCK);
        }
        soon = soon.wrapping_add(run.steps * SIDE / ROWS * LINE);
    }
}

#[inline(always)]
unsafe fn multiply_run<L: Lanes, const REGISTERS: usize, const ROWS: usize>(
    run: Run,
    right: *const L::Right,
    results: *mut u32,
    add: bool,
    soon: *const u8,
) {
    const { assert!(REGISTERS * L::LANES == SIDE && SIDE.is_multiple_of(ROWS)) };
    for row in (0..SIDE).step_by(ROWS) {
        // SAFETY: all offsets are inside the blocks that the caller vouches for.
        unsafe {
            let mut sums = [[L::zero(); REGISTERS]; ROWS];
            let result = |index: usize, register: usize| (row + index) * SIDE + register * L::LANES;
            if add {
                for (index, sums) in sums.iter_mut().enumerate() {
                    for (register, sum) in sums.iter_mut().enumerate() {
                        *sum = L::load(results.add(result(index, register)));
                    }
                }
            }
            let sums = add_rows::<L, REGISTERS, ROWS>(sums, run, row, right, soon);
            for (index, sums) in sums.iter().enumerate() {
                for (register, &sum) in sums.iter().enumerate() {
                    L::store(results.add(result(index, register)), sum);
                }
            }
        }
    }
}

/// The sums of `ROWS` rows from `row` on, and their products. Of what is needed soon, these rows fetch as many lines as they
/// have steps, those before them the lines before.
///
/// # Safety
/// The operands hold the run's steps; the processor has the instructions of `L`.
#[inline(always)]
pub(crate) unsafe fn add_rows<L: Lanes, const REGISTERS: usize, const ROWS: usize>(
    mut sums: [[L::Vector; REGISTERS]; ROWS],
    run: Run,
    row: usize,
    right: *const L::Right,
    soon: *const u8,
) -> [[L::Vector; REGISTERS]; ROWS] {
    for step in 0..run.steps {
        // SAFETY: all offsets are inside the blocks that the caller vouches for; a hint may be of any memory.
        unsafe {
            L::fetch(soon.wrapping_add((row / ROWS * run.steps + step) * LINE));
            let (left, right) = (run.left.add((step * SIDE + row) * WORDS), right.add(step * BLOCK));
            for word in 0..WORDS {
                let mut words = [L::zero(); REGISTERS];
                for (register, words) in words.iter_mut().enumerate() {
                    let (half, lane) = (register * L::LANES / WORDS, register * L::LANES % WORDS);
                    *words = L::right(right.add((half * WORDS + word) * WORDS + lane));
                }
                for (index, sums) in sums.iter_mut().enumerate() {
                    let left = *left.add(index * WORDS + word);
                    for (sum, &words) in sums.iter_mut().zip(&words) {
                        *sum = L::add(*sum, left, words);
                    }
                }
            }
        }
    }
    sums
}
