//! Keys and values of a batch's tokens in one layer, in blocks that attention multiplies as they are.
//!
//! Keys and values are *left* operands (see [`crate::engine::cpu::gemm::microkernel`]): scores come out as `K · Qᵀ`, keys down and queries across,
//! and their sums as `Vᵀ · P`. A block holds 32 keys of consecutive positions, from a position that is a multiple of 32 on:
//!
//! ```text
//! keys     [head][block][step]      32 keys × the words of some features
//! values   [head][32 features][block][step]      32 features × the words of some keys
//! ```
//!
//! So a prefix that many prompts share has blocks of its own, and what continues it begins in the middle of a block.

use std::ops::Range;
use std::sync::atomic::{AtomicU16, AtomicU32, AtomicU64, Ordering};

use crate::engine::cpu::Arithmetic;
use crate::engine::cpu::gemm::microkernel::{BLOCK, Format, SIDE, WORDS};
use crate::engine::cpu::gemm::operand::Form;
use crate::engine::cpu::gemm::panels::{Features, PANEL, Panels};
use crate::engine::cpu::gemm::transpose::{Square, transpose};
use crate::engine::cpu::level::for_each_level;
use crate::engine::cpu::memory::Buffer;
use crate::engine::cpu::rounding::bf16_bits;
use crate::engine::cpu::rows::math::row_by_row;
use crate::model::Heads;

/// Pairs of words in a row of a block.
const PAIRS: usize = WORDS / 2;

/// The keys and values of one layer.
pub struct KeyValues {
    heads: Heads,
    form: Form,
    blocks: usize,
    keys: Buffer<u32>,
    values: Buffer<u32>,
}

/// Keys and values while they are written, by many threads: a token's own are written by one.
pub struct Writing<'a> {
    heads: Heads,
    form: Form,
    blocks: usize,
    /// Pairs of words.
    keys: &'a [AtomicU64],
    values: &'a [AtomicU32],
    /// The same memory as `values`.
    value_halves: &'a [AtomicU16],
}

impl KeyValues {
    /// No blocks yet.
    pub fn new(heads: Heads, arithmetic: Arithmetic) -> Self {
        let Arithmetic { level, precision, .. } = arithmetic;
        let format = arithmetic.attention();
        let form = Form { level, format, rounding: precision.rounding(), steps: format.steps(heads.head_dim) };
        Self { heads, form, blocks: 0, keys: Buffer::default(), values: Buffer::default() }
    }

    /// Makes room for `blocks` blocks. Values are zeros at first: what is never written must not be NaN, as it is multiplied by
    /// zero. (Scores of keys that were never written are not looked at.)
    pub fn clear(&mut self, blocks: usize) {
        self.blocks = blocks;
        let keys = self.heads.key * blocks * self.key_words();
        let values = self.heads.key * self.heads.panels() * blocks * self.value_words();
        self.keys.reserve(keys);
        self.values.reserve(values);
        self.values[..values].fill(0);
    }

    /// What the operands look like; steps are those of keys.
    pub(crate) fn form(&self) -> Form {
        self.form
    }

    pub(crate) fn heads(&self) -> Heads {
        self.heads
    }

    /// Words of a block of keys.
    pub(crate) fn key_words(&self) -> usize {
        self.form.steps * BLOCK
    }

    /// Words of a block of values, for 32 features.
    pub(crate) fn value_words(&self) -> usize {
        self.form.format.steps(SIDE) * BLOCK
    }

    /// A block of keys.
    pub(crate) fn keys(&self, head: usize, block: usize) -> &[u32] {
        &self.keys[(head * self.blocks + block) * self.key_words()..][..self.key_words()]
    }

    /// Consecutive blocks of values, for the `part`th 32 features.
    pub(crate) fn values(&self, head: usize, part: usize, blocks: Range<usize>) -> &[u32] {
        let first = (head * self.heads.panels() + part) * self.blocks;
        &self.values[(first + blocks.start) * self.value_words()..(first + blocks.end) * self.value_words()]
    }

    /// To write.
    pub fn write(&mut self) -> Writing<'_> {
        let (keys, values): (&mut [u32], &mut [u32]) = (&mut self.keys, &mut self.values);
        assert!(!keys.is_empty(), "there is no room yet");
        // SAFETY: atomics have the size of the integers; the buffers are aligned to pages; the exclusive borrow lasts as
        // long as the shared ones that take its place; both views of the values are atomic, and of different bytes only
        // where different tokens are written.
        unsafe {
            Writing {
                heads: self.heads,
                form: self.form,
                blocks: self.blocks,
                keys: std::slice::from_raw_parts(keys.as_mut_ptr().cast(), keys.len() / 2),
                values: std::slice::from_raw_parts(values.as_mut_ptr().cast(), values.len()),
                value_halves: std::slice::from_raw_parts(values.as_mut_ptr().cast(), values.len() * 2),
            }
        }
    }
}

