//! The file into which a worker writes a shard until it is complete.

use std::fs::TryLockError;
use std::path::{Path, PathBuf};
use std::process;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};

use super::{Shard, names};
use crate::output::{Existing, Layout, OutputFile, Writer};

/// The most workers that write one shard at a time.
const MOST_WORKERS: usize = 16;

/// Opens the first temporary file of a shard that no other worker writes: a lock shows whether one does. Where the file system has
/// no locks, the worker begins a file of its own, and a note for users says what that means.
///
/// # Errors
/// If no file can be opened, or too many workers write the shard.
pub(super) fn open(
    directory: &Path,
    shard: Shard,
    existing: Existing,
    layout: &Layout,
) -> Result<(PathBuf, Writer, Option<String>)> {
    if !has_locks(directory)? {
        let path = directory.join(names::temporary(shard, &format!(".{}", unique())));
        let mut writer = Writer::open(Some(&path), layout, existing)?;
        writer.goes_on_by("start the worker again with the same options, which ranks the shard from its beginning");
        let note = format!(
            "the file system of {} has no locks: a worker that is broken off begins its shard anew, and what it has left there \
             (*.tmp and *.tmp.run.json) may be removed when no worker runs",
            directory.display()
        );
        return Ok((path, writer, Some(note)));
    }
    for worker in 1..=MOST_WORKERS {
        let number = if worker == 1 { String::new() } else { format!(".{worker}") };
        let path = directory.join(names::temporary(shard, &number));
        match Writer::open(Some(&path), layout, existing) {
            Err(error) if OutputFile::is_locked(&error) => {}
            writer => {
                let mut writer = writer?;
                writer.goes_on_by("start the worker again with the same options, which goes on behind that");
                return Ok((path, writer, None));
            }
        }
    }
    bail!("shard {shard} is being written by {MOST_WORKERS} workers: wait for one of them")
}

/// Whether files in a directory can be locked.
fn has_locks(directory: &Path) -> Result<bool> {
    let failed = || format!("cannot write to the directory {}", directory.display());
    let file = tempfile::tempfile_in(directory).with_context(failed)?;
    Ok(!matches!(file.try_lock(), Err(TryLockError::Error(_))))
}

/// A word that no other worker has, on this machine or another.
fn unique() -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    format!("{}-{}", process::id(), now.as_nanos())
}
