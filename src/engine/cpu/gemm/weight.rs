//! Weights on their way from a checkpoint to the right operand of products.

use candle_core::DType;
use rayon::prelude::*;

use crate::checkpoint::RowSource;
use crate::engine::cpu::gemm::microkernel::{Format, SIDE, WORDS, left_sign};
use crate::engine::cpu::gemm::operand::{Form, RUN, nearest};
use crate::engine::cpu::gemm::transpose::{Square, transpose};
use crate::engine::cpu::level::for_each_level;
use crate::engine::cpu::memory::Buffer;
use crate::engine::cpu::rounding::{Rounding, bf16_bits};

/// Where an output of a linear layer comes from: a matrix and its row. `None` is a row of zeros, which fills a head or a
/// panel up.
pub type Source = Option<(usize, usize)>;

/// `[32 outputs][step]` of blocks, see [`crate::engine::cpu::gemm::microkernel`]. What is missing at the edges is zeros.
#[derive(Default)]
pub(crate) struct Packed {
    pub(crate) bytes: Buffer<u8>,
    /// Of whole numbers: what a unit is worth, for each output.
    scales: Vec<f32>,
    /// Of whole numbers: what sums begin with, by panel, run and output.
    lowered: Vec<[i32; SIDE]>,
    /// Runs of a panel.
    runs: usize,
}

impl Packed {
    /// The scales of a panel's outputs.
    pub(crate) fn panel_scales(&self, panel: usize) -> &[f32; SIDE] {
        &self.scales.as_chunks().0[panel]
    }

    /// What the sums of a panel's run begin with.
    pub(crate) fn lowered(&self, panel: usize, run: usize) -> &[i32; SIDE] {
        &self.lowered[panel * self.runs + run]
    }
}

/// Packs rows of matrices of the same inputs into `bytes`, whose content is lost.
pub(crate) fn pack(
    matrices: &[&dyn RowSource],
    sources: &[Source],
    form: Form,
    format: Format,
    mut bytes: Buffer<u8>,
) -> Packed {
    let inputs = matrices[0].inputs();
    let steps = format.steps(inputs);
    let panels = sources.len().div_ceil(SIDE);
    let panel_bytes = steps * format.right_bytes();
    bytes.reserve(panels * panel_bytes);
    let mut scales = vec![0f32; panels * SIDE];
    // Of other formats, one that nobody reads.
    let runs = if format.largest().is_some() { steps.div_ceil(RUN) } else { 1 };
    let mut lowered = vec![[0; SIDE]; panels * runs];
    let of_panels = scales.par_chunks_mut(SIDE).zip(lowered.par_chunks_mut(runs));
    let work = bytes[..panels * panel_bytes].par_chunks_mut(panel_bytes).zip(of_panels).enumerate();
    work.for_each_init(
        || (vec![0f32; inputs], vec![0u32; SIDE * steps * WORDS]),
        |(values, words), (panel, (bytes, (scales, lowered)))| {
            words.fill(0);
            for (output, words) in words.chunks_exact_mut(steps * WORDS).enumerate() {
                let Some(&Some((matrix, row))) = sources.get(panel * SIDE + output) else { continue };
                let matrix = matrices[matrix];
                let narrow = format == Format::Bf16 && matrix.stored_as() == DType::BF16;
                if let Some(row) = matrix.stored_rows(row..row + 1).filter(|_| narrow) {
                    bytemuck::cast_slice_mut(words)[..row.len()].copy_from_slice(row);
                    continue;
                }
                matrix.row(row, values);
                scales[output] = to_words(form.level, values, format, form.rounding, words);
            }
            if format == Format::Int8 {
                lower(form.level, words, i32::from(left_sign(form.level)), lowered);
            }
            interleave(form.level, words, form, format, bytes);
        },
    );
    Packed { bytes, scales, lowered, runs }
}

for_each_level! {
/// What each run's sums begin with, from 32 rows of words: bytes of the left operand are larger by `raised` than they count.
fn lower(words: &[u32], raised: i32, lowered: &mut [[i32; SIDE]]) {
    for (output, words) in words.chunks_exact(words.len() / SIDE).enumerate() {
        for (run, lowered) in words.chunks(RUN * WORDS).zip(lowered.iter_mut()) {
            let bytes: &[i8] = bytemuck::cast_slice(run);
            lowered[output] = -raised * bytes.iter().map(|&byte| i32::from(byte)).sum::<i32>();
        }
    }
}
}

for_each_level! {
/// A row's words, and of whole numbers the scale.
fn to_words(values: &[f32], format: Format, rounding: Rounding, words: &mut [u32]) -> f32 {
    match format {
        Format::Int8 => {
            let (scale, inverse) = unit(values, format);
            for (byte, value) in bytemuck::cast_slice_mut::<u32, u8>(words).iter_mut().zip(values) {
                *byte = nearest(value * inverse) as u8;
            }
            return scale;
        }
        Format::Int16 => {
            let (scale, inverse) = unit(values, format);
            for (half, value) in bytemuck::cast_slice_mut::<u32, u16>(words).iter_mut().zip(values) {
                *half = nearest(value * inverse) as u16;
            }
            return scale;
        }
        Format::Bf16 => {
            for (half, value) in bytemuck::cast_slice_mut::<u32, u16>(words).iter_mut().zip(values) {
                *half = bf16_bits(*value);
            }
        }
        Format::F32ByBf16 => {
            for (word, value) in words.iter_mut().zip(values) {
                *word = u32::from(bf16_bits(*value));
            }
        }
        Format::F32 => {
            for (word, value) in words.iter_mut().zip(values) {
                *word = rounding.round(*value).to_bits();
            }
        }
    }
    1.
}
}

/// What a unit of a row's whole numbers is worth, and its inverse.
#[inline(always)]
fn unit(values: &[f32], format: Format) -> (f32, f32) {
    let most = values.iter().fold(0f32, |most, value| most.max(value.abs()));
    let scale = most / format.largest().unwrap_or(1.);
    (scale, if scale > 0. { 1. / scale } else { 0. })
}

for_each_level! {
/// From 32 rows of words to blocks.
fn interleave(words: &[u32], form: Form, format: Format, bytes: &mut [u8]) {
    let Form { level, steps, .. } = form;
    let rows = steps * WORDS;
    for step in 0..steps {
        for half in 0..2 {
            let square: Square = std::array::from_fn(|output| {
                let start = (half * WORDS + output) * rows + step * WORDS;
                *words[start..].first_chunk().unwrap_or(&[0; WORDS])
            });
            let square = transpose(&square, level);
            let index = step * 2 + half;
            if format == Format::F32ByBf16 {
                let narrow: [[u16; WORDS]; WORDS] = square.map(|row| row.map(|word| word as u16));
                bytes[index * 2 * WORDS * WORDS..][..2 * WORDS * WORDS].copy_from_slice(bytemuck::cast_slice(&narrow));
            } else {
                bytes[index * 4 * WORDS * WORDS..][..4 * WORDS * WORDS].copy_from_slice(bytemuck::cast_slice(&square));
            }
        }
    }
}
}

/// The runs of steps that a product goes through.
pub(crate) fn runs(steps: usize) -> impl Iterator<Item = std::ops::Range<usize>> {
    (0..steps).step_by(RUN).map(move |start| start..steps.min(start + RUN))
}
