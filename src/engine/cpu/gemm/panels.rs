//! Activations of a tile of tokens between products: f32, in panels of 32 features.
//!
//! ```text
//! panel 0                       panel 1
//! row 0   feature 0 … 31        row 0   feature 32 … 63
//!   ⋮                             ⋮
//! row n   feature 0 … 31        row n   feature 32 … 63
//! ```
//!
//! 32 rows of a panel are what a kernel writes at once, and a panel of 256 rows is 32 KiB: one product's results are still
//! in the cache when the next operation reads them.

use crate::engine::cpu::gemm::microkernel::SIDE;

/// Features in a panel.
pub const PANEL: usize = SIDE;

/// The 32 features of a row in one panel.
pub type Features = [f32; PANEL];

/// Panels of a tile, in memory that another owns.
pub struct Panels<'a> {
    values: &'a mut [f32],
    rows: usize,
}

impl<'a> Panels<'a> {
    /// Panels of `rows` rows, a multiple of 32, as many as `values` have room for.
    pub fn new(values: &'a mut [f32], rows: usize) -> Self {
        assert!(rows.is_multiple_of(SIDE) && rows > 0);
        let whole = values.len() / (rows * PANEL) * rows * PANEL;
        Self { values: &mut values[..whole], rows }
    }

    /// Rows, those of padding too.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// How many panels.
    pub fn count(&self) -> usize {
        self.values.len() / (self.rows * PANEL)
    }

    /// The rows of one panel.
    pub fn panel(&self, panel: usize) -> &[Features] {
        &self.values.as_chunks().0[panel * self.rows..][..self.rows]
    }

    /// The rows of one panel, to change.
    pub fn panel_mut(&mut self, panel: usize) -> &mut [Features] {
        &mut self.values.as_chunks_mut().0[panel * self.rows..][..self.rows]
    }

    /// The rows of all panels, one panel after the other.
    pub(crate) fn rows_mut(&mut self) -> &mut [Features] {
        self.values.as_chunks_mut().0
    }

    /// All values, panel after panel.
    pub fn values(&self) -> &[f32] {
        self.values
    }

    /// The 32 × 32 values of 32 rows of a panel, as bits.
    pub(crate) fn block_mut(&mut self, panel: usize, block: usize) -> &mut [u32] {
        let start = (panel * self.rows + block * SIDE) * PANEL;
        bytemuck::cast_slice_mut(&mut self.values[start..start + SIDE * PANEL])
    }

    /// Some of the panels.
    pub fn part(&mut self, panels: std::ops::Range<usize>) -> Panels<'_> {
        let size = self.rows * PANEL;
        Panels { values: &mut self.values[panels.start * size..panels.end * size], rows: self.rows }
    }
}
