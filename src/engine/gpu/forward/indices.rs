//! What kernels must know of a batch, in the device's memory.

use super::layout::Parts;
use crate::engine::gpu::{Memory, View};

/// The parts of a packed layout.
pub(super) struct Indices<'a> {
    pub(super) token_ids: View<'a>,
    pub(super) positions: View<'a>,
    pub(super) types: View<'a>,
    pub(super) pooled_tokens: View<'a>,
    pub(super) pooled_positions: View<'a>,
    pub(super) lengths: View<'a>,
    pub(super) ranges: View<'a>,
    pub(super) tiles: View<'a>,
    pub(super) late_tiles: View<'a>,
    pub(super) window_tiles: View<'a>,
    pub(super) pooled_tiles: View<'a>,
}

impl<'a> Indices<'a> {
    pub(super) fn new(memory: &'a Memory, parts: Parts) -> Self {
        let [
            token_ids,
            positions,
            types,
            pooled_tokens,
            pooled_positions,
            lengths,
            ranges,
            tiles,
            late_tiles,
            window_tiles,
            pooled_tiles,
        ] = parts.map(|part| memory.view(part));
        Self {
            token_ids,
            positions,
            types,
            pooled_tokens,
            pooled_positions,
            lengths,
            ranges,
            tiles,
            late_tiles,
            window_tiles,
            pooled_tiles,
        }
    }
}
