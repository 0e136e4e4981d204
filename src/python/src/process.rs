//! What a forked process has of its parent: the memory, and none of its threads. A model that was loaded before can't be used after
//! a fork, nor can another one be loaded, as the threads that compute stay in the parent.

use std::process;
use std::sync::{Mutex, PoisonError};

use anyhow::{Result, bail, ensure};
use rerank::exit::UsageError;
use rerank::threads;

/// The process in which the threads that compute were started, and their number.
static STARTED: Mutex<Option<(u32, usize)>> = Mutex::new(None);

/// Starts the threads that compute, of which a process has one pool.
///
/// # Errors
/// If they were started before in a process of which this one is a fork; if there are others than `named`; if the system starts no
/// more.
pub(crate) fn start_threads(count: usize, named: bool) -> Result<()> {
    let mut started = STARTED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((process, threads)) = *started {
        check_fork(process)?;
        if named && count != threads {
            bail!(UsageError::new(format!(
                "threads={count}: the models of this process share {threads} threads, as its first one was loaded with; take as \
                 many, or another process"
            )));
        }
        return Ok(());
    }
    threads::start(count)?;
    *started = Some((process::id(), count));
    Ok(())
}

/// Checks that this is the process.
///
/// # Errors
/// If it is a fork of it.
pub(crate) fn check_fork(process: u32) -> Result<()> {
    ensure!(
        process == process::id(),
        "a model was loaded before this process was forked (from process {process}), and its threads are not here: load models in \
         the worker processes only, or start these with multiprocessing's method \"spawn\" or \"forkserver\""
    );
    Ok(())
}
