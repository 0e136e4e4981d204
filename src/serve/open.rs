//! The open connections. Where a new one finds no room, the one that has been idle longest is closed for it: clients that open
//! connections and send nothing keep nobody out.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use ahash::AHashMap;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

/// A connection that was used less than this ago is not closed.
const LEAST_IDLE: Duration = Duration::from_secs(1);
/// How often room is looked for.
const PAUSE: Duration = Duration::from_millis(50);

/// All open connections.
pub(super) struct Connections {
    room: Arc<Semaphore>,
    open: Mutex<AHashMap<u64, Arc<Idle>>>,
    next: AtomicU64,
}

/// Whether a connection is idle, and since when.
pub(super) struct Idle {
    since: Mutex<Option<Instant>>,
    closed: Notify,
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
        Arc::new(Self { room: Arc::new(Semaphore::new(most)), open, next })
    }

    /// A place, once there is one: idle connections are closed for it.
    pub(super) async fn place(self: &Arc<Self>) -> Connected {
        loop {
            if let Ok(permit) = Arc::clone(&self.room).try_acquire_owned() {
                let number = self.next.fetch_add(1, Ordering::Relaxed);
                let idle = Arc::new(Idle { since: Mutex::new(Some(Instant::now())), closed: Notify::new() });
                self.lock().insert(number, Arc::clone(&idle));
                return Connected { connections: Arc::clone(self), number, idle, _permit: permit };
            }
            self.close_idlest();
            tokio::time::sleep(PAUSE).await;
        }
    }

    fn close_idlest(&self) {
        let open = self.lock();
        let idle = open.values().filter_map(|idle| Some((idle.since()?, idle)));
        if let Some((since, idle)) = idle.min_by_key(|(since, _)| *since)
            && since.elapsed() >= LEAST_IDLE
        {
            idle.closed.notify_one();
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, AHashMap<u64, Arc<Idle>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Idle {
    fn since(&self) -> Option<Instant> {
        *self.since.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that a request is being answered, until what this returns is dropped.
    pub(super) fn busy(self: &Arc<Self>) -> Busy {
        *self.since.lock().unwrap_or_else(PoisonError::into_inner) = None;
        Busy(Arc::clone(self))
    }

    /// Done when the connection has to make room for another one.
    pub(super) async fn closed(&self) {
        self.closed.notified().await;
    }
}

/// A request that is being answered.
pub(super) struct Busy(Arc<Idle>);

impl Drop for Busy {
    fn drop(&mut self) {
        *self.0.since.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }
}

impl Drop for Connected {
    fn drop(&mut self) {
        self.connections.lock().remove(&self.number);
    }
}
