//! The open connections. Where a new one finds no room, the one that has been idle longest is closed for it: clients that open
//! connections and send nothing keep nobody out.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use ahash::AHashMap;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

/// A connection that was used less than this ago is not closed.
const LEAST_IDLE: Duration = Duration::from_secs(1);
/// Nor is one on which a request may be about to come for the first time: it follows at once where a client has one.
const LEAST_SILENT: Duration = Duration::from_millis(250);
/// One in so many connections is closed at a time where the system has no room.
const SHARE_FOR_ROOM: usize = 4;
/// How often a connection is looked for that may be closed.
const PAUSE: Duration = Duration::from_millis(50);

/// All open connections.
pub(super) struct Connections {
    room: Arc<Semaphore>,
    open: Mutex<AHashMap<u64, Arc<Idle>>>,
    next: AtomicU64,
}

/// What a connection does, and since when.
pub(super) struct Idle {
    activity: Mutex<Activity>,
    closed: Notify,
}

struct Activity {
    /// Requests whose responses are not written yet: a client may send the next one before it has read the response.
    at_hand: usize,
    state: State,
    /// Whether there has been a request.
    was_used: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Idle(Instant),
    /// A request is read or answered, for which there are deadlines of their own.
    Answering,
    /// The response is being written.
    Writing(Instant),
}

/// A connection's place, which is free again when this is dropped.
pub(super) struct Connected {
    connections: Arc<Connections>,
    number: u64,
    pub(super) idle: Arc<Idle>,
    _permit: OwnedSemaphorePermit,
}

impl Connections {
    /// Makes room for so many.
    pub(super) fn new(most: usize) -> Arc<Self> {
        let (open, next) = (Mutex::default(), AtomicU64::new(0));
        Arc::new(Self { room: Arc::new(Semaphore::new(most.min(Semaphore::MAX_PERMITS))), open, next })
    }

    /// A place, once there is one: idle connections are closed for it.
    pub(super) async fn place(self: &Arc<Self>) -> Connected {
        let permit = loop {
            if let Ok(permit) = Arc::clone(&self.room).try_acquire_owned() {
                break permit;
            }
            self.close_idlest(1);
            if let Ok(Ok(permit)) = timeout(PAUSE, Arc::clone(&self.room).acquire_owned()).await {
                break permit;
            }
        };
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let idle = Arc::new(Idle::new());
        self.lock().insert(number, Arc::clone(&idle));
        Connected { connections: Arc::clone(self), number, idle, _permit: permit }
    }

    /// Closes some idle connections, because the system gives the process no more of what connections need.
    pub(super) fn make_room(&self) {
        let count = self.lock().len() / SHARE_FOR_ROOM + 1;
        self.close_idlest(count);
    }

    /// Closes those that have been idle longest, at most so many.
    fn close_idlest(&self, count: usize) {
        let open = self.lock();
        let idle = open.values().filter_map(|idle| idle.may_close().map(|since| (since, idle)));
        let mut idle: Vec<_> = idle.collect();
        idle.sort_by_key(|(since, _)| *since);
        idle.into_iter().take(count).for_each(|(_, idle)| idle.closed.notify_one());
    }

    /// Closes connections whose clients have not taken a response within this time: a client that takes a byte now and then would
    /// hold its memory for ever.
    pub(super) fn close_slow(&self, patience: Duration) {
        let is_slow = |state| matches!(state, State::Writing(since) if since.elapsed() >= patience);
        self.lock().values().filter(|idle| is_slow(idle.state())).for_each(|idle| idle.closed.notify_one());
    }

    /// Whether no connection has a request that is being answered.
    pub(super) fn are_idle(&self) -> bool {
        self.lock().values().all(|idle| matches!(idle.state(), State::Idle(_)))
    }

    fn lock(&self) -> MutexGuard<'_, AHashMap<u64, Arc<Idle>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Idle {
    fn new() -> Self {
        let activity = Activity { at_hand: 0, state: State::Idle(Instant::now()), was_used: false };
        Self { activity: Mutex::new(activity), closed: Notify::new() }
    }

    fn state(&self) -> State {
        self.activity().state
    }

    /// Since when the connection is idle, if it is so long enough to be closed for another one.
    fn may_close(&self) -> Option<Instant> {
        let activity = self.activity();
        let least = if activity.was_used { LEAST_IDLE } else { LEAST_SILENT };
        match activity.state {
            State::Idle(since) if since.elapsed() >= least => Some(since),
            _ => None,
        }
    }

    fn activity(&self) -> MutexGuard<'_, Activity> {
        self.activity.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that a request is being answered, until what this returns is dropped.
    pub(super) fn busy(self: &Arc<Self>) -> Busy {
        let mut activity = self.activity();
        activity.at_hand += 1;
        activity.was_used = true;
        activity.state = State::Answering;
        Busy(Arc::clone(self))
    }

    /// Done when the connection has to make room for another one, or its client is too slow. One that was chosen for being idle may
    /// have begun a request meanwhile, which is answered.
    pub(super) async fn closed(&self) {
        loop {
            self.closed.notified().await;
            if self.state() != State::Answering {
                return;
            }
        }
    }
}

/// A request that is being answered.
pub(super) struct Busy(Arc<Idle>);

impl Busy {
    /// Notes that the response is being written.
    pub(super) fn write(&self) {
        self.0.activity().state = State::Writing(Instant::now());
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        let mut activity = self.0.activity();
        activity.at_hand -= 1;
        if activity.at_hand == 0 {
            activity.state = State::Idle(Instant::now());
        }
    }
}

impl Drop for Connected {
    fn drop(&mut self) {
        self.connections.lock().remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_is_idle_once_all_its_responses_are_written() {
        let idle = Arc::new(Idle::new());
        let is_idle = || matches!(idle.state(), State::Idle(_));
        assert!(is_idle());
        let first = idle.busy();
        assert_eq!(idle.state(), State::Answering);
        first.write();
        assert!(matches!(idle.state(), State::Writing(_)));
        let second = idle.busy();
        drop(first);
        assert_eq!(idle.state(), State::Answering);
        second.write();
        assert!(!is_idle());
        drop(second);
        assert!(is_idle());
    }

    #[tokio::test]
    async fn a_connection_whose_response_is_not_taken_is_closed() {
        let connections = Connections::new(2);
        let (slow, answering) = (connections.place().await, connections.place().await);
        let (writing, _busy) = (slow.idle.busy(), answering.idle.busy());
        writing.write();
        connections.close_slow(Duration::from_secs(3600));
        assert!(!connections.are_idle());
        connections.close_slow(Duration::ZERO);
        slow.idle.closed().await;
        let untouched = tokio::time::timeout(Duration::from_millis(1), answering.idle.closed()).await;
        assert!(untouched.is_err());
    }
}
