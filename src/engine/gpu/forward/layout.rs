//! How a batch is laid out for a GPU's kernels: which queries a block takes, and where the keys of their positions stand.

use std::ops::Range;

use crate::batch::Batch;
use crate::engine::gpu::{KeyRange, QueryTile, Tiling};
use crate::model::{Mask, Pooling};

/// Everything that a forward must know of a batch, as it is copied to the device: at once, in words of 4 bytes.
pub(super) struct Packed {
    pub(super) words: Vec<u32>,
    /// The ranges of the words, in bytes, that have token ids, positions and types, the pairs' pooled tokens, their positions and the
    /// lengths of prompts that are pooled whole, ranges, and all kinds of tiles.
    pub(super) parts: Parts,
}

/// Ranges of bytes.
pub(super) type Parts = [Range<usize>; 11];

/// What a model's layers ask of a layout.
#[derive(Clone, Copy)]
pub(super) struct Needs {
    pub(super) mask: Mask,
    pub(super) pooling: Pooling,
    /// Whether some layers have windows.
    pub(super) windows: bool,
    /// Whether the model distinguishes types of tokens.
    pub(super) types: bool,
}

/// A batch's tiles and ranges.
#[derive(Default)]
pub(super) struct GpuLayout {
    /// Tiles of all tokens; rows are tokens.
    pub(super) tiles: Vec<QueryTile>,
    /// But for those that are late in their prompts.
    pub(super) late_tiles: Vec<QueryTile>,
    /// Tiles of all tokens, late or not, for layers with windows.
    pub(super) window_tiles: Vec<QueryTile>,
    /// Tiles of the pairs' pooled tokens alone; rows are pairs.
    pub(super) pooled: Vec<QueryTile>,
    /// For each segment, the ranges of its prompt.
    pub(super) ranges: Vec<KeyRange>,
    /// The pairs' pooled tokens; the first ones where all are.
    pub(super) pooled_tokens: Vec<u32>,
    /// How many are pooled, where all are.
    pub(super) lengths: Vec<u32>,
    /// The tokens' types, where the model distinguishes them.
    pub(super) types: Vec<u32>,
}

impl GpuLayout {
    pub(super) fn new(batch: &Batch, tiling: Tiling, needs: Needs) -> Self {
        let mut layout = Self::default();
        if needs.types {
            layout.types = batch.token_types.iter().map(|&token_type| token_type.into()).collect();
        }
        for (index, segment) in batch.segments.iter().enumerate() {
            let first_range = layout.ranges.len() as i32;
            layout.ranges.extend(batch.history(index).into_iter().map(|tokens| KeyRange {
                position: batch.positions[tokens.start] as i32,
                token: tokens.start as i32,
                length: tokens.len() as i32,
            }));
            let ranges = layout.ranges.len() as i32 - first_range;
            let tile = |tokens: std::ops::Range<usize>, first_row: usize| QueryTile {
                first_row: first_row as i32,
                rows: tokens.len() as i32,
                position: batch.positions[tokens.start] as i32,
                first_range,
                ranges,
                visible: match needs.mask {
                    Mask::Causal => batch.positions[tokens.end - 1] as i32 + 1,
                    Mask::Bidirectional => batch.positions[segment.tokens.end - 1] as i32 + 1,
                },
            };
            let Range { start, end } = segment.tokens;
            let position = batch.positions[start] as usize;
            let late = end.min(start.saturating_add(tiling.position.saturating_sub(position)));
            let in_windows = if needs.windows { end } else { start };
            for (tiles, tokens, queries) in [
                (&mut layout.tiles, start..late, tiling.early),
                (&mut layout.late_tiles, late..end, tiling.late),
                (&mut layout.window_tiles, start..in_windows, tiling.windowed),
            ] {
                let starts = tokens.clone().step_by(queries);
                tiles.extend(starts.map(|start| tile(start..tokens.end.min(start + queries), start)));
            }
            if segment.pair.is_some() {
                let token = if needs.pooling == Pooling::LastToken { end - 1 } else { start };
                layout.pooled.push(tile(token..token + 1, layout.pooled_tokens.len()));
                layout.pooled_tokens.push(token as u32);
                if needs.pooling == Pooling::Mean {
                    layout.lengths.push((end - start) as u32);
                }
            }
        }
        // Blocks start in this order: the longest work first, so that none is left alone at the end.
        for tiles in [&mut layout.tiles, &mut layout.late_tiles] {
            tiles.sort_by_key(|tile| std::cmp::Reverse(tile.visible));
        }
        layout
    }

