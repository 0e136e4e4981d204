//! A run from end to end: read → prompt → plan → score → rank → write.
//!
//! One thread reads, one makes prompts, a [session](crate::session) plans and scores, and one writes; the calling thread brings what they
//! report into the input's order. A run needs memory for the groups that a budget of bytes lets in, whatever the input's size.
//! Only a few bytes of every query are kept: its id, to detect one that comes back, and its time, for the percentiles.

mod byte_budget;
mod collect;
mod conclusion;
mod dry_run;
mod earlier_run;
mod estimate;
mod faults;
mod figures;
mod judging;
mod order;
mod outputs;
mod prepare;
mod ranking;
mod read;
mod sample;
mod setup;
mod shards;
mod stages;

use std::sync::Arc;
use std::time::Instant;

use anyhow::Result;

pub use self::judging::JudgedFigures;
pub use self::sample::{Counts, Sample, sample};

use self::faults::Faults;
use self::judging::Judging;
use self::outputs::Outputs;
use self::ranking::RankingRun;
use self::read::Reading;
use self::shards::Stored;
use self::stages::Stages;
use crate::config::Config;
use crate::exit::Exit;
use crate::input;
use crate::out_of_memory::for_records;
use crate::progress::Reporter;
use crate::resume::{Resumed, RunFacts};
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
    crate::threads::start(config.model.threads)?;
    let devices = setup::open_devices(config, reporter)?;

    // Cheap checks first: the outputs, the first record, the model's files, and the weights last.
    let outputs = Outputs::open(config)?;
    let arithmetic = outputs.arithmetic(&config.model);
    let Outputs { mut writer, checkpoint, stats_file, errors, mut shard, done, upload } = outputs;
    shard.iter().flat_map(|shard| shard.notes(&config.model)).for_each(|note| reporter.note(&note));
    let judging = config.evaluation.as_ref().map(|choice| Judging::read(choice, reporter)).transpose()?;
    let faults = Arc::new(Faults::new(config.skip_bad_records, errors, Arc::clone(reporter)));
    let (first, events) = for_records(|| {
        let mut events = input::open(&config.input)?;
        outputs::first_group(&mut events, &faults).map(|first| (first, events))
    })?;
    let loading = Instant::now();
    let setup = setup::choose(config, devices, arithmetic, reporter)?;

    let reading = Arc::new(Reading::new(events.position()));
    let facts = RunFacts { config, setup: &setup };
    if let Some(done) = done {
        let resumed = shards::end_done(done, (first, events), &facts, &faults, (reporter, stop))?;
        return shards::write_stats(setup::stats(&setup, config), resumed, stats_file);
    }
    shard.iter_mut().try_for_each(|shard| shards::check(shard, &events, &facts, reporter))?;
    let mut resumed = match (checkpoint, &mut writer) {
        (Some(checkpoint), Some(writer)) => checkpoint.begin(&facts, writer)?,
        _ => Resumed::default(),
    };
    resumed.note.iter().for_each(|note| reporter.note(note));
    let end = resumed.end.take();
    let positions = shard.as_ref().map(|shard| shard.positions.clone()).unwrap_or_default();
    let events = match &shard {
        Some(shard) => shards::pending(resumed, shard, (first, events), &faults, &reading)?,
        None => outputs::pending(resumed, (first, events), &faults, &reading)?,
    };
    end.into_iter().for_each(|end| reporter.note(&end.note(events.is_some())));
    // A dry run looks into no cache, and a run that is complete needs none.
    let cache =
        if writer.is_some() && events.is_some() { setup.open_cache(config.cache.as_ref(), reporter)? } else { None };
    let stages = Stages { config, setup: &setup, faults: &faults, reading: &reading, positions, cache, judging };
    let Some(writer) = writer else {
        return events.map_or(Ok(Exit::Done), |events| stages.dry_run(events, stats_file, reporter));
    };
    let stored = Stored { shard, upload, stop };
    RankingRun { stages, reporter, stored, stats_file, began, loading }.run(events, writer)
}
