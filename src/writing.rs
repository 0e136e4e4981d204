//! Writes that are at hand when the program is to end: those to a file are waited for, so that no ranking is torn, and those to a
//! reader that takes nothing are not.

use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};
use std::thread;
use std::time::{Duration, Instant};

/// Held while bytes are written to a file.
static TO_FILE: Mutex<()> = Mutex::new(());

/// When the writes to pipes and devices began that are at hand.
static TO_PIPES: Mutex<Vec<Instant>> = Mutex::new(Vec::new());

/// How long the program waits for a write to a file before it ends at once. Only a disk that does not answer needs longer.
const MOST_WRITING: Duration = Duration::from_secs(1);

/// A write at hand, until it is dropped.
pub(crate) struct Writing {
    _file: Option<MutexGuard<'static, ()>>,
    began: Option<Instant>,
}

impl Writing {
    /// Begins a write to a file, or to a pipe or a device.
    pub(crate) fn begin(to_file: bool) -> Self {
        if to_file {
            return Self { _file: Some(TO_FILE.lock().unwrap_or_else(PoisonError::into_inner)), began: None };
        }
        let now = Instant::now();
        to_pipes().push(now);
        Self { _file: None, began: Some(now) }
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        if let Some(began) = self.began {
            let mut at_hand = to_pipes();
            // Of two that began at once, either may go.
            if let Some(index) = at_hand.iter().position(|other| *other == began) {
                at_hand.swap_remove(index);
            }
        }
    }
}

/// Whether a write to a pipe or a device has waited for this long.
pub(crate) fn is_stuck(patience: Duration) -> bool {
    to_pipes().iter().any(|began| began.elapsed() >= patience)
}

/// Waits until no file is written to, but not for a disk that does not answer. Until the result is dropped, no write to a file
/// begins.
pub(crate) fn hold() -> Option<MutexGuard<'static, ()>> {
    let began = Instant::now();
    loop {
        match TO_FILE.try_lock() {
            Err(TryLockError::WouldBlock) if began.elapsed() < MOST_WRITING => thread::sleep(Duration::from_millis(1)),
            Err(TryLockError::WouldBlock) => return None,
            Err(TryLockError::Poisoned(lock)) => return Some(lock.into_inner()),
            Ok(lock) => return Some(lock),
        }
    }
}

fn to_pipes() -> MutexGuard<'static, Vec<Instant>> {
    TO_PIPES.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_to_a_pipe_is_stuck_until_it_ends_and_no_file_is_torn() {
        let (first, second) = (Writing::begin(false), Writing::begin(false));
        assert!(is_stuck(Duration::ZERO) && !is_stuck(Duration::from_secs(3600)));
        drop(second);
        assert!(is_stuck(Duration::ZERO));
        drop(first);
        let file = Writing::begin(true);
        assert!(hold().is_none(), "a disk that does not answer is not waited for");
        drop(file);
        assert!(hold().is_some());
    }
}
