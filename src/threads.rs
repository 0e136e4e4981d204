//! The pool of threads that compute.

use std::error::Error as _;

use anyhow::{Result, bail};

/// Starts the pool of threads. If it was started already, as in a program that runs several jobs, it stays as it is.
///
/// # Errors
/// If the system can't start so many threads.
pub fn start(count: usize) -> Result<()> {
    match rayon::ThreadPoolBuilder::new().num_threads(count).build_global() {
        // The error has a cause only if the system refused a thread, and none if there is a pool already.
        Err(error) if error.source().is_some() => bail!("cannot start {count} threads ({error}); lower --threads"),
        _ => Ok(()),
    }
}
