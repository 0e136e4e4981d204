//! The scheduler: it forms batches of what waits whenever a device can take one, and replies when a request is scored.

use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::Instant;

use ahash::AHashMap;

use super::unit::{EqualPairs, Unit};
use super::workers::{Done, Failure, Workers};
use super::{Answered, Reply, Scheduling, Scored};
use crate::batch::{Batch, Limits, PairId, Queue};
use crate::cache::{Key, ScoreCache};
use crate::recipe::Prompt;

/// Whatever happens to a session.
pub(super) enum Event {
    Request {
        number: usize,
        units: Vec<Unit>,
        reply: Reply,
    },
    /// Nobody waits for this request any more.
    Cancel(usize),
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
    cache: Option<Arc<ScoreCache>>,
    watch: Box<dyn FnMut(Answered) + Send>,
    queue: Queue,
    equal: EqualPairs,
    /// The requests that are not replied to yet, by their numbers.
    requests: AHashMap<usize, Waiting>,
    /// How many callers are about to submit more.
    holds: usize,
    stopped: bool,
    closed: bool,
    /// What is called when the batches at hand are scored after a stop.
    then: Vec<Box<dyn FnOnce() + Send>>,
}

/// A request until all its units are done.
struct Waiting {
    keys: Vec<Key>,
    /// NaN for those that are not scored yet.
    logits: Vec<f32>,
    /// How many units are not done.
    missing: usize,
    /// When its first batch was handed out.
    started: Option<Instant>,
    /// None, once it was replied to because a unit has failed, or was cancelled.
    reply: Option<Reply>,
}

impl Waiting {
    fn reply(&mut self, logits: Result<Vec<f32>, String>) {
        let seconds = self.started.map_or(0., |started| started.elapsed().as_secs_f64());
        if let Some(reply) = self.reply.take() {
            reply(Scored { logits, seconds });
        }
    }
}

impl Scheduler {
    pub(super) fn new(
        workers: Workers,
        Scheduling { limits, order, .. }: Scheduling,
        cache: Option<Arc<ScoreCache>>,
        watch: Box<dyn FnMut(Answered) + Send>,
    ) -> Self {
        Self {
            workers,
            limits,
            cache,
            watch,
            queue: Queue::new(order),
            equal: EqualPairs::default(),
            requests: AHashMap::new(),
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
                Ok(Event::Request { number, units, reply }) => self.accept(number, units, reply),
                Ok(Event::Cancel(number)) => self.cancel(number),
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
            self.note_start(&batch);
            self.workers.hand_out(batch);
        }
    }

    fn note_start(&mut self, batch: &Batch) {
        let (now, mut last) = (Instant::now(), None);
        for pair in batch.pairs() {
            let others = self.equal.others(pair).iter().map(|pair| pair.group);
            // A batch has the pairs of a request one after the other.
            for group in Some(pair.group).filter(|group| last != Some(*group)).into_iter().chain(others) {
                if let Some(request) = self.requests.get_mut(&group) {
                    request.started.get_or_insert(now);
                }
            }
            last = Some(pair.group);
        }
    }

    fn accept(&mut self, group: usize, units: Vec<Unit>, reply: Reply) {
        if self.stopped {
            return;
        }
        let keys = units.iter().map(|unit| unit.key).collect();
        let logits: Vec<f32> = units.iter().map(|unit| unit.known.unwrap_or(f32::NAN)).collect();
        let missing = units.iter().filter(|unit| unit.known.is_none()).count();
        let cached = (units.len() - missing) as u64;
        if cached > 0 {
            (self.watch)(Answered { cached, ..Answered::default() });
        }
        let mut request = Waiting { keys, logits, missing, started: None, reply: Some(reply) };
        if missing == 0 {
            let logits = std::mem::take(&mut request.logits);
            return request.reply(Ok(logits));
        }
        if self.workers.are_gone() {
            return request.reply(Err(PANICKED.to_owned()));
        }
        self.requests.insert(group, request);
        let units = units.into_iter().enumerate().filter(|(_, unit)| unit.known.is_none());
        let scored =
            units.filter(|(candidate, unit)| self.equal.add(unit.key, PairId { group, candidate: *candidate }));
        let prompts: Vec<(usize, Prompt)> = scored.map(|(candidate, unit)| (candidate, unit.prompt)).collect();
        self.queue.push(group, prompts, self.limits);
    }

    /// Drops what waits of a request that nobody waits for, and what waited only because an equal pair of this request did.
    fn cancel(&mut self, group: usize) {
        let Some(request) = self.requests.get_mut(&group) else { return };
        request.reply = None;
        let (left, scored) = self.equal.leave(group, &request.keys);
        request.missing -= left;
        self.drop_unneeded(group);
        scored.into_iter().for_each(|group| self.drop_unneeded(group));
    }

    /// Drops the pairs that wait of a request, if nobody waits for it, but for those that have equal pairs of other requests.
    fn drop_unneeded(&mut self, group: usize) {
        let Some(request) = self.requests.get_mut(&group).filter(|request| request.reply.is_none()) else { return };
        let equal = &self.equal;
        let removed = self.queue.remove(group, |candidate| !equal.others(PairId { group, candidate }).is_empty());
        for candidate in &removed {
            self.equal.take(request.keys[*candidate], PairId { group, candidate: *candidate });
        }
        request.missing -= removed.len();
        if request.missing == 0 {
            self.requests.remove(&group);
        }
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
                let answered =
                    Answered { equal, operations: done.operations, profile: done.profile, ..of(&done.batch) };
                (self.watch)(answered);
                done.batch.pairs().zip(logits).for_each(|(pair, logit)| self.finish(pair, &Ok(logit)));
            }
            Err(problem) => {
                (self.watch)(Answered { failed: 1, ..Answered::default() });
                let failed = Err(problem);
                done.batch.pairs().for_each(|pair| self.finish(pair, &failed));
            }
        }
        if self.workers.are_gone() {
            let mut requests: Vec<(usize, Waiting)> = self.requests.drain().collect();
            requests.sort_by_key(|(number, _)| *number);
            requests.into_iter().for_each(|(_, mut request)| request.reply(Err(PANICKED.to_owned())));
            self.queue.clear();
        }
    }

    /// Gives a unit's logit, or why it has none, to all pairs that wait for it.
    fn finish(&mut self, pair: PairId, logit: &Result<f32, String>) {
        let Some(key) = self.requests.get(&pair.group).map(|request| request.keys[pair.candidate]) else { return };
        if let (Some(cache), Ok(logit)) = (&self.cache, logit) {
            cache.insert(key, *logit);
        }
        for pair in std::iter::once(pair).chain(self.equal.take(key, pair)) {
            let Some(request) = self.requests.get_mut(&pair.group) else { continue };
            request.missing -= 1;
            match logit {
                Ok(logit) => request.logits[pair.candidate] = *logit,
                Err(problem) => request.reply(Err(problem.clone())),
            }
            if request.missing == 0
                && let Some(mut request) = self.requests.remove(&pair.group)
            {
                let logits = std::mem::take(&mut request.logits);
                request.reply(Ok(logits));
            }
        }
    }
}

const PANICKED: &str = "the thread that scored it has panicked";

/// The figures of a batch.
fn of(batch: &Batch) -> Answered {
    let lengths = batch.pair_segments().map(|segment| {
        let last = batch.segments[segment].tokens.end - 1;
        u64::from(batch.positions[last]) + 1
    });
    Answered {
        computed: batch.pairs().count() as u64,
        tokens: batch.token_ids.len() as u64,
        prompt_tokens: lengths.sum(),
        ..Answered::default()
    }
}
