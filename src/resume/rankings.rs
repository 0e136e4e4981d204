//! The rankings that the rows of an output make up.

use crate::input::hash;
use crate::output::OutputFormat;

/// Complete rankings, in their order.
pub(super) struct Rankings {
    /// Whether a ranking is one row; else it goes on until another query's row.
    is_row: bool,
    /// The hash of each ranking's query. At 10 million queries, the chance that another input is taken for the one that was ranked
    /// is far below that of an error of the disk.
    pub(super) queries: Vec<u64>,
    /// Where the last complete ranking ends.
    pub(super) end: u64,
    /// The query whose rows may go on, and where they begin.
    open: Option<(u64, u64)>,
}

impl Rankings {
    pub(super) fn new(format: OutputFormat) -> Self {
        Self { is_row: format == OutputFormat::Jsonl, queries: Vec::new(), end: 0, open: None }
    }

    /// Adds a row that stands between these places. Returns whether a ranking was completed.
    pub(super) fn add(&mut self, query_id: &str, start: u64, end: u64) -> bool {
        let query = hash(query_id);
        if self.is_row {
            self.queries.push(query);
            self.end = end;
            return true;
        }
        if self.open.is_some_and(|(open, _)| open == query) {
            return false;
        }
        let completed = self.complete(start);
        self.open = Some((query, start));
        completed
    }

    /// Completes the ranking whose rows may go on: it is known that they end here.
    pub(super) fn complete(&mut self, end: u64) -> bool {
        let Some((query, _)) = self.open.take() else { return false };
        self.queries.push(query);
        self.end = end;
        true
    }

    /// Forgets the ranking whose rows may go on.
    pub(super) fn forget_open(&mut self) {
        self.open = None;
    }
}
