//! How the run of a shard ends: the part gets its name, or it has it already.

use std::iter::Chain;
use std::option::IntoIter;

use anyhow::{Result, bail};

use super::collect::End;
use super::faults::Faults;
use super::outputs;
use super::read::Reading;
use crate::exit::{Exit, UsageError};
use crate::input::{Event, Events};
use crate::output::{OutputFile, Upload};
use crate::progress::Reporter;
use crate::resume::{self, Pending, Resumed, RunFacts};
use crate::shard::{Counts, DoneShard, OpenShard, WorkerCounts};
use crate::stats::{self, Stats};
use crate::stop::Stop;

/// Ends a run whose shard is done, if it was done by the same run.
///
/// # Errors
/// If another run did it, it can't be stored, or the figures can't be written.
pub(super) fn end_done(
    done: DoneShard,
    (first, events): (Option<Result<Event>>, Events),
    run: &RunFacts,
    faults: &Faults,
    (reporter, stop): (&Reporter, &Stop),
) -> Result<u64> {
    let (note, queries) = done.check(run)?;
    // What a pipe has is known by its queries alone.
    if !resume::is_comparable(&run.config.input).unwrap_or(false) {
        let (local, part) = done.part()?;
        let resumed = resume::finished_in(&local, run)?;
        let whole = events.whole();
        if outputs::pending(resumed, (first, events), faults, &Reading::new(None))?.is_some() {
            bail!(UsageError::new(format!(
                "{} is complete, and the input has more queries: it is not the input of the run that wrote it; name another \
                 directory, or rank the shard anew with --overwrite",
                part.display()
            )));
        }
        done.check_input(whole.input().as_ref())?;
    }
    done.finish(stop)?.iter().for_each(|note| reporter.note(note));
    reporter.line(&note);
    Ok(queries)
}

/// Compares a shard that is begun with the others of its directory.
///
/// # Errors
/// If they are of another run.
pub(super) fn check(shard: &mut OpenShard, events: &Events, run: &RunFacts, reporter: &Reporter) -> Result<()> {
    shard.whole = events.whole();
    shard.check(run)?.iter().for_each(|warning| reporter.warning(warning));
    Ok(())
}

/// The events that are left to be ranked of a shard; none, if it has no queries or its part has all of them.
///
/// # Errors
/// As [`outputs::pending`].
pub(super) fn pending(
    resumed: Resumed,
    shard: &OpenShard,
    (first, events): (Option<Result<Event>>, Events),
    faults: &Faults,
    reading: &Reading,
) -> Result<Option<Chain<IntoIter<Result<Event>>, Pending>>> {
    if first.is_none() && !resumed.is_resumed() {
        faults.finish();
        return Ok(None);
    }
    // Where the queries of the part stand in the input is known when they are read once more.
    outputs::pending(resumed.located(shard.positions.clone()), (first, events), faults, reading)
}

/// Writes the figures of a run whose shard was done: it has ranked nothing.
///
/// # Errors
/// If they can't be written.
pub(super) fn write_stats(stats: Stats, resumed: u64, file: Option<OutputFile>) -> Result<Exit> {
    if let Some(mut file) = file {
        stats::write(&Stats { resumed, ..stats }, &mut file)?;
    }
    Ok(Exit::Done)
}

/// What is to be done with an output that is complete.
pub(super) struct Stored<'a> {
    /// The shard whose part gets its name.
    pub(super) shard: Option<Box<OpenShard>>,
    /// What goes to a store.
    pub(super) upload: Option<Upload>,
    /// Whether the run should stop.
    pub(super) stop: &'a Stop,
}

/// Gives a part that is complete its name, and stores an output that goes to a store. Returns what became of writing.
///
/// # Errors
/// Why the output is not complete on the disk, or not in the store.
pub(super) fn finish(
    Stored { shard, upload, stop }: Stored,
    scored: &Result<End>,
    written: Result<Vec<String>>,
    (faults, stats): (&Faults, &Stats),
    reporter: &Reporter,
) -> Result<Vec<String>> {
    let left_out = written?;
    let is_complete = matches!(scored, Ok(End::Complete)) && !faults.failed();
    if let Some(shard) = shard.filter(|_| is_complete) {
        let counts = Counts {
            queries: stats.queries + stats.resumed,
            skipped: faults.skipped(),
            last_worker: WorkerCounts {
                resumed: stats.resumed,
                pairs: stats.pairs,
                truncated: stats.truncated,
                tokens: stats.computed_tokens,
            },
        };
        shard.finish(counts, stop)?.iter().for_each(|note| reporter.note(note));
    }
    match upload {
        Some(upload) if is_complete => reporter.line(&upload.finish(stop)?),
        Some(upload) => upload.left().iter().for_each(|note| reporter.note(note)),
        None => {}
    }
    Ok(left_out)
}
