//! Up to 32 queries that are computed side by side, and the keys that each of them sees.

use std::ops::Range;

use crate::engine::cpu::attention::Span;
use crate::engine::cpu::gemm::microkernel::SIDE;
use crate::model::{self, Mask};

/// Which keys the queries of a layer see, and how products with them become scores.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sight {
    /// Whether keys behind a query are seen.
    pub mask: Mask,
    /// The farthest that a key may stand from its query.
    pub window: Option<usize>,
    /// What products are multiplied by.
    pub scale: f64,
}

impl Sight {
    /// The sight of a layer of the description.
    pub fn of(attention: &model::Attention) -> Self {
        let model::Attention { mask, window, scale, .. } = *attention;
        Self { mask, window, scale }
    }

    /// The positions of keys that a query sees in a prompt of so many.
    fn visible(self, position: usize, length: usize) -> Range<usize> {
        let first = self.window.map_or(0, |window| position.saturating_sub(window));
        let end = match self.mask {
            Mask::Causal => position + 1,
            Mask::Bidirectional => {
                self.window.map_or(length, |window| length.min(position.saturating_add(window).saturating_add(1)))
            }
        };
        first..end
    }
}

/// The keys that each of 32 queries sees: those from one position up to another.
#[derive(Clone, Copy)]
pub(crate) struct Visible {
    pub(crate) first: [u32; SIDE],
    pub(crate) end: [u32; SIDE],
}

impl Visible {
    /// The blocks of 32 keys of which any query sees one.
    pub(crate) fn blocks(&self) -> Range<usize> {
        let first = self.first.iter().min().map_or(0, |&first| first as usize / SIDE);
        first..self.end.iter().max().map_or(0, |&end| (end as usize).div_ceil(SIDE))
    }
}

/// Up to 32 queries: the rows and heads that they come from.
pub(crate) struct Columns {
    pub(crate) rows: [usize; SIDE],
    pub(crate) heads: [usize; SIDE],
    pub(crate) count: usize,
}

impl Columns {
    pub(crate) fn new(span: &Span<'_>, columns: Range<usize>, group: usize) -> Self {
        let (mut row, mut head) = (span.rows.start + columns.start / group, columns.start % group);
        let (mut rows, mut heads, count) = ([row; SIDE], [0; SIDE], columns.len());
        for lane in 0..count {
            (rows[lane], heads[lane]) = (row, head);
            head += 1;
            if head == group {
                (row, head) = (row + 1, 0);
            }
        }
        Self { rows, heads, count }
    }

    /// The keys that each column sees. Those behind the last see what the first does.
    pub(crate) fn visible(&self, sight: Sight, span: &Span<'_>) -> Visible {
        let (mut first, mut end) = ([0; SIDE], [0; SIDE]);
        for ((row, first), end) in self.rows.iter().zip(&mut first).zip(&mut end) {
            let visible = sight.visible(span.position + row - span.rows.start, span.length);
            (*first, *end) = (visible.start as u32, visible.end as u32);
        }
        Visible { first, end }
    }
}
