//! Threads that score batches, one for each device: batches are handed out as they come, and come back in any order.

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::{Result, anyhow};

use crate::batch::Batch;
use crate::score::Scorer;

/// Scorers at work.
pub(super) struct Workers {
    tasks: Sender<Task>,
    done: Receiver<Done>,
    count: usize,
    busy: usize,
}

/// A batch to be scored.
struct Task {
    window: u64,
    batch: Batch,
}

/// A batch that was scored.
pub(super) struct Done {
    /// The number that it was given with.
    pub(super) window: u64,
    /// The batch.
    pub(super) batch: Batch,
    /// Its logits, in its order of pairs.
    pub(super) logits: Result<Vec<f32>>,
    /// Multiplications and additions that it needed.
    pub(super) operations: f64,
}

impl Workers {
    /// A thread for each scorer.
    pub(super) fn new(scorers: Vec<Box<dyn Scorer>>) -> Self {
        let (tasks, receiver) = channel::<Task>();
        let (sender, done) = channel();
        let (receiver, count) = (Arc::new(Mutex::new(receiver)), scorers.len());
        for mut scorer in scorers {
            let (receiver, sender) = (Arc::clone(&receiver), sender.clone());
            // They end when nobody hands out batches any more, or listens.
            thread::spawn(move || {
                loop {
                    let task = receiver.lock().unwrap_or_else(PoisonError::into_inner).recv();
                    let Ok(Task { window, batch }) = task else { return };
                    let logits = scorer.score(&batch);
                    let operations = scorer.operations(&batch).iter().sum();
                    if sender.send(Done { window, batch, logits, operations }).is_err() {
                        return;
                    }
                }
            });
        }
        Self { tasks, done, count, busy: 0 }
    }

    /// Whether a scorer has nothing to do.
    pub(super) fn have_room(&self) -> bool {
        self.busy < self.count
    }

    /// Whether all scorers have nothing to do.
    pub(super) fn are_idle(&self) -> bool {
        self.busy == 0
    }

    /// Hands out a batch.
    pub(super) fn hand_out(&mut self, window: u64, batch: Batch) {
        self.busy += 1;
        // If all have panicked, `wait` says so.
        let _ = self.tasks.send(Task { window, batch });
    }

    /// The next batch that was scored, if there is one soon.
    ///
    /// # Errors
    /// If the threads have panicked.
    pub(super) fn wait(&mut self, patience: Duration) -> Result<Option<Done>> {
        match self.done.recv_timeout(patience) {
            Ok(done) => {
                self.busy -= 1;
                Ok(Some(done))
            }
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => Err(anyhow!("the threads that score have panicked")),
        }
    }
}
