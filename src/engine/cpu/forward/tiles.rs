//! How a batch is laid out for the kernels: its tokens in tiles, its keys in blocks of 32 positions.

use std::borrow::Cow;
use std::ops::Range;

use crate::batch::Batch;
use crate::engine::cpu::{KeyBlock, Span};

/// Positions of a block of keys.
const BLOCK: usize = 32;

/// Where a batch's keys stand.
pub(super) struct Layout {
    /// Blocks in all.
    pub(super) blocks: usize,
    /// For each token, 32 times its block plus its place there.
    pub(super) slots: Vec<usize>,
    /// For each segment, the blocks of its prompt's positions up to its own end.
    keys: Vec<Vec<KeyBlock>>,
}

impl Layout {
    pub(super) fn new(batch: &Batch) -> Self {
        let mut layout = Self { blocks: 0, slots: Vec::with_capacity(batch.token_ids.len()), keys: Vec::new() };
        for segment in &batch.segments {
            let first = batch.positions[segment.tokens.start] as usize;
            let end = first + segment.tokens.len();
            // The block of position p is `base + p / 32`; those before the segment's own are never looked at.
            let base = layout.blocks.wrapping_sub(first / BLOCK);
            let block = |position: usize| base.wrapping_add(position / BLOCK);
            layout.slots.extend((first..end).map(|position| block(position) * BLOCK + position % BLOCK));
            let mut keys = segment.continues.map(|before| layout.keys[before].clone()).unwrap_or_default();
            if !first.is_multiple_of(BLOCK) {
                // The segment that this one continues ends in the middle of a block.
                let places = first % BLOCK..BLOCK.min(first % BLOCK + segment.tokens.len());
                let parts = match keys.pop() {
                    Some(KeyBlock::Whole(before)) => vec![(before, 0..first % BLOCK), (block(first), places)],
                    Some(KeyBlock::Parts(mut parts)) => {
                        parts.push((block(first), places));
                        parts
                    }
                    None => Vec::new(),
                };
                keys.push(KeyBlock::Parts(parts));
            }
            keys.extend((keys.len()..end.div_ceil(BLOCK)).map(|index| KeyBlock::Whole(block(index * BLOCK))));
            layout.keys.push(keys);
            layout.blocks += end.div_ceil(BLOCK) - first / BLOCK;
        }
        layout
    }

    /// The keys that the queries of some tokens see; rows are counted from the first of them.
    pub(super) fn spans(&self, batch: &Batch, tokens: &Range<usize>) -> Vec<Span<'_>> {
        let inside = |segment: &Range<usize>| segment.start.max(tokens.start)..segment.end.min(tokens.end);
        let segments = batch.segments.iter().enumerate();
        let spans = segments.filter(|(_, segment)| !inside(&segment.tokens).is_empty());
        spans
            .map(|(index, segment)| {
                let own = inside(&segment.tokens);
                self.span(batch, index, own.start, own.start - tokens.start..own.end - tokens.start)
            })
            .collect()
    }

    /// The keys that one token of a segment sees, as the query of one row.
    pub(super) fn single(&self, batch: &Batch, segment: usize, token: usize, row: usize) -> Span<'_> {
        self.span(batch, segment, token, row..row + 1)
    }

    fn span(&self, batch: &Batch, segment: usize, token: usize, rows: Range<usize>) -> Span<'_> {
        let end = batch.segments[segment].tokens.end - 1;
        Span {
            rows,
            position: batch.positions[token] as usize,
            length: batch.positions[end] as usize + 1,
            keys: Cow::Borrowed(&self.keys[segment]),
        }
    }
}

/// Splits rows into tiles of about the same size, none above `most`, as many as `threads` have to do.
pub(super) fn split(rows: usize, most: usize, threads: usize) -> Vec<Range<usize>> {
    let blocks = rows.div_ceil(BLOCK);
    let count = rows.div_ceil(most).next_multiple_of(threads).min(blocks).max(1);
    let bound = |tile: usize| (blocks * tile / count * BLOCK).min(rows);
    (0..count).map(|tile| bound(tile)..bound(tile + 1)).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::batch::Segment;

    fn batch(lengths: &[(usize, Option<usize>)]) -> Batch {
        let mut batch = Batch::default();
        for &(length, continues) in lengths {
            let start = batch.token_ids.len();
            let position =
                continues.map_or(0, |index: usize| batch.positions[batch.segments[index].tokens.end - 1] + 1);
            batch.token_ids.extend(std::iter::repeat_n(7, length));
            batch.positions.extend((position..).take(length));
            batch.segments.push(Segment { tokens: start..start + length, continues, pair: None });
        }
        batch
    }

    /// The slot of every position that a segment sees.
    fn seen(layout: &Layout, segment: usize, length: usize) -> Vec<usize> {
        let slot = |position: usize| {
            let (block, place) = (&layout.keys[segment][position / BLOCK], position % BLOCK);
            match block {
                KeyBlock::Whole(block) => block * BLOCK + place,
                KeyBlock::Parts(parts) => {
                    let part = parts.iter().find(|(_, places)| places.contains(&place)).unwrap();
                    part.0 * BLOCK + place
                }
            }
        };
        (0..length).map(slot).collect()
    }

    proptest! {
        #[test]
        fn a_segment_sees_its_prompt_in_order(lengths in proptest::collection::vec((1usize..100, any::<prop::sample::Index>(), any::<bool>()), 1..8)) {
            let lengths: Vec<_> = lengths
                .iter()
                .enumerate()
                .map(|(index, (length, before, continues))| (*length, (*continues && index > 0).then(|| before.index(index.max(1)))))
                .collect();
            let batch = batch(&lengths);
            let layout = Layout::new(&batch);
            let mut slots = layout.slots.clone();
            slots.sort_unstable();
            slots.dedup();
            prop_assert_eq!(slots.len(), batch.token_ids.len(), "two tokens have one slot");
            prop_assert!(slots.last().unwrap() / BLOCK < layout.blocks);
            for segment in 0..batch.segments.len() {
                let expected: Vec<usize> =
                    batch.history(segment).into_iter().flatten().map(|token| layout.slots[token]).collect();
                prop_assert_eq!(layout.keys[segment].len(), expected.len().div_ceil(BLOCK));
                prop_assert_eq!(seen(&layout, segment, expected.len()), expected);
            }
        }

        #[test]
        fn tiles_cover_the_rows(rows in 1usize..5000, threads in 1usize..9) {
            let tiles = split(rows, 256, threads);
            let mut next = 0;
            for tile in &tiles {
                prop_assert_eq!(tile.start, next);
                prop_assert!(!tile.is_empty() && tile.len() <= 256 && (tile.start % BLOCK == 0));
                next = tile.end;
            }
            prop_assert_eq!(next, rows);
        }
    }
}
