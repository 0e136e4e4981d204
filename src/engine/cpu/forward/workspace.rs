//! A tile of tokens on its way through a model, and the memory that its operations use in between.

use crate::checkpoint::RowSource;
use crate::engine::Profile;
use crate::engine::cpu::{Attention, Buffer, Operand, PANEL, Panels, Span, Squares};

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

    /// Sets the rows to those of tokens; what is beyond them is zeros.
    pub(super) fn embed(&mut self, token_ids: &[u32], embedding: &dyn RowSource) {
        for panel in 0..self.hidden.count() {
            self.hidden.panel_mut(panel).iter_mut().skip(token_ids.len()).for_each(|row| row.fill(0.));
        }
        let mut values = vec![0f32; embedding.inputs().next_multiple_of(PANEL)];
        for (row, &token) in token_ids.iter().enumerate() {
            embedding.row(token as usize, &mut values[..embedding.inputs()]);
            for (panel, values) in values.as_chunks::<PANEL>().0.iter().enumerate() {
                self.hidden.panel_mut(panel)[row] = *values;
            }
        }
    }

    /// Adds a row of a matrix to each of the tile's first rows.
    pub(super) fn add_rows(&mut self, rows: impl Iterator<Item = usize>, matrix: &dyn RowSource) {
        let mut values = vec![0f32; matrix.inputs().next_multiple_of(PANEL)];
        for (row, source) in rows.enumerate() {
            matrix.row(source, &mut values[..matrix.inputs()]);
            for (panel, values) in values.as_chunks::<PANEL>().0.iter().enumerate() {
                self.hidden.panel_mut(panel)[row].iter_mut().zip(values).for_each(|(sum, value)| *sum += value);
            }
        }
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