    /// Packs the layout for the device.
    pub(super) fn pack(&self, batch: &Batch) -> Packed {
        let pooled_positions: Vec<u32> =
            self.pooled_tokens.iter().map(|&token| batch.positions[token as usize]).collect();
        let parts: [&[u32]; 11] = [
            &batch.token_ids,
            &batch.positions,
            &self.types,
            &self.pooled_tokens,
            &pooled_positions,
            &self.lengths,
            bytemuck::cast_slice(&self.ranges),
            bytemuck::cast_slice(&self.tiles),
            bytemuck::cast_slice(&self.late_tiles),
            bytemuck::cast_slice(&self.window_tiles),
            bytemuck::cast_slice(&self.pooled),
        ];
        let mut end = 0;
        let ranges = parts.map(|part| {
            let start = end;
            end += size_of_val(part);
            start..end
        });
        Packed { words: parts.concat(), parts: ranges }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::{Limits, plan};
    use crate::recipe::Prompt;

    #[test]
    fn every_query_is_in_one_tile_and_sees_its_prompt() {
        let prompt = |length: usize, seed: u32| {
            let token = |token: u32| if token < 40 { token } else { token + seed * 1000 };
            Prompt::whole((0..length as u32).map(token).collect())
        };
        let groups = [vec![prompt(50, 1), prompt(41, 2), prompt(300, 3)], vec![prompt(1, 4)]];
        for share_prefixes in [true, false] {
            for batch in plan(&groups, Limits { pairs: 9, tokens: 1000, share_prefixes, fill: false }) {
                let layout = GpuLayout::new(
                    &batch,
                    Tiling { early: 32, windowed: 24, position: 100, late: 64 },
                    Needs { mask: Mask::Causal, pooling: Pooling::LastToken, windows: true, types: false },
                );
                let mut seen = vec![0; batch.token_ids.len()];
                let early = layout.tiles.iter().map(|tile| (tile, 0..100, 32));
                for (tile, positions, queries) in
                    early.chain(layout.late_tiles.iter().map(|tile| (tile, 100..1000, 64)))
                {
                    assert!(tile.rows <= queries);
                    assert!(positions.contains(&tile.position) && positions.contains(&(tile.visible - 1)));
                    let ranges = &layout.ranges[tile.first_range as usize..][..tile.ranges as usize];
                    for row in 0..tile.rows {
                        let token = (tile.first_row + row) as usize;
                        seen[token] += 1;
                        assert_eq!(batch.positions[token] as i32, tile.position + row);
                    }
                    let mut next = 0;
                    for range in ranges {
                        assert_eq!(range.position, next);
                        next += range.length;
                    }
                    assert!(next >= tile.visible && tile.visible == tile.position + tile.rows);
                }
                assert!(seen.iter().all(|&count| count == 1));
                let in_windows: i32 = layout.window_tiles.iter().map(|tile| tile.rows).sum();
                assert_eq!(in_windows as usize, seen.len());
                assert_eq!(layout.pooled.len(), batch.pairs().count());
                for (row, (end, segment)) in layout.pooled.iter().zip(batch.pair_segments()).enumerate() {
                    assert_eq!((end.first_row as usize, end.rows), (row, 1));
                    assert_eq!(end.visible as usize, batch.prompt(segment).len());
                    let tokens: Vec<u32> = layout.ranges[end.first_range as usize..][..end.ranges as usize]
                        .iter()
                        .flat_map(|range| &batch.token_ids[range.token as usize..][..range.length as usize])
                        .copied()
                        .collect();
                    assert_eq!(tokens, batch.prompt(segment));
                }
            }
        }
    }
}
