//! How a run is asked to stop.

use std::sync::atomic::{AtomicBool, Ordering};

/// Shared between the run and the handler of interrupts.
#[derive(Debug, Default)]
pub struct Stop {
    scoring: AtomicBool,
    requested: AtomicBool,
}

impl Stop {
    /// Nothing is scored yet, and nobody has asked.
    pub const fn new() -> Self {
        Self { scoring: AtomicBool::new(false), requested: AtomicBool::new(false) }
    }

    /// Asks the run to stop. True if it will, after the batch at hand; false if there is nothing to wait for, because no
    /// batch has begun, or because this was asked before.
    pub fn request(&self) -> bool {
        !self.requested.swap(true, Ordering::Relaxed) && self.scoring.load(Ordering::Relaxed)
    }

    /// From now on there is work that would be lost.
    pub fn begin_scoring(&self) {
        self.scoring.store(true, Ordering::Relaxed);
    }

    /// Whether the run was asked to stop.
    pub fn is_requested(&self) -> bool {
        self.requested.load(Ordering::Relaxed)
    }
}
