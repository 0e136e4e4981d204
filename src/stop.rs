//! How a run is asked to stop.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::exit::Exit;

/// Shared between the run and the handler of signals.
#[derive(Debug, Default)]
pub struct Stop {
    scoring: AtomicBool,
    requested: OnceLock<Exit>,
}

impl Stop {
    /// Nothing is scored yet, and nobody has asked.
    pub const fn new() -> Self {
        Self { scoring: AtomicBool::new(false), requested: OnceLock::new() }
    }

    /// Asks the run to stop, and to end with this status. True if it will, after the batch at hand; false if there is nothing
    /// to wait for, because no batch has begun, or because this was asked before.
    pub fn request(&self, exit: Exit) -> bool {
        self.requested.set(exit).is_ok() && self.scoring.load(Ordering::Relaxed)
    }

    /// From now on there is work that would be lost.
    pub fn begin_scoring(&self) {
        self.scoring.store(true, Ordering::Relaxed);
    }

    /// The status to end with, if the run was asked to stop.
    pub fn requested(&self) -> Option<Exit> {
        self.requested.get().copied()
    }
}
