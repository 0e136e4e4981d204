//! The native half of the Python package `rerank`: a loaded model that scores pairs of texts.
//!
//! ```text
//! Python: pairs, columns ─► texts ─ &str ─► scoring: prompts, requests ─► rerank::session ─ logits ─► bytearray ─► numpy
//! ```
//!
//! It changes nothing of the process that imports it: no handler of signals, no panic hook, no allocator, and no thread is started
//! before a model is loaded.

mod errors;
mod messages;
mod model;
mod opening;
mod options;
mod process;
mod requests;
mod scoring;
mod texts;

use pyo3::prelude::*;

/// The native module of the package.
#[pymodule]
mod _rerank {
    #[pymodule_export]
    use super::model::Model;
    #[pymodule_export]
    const VERSION: &str = env!("CARGO_PKG_VERSION");
}
