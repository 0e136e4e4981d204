//! The output of a worker: it is written under a temporary name, and has its own when it is complete.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use same_file::Handle;

use super::directory::{Neighbour, ShardFile};
use super::done::{Counts, Done};
use super::names::Kind;
use super::written;
use super::{Place, Positions, Shard, directory, names, temporary};
use crate::column_types::ColumnTypes;
use crate::config::ModelChoice;
use crate::engine::cpu::Instructions;
use crate::exit::UsageError;
use crate::input::{Whole, WholeInput};
use crate::output::{Existing, Layout, Writer};
use crate::precision::Precision;
use crate::progress::counted;
use crate::resume::{RunFacts, Sidecar, arithmetic_of, taken_over};
use crate::stop::Stop;

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
    /// What there is of another shard, or of this one.
    neighbour: Option<Neighbour>,
    /// What users should know: why the record of the shard is not used, and that the file system has no locks.
    notes: Vec<String>,
    /// Where the queries of the part stand in the input.
    pub positions: Positions,
    /// The types of carried columns.
    types: ColumnTypes,
    /// What the whole input has, when it is read.
    pub whole: Whole,
}

impl ShardOutput {
    /// Opens the output of a shard in a directory, which is made if it is not there. A shard that is in the store to which it goes
    /// is done, too.
    ///
    /// # Errors
    /// If the directory or a file in it can't be read or written, has shards of another number, or too many workers write the shard.
    pub fn open(place: Place, shard: Shard, existing: Existing, layout: &Layout) -> Result<Self> {
        let directory = &place.directory;
        fs::create_dir_all(directory).with_context(|| format!("cannot make the directory {}", directory.display()))?;
        let files = place.files()?;
        check_count(place.published(), &files, shard)?;
        let overwrites = existing == Existing::Overwrite;
        let (done, unreadable) = Done::or_unreadable(place.published(), shard)?;
        if let Some(done) = done.filter(|_| !overwrites) {
            return Ok(Self::Done(DoneShard { shard, place, done, is_stored: true }));
        }
        if place.address.is_some()
            && !overwrites
            && let (Some(done), _) = Done::or_unreadable(directory, shard)?
        {
            return Ok(Self::Done(DoneShard { shard, place, done, is_stored: false }));
        }
        let neighbour = directory::neighbour(&files, shard)?;
        let (temporary, writer, without_locks) = temporary::open(directory, shard, existing, layout)?;
        let lock = writer.file().context("the part is no file on a disk")?.reader()?;
        let (positions, whole, types) = (Positions::kept(), Whole::default(), layout.types.clone());
        let notes = unreadable.into_iter().chain(without_locks).collect();
        let open = OpenShard { shard, place, temporary, lock, overwrites, neighbour, notes, positions, types, whole };
        Ok(Self::Open(Box::new(open), writer))
    }
}

