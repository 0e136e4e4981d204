//! The scoring loop of a run: it hands batches to the workers, collects their logits, sends the rankings to the writer in the
//! input's order, and keeps the run's figures.

use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender};
use std::time::Duration;

use anyhow::{Result, ensure};

use super::Message;
use super::faults::Faults;
use super::prepare::{Reading, Window};
use super::scoring::Scoring;
use super::setup::Setup;
use super::workers::{Done, Workers};
use crate::compute::Compute;
use crate::config::Config;
use crate::engine::Engine;
use crate::engine::Profile;
use crate::engine::Target;
use crate::exit::Exit;
use crate::output::{Closed, OutputFile};
use crate::progress::Reporter;
use crate::recipe::Activation;
use crate::stats::{self, Stats};
use crate::stop::Stop;
use crate::watch::Watch;

/// After a run whose ranking took longer than this, a hint is printed on how it could be faster.
const HINT_AFTER: Duration = Duration::from_secs(10);
/// How often new windows are looked for while some workers have nothing to do and others are busy.
const POLL_BUSY: Duration = Duration::from_millis(2);
/// How often an interrupt is looked for while nothing arrives.
const POLL_IDLE: Duration = Duration::from_millis(50);

/// How scoring ended.
pub(super) enum End {
    Complete,
    Interrupted,
    /// The writer has stopped, or a bad record that stops the run was reported.
    BrokenOff,
}

pub(super) struct Job<'a> {
    pub(super) config: &'a Config,
    pub(super) reporter: &'a Reporter,
    pub(super) stop: &'a Stop,
    pub(super) faults: &'a Faults,
    pub(super) reading: &'a Reading,
    pub(super) workers: Workers,
    pub(super) watch: Watch,
    pub(super) compute: Compute,
    pub(super) activation: Activation,
    pub(super) profile: Profile,
    /// Windows whose rankings are not all sent yet, in the input's order.
    pub(super) windows: VecDeque<Scoring>,
    /// The number of the first of these windows.
    pub(super) first: u64,
    pub(super) stats: Stats,
    pub(super) stats_file: Option<OutputFile>,
    /// For each query, how long its ranking took.
    pub(super) seconds: Vec<f64>,
}

impl<'a> Job<'a> {
    /// Makes a job, of which nothing is scored yet.
    pub(super) fn new(
        config: &'a Config,
        reporter: &'a Reporter,
        stop: &'a Stop,
        (faults, reading): (&'a Faults, &'a Reading),
        (setup, engines, stats_file): (&Setup, Vec<Box<dyn Engine>>, Option<OutputFile>),
    ) -> Self {
        let target = &setup.targets[0];
        let stats = Stats {
            version: env!("CARGO_PKG_VERSION"),
            model: config.model.to_string(),
            recipe: setup.reranker.recipe().name.clone(),
            device: setup.device(),
            dtype: setup.compute.precision.name().to_owned(),
            instructions: setup.devices[0].instructions(config.instructions.level),
            kernels: target.kernel_class(),
            threads: rayon::current_num_threads(),
            warnings: setup
                .warnings(config)
                .into_iter()
                .chain(engines.iter().flat_map(|engine| engine.warnings()))
                .collect(),
            ..Stats::default()
        };
        Self {
            config,
            reporter,
            stop,
            faults,
            reading,
            // With two batches, a GPU that is done with one finds the next one waiting. A CPU gains nothing from that, and
            // would only take longer to interrupt.
            workers: Workers::new(engines, if matches!(target, Target::Gpu(_)) { 2 } else { 1 }),
            watch: Watch::new(&setup.devices),
            compute: setup.compute,
            activation: setup.reranker.recipe().activation,
            profile: Profile::default(),
            windows: VecDeque::new(),
            first: 0,
            stats,
            stats_file,
            seconds: Vec::new(),
        }
    }

    /// Scores all windows, and returns how that ended.
    pub(super) fn score(&mut self, windows: &Receiver<Window>, rankings: &SyncSender<Message>) -> Result<End> {
        let (mut more, mut failure) = (true, None);
        loop {
            let stopped = self.stop.requested().is_some() || failure.is_some();
            if self.workers.are_idle() {
                match failure {
                    Some(error) => return Err(error),
                    None if stopped => return Ok(End::Interrupted),
                    None => {}
                }
            }
            if !stopped && !self.keep_busy(windows, rankings, &mut more) {
                return Ok(End::BrokenOff);
            }
            if self.workers.are_idle() {
                if !stopped && !more {
                    ensure!(self.windows.is_empty(), "candidates are left that nobody scores");
                    return Ok(End::Complete);
                }
                continue;
            }
            // A worker that has nothing to do needs a new window soon, so the wait for a result is short.
            let patience = if self.workers.have_room() && more { POLL_BUSY } else { POLL_IDLE };
            let Some(done) = self.workers.wait(patience)? else { continue };
            // After a failure, the batches of the other workers are still awaited: the rankings they complete are not lost.
            if let Err(error) = self.take(done) {
                failure.get_or_insert(error);
            }
            if !self.send_finished(rankings) {
                return Ok(End::BrokenOff);
            }
        }
    }

