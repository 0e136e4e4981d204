//! Threads that score batches, one for each device: batches are handed out as they come, and come back in any order.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Result, anyhow};

use crate::batch::Batch;
use crate::engine::Engine;
use crate::engine::Profile;

/// The threads that score, and the channels to and from them.
pub(super) struct Workers {
    tasks: Sender<Task>,
    done: Receiver<Done>,
    threads: Vec<JoinHandle<Vec<String>>>,
    /// How many batches each thread may have at a time.
    ahead: usize,
    /// Batches that are handed out and not scored yet.
    busy: usize,
}

/// A batch to be scored.
struct Task {
    window: u64,
    batch: Batch,
}

/// A batch that was scored.
pub(super) struct Done {
    /// The number of its window.
    pub(super) window: u64,
    /// The batch.
    pub(super) batch: Batch,
    /// Its logits, in its order of pairs.
    pub(super) logits: Result<Vec<f32>>,
    /// Multiplications and additions that it needed.
    pub(super) operations: f64,
    /// Where the time went, if the engine keeps a profile.
    pub(super) profile: Option<Profile>,
}

impl Workers {
    /// Starts a thread for each engine. Each may have up to `ahead` batches, including the one that it is scoring.
    pub(super) fn new(engines: Vec<Box<dyn Engine>>, ahead: usize) -> Self {
        let (tasks, receiver) = channel::<Task>();
        let (sender, done) = channel();
        let receiver = Arc::new(Mutex::new(receiver));
        let start = |engine: Box<dyn Engine>| {
            let (receiver, sender) = (Arc::clone(&receiver), sender.clone());
            thread::spawn(move || work(engine, &receiver, &sender))
        };
        Self { tasks, done, threads: engines.into_iter().map(start).collect(), ahead, busy: 0 }
    }

    /// The number of threads.
    pub(super) fn count(&self) -> usize {
        self.threads.len()
    }

    /// Waits for the batches at hand and drops the engines, so that they free their devices' memory before the program ends.
    /// Returns their warnings.
    pub(super) fn finish(self) -> Vec<String> {
        drop(self.tasks);
        // A panic was reported with its batch.
        self.threads.into_iter().flat_map(|thread| thread.join().unwrap_or_default()).collect()
    }

    /// Whether an engine can take another batch.
    pub(super) fn have_room(&self) -> bool {
        self.busy < self.count() * self.ahead
    }

    /// Whether all engines have nothing to do.
    pub(super) fn are_idle(&self) -> bool {
        self.busy == 0
    }

    /// Hands out a batch.
    pub(super) fn hand_out(&mut self, window: u64, batch: Batch) {
        self.busy += 1;
        // This fails only if all threads have panicked, which `wait` reports.
        let _ = self.tasks.send(Task { window, batch });
    }

    /// The next batch that was scored, or none if there is none before `patience` runs out.
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

/// Scores batches until either channel is closed. Returns the engine's warnings.
fn work(mut engine: Box<dyn Engine>, tasks: &Mutex<Receiver<Task>>, done: &Sender<Done>) -> Vec<String> {
    loop {
        let task = tasks.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(Task { window, batch }) = task else { return engine.warnings() };
        // A panic is returned as an error. Otherwise the other threads would go on, and the run would wait for this batch
        // forever.
        let scored = catch_unwind(AssertUnwindSafe(|| {
            let logits = engine.run(&batch)?;
            Ok((logits, engine.work(&batch).all_operations(), engine.take_profile()))
        }));
        let panicked = scored.is_err();
        let (logits, operations, profile) = match scored {
            Ok(Ok((logits, operations, profile))) => (Ok(logits), operations, profile),
            Ok(Err(error)) => (Err(error), 0., None),
            Err(_) => (Err(anyhow!("the thread that scored it has panicked")), 0., None),
        };
        if done.send(Done { window, batch, logits, operations, profile }).is_err() || panicked {
            return engine.warnings();
        }
    }
}

#[cfg(test)]
mod tests {
    use anyhow::ensure;

    use super::*;

    /// An engine that returns a logit for each token, panics at three tokens and fails at four.
    struct Fragile;

    impl Engine for Fragile {
        fn run(&mut self, batch: &Batch) -> Result<Vec<f32>> {
            assert_ne!(batch.token_ids.len(), 3);
            ensure!(batch.token_ids.len() != 4, "four");
            Ok(vec![0.; batch.token_ids.len()])
        }
    }

    #[test]
    fn every_batch_comes_back_even_from_a_panic() {
        let mut workers = Workers::new(vec![Box::new(Fragile), Box::new(Fragile)], 1);
        let mut seen = Vec::new();
        for (window, tokens) in [(7, 1), (8, 3), (9, 4), (10, 2)] {
            assert!(workers.have_room());
            workers.hand_out(window, Batch::filled(tokens));
            let done = workers.wait(Duration::from_secs(60)).unwrap().unwrap();
            seen.push((done.window, done.logits.map_err(|error| error.to_string())));
            assert!(workers.are_idle() && workers.wait(Duration::ZERO).unwrap().is_none());
        }
        let panicked = "the thread that scored it has panicked".to_owned();
        let expected = [(7, Ok(vec![0.])), (8, Err(panicked)), (9, Err("four".to_owned())), (10, Ok(vec![0.; 2]))];
        assert_eq!(seen, expected);
        workers.finish();
    }
}
