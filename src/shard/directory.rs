//! The files of a directory of shards.

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use same_file::Handle;
use serde_json::{Map, Value};

use super::Shard;
use super::done::{Done, Unreadable};
use super::names::{self, Kind};
use crate::resume::{Settings, Sidecar};
use crate::store;

/// A file of a shard.
#[derive(Clone, Debug)]
pub(super) struct ShardFile {
    pub(super) path: PathBuf,
    pub(super) shard: Shard,
    pub(super) kind: Kind,
}

/// Lists the files of all shards, by their names; other files are left out.
///
/// # Errors
/// If the directory can't be read.
pub(super) fn list(directory: &Path) -> Result<Vec<ShardFile>> {
    if store::is_address(directory) {
        let objects = store::list(directory)?.objects.into_iter().map(|object| object.path);
        return Ok(objects.filter_map(shard_file).collect());
    }
    let failed = || format!("cannot read the directory {}", directory.display());
    let mut files = Vec::new();
    for entry in fs::read_dir(directory).with_context(failed)? {
        files.extend(shard_file(entry.with_context(failed)?.path()));
    }
    files.sort_by(|one, other| one.path.cmp(&other.path));
    Ok(files)
}

fn shard_file(path: PathBuf) -> Option<ShardFile> {
    let (shard, kind) = names::parse(path.file_name()?.to_str()?)?;
    Some(ShardFile { path, shard, kind })
}

/// Some shard of the same division that is done or begun. Workers compute as it does, where a measurement could decide otherwise.
pub(super) struct Neighbour {
    pub(super) shard: Shard,
    /// The file that is there of it.
    pub(super) path: PathBuf,
    /// What its rankings depend on.
    pub(super) settings: Settings,
    /// What people may want to know of its run.
    pub(super) about: Map<String, Value>,
    /// Whether it is begun, and its worker stopped at a record that could not be used: this may be mended before it goes on.
    pub(super) is_stopped: bool,
}

/// The neighbour of a shard among these files, if there is one: another shard that is done, else one that is begun, else what there
/// is of the shard itself. A damaged record is passed over.
///
/// # Errors
/// If a record that was listed can't be fetched: the worker could compute otherwise than the others.
pub(super) fn neighbour(files: &[ShardFile], of: Shard) -> Result<Option<Neighbour>> {
    let found = |ShardFile { path, shard, kind }: &ShardFile| {
        let found = match kind {
            Kind::Done => {
                let read = Done::read(path.parent().unwrap_or(path), *shard);
                read.or_else(|error| if error.is::<Unreadable>() { Ok(None) } else { Err(error) })?
                    .map(|done| (false, done.into_settings()))
            }
            Kind::Temporary => {
                let record = Sidecar::read(path).ok().flatten();
                record.map(|record| (record.is_stopped_by_record(), record.into_settings()))
            }
            _ => None,
        };
        let neighbour = |(is_stopped, (settings, about))| {
            let (shard, path) = (*shard, path.clone());
            Neighbour { shard, path, settings, about, is_stopped }
        };
        Ok(found.map(neighbour))
    };
    let mut alike: Vec<&ShardFile> = files.iter().filter(|file| file.shard.count == of.count).collect();
    alike.sort_by_key(|file| (file.shard == of, file.kind != Kind::Done));
    alike.into_iter().find_map(|file| found(file).transpose()).transpose()
}

/// Waits until the disk has the names of a directory. Not every system can.
pub(super) fn sync(directory: &Path) {
    #[cfg(unix)]
    let _ = File::open(directory).and_then(|directory| directory.sync_all());
}

/// Removes what workers have left of a shard that is done, except for the files of those that still run.
///
/// # Errors
/// If the directory can't be read, or a file can't be removed.
pub(super) fn remove_leftovers(directory: &Path, shard: Shard) -> Result<()> {
    let files = list(directory)?;
    for ShardFile { path, kind, .. } in files.iter().filter(|file| file.shard == shard) {
        let removed = match kind {
            Kind::Temporary => remove_unless_locked(path),
            // A worker was broken off when it had renamed its part.
            Kind::TemporaryRecord if !path.with_extension("").with_extension("").exists() => fs::remove_file(path),
            _ => Ok(()),
        };
        removed.or_else(unless_missing).with_context(|| format!("cannot remove {}", path.display()))?;
    }
    Ok(())
}

/// Removes a part that is not complete and the record of its run, unless a worker holds its lock.
fn remove_unless_locked(path: &Path) -> io::Result<()> {
    let file = File::options().write(true).open(path)?;
    // Where the file system has no locks, nobody knows whether a worker still writes the file.
    let is_locked = file.try_lock().is_err();
    // The worker that had it may have renamed it, and another one may have begun a file of this name.
    if is_locked || Handle::from_path(path).ok() != Handle::from_file(file.try_clone()?).ok() {
        return Ok(());
    }
    fs::remove_file(Sidecar::path(path)).or_else(unless_missing)?;
    fs::remove_file(path)
}

/// Another worker may have removed a file just now.
pub(super) fn unless_missing(error: io::Error) -> io::Result<()> {
    if error.kind() == ErrorKind::NotFound { Ok(()) } else { Err(error) }
}
