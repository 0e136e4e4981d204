//! The run, told once: read → tokenize → plan → score → rank → write.
//!
//! Three threads around this one, with bounded channels between them: reading, preparing (prompts and plan), writing.
//! Memory is that of a few windows, whatever the input's size; only a few bytes of every query are kept, to tell an id that
//! comes back, and for the percentiles.

mod dry_run;
mod faults;
mod gate;
mod prepare;
mod scoring;
mod workers;

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, bail};

use self::faults::Faults;
use self::gate::Gate;
use self::prepare::{Preparation, Reading, Window};
use self::scoring::Scoring;
use self::workers::{Done, Workers};
use crate::batch::Limits;
use crate::config::{Config, Progress};
use crate::device::{Opened, Target};
use crate::exit::Exit;
use crate::input::{self, Event};
use crate::kernels::Level;
use crate::model::{Downloads, ModelSource};
use crate::output::{self, Closed, Writer};
use crate::progress::Reporter;
use crate::record::Ranking;
use crate::score::{Reranker, RerankerOptions, Scorer};
use crate::stats::Stats;
use crate::stop::Stop;

/// Groups that may wait to be tokenized.
const GROUPS_AHEAD: usize = 16;
/// Bytes of texts that may be read but not scored, unless a single group has more.
const BYTES_AHEAD: usize = 32 << 20;
/// Windows that may wait to be scored.
const WINDOWS_AHEAD: usize = 1;
/// Windows that may be scored at a time: the next begins when a worker has nothing left to do in the one before.
const WINDOWS_OPEN: usize = 2;
/// Rankings that may wait to be written.
const RANKINGS_AHEAD: usize = 64;
/// How long a window waits for more of a file.
const FILE_PATIENCE: Duration = Duration::from_millis(100);
/// A run that took longer than this is told how it could be shorter.
const HINT_AFTER: Duration = Duration::from_secs(10);
/// How soon an interrupt is noticed while nothing arrives.
const PATIENCE: Duration = Duration::from_millis(50);

