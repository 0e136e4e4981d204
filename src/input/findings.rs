//! What is found in the rows of a file of columns while they become lines. Who reads the lines takes it and reports it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The findings of one source, which all clones share. A source of text has none.
#[derive(Clone, Debug, Default)]
pub struct Findings {
    state: Arc<Mutex<State>>,
    /// Whether the source has rows of columns.
    is_columnar: bool,
}

#[derive(Debug, Default)]
struct State {
    notes: Vec<String>,
    too_long: BTreeMap<u64, String>,
    rows: Vec<RowStart>,
}

/// A line from which on lines and rows go on together, or all lines are made of one row.
#[cfg_attr(not(feature = "parquet"), allow(dead_code))]
#[derive(Debug)]
struct RowStart {
    line: u64,
    row: u64,
    is_one_row: bool,
}

impl RowStart {
    fn row_of(&self, line: u64) -> u64 {
        if self.is_one_row { self.row } else { self.row + (line - self.line) }
    }
}

impl Findings {
    /// Those of rows of columns.
    #[cfg(feature = "parquet")]
    pub fn of_rows() -> Self {
        Self { is_columnar: true, ..Self::default() }
    }

    /// The word for what the numbers of the source's records count, in messages.
    pub fn unit(&self) -> &'static str {
        if self.is_columnar { "row" } else { "line" }
    }

    /// Adds a sentence for the user, which names the place.
    #[cfg(feature = "parquet")]
    pub fn note(&self, note: String) {
        self.lock().notes.push(note);
    }

    /// Takes those sentences.
    pub fn take_notes(&self) -> Vec<String> {
        std::mem::take(&mut self.lock().notes)
    }

    /// Describes a line that is longer than a record may be, as a sentence without a full stop: its reader sees no columns.
    #[cfg(feature = "parquet")]
    pub fn too_long(&self, line: u64, problem: String) {
        self.lock().too_long.insert(line, problem);
    }

    /// Takes the description of a line that was too long, if there is one.
    pub fn take_too_long(&self, line: u64) -> Option<String> {
        self.lock().too_long.remove(&line)
    }

    /// Notes that a row is made into this many lines, of which this is the first. Rows come in their order.
    #[cfg(feature = "parquet")]
    pub fn place_row(&self, row: u64, line: u64, lines: u64) {
        let rows = &mut self.lock().rows;
        let is_one_row = lines > 1;
        let goes_on = |last: &RowStart| !last.is_one_row && !is_one_row && last.row_of(line) == row;
        if !rows.last().map_or(row == line && !is_one_row, goes_on) {
            rows.push(RowStart { line, row, is_one_row });
        }
    }

    /// The number of the row of which a line is made; that of the line, if it is no row's.
    pub fn row_of(&self, line: u64) -> u64 {
        let rows = &self.lock().rows;
        let behind = rows.partition_point(|start| start.line <= line);
        behind.checked_sub(1).and_then(|index| rows.get(index)).map_or(line, |start| start.row_of(line))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(all(test, feature = "parquet"))]
mod tests {
    use super::Findings;

    #[test]
    fn a_line_has_the_number_of_its_row() {
        let findings = Findings::default();
        // Behind a header stand two rows, a row of three lines, one of none, and two more.
        for (row, line, lines) in [(1, 2, 1), (2, 3, 1), (3, 4, 3), (5, 7, 1), (6, 8, 1)] {
            findings.place_row(row, line, lines);
        }
        let rows: Vec<u64> = (1..=8).map(|line| findings.row_of(line)).collect();
        assert_eq!(rows, [1, 1, 2, 3, 3, 3, 5, 6]);
    }
}
