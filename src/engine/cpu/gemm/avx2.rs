//! Products on AVX2 and FMA: 8 lanes of words, two rows at a time in 8 of the 16 registers.

use std::arch::x86_64::*;

use crate::engine::cpu::gemm::microkernel::Run;
use crate::engine::cpu::gemm::simd::{Lanes, multiply};

struct F32;
struct F32ByBf16;
struct Int8;
struct Int16;

macro_rules! eight_lanes {
    ($name:ident, $right:ty, $load:expr) => {
        impl Lanes for $name {
            type Vector = __m256;
            type Right = $right;
            const LANES: usize = 8;

            #[inline(always)]
            unsafe fn zero() -> __m256 {
                // SAFETY: the caller vouches for AVX2.
                unsafe { _mm256_setzero_ps() }
            }

            #[inline(always)]
            unsafe fn load(results: *const u32) -> __m256 {
                // SAFETY: the caller vouches for AVX2 and eight results.
                unsafe { _mm256_loadu_ps(results.cast()) }
            }

            #[inline(always)]
            unsafe fn store(results: *mut u32, values: __m256) {
                // SAFETY: the caller vouches for AVX2 and eight results.
                unsafe { _mm256_storeu_ps(results.cast(), values) }
            }

            #[inline(always)]
            unsafe fn right(words: *const $right) -> __m256 {
                // SAFETY: the caller vouches for AVX2 and eight words.
                unsafe { $load(words) }
            }

            #[inline(always)]
            unsafe fn add(sum: __m256, left: u32, right: __m256) -> __m256 {
                // SAFETY: the caller vouches for FMA.
                unsafe { _mm256_fmadd_ps(_mm256_set1_ps(f32::from_bits(left)), right, sum) }
            }
        }
    };
}
eight_lanes!(F32, u32, |words: *const u32| _mm256_loadu_ps(words.cast()));
eight_lanes!(F32ByBf16, u16, |words: *const u16| {
    _mm256_castsi256_ps(_mm256_slli_epi32::<16>(_mm256_cvtepu16_epi32(_mm_loadu_si128(words.cast()))))
});

macro_rules! eight_sums {
    ($name:ident, $add:expr) => {
        impl Lanes for $name {
            type Vector = __m256i;
            type Right = u32;
            const LANES: usize = 8;

            #[inline(always)]
            unsafe fn zero() -> __m256i {
                // SAFETY: the caller vouches for AVX2.
                unsafe { _mm256_setzero_si256() }
            }

            #[inline(always)]
            unsafe fn load(results: *const u32) -> __m256i {
                // SAFETY: the caller vouches for AVX2 and eight results.
                unsafe { _mm256_loadu_si256(results.cast()) }
            }

            #[inline(always)]
            unsafe fn store(results: *mut u32, values: __m256i) {
                // SAFETY: the caller vouches for AVX2 and eight results.
                unsafe { _mm256_storeu_si256(results.cast(), values) }
            }

            #[inline(always)]
            unsafe fn right(words: *const u32) -> __m256i {
                // SAFETY: the caller vouches for AVX2 and eight words.
                unsafe { _mm256_loadu_si256(words.cast()) }
            }

            #[inline(always)]
            unsafe fn add(sum: __m256i, left: u32, right: __m256i) -> __m256i {
                // SAFETY: the caller vouches for AVX2.
                unsafe { _mm256_add_epi32(sum, $add(_mm256_set1_epi32(left as i32), right)) }
            }
        }
    };
}
// The left bytes' signs go over to the right ones, as the instruction wants the left ones without. No byte is −128, so the sums of
// two products fit into 16 bits.
eight_sums!(Int8, |left, right| {
    let pairs = _mm256_maddubs_epi16(_mm256_abs_epi8(left), _mm256_sign_epi8(right, left));
    _mm256_madd_epi16(pairs, _mm256_set1_epi16(1))
});
eight_sums!(Int16, |left, right| _mm256_madd_epi16(left, right));

macro_rules! kernel {
    ($name:ident, $lanes:ty, $doc:literal) => {
        #[doc = $doc]
        ///
        /// # Safety
        /// As [`multiply`].
        #[target_feature(enable = "avx2,fma")]
        pub(crate) unsafe fn $name(runs: &[Run], right: *const u8, results: *mut u32, add: bool, soon: *const u8) {
            // SAFETY: as the caller's.
            unsafe { multiply::<$lanes, 4, 2>(runs, right, results, add, soon) }
        }
    };
}
kernel!(f32, F32, "Words of one f32.");
kernel!(f32_by_bf16, F32ByBf16, "Words of one f32, on the right as bf16.");
kernel!(int8, Int8, "Words of four signed bytes, none of them −128.");
kernel!(int16, Int16, "Words of two whole numbers.");
