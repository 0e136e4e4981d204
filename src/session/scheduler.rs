//! The scheduler: it forms batches of what waits whenever a device can take one, and replies when a request is scored.

use std::sync::mpsc::Receiver;
use std::time::Instant;

use ahash::AHashMap;

use super::unit::{EqualPairs, Unit};
use super::workers::{Done, Failure, Workers};
use super::{Computed, Reply, Scored};
use crate::batch::{Batch, Limits, PairId, Queue};

/// Whatever happens to a session.
pub(super) enum Event {
    Request {
        units: Vec<Unit>,
        reply: Reply,
    },
    /// More requests are about to come.
    Hold,
    /// They have come.
    Release,
    Done(Done),
    /// No more batches are formed; the function is called when those at hand are scored.
    Stop(Box<dyn FnOnce() + Send>),
    /// As `Stop`, and the scheduler ends.
    Close,
}

pub(super) struct Scheduler {
    workers: Workers,
    limits: Limits,
    watch: Box<dyn FnMut(Computed) + Send>,
    queue: Queue,
    equal: EqualPairs,
    /// The requests that are not replied to yet, by their numbers.
    requests: AHashMap<usize, Waiting>,
    /// The number of the next request.
    next: usize,
    /// How many callers are about to submit more.
    holds: usize,
    stopped: bool,
    closed: bool,
    /// What is called when the batches at hand are scored after a stop.
    then: Vec<Box<dyn FnOnce() + Send>>,
}

/// A request until it is replied to.
struct Waiting {
    /// NaN for those that are not scored yet.
    logits: Vec<f32>,
    /// How many these are.
    missing: usize,
    /// When its first batch was handed out.
    started: Option<Instant>,
    reply: Reply,
}

impl Waiting {
    fn reply(self, failure: Option<String>) {
        let seconds = self.started.map_or(0., |started| started.elapsed().as_secs_f64());
        let logits = failure.map_or(Ok(self.logits), Err);
        (self.reply)(Scored { logits, seconds });
    }
}

impl Scheduler {
    pub(super) fn new(workers: Workers, limits: Limits, watch: Box<dyn FnMut(Computed) + Send>) -> Self {
        Self {
            workers,
            limits,
            watch,
            queue: Queue::default(),
            equal: EqualPairs::default(),
            requests: AHashMap::new(),
            next: 0,
            holds: 0,
            stopped: false,
            closed: false,
            then: Vec::new(),
        }
    }

    /// Works until the session is closed. Returns the engines' warnings.
    pub(super) fn run(mut self, events: &Receiver<Event>) -> Vec<String> {
        loop {
            self.hand_out();
            if self.stopped && self.workers.are_idle() {
                // What is left can't be scored any more.
                self.requests.clear();
                self.then.drain(..).for_each(|then| then());
                if self.closed {
                    return self.workers.finish();
                }
            }
            match events.recv() {
                Ok(Event::Request { units, reply }) => self.accept(units, reply),
                Ok(Event::Hold) => self.holds += 1,
                Ok(Event::Release) => self.holds -= 1,
                Ok(Event::Done(done)) => self.take(done),
                Ok(Event::Stop(then)) => {
                    self.stop();
                    self.then.push(then);
                }
                Ok(Event::Close) => {
                    self.stop();
                    self.closed = true;
                }
                // The workers' threads hold senders as long as they live.
                Err(_) => return self.workers.finish(),
            }
        }
    }

    fn stop(&mut self) {
        self.stopped = true;
        self.queue.clear();
    }

    /// Hands out batches until every worker has enough, or too little waits.
    fn hand_out(&mut self) {
        while self.workers.have_room() && (self.holds == 0 || self.queue.has_full_batch(self.limits)) {
            let Some(batch) = self.queue.next_batch(self.limits) else { return };
            let now = Instant::now();
            for pair in batch.pairs() {
                for pair in std::iter::once(&pair).chain(self.equal.others(pair)) {
                    if let Some(request) = self.requests.get_mut(&pair.group) {
                        request.started.get_or_insert(now);
                    }
                }
            }
            self.workers.hand_out(batch);
        }
    }

    fn accept(&mut self, units: Vec<Unit>, reply: Reply) {
        if self.stopped {
            return;
        }
        let (group, missing) = (self.next, units.len());
        self.next += 1;
        let request = Waiting { logits: vec![f32::NAN; missing], missing, started: None, reply };
        if missing == 0 {
            return request.reply(None);
        }
        if self.workers.are_gone() {
            return request.reply(Some(PANICKED.to_owned()));
        }
        self.requests.insert(group, request);
        let mut prompts = Vec::with_capacity(missing);
        for (candidate, Unit { prompt, key }) in units.into_iter().enumerate() {
            if self.equal.add(key, PairId { group, candidate }) {
                prompts.push((candidate, prompt));
            }
        }
        self.queue.push(group, prompts, self.limits.share_prefixes);
    }

    /// Gives the logits of a batch to the requests that wait for them.
    fn take(&mut self, done: Done) {
        self.workers.take(&done);
        // A device that has less memory than was thought gets smaller batches from now on.
        self.limits.tokens = self.limits.tokens.min(done.fitting_tokens.max(1));
        let pairs = done.batch.pairs().count();
        let logits = match done.logits {
            Ok(logits) if logits.len() == pairs => Ok(logits),
            Ok(logits) => Err(format!("the model gave {} logits for {pairs} pairs", logits.len())),
            Err(Failure::Engine(error)) => Err(format!("{error:#}")),
            Err(Failure::Panic) => Err(PANICKED.to_owned()),
        };
        match logits {
            Ok(logits) => {
                let equal = done.batch.pairs().map(|pair| self.equal.others(pair).len() as u64).sum();
                let computed =
                    Computed { equal, operations: done.operations, profile: done.profile, ..of(&done.batch) };
                (self.watch)(computed);
                for (pair, logit) in done.batch.pairs().zip(logits) {
                    self.scored(pair, logit);
                }
            }
            Err(problem) => done.batch.pairs().for_each(|pair| self.failed(pair, &problem)),
        }
        if self.workers.are_gone() {
            let mut requests: Vec<(usize, Waiting)> = self.requests.drain().collect();
            requests.sort_by_key(|(number, _)| *number);
            requests.into_iter().for_each(|(_, request)| request.reply(Some(PANICKED.to_owned())));
            self.queue.clear();
        }
    }

    fn scored(&mut self, pair: PairId, logit: f32) {
        for pair in std::iter::once(pair).chain(self.equal.take(pair)) {
            let Some(request) = self.requests.get_mut(&pair.group) else { continue };
            request.logits[pair.candidate] = logit;
            request.missing -= 1;
            if request.missing == 0
                && let Some(request) = self.requests.remove(&pair.group)
            {
                request.reply(None);
            }
        }
    }

    fn failed(&mut self, pair: PairId, problem: &str) {
        for pair in std::iter::once(pair).chain(self.equal.take(pair)) {
            if let Some(request) = self.requests.remove(&pair.group) {
                request.reply(Some(problem.to_owned()));
            }
        }
    }
}

const PANICKED: &str = "the thread that scored it has panicked";

/// The figures of a batch.
fn of(batch: &Batch) -> Computed {
    let lengths = batch.pair_segments().map(|segment| {
        let last = batch.segments[segment].tokens.end - 1;
        u64::from(batch.positions[last]) + 1
    });
    Computed {
        pairs: batch.pairs().count() as u64,
        tokens: batch.token_ids.len() as u64,
        prompt_tokens: lengths.sum(),
        ..Computed::default()
    }
}
