//! Where the shards of a run are written, and the store to which they go from there.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use super::directory::ShardFile;
use super::done::Done;
use super::{Shard, directory, names};
use crate::stop::Stop;
use crate::store::{self, Uploaded, Writing};

/// Where the shards of a run are.
#[derive(Clone, Debug)]
pub struct Place {
    /// The directory where they are written.
    pub directory: PathBuf,
    /// The prefix in a store where they are in the end; none, if the directory is that place.
    pub address: Option<PathBuf>,
}

/// The store has another part of this name.
#[derive(Debug)]
struct OtherBytes(String);

impl fmt::Display for OtherBytes {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl std::error::Error for OtherBytes {}

impl Place {
    /// Where complete shards are.
    pub(super) fn published(&self) -> &Path {
        self.address.as_deref().unwrap_or(&self.directory)
    }

    /// The part of a shard under the name that users know.
    pub(super) fn part(&self, shard: Shard) -> PathBuf {
        self.published().join(names::part(shard))
    }

    /// The files of shards: those that are there in the end, and those that are written.
    ///
    /// # Errors
    /// If the place can't be read.
    pub(super) fn files(&self) -> Result<Vec<ShardFile>> {
        let mut files = directory::list(self.published())?;
        if self.address.is_some() {
            files.extend(directory::list(&self.directory)?);
        }
        Ok(files)
    }

    /// A local file with the rankings of a shard that is done; what is in a store is copied first.
    ///
    /// # Errors
    /// If it can't be copied.
    pub(super) fn local_part(&self, shard: Shard) -> Result<PathBuf> {
        let local = self.directory.join(names::part(shard));
        if self.address.is_some() && !local.exists() {
            let part = self.part(shard);
            let object = store::find(&part)?.with_context(|| format!("{} is gone", part.display()))?;
            store::download(&object, &local)?;
        }
        Ok(local)
    }

    /// Stores a part that is complete in the directory, and then the record that it is complete. Returns what users should know.
    ///
    /// # Errors
    /// If the store does not take them, another worker has stored other bytes, or the run should stop. The part then stays in the
    /// directory.
    pub(super) fn store(&self, shard: Shard, overwrites: bool, stop: &Stop) -> Result<Option<String>> {
        let Some(address) = &self.address else { return Ok(None) };
        let note = match self.upload(address, shard, overwrites, stop) {
            Err(error) if error.is::<OtherBytes>() => return Err(error),
            // Workers of one shard share the directory: one that was faster has stored the part and removed it here, and another one
            // may have put its own there since.
            Err(_) if !overwrites && self.is_stored(address, shard) => {
                Some(format!("another worker has stored shard {shard} in the meantime"))
            }
            Err(error) => {
                let file = self.directory.join(names::part(shard));
                let how = if overwrites { " without --overwrite" } else { "" };
                let remedy = if file.exists() {
                    let stays = format!("the shard is complete, and stays in {}", file.display());
                    format!("{stays}: run shard {shard} again{how}, which only stores it")
                } else {
                    format!("{} is gone, and the store does not have it; run shard {shard} again", file.display())
                };
                return Err(store::with_remedy(&error, &remedy));
            }
            Ok(note) => note,
        };
        self.remove_staged(shard)?;
        Ok(note)
    }

    /// Whether the store has a part with its record, and no other part is complete in the directory.
    fn is_stored(&self, address: &Path, shard: Shard) -> bool {
        match (Done::of_part(&self.directory, shard), Done::of_part(address, shard)) {
            (Ok(staged), Ok(Some(stored))) => staged.is_none_or(|staged| staged.blake3 == stored.blake3),
            _ => false,
        }
    }

    fn upload(&self, address: &Path, shard: Shard, overwrites: bool, stop: &Stop) -> Result<Option<String>> {
        let own = Done::of_part(&self.directory, shard)?.context("the complete part is gone")?;
        let writing = if overwrites { Writing::Replace } else { Writing::Create };
        let (_, unreadable) = Done::or_unreadable(address, shard)?;
        if overwrites || unreadable.is_some() {
            // A record never stands beside a part that is not its own.
            store::remove(&address.join(names::done(shard)))?;
        }
        let upload = |name: &str| store::upload(&self.directory.join(name), &address.join(name), writing, stop);
        let (part, done) = (names::part(shard), names::done(shard));
        let is_new = upload(&part)? == Uploaded::Stored && upload(&done)? == Uploaded::Stored;
        if is_new {
            return Ok(None);
        }
        let part = address.join(part);
        match Done::of_part(address, shard)? {
            Some(earlier) if earlier.blake3 == own.blake3 => Ok(Some(format!(
                "another worker has finished shard {shard} in the meantime, with the same bytes: {} stays",
                part.display()
            ))),
            Some(_) => bail!(OtherBytes(format!(
                "another worker has finished shard {shard} in the meantime, and {} has other bytes: they were not given the same; \
                 compare the two, and run the shard again with --overwrite",
                part.display()
            ))),
            None => bail!(OtherBytes(format!(
                "{} has other bytes, and no record that it is complete: another run left it there; run the shard again with \
                 --overwrite, or name another prefix",
                part.display()
            ))),
        }
    }

    /// Removes the local files of a shard that is in the store.
    ///
    /// # Errors
    /// If one can't be removed.
    pub(super) fn remove_staged(&self, shard: Shard) -> Result<()> {
        if self.address.is_none() {
            return Ok(());
        }
        for name in [names::done(shard), names::part(shard)] {
            let path = self.directory.join(name);
            let removed = fs::remove_file(&path).or_else(directory::unless_missing);
            removed.with_context(|| format!("cannot remove {}", path.display()))?;
        }
        Ok(())
    }
}
