//! What is held of requests, from the first byte of a body to the last byte of its response, is bounded in pairs and in bytes: a
//! request that does not fit is turned away at once, so that its client can ask elsewhere, and memory is bounded whatever comes.

use std::sync::{Arc, Mutex, PoisonError};

/// The bound, and what it holds.
pub(super) struct Admission {
    pairs: usize,
    bytes: usize,
    held: Mutex<Held>,
}

/// What waits or is computed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Held {
    pub(super) requests: usize,
    pub(super) pairs: usize,
    pub(super) bytes: usize,
}

/// The place of a request, which is free again when this is dropped.
pub(super) struct Place {
    admission: Arc<Admission>,
    pairs: usize,
    bytes: usize,
}

impl Admission {
    /// Makes a bound of so many pairs, and bytes of their texts.
    pub(super) fn new(pairs: usize, bytes: usize) -> Arc<Self> {
        Arc::new(Self { pairs, bytes, held: Mutex::default() })
    }

    /// Takes a request of so many pairs and bytes; none, if they don't fit beside what is there.
    pub(super) fn take(self: &Arc<Self>, pairs: usize, bytes: usize) -> Option<Place> {
        let mut held = self.lock();
        if held.pairs + pairs > self.pairs || held.bytes + bytes > self.bytes {
            return None;
        }
        // A body that is being read has no pairs yet, and a response none any more.
        let requests = held.requests + usize::from(pairs > 0);
        *held = Held { requests, pairs: held.pairs + pairs, bytes: held.bytes + bytes };
        Some(Place { admission: Arc::clone(self), pairs, bytes })
    }

    /// Takes the bytes of a response, though they may not fit: it is there already, and what is in it was let in.
    pub(super) fn hold(self: &Arc<Self>, bytes: usize) -> Place {
        self.lock().bytes += bytes;
        Place { admission: Arc::clone(self), pairs: 0, bytes }
    }

    /// What waits or is computed now.
    pub(super) fn held(&self) -> Held {
        *self.lock()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// Takes more bytes; false, if they don't fit.
    pub(super) fn grow(&mut self, bytes: usize) -> bool {
        let mut held = self.admission.lock();
        let fits = held.bytes + bytes <= self.admission.bytes;
        if fits {
            held.bytes += bytes;
            self.bytes += bytes;
        }
        fits
    }

    /// Gives back the bytes of a body for the pairs that were read in it and the bytes of their texts; false, if they don't fit.
    pub(super) fn exchange(&mut self, pairs: usize, bytes: usize) -> bool {
        let mut held = self.admission.lock();
        let others = Held { pairs: held.pairs - self.pairs, bytes: held.bytes - self.bytes, ..*held };
        let fits = others.pairs + pairs <= self.admission.pairs && others.bytes + bytes <= self.admission.bytes;
        if fits {
            let requests = held.requests - usize::from(self.pairs > 0) + usize::from(pairs > 0);
            *held = Held { requests, pairs: others.pairs + pairs, bytes: others.bytes + bytes };
            (self.pairs, self.bytes) = (pairs, bytes);
        }
        fits
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut held = self.admission.lock();
        *held = Held {
            requests: held.requests - usize::from(self.pairs > 0),
            pairs: held.pairs - self.pairs,
            bytes: held.bytes - self.bytes,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_turned_away_until_there_is_room() {
        let admission = Admission::new(10, 100);
        let first = admission.take(6, 10).unwrap();
        assert!(admission.take(5, 1).is_none() && admission.take(1, 91).is_none());
        let second = admission.take(4, 90).unwrap();
        assert_eq!(admission.held(), Held { requests: 2, pairs: 10, bytes: 100 });
        drop(first);
        assert!(admission.take(6, 10).is_some());
        drop(second);
        let mut body = admission.take(0, 60).unwrap();
        assert!(body.grow(40) && !body.grow(1));
        assert_eq!(admission.held(), Held { requests: 0, pairs: 0, bytes: 100 });
        assert!(!body.exchange(11, 90) && !body.exchange(1, 101) && body.exchange(10, 95));
        assert_eq!(admission.held(), Held { requests: 1, pairs: 10, bytes: 95 });
        let response = admission.hold(50);
        drop(body);
        assert_eq!(admission.held(), Held { requests: 0, pairs: 0, bytes: 50 });
        drop(response);
        assert_eq!(admission.held(), Held::default());
    }
}
