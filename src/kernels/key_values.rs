//! Keys and values of a batch's tokens in one layer, in blocks that attention multiplies as they are.
//!
//! Keys and values are *left* operands (see [`super::block`]): scores come out as `K · Qᵀ`, keys down and queries across,
//! and their sums as `Vᵀ · P`. A block holds 32 keys of consecutive positions, from a position that is a multiple of 32 on:
//!
//! ```text
//! keys     [head][block][step]      32 keys × the words of some features
//! values   [head][32 features][block][step]      32 features × the words of some keys
//! ```
//!
//! So a prefix that many prompts share has blocks of its own, and what continues it begins in the middle of a block.

use std::ops::Range;
use std::sync::atomic::{AtomicU16, AtomicU32, Ordering};

use super::block::{BLOCK, Format, SIDE, WORDS};
use super::heads::Heads;
use super::memory::Buffer;
use super::operand::Form;
use super::panels::{PANEL, Panels};
use super::precision::bf16_bits;
use super::Arithmetic;
use super::level::for_each_level;

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
    keys: &'a [AtomicU32],
    values: &'a [AtomicU32],
    /// The same memory as `values`.
    value_halves: &'a [AtomicU16],
}

impl KeyValues {
    /// No blocks yet.
    pub fn new(heads: Heads, arithmetic: Arithmetic) -> Self {
        let Arithmetic { level, precision } = arithmetic;
        let format = precision.attention(level);
        let form = Form { level, format, rounding: precision.rounding(), steps: format.steps(heads.head_dim) };
        Self { heads, form, blocks: 0, keys: Buffer::default(), values: Buffer::default() }
    }

    /// Makes room for `blocks` blocks, all zeros: what is never written must not be NaN, as it is multiplied by zero.
    pub fn clear(&mut self, blocks: usize) {
        self.blocks = blocks;
        let keys = self.heads.key * blocks * self.key_words();
        let values = self.heads.key * self.heads.panels() * blocks * self.value_words();
        self.keys.reserve(keys);
        self.keys[..keys].fill(0);
        self.values.reserve(values);
        self.values[..values].fill(0);
    }

    /// What the operands look like; steps are those of keys.
    pub(super) fn form(&self) -> Form {
        self.form
    }

    pub(super) fn heads(&self) -> Heads {
        self.heads
    }

    /// Words of a block of keys.
    pub(super) fn key_words(&self) -> usize {
        self.form.steps * BLOCK
    }

    /// Words of a block of values, for 32 features.
    pub(super) fn value_words(&self) -> usize {
        self.form.format.steps(SIDE) * BLOCK
    }

    /// A block of keys.
    pub(super) fn keys(&self, head: usize, block: usize) -> &[u32] {
        &self.keys[(head * self.blocks + block) * self.key_words()..][..self.key_words()]
    }

    /// Consecutive blocks of values, for the `part`th 32 features.
    pub(super) fn values(&self, head: usize, part: usize, blocks: Range<usize>) -> &[u32] {
        let first = (head * self.heads.panels() + part) * self.blocks;
        &self.values[(first + blocks.start) * self.value_words()..(first + blocks.end) * self.value_words()]
    }

    /// To write.
    pub fn write(&mut self) -> Writing<'_> {
        let (keys, values): (&mut [u32], &mut [u32]) = (&mut self.keys, &mut self.values);
        // SAFETY: atomics have the size of the integers; u32's alignment is enough for both; the exclusive borrow lasts as
        // long as the shared ones that take its place; both views of the values are atomic, and of different bytes only
        // where different tokens are written.
        unsafe {
            Writing {
                heads: self.heads,
                form: self.form,
                blocks: self.blocks,
                keys: std::slice::from_raw_parts(keys.as_mut_ptr().cast(), keys.len()),
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
            let block = (head * to.blocks + slot / SIDE) * steps;
            let target = |step: usize| &to.keys[((block + step) * SIDE + slot % SIDE) * WORDS..][..WORDS];
            for panel in 0..keys.count() {
                let values = &keys.panel(panel)[row];
                if format == Format::Bf16 {
                    let mut halves = [0u16; PANEL];
                    for (half, value) in halves.iter_mut().zip(values) {
                        *half = bf16_bits(*value);
                    }
                    let words: [u32; WORDS] = bytemuck::cast(halves);
                    for (target, word) in target(panel).iter().zip(words) {
                        target.store(word, Ordering::Relaxed);
                    }
                } else {
                    for (step, values) in (2 * panel..steps).zip(values.as_chunks::<WORDS>().0) {
                        for (word, value) in target(step).iter().zip(values) {
                            word.store(rounding.round(*value).to_bits(), Ordering::Relaxed);
                        }
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
            for (values, slot) in values.panel(panel).iter().zip(slots) {
                let (block, key) = (first + slot / SIDE, slot % SIDE);
                if format == Format::Bf16 {
                    let targets = &to.value_halves[block * BLOCK * 2..][..BLOCK * 2];
                    for (target, value) in targets.as_chunks::<{ 2 * WORDS }>().0.iter().zip(values) {
                        target[key].store(bf16_bits(*value), Ordering::Relaxed);
                    }
                } else {
                    let step = block * steps + key / WORDS;
                    let targets = &to.values[step * BLOCK..][..BLOCK];
                    for (target, value) in targets.as_chunks::<WORDS>().0.iter().zip(values) {
                        target[key % WORDS].store(rounding.round(*value).to_bits(), Ordering::Relaxed);
                    }
                }
            }
        }
    }
}
