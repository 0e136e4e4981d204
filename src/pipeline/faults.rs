//! Reports records that can't be used. The run stops before such a record, or goes on without it.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::output::ErrorsFile;
use crate::progress::Reporter;
use crate::record::BadRecord;

/// What a stage does after it has reported a bad record.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The run goes on without the record.
    Continue,
    /// The run stops before the record.
    Stop,
}

/// Reports the faults of all stages, and counts them.
pub(super) struct Faults {
    skip: bool,
    reporter: Arc<Reporter>,
    /// Where records are written that can't be used.
    errors: Option<Mutex<ErrorsFile>>,
    skipped: AtomicU64,
    failed: AtomicBool,
    notes: Mutex<Vec<String>>,
    /// Whether a query that is cut was reported.
    cut: AtomicBool,
}

impl Faults {
    pub(super) fn new(skip: bool, errors: Option<ErrorsFile>, reporter: Arc<Reporter>) -> Self {
        Self {
            skip,
            reporter,
            errors: errors.map(Mutex::new),
            skipped: AtomicU64::new(0),
            failed: AtomicBool::new(false),
            notes: Mutex::default(),
            cut: AtomicBool::new(false),
        }
    }

    /// Whether the run goes on without records that can't be used.
    pub(super) fn skips(&self) -> bool {
        self.skip
    }

    /// Reports a bad record at once, and returns whether the run goes on without it.
    pub(super) fn report(&self, bad: &BadRecord) -> Verdict {
        if self.skip {
            self.skipped.fetch_add(1, Ordering::Relaxed);
            self.reporter.error(&format!("{bad}; skipped"));
            match self.errors_file().map_or(Ok(()), |mut file| file.write(bad)) {
                Ok(()) => Verdict::Continue,
                Err(error) => {
                    self.fail(&format!("{error:#}"));
                    Verdict::Stop
                }
            }
        } else {
            self.fail(&bad.to_string());
            Verdict::Stop
        }
    }

    fn errors_file(&self) -> Option<MutexGuard<'_, ErrorsFile>> {
        Some(self.errors.as_ref()?.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Completes the file of records that can't be used. Those that a run had reported which was resumed count, too.
    pub(super) fn finish(&self) {
        match self.errors_file().map_or(Ok(0), |mut file| file.finish()) {
            Ok(earlier) => self.add_earlier(earlier),
            Err(error) => self.fail(&format!("{error:#}")),
        }
    }

    /// Counts the records that could not be used, so many in all, of a run that came to its end. Returns false if they are to be in
    /// a file that does not have them.
    pub(super) fn take_over(&self, skipped: u64) -> bool {
        // Some may have been read and reported once more.
        let left = skipped.saturating_sub(self.skipped());
        match self.errors_file().map(|file| file.lacks(left)) {
            Some(true) => return false,
            Some(false) => self.finish(),
            None => self.add_earlier(left),
        }
        true
    }

    /// Counts records that an earlier run could not use, and that are not read again.
    fn add_earlier(&self, skipped: u64) {
        self.skipped.fetch_add(skipped, Ordering::Relaxed);
    }

    /// Reports why the run can't go on. Groups that were read before are still ranked. A stage that runs ahead may have
    /// reported a later record already, so that a run can report two records.
    pub(super) fn fail(&self, problem: &str) {
        self.failed.store(true, Ordering::Relaxed);
        self.reporter.error(problem);
    }

    /// Reports how the input is read where that could surprise, and keeps it for the run's figures.
    pub(super) fn note(&self, note: String) {
        self.reporter.note(&note);
        self.notes.lock().unwrap_or_else(PoisonError::into_inner).push(note);
    }

    /// Notes that a query is cut, and of all queries only the first: a run may have millions.
    pub(super) fn cut_query(&self, id: &str, note: &str) {
        if !self.cut.swap(true, Ordering::Relaxed) {
            self.note(format!("query {id:?}: {note}; this is not repeated for other queries"));
        }
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