/// Runs a job to its end. `stop` ends it after the batch at hand, with what is complete written.
///
/// # Errors
/// What keeps the run from beginning, or the output from being written. Faults of the input that come up later are told
/// through the reporter, after which the exit status says so.
pub fn run(config: &Config, reporter: &Arc<Reporter>, stop: &Stop) -> Result<Exit> {
    let began = Instant::now();
    // Fails only where the pool is up already, as in a program that runs several jobs.
    let _ = rayon::ThreadPoolBuilder::new().num_threads(config.threads).build_global();
    let devices = config.device.open(|note| reporter.note(note))?;
    let precision = config.precision.unwrap_or_else(|| devices[0].default_precision());
    let targets = devices.iter().map(|device| device.target(precision, config.level)).collect::<Result<Vec<_>>>()?;
    let device = devices.iter().map(Opened::describe).collect::<Vec<_>>().join(", ");

    // Cheap checks first: the output, the first record, the model's files, and the weights last.
    if let Some(path) = &config.stats {
        output::check_writable(path)?;
    }
    let writer = (!config.dry_run).then(|| Writer::open(config.output.as_deref(), config.layout)).transpose()?;
    let mut events = input::open(&config.input)?;
    let first = match events.next() {
        Some(Ok(Event::Bad(bad))) if !config.skip_bad_records => return Err(bad.into()),
        Some(Err(error)) => return Err(error),
        first => first,
    };
    let loading = Instant::now();
    let reranker = Reranker::find(&reranker_options(config))?;
    let max_length = reranker.max_length();
    let limits = targets.iter().map(|target| reranker.limits(config.limits, target)).collect::<Result<Vec<_>>>()?;
    let Some(limits) = limits.into_iter().min_by_key(|limits| limits.tokens) else { bail!("there is no device") };
    reporter.detail(&format!("model: {}", reranker.describe()));
    reporter.detail(&format!(
        "device: {device}, {} on {}, {} threads; prompts up to {max_length} tokens; batches up to {} pairs and {} tokens",
        precision.name(),
        config.level,
        rayon::current_num_threads(),
        limits.pairs,
        limits.tokens,
    ));

    let faults = Arc::new(Faults::new(config.skip_bad_records, Arc::clone(reporter)));
    let reading = Arc::new(Reading::new(events.position()));
    let events = first.into_iter().chain(events);
    let (windows, stages) = spawn_stages(events, (config, limits), &reranker, &faults, &reading);
    let Some(writer) = writer else {
        dry_run::run(&windows, max_length, reporter)?;
        if !faults.failed() {
            join(stages)?;
        }
        return Ok(if faults.failed() || faults.skipped() > 0 { Exit::Failed } else { Exit::Done });
    };

    let scorers = targets.iter().map(|target| load(&reranker, target, limits, reporter)).collect::<Result<Vec<_>>>()?;
    let load = loading.elapsed();
    let (rankings, writing) = spawn_writer(writer);
    let stats = Stats {
        version: env!("CARGO_PKG_VERSION"),
        model: config.model.to_string(),
        device,
        dtype: precision.name().to_owned(),
        instructions: config.level.name(),
        threads: rayon::current_num_threads(),
        ..Stats::default()
    };
    let mut job = Job {
        config,
        reporter,
        stop,
        faults: &faults,
        reading: &reading,
        workers: Workers::new(scorers),
        windows: VecDeque::new(),
        first: 0,
        stats,
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

/// Loads a replica of the model.
fn load(reranker: &Reranker, target: &Target, limits: Limits, reporter: &Reporter) -> Result<Box<dyn Scorer>> {
    let mut scorer = reranker.load(target)?;
    let tokens = scorer.reserve(limits)?;
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
    let gate = Gate::new(BYTES_AHEAD);
    let (window_sender, window_receiver) = sync_channel(WINDOWS_AHEAD);
    let is_file = config.input.path.as_ref().is_some_and(|path| path.is_file());
    let patience = if is_file { FILE_PATIENCE } else { Duration::ZERO };
    let preparation = Preparation { recipe: reranker.recipe(), limits, patience };
    let format = config.layout.format;
    let (reader_faults, reading) = (Arc::clone(faults), Arc::clone(reading));
    let reader = thread::spawn(move || prepare::read(events, format, &reader_faults, &reading, (&gate, &group_sender)));
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
        Ok(Vec::new())
    });
    (sender, writing)
}

/// How scoring ended.
enum End {
    Complete,
    Interrupted,
    /// The writer takes no more, or a fault was told.
    BrokenOff,
}

struct Job<'a> {
    config: &'a Config,
    reporter: &'a Reporter,
    stop: &'a Stop,
    faults: &'a Faults,
    reading: &'a Reading,
    workers: Workers,
    /// Windows of which rankings are missing, in the input's order, and the number of the first.
    windows: VecDeque<Scoring>,
    first: u64,
    stats: Stats,
    /// For each query, how long its ranking took.
    seconds: Vec<f64>,
}

