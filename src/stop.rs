//! The request that a run should stop.

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
    /// The state before scoring has begun, without a request.
    pub const fn new() -> Self {
        Self { scoring: AtomicBool::new(false), requested: OnceLock::new() }
    }

    /// Requests that the run stop and end with this status. Returns true if the run will end by itself after the batch at
    /// hand, and false if the program should end at once: no batch has begun, or a stop was requested before.
    pub fn request(&self, exit: Exit) -> bool {
        self.requested.set(exit).is_ok() && self.scoring.load(Ordering::Relaxed)
    }

    /// Records that scoring begins: from now on, there is work that ending at once would lose.
    pub fn begin_scoring(&self) {
        self.scoring.store(true, Ordering::Relaxed);
    }

    /// The status to end with, if a stop was requested.
    pub fn requested(&self) -> Option<Exit> {
        self.requested.get().copied()
    }
}
