//! What becomes of records that can't be used: the run stops before them, or goes on without them.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::progress::Reporter;
use crate::record::BadRecord;

/// Keeps count for all stages.
pub(super) struct Faults {
    skip: bool,
    reporter: Arc<Reporter>,
    skipped: AtomicU64,
    failed: AtomicBool,
    notes: Mutex<Vec<String>>,
}

impl Faults {
    pub(super) fn new(skip: bool, reporter: Arc<Reporter>) -> Self {
        Self { skip, reporter, skipped: AtomicU64::new(0), failed: AtomicBool::new(false), notes: Mutex::default() }
    }

    /// Tells of a record, at once. Says whether the run goes on without it.
    pub(super) fn skips(&self, bad: &BadRecord) -> bool {
        if self.skip {
            self.skipped.fetch_add(1, Ordering::Relaxed);
            self.reporter.error(&format!("{bad}; skipped"));
        } else {
            self.fail(&bad.to_string());
        }
        self.skip
    }

    /// Tells why the run can't go on. What was read before is still ranked. A stage that runs ahead may have told of a
    /// later record already; both are true.
    pub(super) fn fail(&self, problem: &str) {
        self.failed.store(true, Ordering::Relaxed);
        self.reporter.error(problem);
    }

    /// Reports how the input is read where that could surprise, and keeps it for the run's figures.
    pub(super) fn note(&self, note: String) {
        self.reporter.note(&format!("note: {note}"));
        self.notes.lock().unwrap_or_else(PoisonError::into_inner).push(note);
    }

    /// Takes the notes so far.
    pub(super) fn take_notes(&self) -> Vec<String> {
        std::mem::take(&mut self.notes.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn skipped(&self) -> u64 {
        self.skipped.load(Ordering::Relaxed)
    }

    pub(super) fn failed(&self) -> bool {
        self.failed.load(Ordering::Relaxed)
    }
}