    /// Hands out batches until every worker has enough. Sets `more` to false when no window will come any more. Returns
    /// false if the run can't go on.
    fn keep_busy(&mut self, windows: &Receiver<Window>, rankings: &SyncSender<Message>, more: &mut bool) -> bool {
        while self.workers.have_room() {
            if self.hand_out() {
                continue;
            }
            if !*more || self.windows.len() > self.workers.count() {
                break;
            }
            // This thread may wait for a window only if no worker can return a result meanwhile.
            let patience = if self.workers.are_idle() { POLL_IDLE } else { Duration::ZERO };
            match windows.recv_timeout(patience) {
                Ok(window) => self.windows.push_back(Scoring::new(window)),
                Err(RecvTimeoutError::Timeout) => break,
                Err(RecvTimeoutError::Disconnected) => *more = false,
            }
            // A window of queries without candidates is complete without being scored.
            if !self.send_finished(rankings) {
                return false;
            }
        }
        true
    }

    /// Hands out the next batch. Returns false if there is none.
    fn hand_out(&mut self) -> bool {
        let next =
            self.windows.iter_mut().enumerate().find_map(|(index, scoring)| Some((index, scoring.next_batch()?)));
        let Some((index, batch)) = next else { return false };
        self.workers.hand_out(self.first + index as u64, batch);
        true
    }

    /// Stores the logits of a batch, and adds the batch to the figures.
    fn take(&mut self, Done { window, batch, logits, operations, profile }: Done) -> Result<()> {
        let scoring = &mut self.windows[(window - self.first) as usize];
        scoring.take(&batch, logits)?;
        let (pairs, tokens) = (batch.pairs().count() as u64, batch.token_ids.len() as u64);
        self.watch.look();
        self.stats.batches += 1;
        self.stats.operations += operations;
        if let Some(profile) = profile {
            self.profile.add(&profile);
        }
        for prompt in scoring.prompts(&batch) {
            self.stats.prompt_tokens += prompt.tokens as u64;
            self.stats.truncated += u64::from(prompt.truncated);
        }
        self.stats.pairs += pairs;
        self.stats.computed_tokens += tokens;
        self.reporter.advance(pairs, tokens, self.reading.total());
        Ok(())
    }

    /// Sends the rankings that are complete to the writer. Returns false if the run can't go on.
    fn send_finished(&mut self, rankings: &SyncSender<Message>) -> bool {
        while let Some(scoring) = self.windows.front_mut() {
            while let Some(finished) =
                scoring.next_ranking((self.activation, self.config.cutoff), self.faults, &self.stats.dtype)
            {
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

    /// Reports how the run went, and returns its exit status. `times` are those of the whole run, of loading and of ranking.
    pub(super) fn conclude(
        mut self,
        scored: Result<End>,
        written: Result<Vec<String>>,
        times: [Duration; 3],
    ) -> Result<Exit> {
        let [whole, load, ranking] = times;
        for warning in self.workers.finish() {
            // Most warnings were printed when the model was loaded.
            if !self.stats.warnings.contains(&warning) {
                self.reporter.note(&warning);
                self.stats.warnings.push(warning);
            }
        }
        self.stats.warnings.extend(self.faults.take_notes());
        self.stats.seconds = whole.as_secs_f64();
        self.stats.skipped = self.faults.skipped();
        self.stats.gpus = self.watch.figures();
        let shares = self.profile.shares();
        if !shares.is_empty() {
            let parts: Vec<_> = shares.iter().map(|(kind, share)| format!("{kind} {:.1}%", share * 100.)).collect();
            self.reporter.detail(&format!("time: {}", parts.join(", ")));
        }
        self.stats.time_shares = shares.into_iter().map(|(kind, share)| (kind.to_owned(), share.into())).collect();
        self.stats.interrupted = matches!(scored, Ok(End::Interrupted));
        self.stats.derive(load, ranking, &mut self.seconds);
        for line in self.stats.summary() {
            self.reporter.note(&line);
        }
        if let Some(hint) = self.compute.hint().filter(|_| ranking > HINT_AFTER) {
            self.reporter.note(&hint);
        }
        let mut exit = match scored {
            Ok(End::Interrupted) => self.stop.requested().unwrap_or(Exit::Interrupted),
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
            // A reader that closes the pipe, as `head` does, has what it wanted.
            Err(error) if error.is::<Closed>() => {}
            Err(error) => {
                self.reporter.error(&format!("{error:#}"));
                exit = Exit::Failed;
            }
        }
        if let Some(file) = &mut self.stats_file {
            stats::write(&self.stats, file)?;
        }
        Ok(exit)
    }
}
