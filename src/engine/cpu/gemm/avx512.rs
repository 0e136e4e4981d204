//! Products on AVX-512: 16 lanes, eight rows at a time in 16 of the 32 registers.

use std::arch::x86_64::*;

use crate::engine::cpu::gemm::microkernel::{Run, SIDE, WORDS};
use crate::engine::cpu::gemm::simd::{Lanes, multiply};

/// What is added to the left operand's bytes when they are packed: the instruction wants them without sign.
pub(crate) const RAISED: u8 = 128;

struct F32;
struct F32ByBf16;
struct Bf16;
struct Int8;

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

/// The left bytes are raised by [`RAISED`]; `int8` takes it away again.
#[inline(always)]
unsafe fn add_int8(sum: __m512i, left: u32, right: __m512i) -> __m512i {
    // SAFETY: the caller vouches for AVX-512-VNNI.
    unsafe { _mm512_dpbusd_epi32(sum, _mm512_set1_epi32(left as i32), right) }
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
kernel!(raised_int8, Int8, "avx512f,avx512vnni", "Words of four bytes, where nothing is taken away.");

/// Words of four bytes: those of the left raised by [`RAISED`], those of the right signed.
///
/// # Safety
/// As [`multiply`].
#[target_feature(enable = "avx512f,avx512vnni")]
pub(crate) unsafe fn int8(runs: &[Run], right: *const u8, results: *mut u32, add: bool, soon: *const u8) {
    let steps: usize = runs.iter().map(|run| run.steps).sum();
    // SAFETY: as the caller's; the loops stay inside the same blocks.
    unsafe {
        raised_int8(runs, right, results, add, soon);
        let right = right.cast::<u32>();
        for half in 0..2 {
            // Several sums, as one would wait for itself.
            let mut raised = [_mm512_setzero_si512(); 8];
            for step in 0..steps {
                let words = right.add((step * 2 + half) * WORDS * WORDS);
                for word in 0..WORDS {
                    let words = _mm512_loadu_si512(words.add(word * WORDS).cast());
                    let sum = &mut raised[word % 8];
                    *sum = _mm512_dpbusd_epi32(*sum, _mm512_set1_epi8(RAISED as i8), words);
                }
            }
            let raised = raised.into_iter().fold(_mm512_setzero_si512(), |sum, one| _mm512_add_epi32(sum, one));
            for row in 0..SIDE {
                let results = results.add(row * SIDE + half * WORDS);
                let sums = _mm512_sub_epi32(_mm512_loadu_si512(results.cast()), raised);
                _mm512_storeu_si512(results.cast(), sums);
            }
        }
    }
}
