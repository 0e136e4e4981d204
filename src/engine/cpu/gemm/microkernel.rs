//! The one shape in which every product is computed: 32 × 32 results from blocks of 32 rows × 64 bytes.
//!
//! A *word* is 4 bytes of the inner dimension: one f32, two bf16 or four int8. A *step* is 16 words. The left operand keeps
//! a row's 16 words of a step together, the right one keeps word after word, with 16 outputs side by side, so that 16 lanes
//! (or a tile) multiply-add one word of a row with 16 outputs at once:
//!
//! ```text
//! left block, 2 KiB                 right block, 2 KiB (two halves of 16 outputs)
//! row 0   word 0 … word 15          word 0    output 0 … output 15     word 0   output 16 … output 31
//!   ⋮                                 ⋮                                   ⋮
//! row 31  word 0 … word 15          word 15   output 0 … output 15     word 15  output 16 … output 31
//! ```
//!
//! A result is summed word by word in the order of the inner dimension, whatever stands around it: so it depends on its own
//! row and output alone.

use super::scales::{Scales, scale};
#[cfg(target_arch = "x86_64")]
use super::{amx, avx2, avx512};
use super::{plain, simd};
use crate::engine::cpu::level::Level;

/// Rows, or outputs, of a block.
pub const SIDE: usize = 32;
/// Words of a row in a block.
pub const WORDS: usize = 16;
/// Words of a block.
pub const BLOCK: usize = SIDE * WORDS;

/// What the words of the operands are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// One f32.
    F32,
    /// On the left one f32; on the right one bf16, in 2 bytes: halves the memory of weights that came as bf16.
    F32ByBf16,
    /// Two bf16, summed in f32.
    Bf16,
    /// Four signed bytes, summed in i32.
    Int8,
    /// Two whole numbers up to ±2,047, summed in i32: those of a run can't exceed it.
    Int16,
}

impl Format {
    /// Values in a step.
    pub fn step(self) -> usize {
        match self {
            Self::F32 | Self::F32ByBf16 => WORDS,
            Self::Bf16 | Self::Int16 => 2 * WORDS,
            Self::Int8 => 4 * WORDS,
        }
    }

    /// The form of the left operand.
    pub fn left(self) -> Self {
        if self == Self::F32ByBf16 { Self::F32 } else { self }
    }

    /// Steps that hold `values` values.
    pub fn steps(self, values: usize) -> usize {
        values.div_ceil(self.step())
    }

    /// The largest magnitude of its whole numbers, which have scales; nothing if it is of floats.
    pub(crate) fn largest(self) -> Option<f32> {
        match self {
            Self::Int8 => Some(127.),
            Self::Int16 => Some(2047.),
            Self::F32 | Self::F32ByBf16 | Self::Bf16 => None,
        }
    }

    /// Bytes of a block on the right.
    pub fn right_bytes(self) -> usize {
        if self == Self::F32ByBf16 { 2 * BLOCK } else { 4 * BLOCK }
    }
}

/// What a level's kernels of int8 want put over the left operand's bytes, by exclusive or. It adds as much to each byte, and
/// what that adds to a sum is known from the right operand alone.
pub(crate) fn left_sign(level: Level) -> u8 {
    #[cfg(target_arch = "x86_64")]
    if level == Level::Avx512Bf16 {
        return avx512::RAISED;
    }
    let _ = level;
    0
}

/// Multiplies the blocks of one row of blocks with those of one column.
#[derive(Clone, Copy)]
pub struct Kernel {
    multiply: Multiply,
    format: Format,
    level: Level,
}

/// The left operand's runs, the right operand, the 32 × 32 results (f32, or i32 for whole numbers), whether to add to the results, and
/// memory that is needed soon. The right operand goes on from run to run.
pub(crate) type Multiply = unsafe fn(&[Run], *const u8, *mut u32, bool, *const u8);

/// As [`Multiply`] of one run, with its scales.
#[cfg(target_arch = "x86_64")]
type Scaled = unsafe fn(Run, *const u8, &Scales<'_>, *mut u32, bool, *const u8);

/// Blocks of the left operand that stand side by side; there is at least one.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct Run {
    pub(crate) left: *const u32,
    pub(crate) steps: usize,
}

impl Run {
    /// For places of an array that are not used.
    pub(crate) const NONE: Self = Self { left: std::ptr::null(), steps: 0 };

    pub(crate) fn new(left: &[u32]) -> Self {
        let steps = left.len() / BLOCK;
        assert!(left.len() == steps * BLOCK && steps > 0);
        Self { left: left.as_ptr(), steps }
    }
}