impl Writing<'_> {
    /// Keeps a key head's keys (`keys` has the panels of that head), whose rows go to `slots`: 32 times the block, plus the
    /// place in it.
    pub fn put_keys(&self, head: usize, keys: &Panels<'_>, slots: &[usize]) {
        put_keys(self.form.level, self, head, keys, slots);
    }

    /// Keeps a key head's values, as [`Writing::put_keys`].
    pub fn put_values(&self, head: usize, values: &Panels<'_>, slots: &[usize]) {
        put_values(self.form.level, self, head, values, slots);
    }
}

for_each_level! {
    fn put_keys(to: &Writing<'_>, head: usize, keys: &Panels<'_>, slots: &[usize]) {
        let Form { format, rounding, steps, .. } = to.form;
        for (row, slot) in slots.iter().enumerate() {
            row_by_row();
            let block = (head * to.blocks + slot / SIDE) * steps;
            let target = |step: usize| &to.keys.as_chunks().0[(block + step) * SIDE + slot % SIDE];
            for panel in 0..keys.count() {
                let values = &keys.panel(panel)[row];
                if format == Format::Bf16 {
                    let mut halves = [0u16; PANEL];
                    for (half, value) in halves.iter_mut().zip(values) {
                        *half = bf16_bits(*value);
                    }
                    set(target(panel), bytemuck::cast(halves));
                } else {
                    for (step, values) in (2 * panel..steps).zip(values.as_chunks::<WORDS>().0) {
                        set(target(step), bytemuck::cast(values.map(|value| rounding.round(value))));
                    }
                }
            }
        }
    }

}

for_each_level! {
    fn put_values(to: &Writing<'_>, head: usize, values: &Panels<'_>, slots: &[usize]) {
        let Form { format, rounding, .. } = to.form;
        let steps = format.steps(SIDE);
        for panel in 0..values.count() {
            let first = (head * to.heads.panels() + panel) * to.blocks;
            let rows = values.panel(panel);
            if format == Format::Bf16 {
                put_pairs(to, first, rows, slots);
                continue;
            }
            for (values, slot) in rows.iter().zip(slots) {
                let (block, key) = (first + slot / SIDE, slot % SIDE);
                let step = block * steps + key / WORDS;
                let targets = &to.values[step * BLOCK..][..BLOCK];
                for (target, value) in targets.as_chunks::<WORDS>().0.iter().zip(values) {
                    target[key % WORDS].store(rounding.round(*value).to_bits(), Ordering::Relaxed);
                }
            }
        }
    }
}

/// Sets a row of a block, in one instruction where there is one.
#[inline(always)]
fn set(target: &[AtomicU64; PAIRS], pairs: [u64; PAIRS]) {
    // SAFETY: atomics may be changed behind a shared borrow. A token's own row is written by one thread, and nobody reads
    // while keys and values are written, which borrows them exclusively.
    unsafe { target.as_ptr().cast::<[u64; PAIRS]>().cast_mut().write(pairs) };
}

/// Keeps the values of 32 features as bf16. Two keys make a word: where both are here, words are put together and turned, a
/// block at a time; a key without its neighbour is put alone.
#[inline(always)]
fn put_pairs(to: &Writing<'_>, first: usize, rows: &[Features], slots: &[usize]) {
    let mut start = 0;
    while start < slots.len() {
        let (block, key) = (slots[start] / SIDE, slots[start] % SIDE);
        let follows = |next: &usize| slots.get(start + next) == Some(&(slots[start] + next));
        let count = 1 + (1..SIDE - key).take_while(follows).count();
        let rows = &rows[start..start + count];
        let block = (first + block) * BLOCK;
        let mut words = [[0u32; PANEL]; WORDS];
        let (odd, even_end) = (key % 2, count - (key + count) % 2);
        for (pair, rows) in rows[odd.min(even_end)..even_end].chunks_exact(2).enumerate() {
            row_by_row();
            for ((word, lower), upper) in words[pair].iter_mut().zip(&rows[0]).zip(&rows[1]) {
                *word = u32::from(bf16_bits(*lower)) | u32::from(bf16_bits(*upper)) << 16;
            }
        }
        let (first_word, pairs) = ((key + odd) / 2, even_end.saturating_sub(odd) / 2);
        for half in 0..2 {
            let mut square: Square = [[0; 16]; 16];
            for (row, words) in square.iter_mut().zip(&words) {
                row_by_row();
                *row = words.as_chunks::<16>().0[half];
            }
            for (feature, words) in transpose(&square, to.form.level).iter().enumerate() {
                let targets = &to.values[block + (half * 16 + feature) * WORDS + first_word..];
                for (target, word) in targets.iter().zip(&words[..pairs]) {
                    target.store(*word, Ordering::Relaxed);
                }
            }
        }
        let alone = [(odd == 1).then_some(0), (even_end < count && !(odd == 1 && count == 1)).then_some(count - 1)];
        for index in alone.into_iter().flatten() {
            let targets = to.value_halves[block * 2..][..BLOCK * 2].as_chunks::<{ 2 * WORDS }>().0;
            for (target, value) in targets.iter().zip(&rows[index]) {
                target[key + index].store(bf16_bits(*value), Ordering::Relaxed);
            }
        }
        start += count;
    }
}
