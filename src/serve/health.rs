//! Whether scoring works, as far as is known: what an orchestrator asks, to start the service anew where it does not.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::session::Answered;

/// So many batches that fail one after the other are taken for a fault of the device, which only a new process can mend.
const FAILURES_OF_A_SICK_DEVICE: u64 = 3;

/// Counts batches, and not requests: one batch has pairs of many.
#[derive(Debug, Default)]
pub(super) struct Health {
    /// Batches that have failed since one was scored.
    failed: AtomicU64,
    /// Whether the session answers no more requests.
    has_ended: AtomicBool,
}

impl Health {
    /// Takes notice of a batch.
    pub(super) fn note(&self, answered: &Answered) {
        if answered.computed > 0 {
            self.failed.store(0, Ordering::Relaxed);
        }
        self.failed.fetch_add(answered.failed, Ordering::Relaxed);
    }

    /// Takes notice that the session has dropped a request: it is about to end, or a fault of rerank has ended it, and then only a new
    /// process can score.
    pub(super) fn note_end(&self) {
        self.has_ended.store(true, Ordering::Relaxed);
    }

    /// Whether scoring works.
    pub(super) fn is_good(&self) -> bool {
        !self.has_ended.load(Ordering::Relaxed) && self.failed.load(Ordering::Relaxed) < FAILURES_OF_A_SICK_DEVICE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_batches_that_fail_one_after_the_other_are_a_fault_of_the_device() {
        let (health, failed) = (Health::default(), Answered { failed: 1, ..Answered::default() });
        let (computed, cached) =
            (Answered { computed: 1, ..Answered::default() }, Answered { cached: 1, ..Answered::default() });
        for answered in [&failed, &failed, &computed, &failed, &failed] {
            health.note(answered);
            assert!(health.is_good());
        }
        // What the cache has proves nothing of the device.
        health.note(&cached);
        health.note(&failed);
        assert!(!health.is_good());
        health.note(&computed);
        assert!(health.is_good());
    }
}
