//! A model is loaded, on a thread of its own, so that Python can be interrupted meanwhile.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use anyhow::Result;
use pyo3::prelude::*;
use rerank::batch::{Limits, QueueOrder};
use rerank::checkpoint::Downloads;
use rerank::config::SessionConfig;
use rerank::recipe::{Activation, Prompts};
use rerank::session::{Scheduling, Session};
use rerank::setup::{self, Finding, Loading, Setup};

use crate::errors::{panicked, raised};
use crate::messages::Messages;
use crate::process;

/// How often a waiting thread looks for signals.
pub(crate) const POLL: Duration = Duration::from_millis(50);

/// A model that is loaded.
pub(crate) struct Opened {
    /// Its engines, and what forms batches for them.
    pub(crate) session: Session,
    /// What puts pairs into prompts.
    pub(crate) prompts: Arc<dyn Prompts>,
    /// What makes scores of logits.
    pub(crate) activation: Activation,
    /// What is known of it.
    pub(crate) facts: Facts,
}

/// What users may ask of a model.
#[derive(Clone)]
pub(crate) struct Facts {
    /// The model as it was named, with its adapter.
    pub(crate) model: String,
    /// Where it computes.
    pub(crate) device: String,
    /// The precision.
    pub(crate) dtype: &'static str,
    /// The kernels, on which the bits of scores depend.
    pub(crate) kernels: String,
    /// The name of the recipe.
    pub(crate) recipe: String,
    /// The most tokens of a prompt.
    pub(crate) max_length: usize,
}

/// Loads a model. What it reports is logged.
///
/// # Errors
/// If it can't be loaded, or Python is interrupted; it is then dropped as soon as it is loaded.
pub(crate) fn open(
    python: Python<'_>,
    config: SessionConfig,
    threads_are_named: bool,
    messages: &Arc<Messages>,
) -> PyResult<Opened> {
    let (sender, mut opened) = channel();
    let reported = Arc::clone(messages);
    thread::spawn(move || {
        // Nobody waits for it any more if Python was interrupted.
        let _ = sender.send(load(&config, threads_are_named, &reported));
    });
    let opened = loop {
        match wait(python, &mut opened) {
            Ok(opened) => break opened.map_err(|error| raised(&error)),
            Err(RecvTimeoutError::Timeout) => {
                messages.log(python)?;
                python.check_signals()?;
            }
            Err(RecvTimeoutError::Disconnected) => break Err(panicked()),
        }
    };
    messages.log(python)?;
    opened
}

fn wait<T: Send>(python: Python<'_>, receiver: &mut Receiver<T>) -> Result<T, RecvTimeoutError> {
    python.detach(move || receiver.recv_timeout(POLL))
}

fn load(config: &SessionConfig, threads_are_named: bool, messages: &Arc<Messages>) -> Result<Opened> {
    let (choice, reporter) = (&config.model, messages.reporter());
    config.notes.iter().for_each(|note| reporter.note(note));
    process::start_threads(choice.threads, threads_are_named)?;
    let devices = setup::open_devices(choice, &reporter)?;
    let finding = Finding { weights: true, downloads: Downloads::Lines };
    let setup = Setup::choose(choice, finding, devices, (choice.instructions, choice.precision))?;
    setup.report(true, &reporter);
    // A panic of an engine fails the calls of its batch, and the model is loaded anew.
    let loaded = setup.load(Loading::Supervised, &reporter)?;
    Ok(opened(&setup, Session::start(loaded.engines, scheduling(&setup, loaded.limits), None, |_| {})))
}

fn scheduling(setup: &Setup, limits: Limits) -> Scheduling {
    Scheduling { ahead: setup.batches_ahead(), limits, order: QueueOrder::Fair }
}

fn opened(setup: &Setup, session: Session) -> Opened {
    let recipe = setup.reranker.recipe();
    let facts = Facts {
        model: setup.model(),
        device: setup.device(),
        dtype: setup.compute.precision.name(),
        kernels: setup.kernel_class(),
        recipe: recipe.name.name.clone(),
        max_length: recipe.max_length,
    };
    Opened { session, prompts: Arc::clone(&recipe.prompts), activation: recipe.activation, facts }
}
