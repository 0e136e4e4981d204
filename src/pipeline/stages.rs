//! The threads of a run, and what connects them.

use std::ops::RangeInclusive;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{RecvTimeoutError, SyncSender, channel, sync_channel};
use std::sync::{Arc, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};

use super::byte_budget::ByteBudget;
use super::collect::{self, End, Run, Submission};
use super::faults::Faults;
use super::figures::Figures;
use super::judging::Judging;
use super::order::{HowToRank, Order};
use super::prepare::{self, Preparation, Sink};
use super::read::{self, Checks, Reading};
use super::{dry_run, setup};
use crate::batch::QueueOrder;
use crate::cache::ScoreCache;
use crate::config::Config;
use crate::exit::Exit;
use crate::input::Event;
use crate::out_of_memory::for_records;
use crate::output::{BrokenOff, OutputFile, Writer};
use crate::progress::Reporter;
use crate::record::Ranking;
use crate::session::{Scheduling, Session};
use crate::setup::{Loaded, Setup};
use crate::shard::Positions;
use crate::standard_output;
use crate::stats::Stats;
use crate::stop::Stop;
use crate::watch::Watch;

/// Groups that may wait for their prompts to be made.
const GROUPS_AHEAD: usize = 1024;
/// Bytes of groups that may be read but not ranked, for each token that the batches of all devices and one more may have. These
/// are a few batches for each device, so that none waits for text.
const BYTES_PER_TOKEN: usize = 256;
/// These bytes are at least and at most so many; a single group may have more.
const BYTES_AHEAD: RangeInclusive<usize> = (2 << 20)..=(64 << 20);
/// Rankings that may wait to be written.
const RANKINGS_AHEAD: usize = 64;
/// How long a batch that is not full waits for the next group of a file.
const FILE_PATIENCE: Duration = Duration::from_millis(100);

/// What the threads of a run need to know.
pub(super) struct Stages<'a> {
    pub(super) config: &'a Config,
    pub(super) setup: &'a Setup,
    pub(super) faults: &'a Arc<Faults>,
    pub(super) reading: &'a Arc<Reading>,
    /// Where the rankings of a shard stand in the input.
    pub(super) positions: Positions,
    pub(super) cache: Option<Arc<ScoreCache>>,
    /// By what the rankings are evaluated, if they are.
    pub(super) judging: Option<Judging>,
}

/// The reading thread and the one that makes prompts. They run until the input ends or their receiver is dropped. An
/// interrupted run does not wait for them, because an input that never ends would keep it from ending.
type Threads = [JoinHandle<()>; 2];

/// What the writing thread is sent.
pub(super) enum Message {
    Ranking(Ranking),
    /// The run is complete, and so many records could not be used. If the channel closes without this message, the run was broken
    /// off.
    Complete(u64),
}

type Writing = JoinHandle<Result<Vec<String>>>;

