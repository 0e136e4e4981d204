//! What is found in the rows of a file of columns while they become lines. Who reads the lines takes it and reports it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The findings of one source, which all clones share. A source of text has none.
#[derive(Clone, Debug, Default)]
pub struct Findings(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    notes: Vec<String>,
    too_long: BTreeMap<u64, String>,
}

impl Findings {
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

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
