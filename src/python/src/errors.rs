//! Errors as Python has them: with the sentences of rerank, in which options have the names of arguments.

use std::panic::{AssertUnwindSafe, catch_unwind};

use anyhow::Error;
use pyo3::exceptions::{PyOSError, PyRuntimeError, PyValueError};
use pyo3::{PyErr, PyResult};
use rerank::exit::UsageError;

/// The options of the program that are arguments here, by their names there.
const ARGUMENTS: [&str; 14] = [
    "model",
    "revision",
    "adapter",
    "offline",
    "device",
    "gpu-memory",
    "dtype",
    "recipe",
    "instruction",
    "score",
    "max-length",
    "batch-size",
    "max-batch-tokens",
    "threads",
];

/// A message of rerank, in which the options that are arguments here have their names: `--max-length` is `max_length`.
pub(crate) fn in_python(message: &str) -> String {
    let mut parts = message.split("--");
    let mut translated = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let end = part.find(|character: char| !character.is_ascii_lowercase() && character != '-');
        let name = part.get(..end.unwrap_or(part.len())).unwrap_or_default();
        match ARGUMENTS.contains(&name) {
            true => translated += &name.replace('-', "_"),
            false => translated = translated + "--" + name,
        }
        translated += part.get(name.len()..).unwrap_or_default();
    }
    translated
}

/// The error that Python gets: `ValueError` for arguments, `OSError` for files and the hub, `RuntimeError` for everything else.
pub(crate) fn raised(error: &Error) -> PyErr {
    let message = in_python(&format!("{error:#}"));
    if error.chain().any(|cause| cause.is::<UsageError>()) {
        PyValueError::new_err(message)
    } else if error.chain().any(|cause| cause.is::<std::io::Error>()) {
        PyOSError::new_err(message)
    } else {
        PyRuntimeError::new_err(message)
    }
}

/// The error of arguments that can't be used.
pub(crate) fn misuse(message: impl std::fmt::Display) -> PyErr {
    PyValueError::new_err(in_python(&message.to_string()))
}

/// Does what may panic, which is an error of Python, and ends nothing but the call.
pub(crate) fn guarded<T>(work: impl FnOnce() -> PyResult<T>) -> PyResult<T> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| Err(panicked()))
}

/// The error of a call that has panicked.
pub(crate) fn panicked() -> PyErr {
    PyRuntimeError::new_err("rerank has panicked, which is a fault of it; standard error has the place")
}
