//! Bounds the bytes that are read ahead of scoring: counting groups is not enough where one may hold 64 MiB.

use std::sync::{Arc, Condvar, Mutex, PoisonError};

/// Lets so many bytes pass that are not given back yet; a single group is let through whatever its size.
pub(super) struct Gate {
    limit: usize,
    held: Mutex<usize>,
    given_back: Condvar,
}

/// Bytes that passed a gate; given back when dropped.
pub(super) struct Held {
    gate: Arc<Gate>,
    bytes: usize,
}

impl Gate {
    pub(super) fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self { limit, held: Mutex::new(0), given_back: Condvar::new() })
    }

    /// Waits until there is room.
    pub(super) fn pass(self: &Arc<Self>, bytes: usize) -> Held {
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let full = |held: &mut usize| *held > 0 && *held + bytes > self.limit;
        let mut held = self.given_back.wait_while(held, full).unwrap_or_else(PoisonError::into_inner);
        *held += bytes;
        Held { gate: Arc::clone(self), bytes }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        *self.gate.held.lock().unwrap_or_else(PoisonError::into_inner) -= self.bytes;
        self.gate.given_back.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_full_gate_opens_when_bytes_are_given_back() {
        let gate = Gate::new(10);
        let first = gate.pass(50);
        let (sender, receiver) = channel();
        let waiting = std::thread::spawn({
            let gate = Arc::clone(&gate);
            move || {
                let held = [gate.pass(6), gate.pass(4)];
                sender.send(()).unwrap();
                drop(held);
            }
        });
        assert!(receiver.recv_timeout(Duration::from_millis(30)).is_err(), "it was full");
        drop(first);
        receiver.recv().unwrap();
        waiting.join().unwrap();
        assert_eq!(*gate.held.lock().unwrap(), 0);
    }
}