impl Job<'_> {
    fn score(&mut self, windows: &Receiver<Window>, rankings: &SyncSender<Message>) -> Result<End> {
        let mut more = true;
        loop {
            let stopped = self.stop.is_requested();
            if stopped && self.workers.are_idle() {
                return Ok(End::Interrupted);
            }
            if !stopped && !self.keep_busy(windows, rankings, &mut more) {
                return Ok(End::BrokenOff);
            }
            if self.workers.are_idle() {
                if !more && self.windows.is_empty() {
                    return Ok(End::Complete);
                }
                continue;
            }
            let Some(done) = self.workers.wait(PATIENCE)? else { continue };
            self.take(done)?;
            if !self.send_finished(rankings) {
                return Ok(End::BrokenOff);
            }
        }
    }

    /// Hands out batches while a worker has none; `more` says whether windows may still come. False if the run can't go on.
    fn keep_busy(&mut self, windows: &Receiver<Window>, rankings: &SyncSender<Message>, more: &mut bool) -> bool {
        while self.workers.have_room() {
            if self.hand_out() {
                continue;
            }
            if !*more || self.windows.len() >= WINDOWS_OPEN {
                break;
            }
            // While all workers wait, there is nothing else to do.
            let patience = if self.workers.are_idle() { PATIENCE } else { Duration::ZERO };
            match windows.recv_timeout(patience) {
                Ok(window) => self.windows.push_back(Scoring::new(window)),
                Err(RecvTimeoutError::Timeout) => break,
                Err(RecvTimeoutError::Disconnected) => *more = false,
            }
            // There may be nothing to score in a window.
            if !self.send_finished(rankings) {
                return false;
            }
        }
        true
    }

    /// Hands the next batch out. False if there is none.
    fn hand_out(&mut self) -> bool {
        let next =
            self.windows.iter_mut().enumerate().find_map(|(index, scoring)| Some((index, scoring.next_batch()?)));
        let Some((index, batch)) = next else { return false };
        self.workers.hand_out(self.first + index as u64, batch);
        true
    }

    /// Takes the logits of a batch, and counts it.
    fn take(&mut self, Done { window, batch, logits }: Done) -> Result<()> {
        let scoring = &mut self.windows[(window - self.first) as usize];
        scoring.take(&batch, logits)?;
        let (pairs, tokens) = (batch.pairs().count() as u64, batch.token_ids.len() as u64);
        self.stats.batches += 1;
        for prompt in scoring.prompts(&batch) {
            self.stats.prompt_tokens += prompt.tokens as u64;
            self.stats.truncated += u64::from(prompt.truncated);
        }
        self.stats.pairs += pairs;
        self.stats.computed_tokens += tokens;
        self.reporter.advance(pairs, tokens, self.reading.total());
        Ok(())
    }

    /// Sends the rankings that are complete to the writer. False if the run can't go on.
    fn send_finished(&mut self, rankings: &SyncSender<Message>) -> bool {
        while let Some(scoring) = self.windows.front_mut() {
            while let Some(finished) = scoring.next_ranking(self.config.cutoff, self.faults) {
                let Ok(finished) = finished else { return false };
                if rankings.send(Message::Ranking(finished.ranking)).is_err() {
                    return false;
                }
                self.stats.queries += 1;
                self.seconds.push(finished.seconds);
            }
            if !scoring.is_complete() {
                break;
            }
            self.windows.pop_front();
            self.first += 1;
        }
        true
    }

    /// Tells how it went. `times` are the whole run's, the load's and the ranking's.
    fn conclude(mut self, scored: Result<End>, written: Result<Vec<String>>, times: [Duration; 3]) -> Result<Exit> {
        let [whole, load, ranking] = times;
        self.stats.seconds = whole.as_secs_f64();
        self.stats.skipped = self.faults.skipped();
        self.stats.interrupted = matches!(scored, Ok(End::Interrupted));
        self.stats.derive(load, ranking, &mut self.seconds);
        for line in self.stats.summary() {
            self.reporter.note(&line);
        }
        let native = self.config.level >= Level::Avx512Bf16 && self.config.model != ModelSource::Fake;
        if self.config.precision.is_none() && self.stats.dtype == "f32" && native && ranking > HINT_AFTER {
            self.reporter.note("hint: --dtype bf16 is several times as fast on this processor");
        }
        let mut exit = match scored {
            Ok(End::Interrupted) => Exit::Interrupted,
            Ok(_) if self.faults.failed() || self.faults.skipped() > 0 => Exit::Failed,
            Ok(_) => Exit::Done,
            Err(error) => {
                self.reporter.error(&format!("{error:#}; complete rankings are written"));
                Exit::Failed
            }
        };
        match written {
            Ok(left_out) if left_out.is_empty() => {}
            Ok(left_out) => self.reporter.warning(&format!(
                "fields that came up after the header was written are left out: {}; JSONL keeps all",
                left_out.join(", ")
            )),
            // Whoever closed a pipe has seen enough.
            Err(error) if error.is::<Closed>() => {}
            Err(error) => {
                self.reporter.error(&format!("{error:#}"));
                exit = Exit::Failed;
            }
        }
        if let Some(path) = &self.config.stats {
            self.stats.write(path)?;
        }
        Ok(exit)
    }
}
