//! What rerank reports goes to Python's `logging`, to the logger `rerank`. Threads of rerank put it down, and a thread of Python
//! takes it along when it comes by: a thread of rerank must not wait for the interpreter, which may be about to end.

use std::sync::{Arc, Mutex, PoisonError};

use pyo3::prelude::*;
use rerank::progress::{Level, Reporter, escaped};

use crate::errors::in_python;

/// The messages that are not logged yet.
#[derive(Default)]
pub(crate) struct Messages(Mutex<Vec<(Level, String)>>);

impl Messages {
    /// Adds a message.
    pub(crate) fn add(&self, level: Level, message: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push((level, in_python(&escaped(message))));
    }

    /// What reports to them.
    pub(crate) fn reporter(self: &Arc<Self>) -> Arc<Reporter> {
        let messages = Arc::clone(self);
        Arc::new(Reporter::to(move |level, message| messages.add(level, message)))
    }

    /// Logs them.
    ///
    /// # Errors
    /// If a handler of Python's raises one.
    pub(crate) fn log(&self, python: Python<'_>) -> PyResult<()> {
        let messages = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        if messages.is_empty() {
            return Ok(());
        }
        let logger = python.import("logging")?.call_method1("getLogger", ("rerank",))?;
        for (level, message) in messages {
            logger.call_method1("log", (number(level), "%s", message))?;
        }
        Ok(())
    }
}

/// The number of a level in `logging`.
fn number(level: Level) -> u8 {
    match level {
        Level::Error => 40,
        Level::Warning => 30,
        Level::Note | Level::Line => 20,
        Level::Detail => 10,
    }
}
