//! The output of a worker: it is written under a temporary name, and has its own when it is complete.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use same_file::Handle;

use super::done::{Counts, Done};
use super::written::{self, Written};
use super::{Place, Positions, Shard, directory, names};
use crate::column_types::ColumnTypes;
use crate::config::ModelChoice;
use crate::engine::cpu::Instructions;
use crate::exit::UsageError;
use crate::output::{Existing, Layout, OutputFile, Writer};
use crate::precision::Precision;
use crate::progress::counted;
use crate::resume::{RunFacts, Settings, Sidecar, arithmetic_of};
use crate::stop::Stop;

/// The most workers that write one shard at a time.
const MOST_WORKERS: usize = 16;

/// What a worker finds.
pub enum ShardOutput {
    /// The shard is done.
    Done(DoneShard),
    /// The shard is to be ranked, or to be completed.
    Open(Box<OpenShard>, Writer),
}

/// A shard that is done, perhaps by another run.
pub struct DoneShard {
    shard: Shard,
    place: Place,
    done: Done,
    /// Whether it is in the store to which it goes, if it goes to one.
    is_stored: bool,
}

/// A shard that this worker ranks.
pub struct OpenShard {
    shard: Shard,
    place: Place,
    temporary: PathBuf,
    /// A handle of the file, which keeps its lock until it has its name.
    lock: File,
    overwrites: bool,
    /// What the rankings of another shard depend on.
    settings: Option<Settings>,
    /// Where the queries of the part stand in the input.
    pub positions: Positions,
    /// The types of carried columns.
    types: ColumnTypes,
}

impl ShardOutput {
    /// Opens the output of a shard in a directory, which is made if it is not there. A shard that is in the store to which it goes
    /// is done, too.
    ///
    /// # Errors
    /// If the directory or a file in it can't be read or written, or too many workers write the shard.
    pub fn open(place: Place, shard: Shard, existing: Existing, layout: &Layout) -> Result<Self> {
        let directory = &place.directory;
        fs::create_dir_all(directory).with_context(|| format!("cannot make the directory {}", directory.display()))?;
        let overwrites = existing == Existing::Overwrite;
        if !overwrites && let Some(done) = Done::of_part(place.published(), shard)? {
            return Ok(Self::Done(DoneShard { shard, place, done, is_stored: true }));
        }
        if !overwrites && let Some(done) = Done::of_part(directory, shard)? {
            return Ok(Self::Done(DoneShard { shard, place, done, is_stored: false }));
        }
        let (temporary, writer) = open_temporary(directory, shard, existing, layout)?;
        let settings = place.settings()?;
        let lock = writer.file().context("the part is no file on a disk")?.reader()?;
        let (positions, types) = (Positions::kept(), layout.types.clone());
        let open = OpenShard { shard, place, temporary, lock, overwrites, settings, positions, types };
        Ok(Self::Open(Box::new(open), writer))
    }
}

/// Opens the first temporary file that no other worker writes.
fn open_temporary(directory: &Path, shard: Shard, existing: Existing, layout: &Layout) -> Result<(PathBuf, Writer)> {
    for worker in 1..=MOST_WORKERS {
        let path = directory.join(names::temporary(shard, worker));
        match Writer::open(Some(&path), layout, existing) {
            Err(error) if OutputFile::is_locked(&error) => {}
            writer => return Ok((path, writer?)),
        }
    }
    bail!("shard {shard} is being written by {MOST_WORKERS} workers: wait for one of them")
}

impl DoneShard {
    /// How the run computes: as that which wrote the part, where the options leave that open.
    pub fn arithmetic(&self, model: &ModelChoice) -> (Instructions, Option<Precision>) {
        arithmetic_of(&self.done.settings, model)
    }

    /// A local file with its rankings, and the name that users know.
    ///
    /// # Errors
    /// If it is in a store, and can't be copied.
    pub fn part(&self) -> Result<(PathBuf, PathBuf)> {
        Ok((self.place.local_part(self.shard)?, self.place.part(self.shard)))
    }

    /// Stores a part that an earlier worker has completed and could not store; otherwise removes what it may have left. Returns
    /// what users should know.
    ///
    /// # Errors
    /// As those of [`OpenShard::finish`].
    pub fn finish(self, stop: &Stop) -> Result<Option<String>> {
        match self.is_stored {
            true => self.place.remove_staged(self.shard).map(|()| None),
            false => self.place.store(self.shard, false, stop),
        }
    }

    /// Checks that the run which wrote the part is this one, removes what other workers have left of the shard, and returns what
    /// users should know, with the number of its rankings.
    ///
    /// # Errors
    /// If it was another run: with what it was, and what it is.
    pub fn check(&self, run: &RunFacts) -> Result<(String, u64)> {
        let Self { shard, place, done, .. } = self;
        let differences = run.differences(&done.settings, done.about())?;
        let part = place.part(*shard);
        if !differences.is_empty() {
            let problem = format!(
                "shard {shard} is done, and another run wrote {}: {}; give what that run was given, name another directory, or \
                 rank the shard anew with --overwrite",
                part.display(),
                differences.join("; ")
            );
            return Err(UsageError::new(problem).into());
        }
        directory::remove_leftovers(&place.directory, *shard)?;
        let Counts { queries, skipped, .. } = done.counts;
        let left_out = match skipped {
            0 => String::new(),
            skipped => format!(", and {} left out", counted(skipped, "record was", "records were")),
        };
        let rankings = counted(queries, "ranking", "rankings");
        Ok((format!("shard {shard} is done: {} has {rankings}{left_out}", part.display()), queries))
    }
}

