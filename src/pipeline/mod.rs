//! A run from end to end: read → prompt → plan → score → rank → write.
//!
//! One thread reads, one makes prompts, a [session](crate::session) plans and scores, and one writes; the calling thread brings what they
//! report into the input's order. A run needs memory for the groups that a budget of bytes lets in, whatever the input's size.
//! Only a few bytes of every query are kept: its id, to detect one that comes back, and its time, for the percentiles.

mod byte_budget;
mod collect;
mod conclusion;
mod dry_run;
mod estimate;
mod faults;
mod figures;
mod order;
mod prepare;
mod read;
mod setup;
mod stages;

use std::sync::Arc;
use std::time::Instant;

use anyhow::Result;

use self::conclusion::Conclusion;
use self::faults::Faults;
use self::read::Reading;
use self::setup::Setup;
use self::stages::Stages;
use crate::config::Config;
use crate::exit::Exit;
use crate::input::{self, Event};
use crate::output::{OutputFile, Writer};
use crate::progress::Reporter;
use crate::stop::Stop;

/// Runs a job to its end. When `stop` is requested, the run finishes the batches at hand, writes the complete rankings, and
/// ends.
///
/// # Errors
/// If the run can't begin, or its figures can't be written. Whatever goes wrong in between is reported through `reporter`, and
/// the exit status is then that of a failure.
pub fn run(config: &Config, reporter: &Arc<Reporter>, stop: &Stop) -> Result<Exit> {
    let began = Instant::now();
    config.notes.iter().for_each(|note| reporter.note(note));
    crate::threads::start(config.threads)?;
    let devices = setup::open_devices(config, reporter)?;

    // Cheap checks first: the output, the first record, the model's files, and the weights last.
    let stats_file = config.stats.as_deref().map(OutputFile::open).transpose()?;
    let writer = (!config.dry_run).then(|| Writer::open(config.output.as_deref(), &config.layout)).transpose()?;
    let faults = Arc::new(Faults::new(config.skip_bad_records, Arc::clone(reporter)));
    let mut events = input::open(&config.input)?;
    let first = first_record(&mut events, config, &faults)?;
    let loading = Instant::now();
    let setup = Setup::choose(config, devices)?;
    setup.report(config, reporter);

    let reading = Arc::new(Reading::new(events.position()));
    let stages = Stages { config, setup: &setup, faults: &faults, reading: &reading };
    let events = first.into_iter().chain(events);
    let Some(writer) = writer else {
        return stages.dry_run(events, stats_file, reporter);
    };
    let loaded = setup.load(config, reporter)?;
    let load = loading.elapsed();
    let mut stats = setup.stats(config, &loaded.engines);
    let (scored, written) = stages.rank(events, (loaded, writer), (reporter, stop), &mut stats);
    reporter.finish();
    stats.derive(began.elapsed(), load);
    let (faults, compute) = (&*faults, &setup.compute);
    Conclusion { reporter, faults, stop, compute, stats, stats_file }.conclude(scored, written)
}

/// Reads up to the first record of the input, and reports the notes before it. If that record can't be used and stops the
/// run, nothing else needs to be prepared.
fn first_record(
    events: &mut impl Iterator<Item = Result<Event>>,
    config: &Config,
    faults: &Faults,
) -> Result<Option<Result<Event>>> {
    for event in events {
        match event {
            Ok(Event::Note(note)) => faults.note(note),
            Ok(Event::Bad(bad)) if !config.skip_bad_records => return Err(bad.into()),
            Err(error) => return Err(error),
            event => return Ok(Some(event)),
        }
    }
    Ok(None)
}
