//! The files that a run writes, and what an output that is resumed leaves to be ranked.

use std::iter::Chain;
use std::option::IntoIter;
use std::sync::atomic::Ordering;

use anyhow::{Result, bail, ensure};

use super::faults::{Faults, Verdict};
use super::read::Reading;
use crate::config::{Config, ModelChoice, ShardOptions};
use crate::engine::cpu::Instructions;
use crate::exit::UsageError;
use crate::input::{Event, Events};
use crate::output::{Destination, ErrorsFile, Existing, OutputFile, Upload, Writer};
use crate::precision::Precision;
use crate::resume::{Checkpoint, Pending, Resumed, is_comparable};
use crate::shard::{DoneShard, OpenShard, Place, ShardOutput};

/// The files that a run writes, open and locked.
pub(super) struct Outputs {
    /// None for a dry run.
    pub(super) writer: Option<Writer>,
    /// The output, if it is a file that can be resumed.
    pub(super) checkpoint: Option<Checkpoint>,
    pub(super) stats_file: Option<OutputFile>,
    pub(super) errors: Option<ErrorsFile>,
    /// The shard that is ranked.
    pub(super) shard: Option<Box<OpenShard>>,
    /// The shard, if it is done already.
    pub(super) done: Option<DoneShard>,
    /// What is to be stored when it is complete.
    pub(super) upload: Option<Upload>,
}

impl Outputs {
    /// Opens the files.
    ///
    /// # Errors
    /// If one can't be written, or has content that is refused; if the output can't be resumed.
    pub(super) fn open(config: &Config) -> Result<Self> {
        let (existing, upload) = match &config.destination {
            Some(destination) if !config.dry_run => {
                check_staged(config, destination)?;
                let (existing, upload) = destination.prepare(config.existing)?;
                (existing, Some(upload))
            }
            _ => (config.existing, None),
        };
        let stats_file = config.stats.as_deref().map(|path| OutputFile::open(path, Existing::Overwrite)).transpose()?;
        let (writer, shard, done) = match open_output(config, existing)? {
            Opened::Nothing => (None, None, None),
            Opened::Output(writer) => (Some(writer), None, None),
            Opened::Shard(ShardOutput::Open(shard, writer)) => (Some(writer), Some(shard), None),
            Opened::Shard(ShardOutput::Done(done)) => (None, None, Some(done)),
        };
        let checkpoint = writer.as_ref().map(|writer| Checkpoint::open(writer, existing)).transpose()?.flatten();
        let goes_on = checkpoint.as_ref().is_some_and(Checkpoint::is_resumed);
        // Those of a shard that is done stand in the file already.
        let errors = config.errors.as_deref().filter(|_| done.is_none());
        let errors = errors.map(|path| ErrorsFile::open(path, existing, goes_on)).transpose()?;
        Ok(Self { writer, checkpoint, stats_file, errors, shard, done, upload })
    }

    /// How the run computes: as one with which it goes on or to which it belongs, where the options leave that open.
    pub(super) fn arithmetic(&self, model: &ModelChoice) -> (Instructions, Option<Precision>) {
        let resumed = self.checkpoint.as_ref().filter(|checkpoint| checkpoint.is_resumed());
        match (resumed, &self.done, &self.shard) {
            (Some(checkpoint), ..) => checkpoint.arithmetic(model),
            (None, Some(done), _) => done.arithmetic(model),
            (None, None, Some(shard)) => shard.arithmetic(model),
            (None, None, None) => (model.instructions, model.precision),
        }
    }
}

/// Refuses to go on, without being asked to, behind what an earlier run has left in the staging directory, where nothing shows that
/// its input was the same: that of a pipe can't be compared.
fn check_staged(config: &Config, destination: &Destination) -> Result<()> {
    let Destination { address, staged } = destination;
    let is_left = staged.metadata().is_ok_and(|file| file.len() > 0);
    if config.existing == Existing::Refuse && is_left && !is_comparable(&config.input).unwrap_or(false) {
        bail!(UsageError::new(format!(
            "an earlier run has left {}, which is not stored, and the input is a pipe, of which nobody knows whether it is the same: add \
             --resume to go on with that run for {}, or --overwrite to begin anew",
            staged.display(),
            address.display()
        )));
    }
    Ok(())
}

/// What was opened for the rankings.
enum Opened {
    /// Nothing is written.
    Nothing,
    /// A file, or standard output.
    Output(Writer),
    /// The part of a shard.
    Shard(ShardOutput),
}

fn open_output(config: &Config, existing: Existing) -> Result<Opened> {
    let Config { output, shard, layout, dry_run, .. } = config;
    if *dry_run {
        return Ok(Opened::Nothing);
    }
    if let Some(ShardOptions { shard, directory: Some(directory), address }) = shard {
        let place = Place { directory: directory.clone(), address: address.clone() };
        return ShardOutput::open(place, *shard, existing, layout).map(Opened::Shard);
    }
    Writer::open(output.as_deref(), layout, existing).map(Opened::Output)
}

/// The events of an input without the groups that an output has; none, if it has all of them, so that no weights are needed. An
/// output that is new has none.
///
/// # Errors
/// If the input can't be read, is not that of the output, or has a record that stops the run before anything is ranked.
pub(super) fn pending(
    resumed: Resumed,
    (first, events): (Option<Result<Event>>, Events),
    faults: &Faults,
    reading: &Reading,
) -> Result<Option<Chain<IntoIter<Result<Event>>, Pending>>> {
    let is_resumed = resumed.is_resumed();
    if let Some(ended) = resumed.ended.as_ref().filter(|ended| faults.take_over(ended.skipped)) {
        reading.resumed.queries.store(ended.queries, Ordering::Relaxed);
        return Ok(None);
    }
    let mut events = resumed.pending(first, events, &reading.resumed);
    let first = if is_resumed { first_group(&mut events, faults)? } else { None };
    if is_resumed && first.is_none() {
        faults.finish();
        return Ok(None);
    }
    Ok(Some(first.into_iter().chain(events)))
}

/// Reads up to the first group of these events, and reports what stands before it. If a record there stops the run, nothing else
/// needs to be prepared.
///
/// # Errors
/// If the input can't be read, or a record that can't be used stops the run.
pub(super) fn first_group(
    events: &mut impl Iterator<Item = Result<Event>>,
    faults: &Faults,
) -> Result<Option<Result<Event>>> {
    for event in events {
        match event? {
            Event::Note(note) => faults.note(note),
            Event::Bad(bad) if !faults.skips() => return Err(bad.into()),
            Event::Bad(bad) => {
                let goes_on = faults.report(&bad) == Verdict::Continue;
                ensure!(goes_on, "the run has ended, as it can't keep the records that it leaves out");
            }
            Event::Group(group) => return Ok(Some(Ok(Event::Group(group)))),
        }
    }
    Ok(None)
}
