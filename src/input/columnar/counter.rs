//! How far a file of columns has been read, by the rows whose lines were taken.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Adds to a number what was read of a file, as a share of the file's size.
pub(super) struct RowCounter {
    read: Arc<AtomicU64>,
    /// The size of the file, in the units of the number.
    size: u64,
    /// The rows of the file; none, if it does not state them: then all is added at its end.
    rows: Option<u64>,
    /// What was added.
    added: u64,
}

impl RowCounter {
    /// Nothing was read of a file of this size and so many rows.
    pub(super) fn new(read: Arc<AtomicU64>, size: u64, rows: Option<u64>) -> Self {
        Self { read, size, rows, added: 0 }
    }

    /// So many rows were read so far.
    pub(super) fn reach(&mut self, row: u64) {
        let Some(rows) = self.rows.filter(|&rows| rows > 0) else { return };
        let reached = u128::from(self.size) * u128::from(row.min(rows)) / u128::from(rows);
        self.add_up_to(u64::try_from(reached).unwrap_or(self.size));
    }

    /// The file was read to its end.
    pub(super) fn finish(&mut self) {
        self.add_up_to(self.size);
    }

    fn add_up_to(&mut self, reached: u64) {
        self.read.fetch_add(reached.saturating_sub(self.added), Ordering::Relaxed);
        self.added = self.added.max(reached);
    }
}