impl Stages<'_> {
    /// Ranks all groups, and completes the figures. Returns how scoring ended and how writing did.
    pub(super) fn rank(
        &self,
        events: impl Iterator<Item = Result<Event>> + Send + 'static,
        (loaded, writer): (Loaded, Writer),
        (reporter, stop): (&Arc<Reporter>, &Stop),
        stats: &mut Stats,
    ) -> (Result<End>, Result<Vec<String>>) {
        let Self { config, setup, faults, reading, positions, cache, judging } = self;
        let figures = Figures::new(Watch::new(&setup.devices));
        let Loaded { engines, limits } = loaded;
        stats.warnings.extend(engines.iter().flat_map(|engine| engine.warnings()));
        let session = Session::start(
            engines,
            Scheduling { ahead: setup.batches_ahead(), limits, order: QueueOrder::Arrival },
            cache.clone(),
            Figures::watch(&figures, reporter, reading),
        );
        let (access, (sender, arrivals)) = (session.access(), channel());
        let done = Arc::new(AtomicU64::new(0));
        let (rankings, writing) = spawn_writer(writer, (&done, positions.clone()), faults);
        reporter.start();
        stop.begin_scoring(collect::stopper(&access, &sender));
        let started = Instant::now();
        let threads = self.spawn(events, Submission::new(access.clone(), sender.clone()));
        let activation = setup.reranker.recipe().activation;
        let dtype = stats.dtype.clone();
        let model = setup.model();
        let Config { splitting, fusion, cutoff, .. } = **config;
        let with_text = config.layout.text;
        let ranking =
            HowToRank { activation, splitting, with_text, fusion, cutoff, faults, dtype: &dtype, model: &model };
        let mut order = Order::new(ranking, judging.as_ref());
        let run = Run { arrivals: &arrivals, sender: &sender, access: &access, stop, rankings: &rankings };
        let mut scored = run.collect(&mut order);
        if matches!(scored, Ok(End::Complete)) && !faults.failed() {
            scored = join(threads).map(|()| End::Complete);
        }
        faults.finish();
        if matches!(scored, Ok(End::Complete)) && !faults.failed() {
            // This fails only if the writer has failed; its own error is returned.
            let _ = rankings.send(Message::Complete(faults.skipped()));
        }
        drop(rankings);
        let written = writing.join().unwrap_or_else(|_| Err(anyhow!("the writing thread has panicked")));
        stats.ranking_seconds = started.elapsed().as_secs_f64();
        figures.lock().unwrap_or_else(PoisonError::into_inner).complete(stats);
        order.complete(stats);
        if written.is_err() {
            stats.queries = done.load(Ordering::Relaxed);
        }
        match session.finish() {
            Ok(warnings) => stats.warn(warnings, reporter),
            Err(error) => scored = scored.and(Err(error)),
        }
        (scored, written)
    }

    /// Reports what the run would cost.
    pub(super) fn dry_run(
        &self,
        events: impl Iterator<Item = Result<Event>> + Send + 'static,
        stats_file: Option<OutputFile>,
        reporter: &Reporter,
    ) -> Result<Exit> {
        standard_output::check().context("cannot write to standard output")?;
        let cost = self.count(events, reporter)?;
        dry_run::report(&cost, stats_file)?;
        let faults = self.faults;
        Ok(if faults.failed() || faults.skipped() > 0 { Exit::Failed } else { Exit::Done })
    }

    /// Counts what ranking these groups would cost.
    pub(super) fn count(
        &self,
        events: impl Iterator<Item = Result<Event>> + Send + 'static,
        reporter: &Reporter,
    ) -> Result<dry_run::Figures> {
        let Self { config, setup, faults, .. } = self;
        let (sender, prepared) = sync_channel(GROUPS_AHEAD);
        let threads = self.spawn(events, dry_run::Collection(sender));
        let cost = dry_run::count(&prepared, &setup::planned(setup, config), (reporter, faults))?;
        if !faults.failed() {
            join(threads)?;
        }
        faults.finish();
        Ok(cost)
    }

    fn spawn(
        &self,
        events: impl Iterator<Item = Result<Event>> + Send + 'static,
        mut sink: impl Sink + Send + 'static,
    ) -> Threads {
        let (group_sender, groups) = sync_channel(GROUPS_AHEAD);
        let tokens = self.setup.limits.tokens.saturating_mul(1 + self.setup.targets.len());
        let bytes = tokens.saturating_mul(BYTES_PER_TOKEN).clamp(*BYTES_AHEAD.start(), *BYTES_AHEAD.end());
        let budget = ByteBudget::new(bytes);
        let is_file = self.config.input.is_stored();
        let patience = if is_file { FILE_PATIENCE } else { Duration::ZERO };
        let prompts = Arc::clone(&self.setup.reranker.recipe().prompts);
        let (splitting, cache) = (self.config.splitting, self.cache.clone());
        let preparation = Preparation { prompts, splitting, cache, patience };
        let Config { layout, fusion, shard, .. } = self.config;
        let checks =
            Checks { format: layout.format, fusion: *fusion, is_split: splitting.is_some(), is_shard: shard.is_some() };
        let (faults, reading) = (Arc::clone(self.faults), Arc::clone(self.reading));
        let reader = thread::spawn(move || {
            for_records(|| read::read(events, checks, &faults, &reading, (&budget, &group_sender)));
        });
        let faults = Arc::clone(self.faults);
        let preparer = thread::spawn(move || {
            for_records(|| prepare::prepare(&groups, &preparation, &faults, &mut sink));
        });
        [reader, preparer]
    }
}

/// Waits for the threads after the last group, when they are about to end; fails if one has panicked.
fn join(threads: Threads) -> Result<()> {
    for thread in threads {
        thread.join().map_err(|_| anyhow!("a thread that reads or makes prompts has panicked"))?;
    }
    Ok(())
}

/// Starts the writing thread, which counts in `done` what is written, and keeps where that stands in the input.
fn spawn_writer(
    mut writer: Writer,
    (done, positions): (&Arc<AtomicU64>, Positions),
    faults: &Arc<Faults>,
) -> (SyncSender<Message>, Writing) {
    let (sender, receiver) = sync_channel(RANKINGS_AHEAD);
    let (done, faults) = (Arc::clone(done), Arc::clone(faults));
    let writing = thread::spawn(move || {
        loop {
            let message = match writer.until_sync() {
                Some(patience) => receiver.recv_timeout(patience),
                None => receiver.recv().map_err(|_| RecvTimeoutError::Disconnected),
            };
            match message {
                Ok(Message::Ranking(ranking)) => {
                    let write = AssertUnwindSafe(|| writer.write(&ranking));
                    catch_unwind(write).map_err(|_| {
                        anyhow!(
                            "writing the ranking of query {:?} has panicked; those before stay complete",
                            ranking.query.id
                        )
                    })??;
                    positions.push(ranking.query.position);
                    done.fetch_add(1, Ordering::Relaxed);
                }
                Ok(Message::Complete(skipped)) => return writer.finish(skipped),
                Err(RecvTimeoutError::Timeout) => writer.sync_if_due()?,
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        writer.close(BrokenOff { skipped: faults.skipped(), by_record: faults.failed() })?;
        Ok(Vec::new())
    });
    (sender, writing)
}
