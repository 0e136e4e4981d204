//! Products on AVX-512: 16 lanes, eight rows at a time in 16 of the 32 registers.

use std::arch::x86_64::*;

use crate::engine::cpu::gemm::microkernel::{Run, SIDE, WORDS};
use crate::engine::cpu::gemm::scales::Scales;
use crate::engine::cpu::gemm::simd::{Lanes, add_rows, multiply};

/// What is added to the left operand's bytes when they are packed: the instruction wants them without sign.
pub(crate) const RAISED: u8 = 128;

struct F32;
struct F32ByBf16;
struct Bf16;
struct Int8;
struct Int16;

macro_rules! sixteen_lanes {
    ($name:ident, $right:ty, $load:expr, $add:expr) => {
        impl Lanes for $name {
            type Vector = __m512i;
            type Right = $right;
            const LANES: usize = 16;

            #[inline(always)]
            unsafe fn zero() -> __m512i {
                // SAFETY: the caller vouches for AVX-512.
                unsafe { _mm512_setzero_si512() }
            }

            #[inline(always)]
            unsafe fn load(results: *const u32) -> __m512i {
                // SAFETY: the caller vouches for AVX-512 and 16 results.
                unsafe { _mm512_loadu_si512(results.cast()) }
            }

            #[inline(always)]
            unsafe fn store(results: *mut u32, values: __m512i) {
                // SAFETY: the caller vouches for AVX-512 and 16 results.
                unsafe { _mm512_storeu_si512(results.cast(), values) }
            }

            #[inline(always)]
            unsafe fn right(words: *const $right) -> __m512i {
                // SAFETY: the caller vouches for AVX-512 and 16 words.
                unsafe { $load(words) }
            }

            #[inline(always)]
            unsafe fn add(sum: __m512i, left: u32, right: __m512i) -> __m512i {
                // SAFETY: the caller vouches for the instructions.
                unsafe { $add(sum, left, right) }
            }

            #[inline(always)]
            unsafe fn fetch(line: *const u8) {
                // SAFETY: a hint may be of any memory.
                unsafe { _mm_prefetch::<_MM_HINT_T1>(line.cast()) }
            }
        }
    };
}

#[inline(always)]
unsafe fn add_f32(sum: __m512i, left: u32, right: __m512i) -> __m512i {
    // SAFETY: the caller vouches for AVX-512.
    unsafe {
        let left = _mm512_set1_ps(f32::from_bits(left));
        _mm512_castps_si512(_mm512_fmadd_ps(left, _mm512_castsi512_ps(right), _mm512_castsi512_ps(sum)))
    }
}

#[inline(always)]
unsafe fn add_bf16(sum: __m512i, left: u32, right: __m512i) -> __m512i {
    // SAFETY: the caller vouches for AVX-512-BF16; the vectors are of one size.
    unsafe {
        let pairs = |vector: __m512i| std::mem::transmute::<__m512i, __m512bh>(vector);
        let (left, right) = (pairs(_mm512_set1_epi32(left as i32)), pairs(right));
        _mm512_castps_si512(_mm512_dpbf16_ps(_mm512_castsi512_ps(sum), left, right))
    }
}

/// The left bytes are raised by [`RAISED`]; sums begin with what that adds, taken away.
#[inline(always)]
unsafe fn add_int8(sum: __m512i, left: u32, right: __m512i) -> __m512i {
    // SAFETY: the caller vouches for AVX-512-VNNI.
    unsafe { _mm512_dpbusd_epi32(sum, _mm512_set1_epi32(left as i32), right) }
}

#[inline(always)]
unsafe fn add_int16(sum: __m512i, left: u32, right: __m512i) -> __m512i {
    // SAFETY: the caller vouches for AVX-512-VNNI.
    unsafe { _mm512_dpwssd_epi32(sum, _mm512_set1_epi32(left as i32), right) }
}

