//! A bound on the bytes that are read ahead of scoring. A bound on the number of groups is not enough where one group may
//! have 64 MiB.

use std::sync::{Arc, Condvar, Mutex, PoisonError};

/// Grants permits for at most `limit` bytes at a time. A group that is larger than the limit gets its permit when no other
/// is out.
pub(super) struct ByteBudget {
    limit: usize,
    used: Mutex<usize>,
    returned: Condvar,
}

/// Bytes taken out of a budget, which are returned to it when the permit is dropped.
pub(super) struct Permit {
    budget: Arc<ByteBudget>,
    bytes: usize,
}

impl ByteBudget {
    pub(super) fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self { limit, used: Mutex::new(0), returned: Condvar::new() })
    }

    /// Waits until the budget has this many bytes left, and takes them.
    pub(super) fn acquire(self: &Arc<Self>, bytes: usize) -> Permit {
        let used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        let exhausted = |used: &mut usize| *used > 0 && *used + bytes > self.limit;
        let mut used = self.returned.wait_while(used, exhausted).unwrap_or_else(PoisonError::into_inner);
        *used += bytes;
        Permit { budget: Arc::clone(self), bytes }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        *self.budget.used.lock().unwrap_or_else(PoisonError::into_inner) -= self.bytes;
        self.budget.returned.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;
    use std::time::Duration;

    use super::*;

    #[test]
    fn an_exhausted_budget_grants_permits_when_bytes_are_returned() {
        let budget = ByteBudget::new(10);
        let first = budget.acquire(50);
        let (sender, receiver) = channel();
        let waiting = std::thread::spawn({
            let budget = Arc::clone(&budget);
            move || {
                let permits = [budget.acquire(6), budget.acquire(4)];
                sender.send(()).unwrap();
                drop(permits);
            }
        });
        assert!(receiver.recv_timeout(Duration::from_millis(30)).is_err(), "the budget was exhausted");
        drop(first);
        receiver.recv().unwrap();
        waiting.join().unwrap();
        assert_eq!(*budget.used.lock().unwrap(), 0);
    }
}
