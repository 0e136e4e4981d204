//! The threads that compute.

use std::error::Error as _;

use anyhow::{Result, bail};

/// Starts the pool of threads. Where it is up already, as in a program that runs several jobs, it stays as it is.
///
/// # Errors
/// If the system does not give so many threads.
pub fn start(count: usize) -> Result<()> {
    match rayon::ThreadPoolBuilder::new().num_threads(count).build_global() {
        // Only what the system refused has a cause.
        Err(error) if error.source().is_some() => bail!("cannot start {count} threads ({error}); lower --threads"),
        _ => Ok(()),
    }
}