sixteen_lanes!(F32, u32, |words: *const u32| _mm512_loadu_si512(words.cast()), add_f32);
sixteen_lanes!(
    F32ByBf16,
    u16,
    |words: *const u16| _mm512_slli_epi32::<16>(_mm512_cvtepu16_epi32(_mm256_loadu_si256(words.cast()))),
    add_f32
);
sixteen_lanes!(Bf16, u32, |words: *const u32| _mm512_loadu_si512(words.cast()), add_bf16);
sixteen_lanes!(Int8, u32, |words: *const u32| _mm512_loadu_si512(words.cast()), add_int8);
sixteen_lanes!(Int16, u32, |words: *const u32| _mm512_loadu_si512(words.cast()), add_int16);

macro_rules! kernel {
    ($name:ident, $lanes:ty, $features:literal, $doc:literal) => {
        #[doc = $doc]
        ///
        /// # Safety
        /// As [`multiply`].
        #[target_feature(enable = $features)]
        pub(crate) unsafe fn $name(runs: &[Run], right: *const u8, results: *mut u32, add: bool, soon: *const u8) {
            // SAFETY: as the caller's.
            unsafe { multiply::<$lanes, 2, 8>(runs, right, results, add, soon) }
        }
    };
}
kernel!(f32, F32, "avx512f", "Words of one f32.");
kernel!(f32_by_bf16, F32ByBf16, "avx512f", "Words of one f32, on the right as bf16.");
kernel!(bf16, Bf16, "avx512f,avx512bf16", "Words of two bf16.");
kernel!(
    int8,
    Int8,
    "avx512f,avx512vnni",
    "Words of four bytes: those of the left raised by [`RAISED`], those of the right signed."
);

kernel!(int16, Int16, "avx512f,avx512vnni", "Words of two whole numbers.");

macro_rules! scaled_kernel {
    ($name:ident, $lanes:ty, $doc:literal) => {
        #[doc = $doc]
        ///
        /// # Safety
        /// The operands hold the run's steps; there are 32 scales of rows and of outputs, 32 sums of outputs and 32 × 32 results;
        /// the processor has AVX-512-VNNI.
        #[target_feature(enable = "avx512f,avx512vnni")]
        pub(crate) unsafe fn $name(
            run: Run,
            right: *const u8,
            scales: &Scales<'_>,
            results: *mut u32,
            add: bool,
            soon: *const u8,
        ) {
            // SAFETY: as the caller's.
            unsafe { multiply_scaled::<$lanes>((run, right.cast()), scales, results, add, soon) }
        }
    };
}
scaled_kernel!(scaled_int8, Int8, "As [`int8`], with a run's sums times their scales as f32.");
scaled_kernel!(scaled_int16, Int16, "As [`int16`], with a run's sums times their scales as f32.");

#[inline(always)]
unsafe fn multiply_scaled<L: Lanes<Vector = __m512i>>(
    (run, right): (Run, *const L::Right),
    scales: &Scales<'_>,
    results: *mut u32,
    add: bool,
    soon: *const u8,
) {
    const ROWS: usize = 8;
    // SAFETY: as the caller's; all offsets are inside what it vouches for.
    unsafe {
        let halves = |values: *const __m512i| [_mm512_loadu_si512(values), _mm512_loadu_si512(values.add(1))];
        let lowered = halves(scales.lowered.as_ptr().cast());
        let outputs = halves(scales.outputs.as_ptr().cast()).map(|half| _mm512_castsi512_ps(half));
        for row in (0..SIDE).step_by(ROWS) {
            let sums = add_rows::<L, 2, ROWS>([lowered; ROWS], run, row, right, soon);
            for (row, sums) in (row..).zip(sums) {
                let scale = _mm512_set1_ps(*scales.rows.get_unchecked(row));
                for (half, (sum, output)) in sums.into_iter().zip(outputs).enumerate() {
                    let result = results.add(row * SIDE + half * WORDS).cast::<f32>();
                    let mut value = _mm512_mul_ps(_mm512_cvtepi32_ps(sum), _mm512_mul_ps(scale, output));
                    if add {
                        value = _mm512_add_ps(_mm512_loadu_ps(result), value);
                    }
                    _mm512_storeu_ps(result, value);
                }
            }
        }
    }
}
