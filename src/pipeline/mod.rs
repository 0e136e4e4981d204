//! A run from end to end: read → tokenize → plan → score → rank → write.
//!
//! One thread reads, one prepares (it makes prompts and plans batches), one for each device scores, and one writes; bounded
//! channels connect them to the calling thread, which schedules. A CPU has one batch at a time, a GPU has a second one waiting.
//! The run needs memory for a few windows, whatever the input's size. Only a few bytes of every query are kept: its id, to
//! detect one that comes back, and its time, for the percentiles.

mod byte_budget;
mod dry_run;
mod estimate;
mod faults;
mod job;
mod prepare;
mod scoring;
mod setup;
mod workers;

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};

use self::byte_budget::ByteBudget;
use self::faults::Faults;
use self::job::{End, Job};
use self::prepare::{Preparation, Reading, Window};
use self::setup::Setup;
use crate::batch::Limits;
use crate::config::Config;
use crate::exit::Exit;
use crate::input::{self, Event};
use crate::output::{OutputFile, Writer};
use crate::progress::Reporter;
use crate::record::Ranking;
use crate::reranker::Reranker;
use crate::stop::Stop;

/// Groups that may wait to be tokenized.
const GROUPS_AHEAD: usize = 16;
/// Bytes of texts that may be read but not scored, unless a single group has more.
const BYTES_AHEAD: usize = 32 << 20;
/// Windows that may wait to be scored.
const WINDOWS_AHEAD: usize = 1;
/// Rankings that may wait to be written.
const RANKINGS_AHEAD: usize = 64;
/// How long a window that is not full waits for the next group of a file.
const FILE_PATIENCE: Duration = Duration::from_millis(100);

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
    let events = first.into_iter().chain(events);
    let (windows, stages) = spawn_stages(events, (config, setup.limits), &setup.reranker, &faults, &reading);
    let Some(writer) = writer else {
        dry_run::run(&windows, &setup.planned(config), stats_file, reporter, &faults)?;
        if !faults.failed() {
            join(stages)?;
        }
        return Ok(if faults.failed() || faults.skipped() > 0 { Exit::Failed } else { Exit::Done });
    };

    let engines = setup.load(config, reporter)?;
    let load = loading.elapsed();
    let mut job = Job::new(config, reporter, stop, (&faults, &reading), (&setup, engines, stats_file));
    let (rankings, writing) = spawn_writer(writer);
    reporter.start();
    stop.begin_scoring();
    let started = Instant::now();
    let mut scored = job.score(&windows, &rankings);
    if matches!(scored, Ok(End::Complete)) && !faults.failed() {
        scored = join(stages).map(|()| End::Complete);
    }
    if matches!(scored, Ok(End::Complete)) && !faults.failed() {
        // This fails only if the writer has failed; its own error is reported below.
        let _ = rankings.send(Message::Complete);
    }
    drop(rankings);
    let written = writing.join().map_err(|_| anyhow!("the writing thread has panicked"))?;
    reporter.finish();
    job.conclude(scored, written, [began.elapsed(), load, started.elapsed()])
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

/// Starts the reading and the preparing thread, which run until the input ends or the receiver is dropped. An interrupted run
/// does not wait for them, because an input that never ends would keep it from ending.
fn spawn_stages(
    events: impl Iterator<Item = Result<Event>> + Send + 'static,
    (config, limits): (&Config, Limits),
    reranker: &Reranker,
    faults: &Arc<Faults>,
    reading: &Arc<Reading>,
) -> (Receiver<Window>, Stages) {
    let (group_sender, group_receiver) = sync_channel(GROUPS_AHEAD);
    let budget = ByteBudget::new(BYTES_AHEAD);
    let (window_sender, window_receiver) = sync_channel(WINDOWS_AHEAD);
    let is_file = config.input.path.as_ref().is_some_and(|path| path.is_file());
    let patience = if is_file { FILE_PATIENCE } else { Duration::ZERO };
    let preparation = Preparation { prompts: Arc::clone(&reranker.recipe().prompts), limits, patience };
    let format = config.layout.format;
    let (reader_faults, reading) = (Arc::clone(faults), Arc::clone(reading));
    let reader =
        thread::spawn(move || prepare::read(events, format, &reader_faults, &reading, (&budget, &group_sender)));
    let faults = Arc::clone(faults);
    let preparer = thread::spawn(move || prepare::prepare(&group_receiver, &preparation, &faults, &window_sender));
    (window_receiver, [reader, preparer])
}

/// Waits for the stages after the last window was received, when they are about to end; fails if one has panicked.
fn join(stages: Stages) -> Result<()> {
    for stage in stages {
        stage
            .join()
            .map_err(|_| anyhow!("a thread that prepares batches has panicked; complete rankings are written"))?;
    }
    Ok(())
}

type Stages = [JoinHandle<()>; 2];

enum Message {
    Ranking(Ranking),
    /// The run is complete. If the channel closes without this message, the run was broken off.
    Complete,
}

type Writing = JoinHandle<Result<Vec<String>>>;

fn spawn_writer(mut writer: Writer) -> (SyncSender<Message>, Writing) {
    let (sender, receiver) = sync_channel(RANKINGS_AHEAD);
    let writing = thread::spawn(move || {
        for message in receiver {
            match message {
                Message::Ranking(ranking) => writer.write(&ranking)?,
                Message::Complete => return writer.finish(),
            }
        }
        writer.close()?;
        Ok(Vec::new())
    });
    (sender, writing)
}
