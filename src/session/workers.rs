//! Threads that score batches, one for each device: batches are handed out as they come, and come back in any order.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use anyhow::Result;

use crate::batch::Batch;
use crate::engine::{Engine, Profile};

/// The threads that score, and the channel to them.
pub(super) struct Workers {
    batches: Sender<Batch>,
    threads: Vec<JoinHandle<Vec<String>>>,
    /// How many batches each thread may have at a time.
    ahead: usize,
    /// Batches that are handed out and not scored yet.
    busy: usize,
    /// Threads that have panicked.
    panicked: usize,
}

/// A batch that was scored.
pub(super) struct Done {
    pub(super) batch: Batch,
    /// Its logits, in its order of pairs.
    pub(super) logits: Result<Vec<f32>, Failure>,
    /// Multiplications and additions that it needed.
    pub(super) operations: f64,
    /// Where the time went, if the engine keeps a profile.
    pub(super) profile: Option<Profile>,
    /// The tokens that the device has memory for, as far as is known now.
    pub(super) fitting_tokens: usize,
}

/// Why a batch has no logits.
#[derive(Debug)]
pub(super) enum Failure {
    Engine(anyhow::Error),
    /// The thread has ended.
    Panic,
}

impl Workers {
    /// Starts a thread for each engine. Each may have up to `ahead` batches, including the one that it is scoring. `done` is
    /// called on these threads.
    pub(super) fn new(
        engines: Vec<Box<dyn Engine>>,
        ahead: usize,
        done: impl Fn(Done) + Clone + Send + 'static,
    ) -> Self {
        let (batches, receiver) = channel();
        let receiver = Arc::new(Mutex::new(receiver));
        let start = |engine: Box<dyn Engine>| {
            let (receiver, done) = (Arc::clone(&receiver), done.clone());
            thread::spawn(move || work(engine, &receiver, &done))
        };
        Self { batches, threads: engines.into_iter().map(start).collect(), ahead, busy: 0, panicked: 0 }
    }

    /// Whether an engine can take another batch.
    pub(super) fn have_room(&self) -> bool {
        self.busy < (self.threads.len() - self.panicked) * self.ahead
    }

    /// Whether all engines have nothing to do.
    pub(super) fn are_idle(&self) -> bool {
        self.busy == 0
    }

    /// Whether no thread is left that could score.
    pub(super) fn are_gone(&self) -> bool {
        self.panicked == self.threads.len()
    }

    /// Hands out a batch.
    pub(super) fn hand_out(&mut self, batch: Batch) {
        self.busy += 1;
        // The receiver lives until the last thread has ended, and then there is no room.
        let _ = self.batches.send(batch);
    }

    /// Takes notice of a batch that was scored.
    pub(super) fn take(&mut self, done: &Done) {
        self.busy -= 1;
        self.panicked += usize::from(matches!(done.logits, Err(Failure::Panic)));
        if self.are_gone() {
            // The batches that were handed out ahead are lost with the last thread.
            self.busy = 0;
        }
    }

    /// Waits for the batches at hand and drops the engines, so that they free their devices' memory before the program ends.
    /// Returns their warnings.
    pub(super) fn finish(self) -> Vec<String> {
        drop(self.batches);
        // A panic was reported with its batch.
        self.threads.into_iter().flat_map(|thread| thread.join().unwrap_or_default()).collect()
    }
}

/// Scores batches until the channel is closed. Returns the engine's warnings.
fn work(mut engine: Box<dyn Engine>, batches: &Mutex<Receiver<Batch>>, done: &impl Fn(Done)) -> Vec<String> {
    loop {
        let next = batches.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(batch) = next else { return engine.warnings() };
        // A panic is returned as a failure. Otherwise the other threads would go on, and the scheduler would wait for this
        // batch forever.
        let scored = catch_unwind(AssertUnwindSafe(|| {
            let logits = engine.run(&batch)?;
            Ok((logits, engine.work(&batch).all_operations(), engine.take_profile()))
        }));
        let (logits, operations, profile) = match scored {
            Ok(Ok((logits, operations, profile))) => (Ok(logits), operations, profile),
            Ok(Err(error)) => (Err(Failure::Engine(error)), 0., None),
            Err(_) => {
                done(Done {
                    batch,
                    logits: Err(Failure::Panic),
                    operations: 0.,
                    profile: None,
                    fitting_tokens: usize::MAX,
                });
                return engine.warnings();
            }
        };
        done(Done { batch, logits, operations, profile, fitting_tokens: engine.fitting_tokens() });
    }
}
