//! A session: a model that is loaded on its devices, and a scheduler that scores what many callers submit.
//!
//! ```text
//! submit ─ Request ─► scheduler ─ Batch ─► worker, one for each device
//!                        │  ▲                 │
//!   reply ◄─ Scored ─────┘  └──── Done ◄──────┘
//! ```
//!
//! The scheduler's thread learns of everything by one queue, so that nothing is polled. A batch is formed when a device can take
//! it, of what waits then: while devices compute, the next batch fills up, and no time is spent waiting for one to be full.
//! Prompts of equal tokens that wait or are computed at the same time are scored once, because a score depends on its prompt
//! alone.

mod scheduler;
mod unit;
mod workers;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::thread::{self, JoinHandle};

use anyhow::{Result, anyhow};

use self::scheduler::{Event, Scheduler};
pub use self::unit::Unit;
use self::workers::Workers;
use crate::batch::{Limits, QueueOrder};
use crate::cache::ScoreCache;
use crate::engine::{Engine, Profile};

/// The logits of a request.
#[derive(Clone, Debug, PartialEq)]
pub struct Scored {
    /// One for each unit, in their order; or why there are none.
    pub logits: Result<Vec<f32>, String>,
    /// The time from the start of the request's first batch, in seconds; 0 if it needed none.
    pub seconds: f64,
}

/// How pairs got their logits: those of a batch, or those of a request that the cache has.
#[derive(Debug, Default)]
pub struct Answered {
    /// Pairs that were computed.
    pub computed: u64,
    /// Pairs whose prompts are equal to those of computed ones, and got their logits.
    pub equal: u64,
    /// Pairs whose logits were in the cache.
    pub cached: u64,
    /// Batches that have no logits, because their engine has failed or panicked. Nothing else is counted of them.
    pub failed: u64,
    /// Tokens that were computed.
    pub tokens: u64,
    /// Tokens of the computed pairs' prompts, shared prefixes as often as they occur.
    pub prompt_tokens: u64,
    /// Multiplications and additions that the batch needed.
    pub operations: f64,
    /// Where the time went, if the engines keep profiles.
    pub profile: Option<Profile>,
}

/// What a caller is sent when its request is scored.
type Reply = Box<dyn FnOnce(Scored) + Send>;

/// A loaded model. Dropping it waits for the batches at hand, and frees the devices' memory.
pub struct Session {
    access: Access,
    thread: Option<JoinHandle<Vec<String>>>,
}

/// What callers need of a session. Requests that come after its end are not answered: their reply is dropped.
#[derive(Clone)]
pub struct Access {
    events: Sender<Event>,
    /// The number of the next request.
    next: Arc<AtomicUsize>,
}

/// A request of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RequestId(usize);

/// How batches are formed and handed out.
#[derive(Clone, Copy, Debug)]
pub struct Scheduling {
    /// The batches that each engine may have, including the one that it is scoring.
    pub ahead: usize,
    /// What a batch may hold.
    pub limits: Limits,
    /// The order in which requests are scored.
    pub order: QueueOrder,
}

/// While it lives, more requests are about to come, and the scheduler waits for a batch to be full.
pub struct Hold {
    events: Sender<Event>,
}

impl Session {
    /// Starts the threads that score. Logits are kept in the cache, if there is one. `watch` is called with what was answered.
    pub fn start(
        engines: Vec<Box<dyn Engine>>,
        scheduling: Scheduling,
        cache: Option<Arc<ScoreCache>>,
        watch: impl FnMut(Answered) + Send + 'static,
    ) -> Self {
        let (sender, events) = channel();
        let done = sender.clone();
        let workers = Workers::new(engines, scheduling.ahead, move |result| {
            // This fails only if the scheduler has panicked, which ends the session.
            let _ = done.send(Event::Done(result));
        });
        let scheduler = Scheduler::new(workers, scheduling, cache, Box::new(watch));
        let thread = thread::spawn(move || scheduler.run(&events));
        Self { access: Access { events: sender, next: Arc::default() }, thread: Some(thread) }
    }

    /// What callers need.
    pub fn access(&self) -> Access {
        self.access.clone()
    }

    /// Waits for the batches at hand, drops what waits, and returns the engines' warnings.
    ///
    /// # Errors
    /// If the scheduler has panicked.
    pub fn finish(mut self) -> Result<Vec<String>> {
        self.close()
    }

    fn close(&mut self) -> Result<Vec<String>> {
        // This fails only if the scheduler has ended before.
        let _ = self.access.events.send(Event::Close);
        let Some(thread) = self.thread.take() else { return Ok(Vec::new()) };
        thread.join().map_err(|_| anyhow!("the thread that forms batches has panicked"))
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // A panic was printed where it occurred.
        let _ = self.close();
    }
}

impl Access {
    /// Asks for the logits of units. `reply` is called with them, on the scheduler's thread: it must not wait. A request that
    /// fails is replied to as well; if the session stops before it is scored, `reply` is dropped.
    pub fn submit(&self, units: Vec<Unit>, reply: impl FnOnce(Scored) + Send + 'static) -> RequestId {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        // If the scheduler has ended, the reply is dropped with the request.
        let _ = self.events.send(Event::Request { number, units, reply: Box::new(reply) });
        RequestId(number)
    }

    /// Drops a request that nobody waits for any more, unless it was replied to. Its pairs that are in a batch at hand, or that other
    /// requests wait for, are scored nevertheless.
    pub fn cancel(&self, request: RequestId) {
        let _ = self.events.send(Event::Cancel(request.0));
    }

    /// Reports that more requests are about to come.
    pub fn hold(&self) -> Hold {
        let _ = self.events.send(Event::Hold);
        Hold { events: self.events.clone() }
    }

    /// Forms no more batches from now on. `then` is called when those at hand are scored and replied to.
    pub fn stop(&self, then: impl FnOnce() + Send + 'static) {
        let _ = self.events.send(Event::Stop(Box::new(then)));
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        let _ = self.events.send(Event::Release);
    }
}

#[cfg(test)]
mod tests;