impl OpenShard {
    /// How the worker computes: as those of other shards, where the options leave that open and a measurement could decide
    /// otherwise.
    pub fn arithmetic(&self, model: &ModelChoice) -> (Instructions, Option<Precision>) {
        let own = (model.instructions, model.precision);
        self.settings.as_ref().map_or(own, |settings| arithmetic_of(settings, model))
    }

    /// Gives the complete part its name, records that the shard is done, and stores both if they go to a store. If another worker
    /// was faster, its part stays. Returns what users should know.
    ///
    /// # Errors
    /// If the part can't be read back, renamed or stored, or another worker wrote other bytes.
    pub fn finish(self, counts: Counts, stop: &Stop) -> Result<Vec<String>> {
        let note = self.complete(counts)?;
        let Self { shard, place, lock, overwrites, .. } = self;
        drop(lock);
        directory::remove_leftovers(&place.directory, shard)?;
        let notes = [note, place.store(shard, overwrites, stop)?];
        Ok(notes.into_iter().flatten().collect())
    }

    fn complete(&self, counts: Counts) -> Result<Option<String>> {
        let Self { shard, place: Place { directory, .. }, temporary, overwrites, .. } = self;
        let shown = temporary.display();
        let again = || format!("{shown} is not what was written; run shard {shard} again with --overwrite");
        let file = File::open(temporary).with_context(|| format!("cannot read {shown}"))?;
        let written = written::read(&file, &self.positions.take()).with_context(again)?;
        let run = Sidecar::read(temporary)?.with_context(|| format!("the record of the run beside {shown} is gone"))?;
        let recorded = run.complete.map(|complete| complete.bytes);
        ensure!(
            recorded == Some(written.bytes),
            "{shown} has {} bytes, and another number was written; run shard {shard} again with --overwrite",
            written.bytes
        );
        let earlier = if *overwrites { None } else { Done::of_part(directory, *shard)? };
        match earlier {
            Some(earlier) => Ok(Some(self.compare(&earlier, &written)?)),
            None => self.publish(Done::new(*shard, run, written, counts, &self.types)).map(|()| None),
        }
    }

    /// Compares the part with that of a worker that was faster.
    fn compare(&self, earlier: &Done, written: &Written) -> Result<String> {
        let Self { shard, place: Place { directory, .. }, temporary, .. } = self;
        let part = directory.join(names::part(*shard));
        ensure!(
            earlier.blake3 == written.blake3,
            "another worker has finished shard {shard} in the meantime, and {} has other bytes than {}: they were not given the \
             same; compare the two, and run the shard again with --overwrite",
            part.display(),
            temporary.display()
        );
        Ok(format!(
            "another worker has finished shard {shard} in the meantime, with the same bytes: {} stays",
            part.display()
        ))
    }

    /// Gives the part its name, and records that it is complete.
    fn publish(&self, done: Done) -> Result<()> {
        let Self { shard, place: Place { directory, .. }, temporary, .. } = self;
        let part = directory.join(names::part(*shard));
        // Another worker may have named its part just now, and not recorded it yet.
        if hash(&part).ok().as_ref() != Some(&done.blake3) {
            // A record never stands beside a part that is not its own.
            for path in [directory.join(names::done(*shard)), part.clone()] {
                remove(&path)?;
                directory::sync(directory);
            }
            // The temporary name stays, with the lock, until the shard is done: another worker takes another one, and one that
            // comes after a crash finds all that was written. Some file systems have no links.
            let named = fs::hard_link(temporary, &part).or_else(|_| fs::rename(temporary, &part));
            named.with_context(|| format!("cannot rename {} to {}", temporary.display(), part.display()))?;
            directory::sync(directory);
        }
        done.write(directory, *shard)?;
        // A file system without links has moved the file, and another worker may have begun one of its name.
        if Handle::from_path(temporary).ok() == Handle::from_file(self.lock.try_clone()?).ok() {
            remove(&Sidecar::path(temporary))?;
            remove(temporary)?;
        }
        Ok(())
    }
}

/// The BLAKE3 hash of a file, in hexadecimal digits.
fn hash(path: &Path) -> io::Result<String> {
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(File::open(path)?)?;
    Ok(hasher.finalize().to_hex().to_string())
}

/// Removes a file, if it is there.
fn remove(path: &Path) -> Result<()> {
    fs::remove_file(path)
        .or_else(directory::unless_missing)
        .with_context(|| format!("cannot remove {}", path.display()))
}
