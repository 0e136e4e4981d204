//! A tile of tokens on its way through a model, and the memory that its operations use in between.

use crate::engine::Profile;
use crate::engine::cpu::{Attention, Buffer, Level, Operand, PANEL, Panels, Span, Squares};

/// Tokens that one thread computes.
pub(super) struct Tile<'a> {
    /// The residual stream.
    pub(super) hidden: Panels<'a>,
    pub(super) positions: Vec<u32>,
    /// Where their keys and values go.
    pub(super) slots: &'a [usize],
    /// Which keys they look at.
    pub(super) spans: Vec<Span<'a>>,
    /// The sums of squares of the residual stream.
    pub(super) squares: Squares,
}

/// Memory for what a layer computes in between.
#[derive(Default)]
pub(super) struct Workspace {
    pub(super) normed: Operand,
    pub(super) inner: Operand,
    pub(super) products: Buffer<f32>,
    pub(super) results: Buffer<f32>,
    /// Rows that were normalized before a product.
    pub(super) normalized: Buffer<f32>,
    pub(super) attention: Option<Attention>,
    pub(super) profile: Profile,
}

impl<'a> Tile<'a> {
    /// Rows of the residual stream in `memory`, which has room for whole panels of so many and of padding.
    pub(super) fn new(memory: &'a mut [f32], rows: usize) -> Self {
        let hidden = Panels::new(memory, rows.next_multiple_of(PANEL));
        let mut squares = Squares::default();
        squares.clear(hidden.rows());
        Self { hidden, positions: Vec::with_capacity(rows), slots: &[], spans: Vec::new(), squares }
    }

    /// Sums the squares of the residual stream anew.
    pub(super) fn count_squares(&mut self, level: Level) {
        self.squares.clear(self.hidden.rows());
        self.squares.add_all(&self.hidden, level);
    }

    /// The features of a row, and zeros behind them.
    pub(super) fn row(&self, row: usize) -> impl Iterator<Item = f32> + '_ {
        (0..self.hidden.count()).flat_map(move |panel| self.hidden.panel(panel)[row])
    }

    /// Takes over a row of another tile.
    pub(super) fn copy_row(&mut self, row: usize, other: &Tile<'_>, from: usize) {
        for panel in 0..self.hidden.count() {
            self.hidden.panel_mut(panel)[row] = other.hidden.panel(panel)[from];
        }
    }
}
