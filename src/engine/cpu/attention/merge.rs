//! Blocks of keys and values in which one segment continues another, put together from both.

use std::ops::Range;

use crate::engine::cpu::attention::key_values::KeyValues;
use crate::engine::cpu::attention::{KeyBlock, Span};
use crate::engine::cpu::gemm::microkernel::{BLOCK, Format, SIDE, WORDS};
use crate::engine::cpu::memory::Buffer;

/// Puts the blocks of a span together whose parts are in several places.
pub(crate) fn merge(span: &Span<'_>, key_head: usize, stores: &KeyValues, merged: &mut Buffer<u32>) {
    let parts = || {
        span.keys.iter().filter_map(|block| match block {
            KeyBlock::Whole(_) => None,
            KeyBlock::Parts(parts) => Some(parts),
        })
    };
    let (key_words, value_words, features) = (stores.key_words(), stores.value_words(), stores.heads().panels());
    let size = key_words + features * value_words;
    merged.reserve(parts().count() * size);
    for (parts, merged) in parts().zip(merged.chunks_exact_mut(size)) {
        merged.fill(0);
        let (keys, values) = merged.split_at_mut(key_words);
        for (block, places) in parts {
            for (target, source) in keys.chunks_exact_mut(BLOCK).zip(stores.keys(key_head, *block).chunks_exact(BLOCK))
            {
                let range = places.start * WORDS..places.end * WORDS;
                target[range.clone()].copy_from_slice(&source[range]);
            }
            for (part, values) in values.chunks_exact_mut(value_words).enumerate() {
                let source = stores.values(key_head, part, *block..*block + 1);
                merge_values(source, values, places, stores.form().format);
            }
        }
    }
}

/// Copies the values of some keys of a block.
fn merge_values(source: &[u32], target: &mut [u32], places: &Range<usize>, format: Format) {
    if format == Format::Bf16 {
        let (source, target): (&[u16], &mut [u16]) = (bytemuck::cast_slice(source), bytemuck::cast_slice_mut(target));
        for (source, target) in source.chunks_exact(SIDE).zip(target.chunks_exact_mut(SIDE)) {
            target[places.clone()].copy_from_slice(&source[places.clone()]);
        }
        return;
    }
    let steps = source.chunks_exact(BLOCK).zip(target.chunks_exact_mut(BLOCK));
    for (step, (source, target)) in steps.enumerate() {
        let inside = |place: usize| place.clamp(step * WORDS, (step + 1) * WORDS) - step * WORDS;
        let range = inside(places.start)..inside(places.end);
        for (source, target) in source.chunks_exact(WORDS).zip(target.chunks_exact_mut(WORDS)) {
            target[range.clone()].copy_from_slice(&source[range.clone()]);
        }
    }
}
