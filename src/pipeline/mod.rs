//! The run, told once: read → tokenize → plan → score → rank → write.
//!
//! Three threads around this one, with bounded channels between them: reading, preparing (prompts and plan), writing; and one
//! for each device, which has one batch at a time, and on a GPU the next one waiting.
//! Memory is that of a few windows, whatever the input's size; only a few bytes of every query are kept, to tell an id that
//! comes back, and for the percentiles.

mod byte_budget;
mod dry_run;
mod estimate;
mod faults;
mod job;
mod prepare;
mod scoring;
mod workers;

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, bail};

use self::byte_budget::ByteBudget;
use self::dry_run::Planned;
use self::faults::Faults;
use self::job::{End, Job};
use self::prepare::{Preparation, Reading, Window};
use self::workers::Workers;
use crate::batch::Limits;
use crate::compute::Compute;
use crate::config::{Config, Progress, Verbosity};
use crate::device::{DeviceChoice, Opened, Target};
use crate::exit::Exit;
use crate::input::{self, Event};
use crate::kernels::{Arithmetic, Precision, Profile};
use crate::model::{Downloads, ModelSource};
use crate::output::{OutputFile, Writer};
use crate::progress::Reporter;
use crate::record::Ranking;
use crate::score::{Reranker, RerankerOptions, Scorer};
use crate::stats::Stats;
use crate::stop::Stop;
use crate::watch::Watch;

/// Groups that may wait to be tokenized.
const GROUPS_AHEAD: usize = 16;
/// Bytes of texts that may be read but not scored, unless a single group has more.
const BYTES_AHEAD: usize = 32 << 20;
/// Windows that may wait to be scored.
const WINDOWS_AHEAD: usize = 1;
/// Rankings that may wait to be written.
const RANKINGS_AHEAD: usize = 64;
/// How long a window waits for more of a file.
const FILE_PATIENCE: Duration = Duration::from_millis(100);

/// Runs a job to its end. `stop` ends it after the batch at hand, with what is complete written.
///
/// # Errors
/// What keeps the run from beginning, or the output from being written. Faults of the input that come up later are told
/// through the reporter, after which the exit status says so.
pub fn run(config: &Config, reporter: &Arc<Reporter>, stop: &Stop) -> Result<Exit> {
    let began = Instant::now();
    config.notes.iter().for_each(|note| reporter.note(note));
    crate::threads::start(config.threads)?;
    let devices = open_devices(config, reporter)?;
    if let Some(precision) = config.precision {
        let arithmetic = Arithmetic::new(config.instructions.level, precision);
        devices.iter().try_for_each(|device| device.target(arithmetic).map(drop))?;
    }
    let device = devices.iter().map(Opened::describe).collect::<Vec<_>>().join(", ");

    // Cheap checks first: the output, the first record, the model's files, and the weights last.
    let stats_file = config.stats.as_deref().map(OutputFile::open).transpose()?;
    let writer = (!config.dry_run).then(|| Writer::open(config.output.as_deref(), &config.layout)).transpose()?;
    let mut events = input::open(&config.input)?;
    let faults = Arc::new(Faults::new(config.skip_bad_records, Arc::clone(reporter)));
    let mut next = events.next();
    while let Some(Ok(Event::Note(note))) = next {
        faults.note(note);
        next = events.next();
    }
    let first = match next {
        Some(Ok(Event::Bad(bad))) if !config.skip_bad_records => return Err(bad.into()),
        Some(Err(error)) => return Err(error),
        first => first,
    };
    let loading = Instant::now();
    let reranker = Reranker::find(&reranker_options(config))?;
    let max_length = reranker.max_length();
    let compute = Compute::choose(&devices[0], config.instructions, config.precision, reranker.stored())?;
    let targets = devices.iter().map(|device| compute.target(device)).collect::<Result<Vec<_>>>()?;
    let limits = targets.iter().map(|target| reranker.limits(config.limits, target)).collect::<Result<Vec<_>>>()?;
    let Some(limits) = limits.into_iter().min_by_key(|limits| limits.tokens) else { bail!("there is no device") };
    reporter.detail(&format!("model: {}", reranker.describe()));
    reranker.warnings().iter().for_each(|warning| reporter.warning(warning));
    reporter.detail(&format!(
        "device: {device}, {} on {}, {} threads; prompts up to {max_length} tokens; batches up to {} pairs and {} tokens",
        if config.dry_run && config.precision.is_none() { "auto" } else { compute.precision.name() },
        targets[0].kernel_class(),
        rayon::current_num_threads(),
        limits.pairs,
        limits.tokens,
    ));
    compute.measurement().iter().for_each(|measurement| reporter.detail(measurement));
    compute.reason().iter().for_each(|reason| reporter.note(reason));

    let reading = Arc::new(Reading::new(events.position()));
    let events = first.into_iter().chain(events);
    let (windows, stages) = spawn_stages(events, (config, limits), &reranker, &faults, &reading);
    let Some(writer) = writer else {
        let (model, expected) = (reranker.config(), reranker.expected());
        let planned = Planned { config, limits, max_length, model, expected };
        dry_run::run(&windows, &planned, stats_file, reporter)?;
        if !faults.failed() {
            join(stages)?;
        }
        return Ok(if faults.failed() || faults.skipped() > 0 { Exit::Failed } else { Exit::Done });
    };

    let scorers = load_all(&reranker, &targets, limits, (config, reporter))?;
    let load = loading.elapsed();
    let (rankings, writing) = spawn_writer(writer);
    let stats = Stats {
        version: env!("CARGO_PKG_VERSION"),
        model: config.model.to_string(),
        device,
        dtype: compute.precision.name().to_owned(),
        instructions: devices[0].instructions(config.instructions.level),
        kernels: targets[0].kernel_class(),
        threads: rayon::current_num_threads(),
        warnings: scorers.iter().flat_map(|scorer| scorer.warnings()).collect(),
        ..Stats::default()
    };
    let mut job = Job {
        config,
        reporter,
        stop,
        faults: &faults,
        reading: &reading,
        // A GPU has its next batch when it is done with one; a processor would only be slower to interrupt.
        workers: Workers::new(scorers, if matches!(targets[0], Target::Gpu(_)) { 2 } else { 1 }),
        watch: Watch::new(&devices),
        compute,
        profile: Profile::default(),
        windows: VecDeque::new(),
        first: 0,
        stats,
        stats_file,
        seconds: Vec::new(),
    };
    reporter.start();
    stop.begin_scoring();
    let started = Instant::now();
    let mut scored = job.score(&windows, &rankings);
    if matches!(scored, Ok(End::Complete)) && !faults.failed() {
        scored = join(stages).map(|()| End::Complete);
    }
    if matches!(scored, Ok(End::Complete)) && !faults.failed() {
        // If this fails, so has the writer, and says why below.
        let _ = rankings.send(Message::Complete);
    }
    drop(rankings);
    let written = writing.join().map_err(|_| anyhow!("the writing thread has panicked"))?;
    reporter.finish();
    job.conclude(scored, written, [began.elapsed(), load, started.elapsed()])
}

