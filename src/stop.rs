//! The request that a run should stop.

use std::sync::{Mutex, OnceLock, PoisonError};

use crate::exit::Exit;

/// Ends the batches of a run.
type Act = Box<dyn FnOnce() + Send>;

/// Shared between the run and the handler of signals.
#[derive(Default)]
pub struct Stop {
    act: Mutex<Option<Act>>,
    requested: OnceLock<Exit>,
}

impl Stop {
    /// The state before scoring has begun, without a request.
    pub const fn new() -> Self {
        Self { act: Mutex::new(None), requested: OnceLock::new() }
    }

    /// Requests that the run stop and end with this status. Returns true if the run will end by itself after the batch at
    /// hand, and false if the program should end at once: no batch has begun, or a stop was requested before. `report` is called in
    /// the first case, before the run can end.
    pub fn request(&self, exit: Exit, report: impl FnOnce()) -> bool {
        let is_first = self.requested.set(exit).is_ok();
        let act = self.act.lock().unwrap_or_else(PoisonError::into_inner).take().filter(|_| is_first);
        let Some(act) = act else { return false };
        report();
        act();
        true
    }

    /// Records that scoring begins: from now on, there is work that ending at once would lose. `act` is called when a stop is
    /// requested.
    pub fn begin_scoring(&self, act: impl FnOnce() + Send + 'static) {
        *self.act.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::new(act));
    }

    /// The status to end with, if a stop was requested.
    pub fn requested(&self) -> Option<Exit> {
        self.requested.get().copied()
    }
}