/// Refuses a directory that has shards of another number: these do not fit together.
fn check_count(directory: &Path, files: &[ShardFile], shard: Shard) -> Result<()> {
    let counts = |file: &&ShardFile| file.shard.count != shard.count && file.kind != Kind::TemporaryRecord;
    let Some(other) = files.iter().find(counts) else { return Ok(()) };
    let ShardFile { path, shard: Shard { index, count }, kind } = other;
    let (what, remedy) = match kind {
        Kind::Temporary => ("what another worker has begun of", "remove the file if no worker writes it any more"),
        _ => ("a file of", "remove the files of the other run"),
    };
    let problem = format!(
        "this is shard {shard}, and {} has {what} shard {index}/{count}, {}: to run a shard of {count}, name it, as in --shard \
         {index}/{count}; else name another directory, or {remedy}",
        directory.display(),
        path.file_name().unwrap_or_default().display()
    );
    Err(UsageError::new(problem).into())
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

    /// Checks that an input that was read to its end is the one that the worker of the part has read.
    ///
    /// # Errors
    /// If it is another one: with how it differs.
    pub fn check_input(&self, read: Option<&WholeInput>) -> Result<()> {
        let difference = self.done.input.as_ref().zip(read).and_then(|(then, now)| then.difference(now));
        let Some(difference) = difference else { return Ok(()) };
        let problem = format!(
            "shard {} is done, and its worker read another input than this one, which {difference}; give what it read, name \
             another directory, or rank the shard anew with --overwrite",
            self.shard
        );
        Err(UsageError::new(problem).into())
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
        self.neighbour.as_ref().map_or(own, |neighbour| arithmetic_of(&neighbour.settings, model))
    }

    /// What users should know before anything is ranked: also what is taken over from another shard.
    pub fn notes(&self, model: &ModelChoice) -> Vec<String> {
        let of_neighbour = |Neighbour { shard, path, settings, .. }: &Neighbour| {
            let taken = taken_over(settings, model)?;
            Some(format!("{taken}, as shard {shard} has it by {}", path.display()))
        };
        let taken = self.neighbour.as_ref().and_then(of_neighbour);
        self.notes.iter().cloned().chain(taken).collect()
    }

    /// Checks that the run is that of the other shards. Returns what users should know, where the shard is ranked anew.
    ///
    /// # Errors
    /// If it is another one: with what differs.
    pub fn check(&self, run: &RunFacts) -> Result<Option<String>> {
        let Some(Neighbour { shard, path, settings, about, is_stopped }) = &self.neighbour else { return Ok(None) };
        if *shard == self.shard {
            return Ok(None);
        }
        let differences = match is_stopped {
            true => run.differences_of_stopped(settings, about),
            false => run.differences(settings, about),
        };
        let (differences, path) = (differences?.join("; "), path.display());
        if differences.is_empty() {
            return Ok(None);
        }
        if self.overwrites {
            return Ok(Some(format!(
                "another run wrote shard {shard}, {path}: {differences}; rank all shards anew with --overwrite, else they can't be \
                 merged"
            )));
        }
        let problem = format!(
            "shard {} would not belong to shard {shard}, as another run wrote {path}: {differences}; give what that run was given, \
             name another directory, or rank all shards anew with --overwrite",
            self.shard
        );
        Err(UsageError::new(problem).into())
    }

    /// Gives the complete part its name, records that the shard is done, and stores both if they go to a store. If another worker
    /// was faster, its part stays. Returns what users should know.
    ///
    /// # Errors
    /// If the part can't be read back, renamed or stored, or another worker wrote other bytes.
    pub fn finish(self, counts: Counts, stop: &Stop) -> Result<Vec<String>> {
        let note = self.complete(counts)?;
        self.remove_temporary()?;
        let Self { shard, place, lock, overwrites, .. } = self;
        drop(lock);
        directory::remove_leftovers(&place.directory, shard)?;
        let notes = [note, place.store(shard, overwrites, stop)?];
        Ok(notes.into_iter().flatten().collect())
    }

    fn complete(&self, counts: Counts) -> Result<Option<String>> {
        let Self { shard, temporary, .. } = self;
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
        let note = format!("shard {shard} has no queries: its part has no rankings, and is done");
        let note = (written.rankings == 0).then_some(note);
        let faster = self.publish(Done::new(*shard, (run, written), counts, &self.types, self.whole.input()))?;
        Ok(faster.or(note))
    }

    /// Compares the part with that of a worker that was faster.
    fn compare(&self, earlier: &Done, blake3: &str) -> Result<String> {
        let Self { shard, place: Place { directory, .. }, temporary, .. } = self;
        let part = directory.join(names::part(*shard));
        ensure!(
            earlier.blake3 == blake3,
            "another worker has finished shard {shard} in the meantime, and {} has other bytes than {}: they were not given the \
             same; compare the two, and run the shard again with --overwrite",
            part.display(),
            temporary.display()
        );
        let difference = earlier.input.as_ref().zip(self.whole.input()).and_then(|(then, now)| then.difference(&now));
        if let Some(difference) = difference {
            bail!(
                "another worker has finished shard {shard} in the meantime, with another input than this one, which {difference}; \
                 run the shard again with --overwrite, and with the whole input"
            );
        }
        Ok(format!(
            "another worker has finished shard {shard} in the meantime, with the same bytes: {} stays",
            part.display()
        ))
    }

    /// Gives the part its name, and records that it is complete. Returns a note, if another worker has done both just now.
    fn publish(&self, done: Done) -> Result<Option<String>> {
        let Self { shard, place: Place { directory, .. }, temporary, overwrites, .. } = self;
        let part = directory.join(names::part(*shard));
        let is_other = || hash(&part).ok().as_ref() != Some(&done.blake3);
        if *overwrites && is_other() {
            self.remove_published()?;
        }
        // The temporary name stays, with the lock, until the shard is done: another worker takes another one, and one that comes after
        // a crash finds all that was written. A link never replaces a part that another worker has finished in the meantime.
        if fs::hard_link(temporary, &part).is_err() {
            let earlier = if *overwrites { None } else { Done::or_unreadable(directory, *shard)?.0 };
            if let Some(earlier) = earlier {
                return self.compare(&earlier, &done.blake3).map(Some);
            }
            // Without a record, the part is that of a worker which is about to write the same one, or what another run has left.
            if is_other() {
                // Where the file system has no links, there may be no part to remove, and that of a worker who is done just now stays.
                if part.exists() {
                    self.remove_published()?;
                }
                let named = fs::hard_link(temporary, &part).or_else(|_| fs::rename(temporary, &part));
                named.with_context(|| format!("cannot rename {} to {}", temporary.display(), part.display()))?;
            }
        }
        directory::sync(directory);
        done.write(directory, *shard)?;
        Ok(None)
    }

    /// Removes the temporary name of a part that is complete, and the record of its run.
    fn remove_temporary(&self) -> Result<()> {
        // A file system without links has moved the file, and another worker may have begun one of its name.
        if Handle::from_path(&self.temporary).ok() == Handle::from_file(self.lock.try_clone()?).ok() {
            remove(&Sidecar::path(&self.temporary))?;
            remove(&self.temporary)?;
        }
        Ok(())
    }

    /// Removes the record and then the part: a record never stands beside a part that is not its own.
    fn remove_published(&self) -> Result<()> {
        let directory = &self.place.directory;
        for name in [names::done(self.shard), names::part(self.shard)] {
            remove(&directory.join(name))?;
            directory::sync(directory);
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
