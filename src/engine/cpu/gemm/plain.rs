//! Products in what every processor has. The compiler makes SSE2 or NEON of it.

use crate::engine::cpu::gemm::microkernel::{BLOCK, Run, SIDE, WORDS};
use crate::engine::cpu::gemm::simd::Lanes;

/// Words of one f32.
pub(crate) struct F32;
/// Words of one f32, on the right as bf16.
pub(crate) struct F32ByBf16;

#[inline(always)]
fn add(sum: [f32; 4], left: u32, right: [f32; 4]) -> [f32; 4] {
    let left = f32::from_bits(left);
    // AArch64 always has a fused multiply-add; SSE2 has none, and calling the C library's would take fifty times as long.
    let lane = |lane: usize| {
        if cfg!(target_arch = "aarch64") {
            left.mul_add(right[lane], sum[lane])
        } else {
            sum[lane] + left * right[lane]
        }
    };
    [lane(0), lane(1), lane(2), lane(3)]
}

macro_rules! four_lanes {
    ($name:ident, $right:ty, $widen:expr) => {
        impl Lanes for $name {
            type Vector = [f32; 4];
            type Right = $right;
            const LANES: usize = 4;

            #[inline(always)]
            unsafe fn zero() -> [f32; 4] {
                [0.; 4]
            }

            #[inline(always)]
            unsafe fn load(results: *const u32) -> [f32; 4] {
                // SAFETY: the caller vouches for four results.
                unsafe { results.cast::<[f32; 4]>().read_unaligned() }
            }

            #[inline(always)]
            unsafe fn store(results: *mut u32, values: [f32; 4]) {
                // SAFETY: the caller vouches for four results.
                unsafe { results.cast::<[f32; 4]>().write_unaligned(values) }
            }

            #[inline(always)]
            unsafe fn right(words: *const $right) -> [f32; 4] {
                // SAFETY: the caller vouches for four words.
                unsafe { words.cast::<[$right; 4]>().read_unaligned() }.map($widen)
            }

            #[inline(always)]
            unsafe fn add(sum: [f32; 4], left: u32, right: [f32; 4]) -> [f32; 4] {
                add(sum, left, right)
            }
        }
    };
}
four_lanes!(F32, u32, f32::from_bits);
four_lanes!(F32ByBf16, u16, |word| f32::from_bits(u32::from(word) << 16));

macro_rules! of_integers {
    ($name:ident, $doc:literal, $product:expr) => {
        #[doc = $doc]
        /// See [`crate::engine::cpu::gemm::microkernel::Multiply`].
        ///
        /// # Safety
        /// The operands hold the runs' steps, the results 32 × 32.
        pub(crate) unsafe fn $name(runs: &[Run], right: *const u8, results: *mut u32, add: bool, _soon: *const u8) {
            let mut right = right.cast::<u32>();
            for (index, run) in runs.iter().enumerate() {
                // SAFETY: as the caller's; the right operand goes on behind this run's blocks.
                unsafe {
                    add_run(run, right, results, add || index > 0, $product);
                    right = right.add(run.steps * BLOCK);
                }
            }
        }
    };
}
of_integers!(int8, "Words of four signed bytes.", |left: u32, right: u32| {
    let bytes = |word: u32| word.to_ne_bytes().map(|byte| i32::from(byte as i8));
    bytes(left).iter().zip(bytes(right)).map(|(left, right)| left * right).sum()
});
of_integers!(int16, "Words of two whole numbers.", |left: u32, right: u32| {
    let halves = |word: u32| [word as i16, (word >> 16) as i16].map(i32::from);
    let ([first, second], [of_first, of_second]) = (halves(left), halves(right));
    first.wrapping_mul(of_first).wrapping_add(second.wrapping_mul(of_second))
});

#[inline(always)]
unsafe fn add_run(run: &Run, right: *const u32, results: *mut u32, add: bool, product: impl Fn(u32, u32) -> i32) {
    let Run { left, steps } = *run;
    for row in 0..SIDE {
        // SAFETY: all offsets are inside the blocks that the caller vouches for.
        unsafe {
            let mut sums = [0i32; SIDE];
            if add {
                sums = results.add(row * SIDE).cast::<[i32; SIDE]>().read_unaligned();
            }
            for word in 0..steps * WORDS {
                let (step, word) = (word / WORDS, word % WORDS);
                let left = *left.add((step * SIDE + row) * WORDS + word);
                for (output, sum) in sums.iter_mut().enumerate() {
                    let half = output / WORDS;
                    let right = *right.add(((step * 2 + half) * WORDS + word) * WORDS + output % WORDS);
                    *sum = sum.wrapping_add(product(left, right));
                }
            }
            results.add(row * SIDE).cast::<[i32; SIDE]>().write_unaligned(sums);
        }
    }
}