/// What needs no GPU does not ask for one.
fn open_devices(config: &Config, reporter: &Reporter) -> Result<Vec<Opened>> {
    let unasked = config.device == DeviceChoice::Auto;
    let for_cpu = config.model == ModelSource::Fake || config.precision == Some(Precision::Int8);
    if config.dry_run || unasked && for_cpu {
        return Ok(vec![Opened::Cpu]);
    }
    config.device.open(|note| reporter.note(note))
}

/// A replica of the model for each target, loaded side by side.
fn load_all(
    reranker: &Reranker,
    targets: &[Target],
    limits: Limits,
    (config, reporter): (&Config, &Reporter),
) -> Result<Vec<Box<dyn Scorer>>> {
    // On a GPU it costs a little.
    let counted = config.stats.is_some() || config.verbosity == Verbosity::Verbose;
    thread::scope(|scope| {
        let loads: Vec<_> = targets
            .iter()
            .map(|target| scope.spawn(move || load(reranker, target, limits, (counted, reporter))))
            .collect();
        loads.into_iter().map(|load| load.join().map_err(|_| anyhow!("loading the model has panicked"))?).collect()
    })
}

/// Loads a replica of the model.
fn load(
    reranker: &Reranker,
    target: &Target,
    limits: Limits,
    (counted, reporter): (bool, &Reporter),
) -> Result<Box<dyn Scorer>> {
    let mut scorer = reranker.load(target)?;
    let tokens = scorer.reserve(limits)?;
    if counted {
        scorer.begin_profile();
    }
    scorer.warnings().iter().for_each(|warning| reporter.note(warning));
    if tokens < limits.tokens {
        reporter.note(&format!("batches are scored in parts of up to {tokens} tokens, for which there is memory"));
    }
    Ok(scorer)
}

fn reranker_options(config: &Config) -> RerankerOptions {
    RerankerOptions {
        source: config.model.clone(),
        max_length: config.max_length,
        instruction: config.instruction.clone(),
        weights: !config.dry_run,
        downloads: match config.progress {
            Progress::Bar => Downloads::Bar,
            Progress::Log => Downloads::Lines,
            Progress::None => Downloads::Silent,
        },
    }
}

/// Reading and preparing go on until the input ends or nobody listens. They are not waited for: an input that never ends
/// must not keep an interrupted run from ending.
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
    let preparation = Preparation { recipe: reranker.recipe(), limits, patience };
    let format = config.layout.format;
    let (reader_faults, reading) = (Arc::clone(faults), Arc::clone(reading));
    let reader =
        thread::spawn(move || prepare::read(events, format, &reader_faults, &reading, (&budget, &group_sender)));
    let faults = Arc::clone(faults);
    let preparer = thread::spawn(move || prepare::prepare(&group_receiver, &preparation, &faults, &window_sender));
    (window_receiver, [reader, preparer])
}

/// The last window has come: nothing keeps the stages from ending, unless one has panicked.
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
    /// The run has come to its end; without this, it was broken off.
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