impl Kernel {
    /// The fastest for a format. Bf16 needs [`Level::Avx512Bf16`].
    ///
    /// # Panics
    /// If the level has no kernel for the format.
    pub fn new(level: Level, format: Format) -> Self {
        #[cfg(target_arch = "x86_64")]
        let multiply: Multiply = match (format, level) {
            (Format::F32, Level::Plain) => simd::multiply::<plain::F32, 8, 2>,
            (Format::F32ByBf16, Level::Plain) => simd::multiply::<plain::F32ByBf16, 8, 2>,
            (Format::F32, Level::Avx2) => avx2::f32,
            (Format::F32ByBf16, Level::Avx2) => avx2::f32_by_bf16,
            (Format::F32, _) => avx512::f32,
            (Format::F32ByBf16, _) => avx512::f32_by_bf16,
            (Format::Bf16, Level::Amx) => amx::bf16,
            (Format::Bf16, Level::Avx512Bf16) => avx512::bf16,
            (Format::Int8, Level::Amx) => amx::int8,
            (Format::Int8, Level::Avx512Bf16) => avx512::int8,
            (Format::Int8, Level::Avx2 | Level::Avx512) => avx2::int8,
            (Format::Int8, Level::Plain) => plain::int8,
            (Format::Int16, Level::Avx512Bf16 | Level::Amx) => avx512::int16,
            (Format::Int16, Level::Avx2 | Level::Avx512) => avx2::int16,
            (Format::Int16, Level::Plain) => plain::int16,
            (Format::Bf16, _) => panic!("{level} has no products of bf16"),
        };
        #[cfg(not(target_arch = "x86_64"))]
        let multiply: Multiply = match format {
            Format::F32 => simd::multiply::<plain::F32, 8, 2>,
            Format::F32ByBf16 => simd::multiply::<plain::F32ByBf16, 8, 2>,
            Format::Int8 => plain::int8,
            Format::Int16 => plain::int16,
            Format::Bf16 => panic!("{level} has no products of bf16"),
        };
        Self { multiply, format, level }
    }

    /// What it multiplies.
    pub fn format(&self) -> Format {
        self.format
    }

    /// To be called on a thread before it multiplies.
    #[inline]
    pub fn prepare(&self) {
        #[cfg(target_arch = "x86_64")]
        if self.level == Level::Amx && matches!(self.format, Format::Bf16 | Format::Int8) {
            amx::configure();
        }
    }

    /// `results[row][output] = (results[row][output] if add) + Σ left[row][word] · right[output][word]`
    ///
    /// The results are bits of f32, or of i32 for whole numbers, of which left bytes count as they are packed. `soon` is where the right operand goes on after this; its memory
    /// is fetched meanwhile. [`Kernel::prepare`] must have been called on this thread.
    #[inline]
    pub fn multiply(&self, left: &[u32], right: &[u8], results: &mut [u32], add: bool, soon: *const u8) {
        // SAFETY: the run is that of a slice which lives until the end.
        unsafe { self.multiply_runs(&[Run::new(left)], right, results, add, soon) }
    }

    /// As [`Kernel::multiply`], with a left operand that stands in several places.
    ///
    /// # Safety
    /// The runs' memory is still there.
    #[inline]
    pub(crate) unsafe fn multiply_runs(
        &self,
        runs: &[Run],
        right: &[u8],
        results: &mut [u32],
        add: bool,
        soon: *const u8,
    ) {
        let steps: usize = runs.iter().map(|run| run.steps).sum();
        assert!(!runs.is_empty() && right.len() == steps * self.format.right_bytes() && results.len() == SIDE * SIDE);
        // SAFETY: the kernels read as many blocks of each operand as the runs have, and write 32 × 32 results, which are
        // there by the checks above and the caller's word; `soon` is only a hint to the cache; `new` gives a kernel that
        // this machine has.
        unsafe { (self.multiply)(runs, right.as_ptr(), results.as_mut_ptr(), add, soon) }
    }

    /// `results[row][output] = (results[row][output] if add) + Σ left[row][word] · right[output][word] · scales`, as f32.
    ///
    /// As [`Kernel::multiply`] of whole numbers.
    #[inline]
    pub(crate) fn multiply_scaled(
        &self,
        (left, right): (&[u32], &[u8]),
        scales: &Scales<'_>,
        results: &mut [u32],
        add: bool,
        soon: *const u8,
    ) {
        assert!(self.format.largest().is_some());
        #[cfg(target_arch = "x86_64")]
        let scaled: Option<Scaled> = match (self.format, self.level) {
            (Format::Int8, Level::Avx512Bf16) => Some(avx512::scaled_int8),
            (Format::Int16, Level::Avx512Bf16 | Level::Amx) => Some(avx512::scaled_int16),
            _ => None,
        };
        #[cfg(target_arch = "x86_64")]
        if let Some(scaled) = scaled {
            let run = Run::new(left);
            assert!(right.len() == run.steps * self.format.right_bytes() && results.len() == SIDE * SIDE);
            // SAFETY: the kernel reads as many blocks of each operand as the run has, and writes 32 × 32 results, which are
            // there by the checks above; the level is only chosen where the processor has its features.
            unsafe { scaled(run, right.as_ptr(), scales, results.as_mut_ptr(), add, soon) };
            return;
        }
        let mut sums = [0u32; SIDE * SIDE];
        self.multiply(left, right, &mut sums, false, soon);
        scale(self.level, &sums, scales, results, add);
    }
}
