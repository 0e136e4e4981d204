//! The requests of a call to a session, which are cancelled if the call ends before they are answered.

use std::ops::Range;
use std::sync::mpsc::{Receiver, Sender, channel};

use ahash::AHashMap;
use rerank::session::{Access, Hold, RequestId, Scored, Unit};

use crate::opening::POLL;

/// The requests of a call that are not answered yet.
pub(crate) struct Requests<'a> {
    access: &'a Access,
    at_hand: AHashMap<usize, (RequestId, Pending)>,
    next: usize,
    bytes: usize,
    sender: Sender<(usize, Option<Scored>)>,
    answers: Receiver<(usize, Option<Scored>)>,
    hold: Option<Hold>,
}

/// What is known of a request until it is answered.
#[derive(Clone)]
pub(crate) struct Pending {
    /// The places of its pairs in the order of scoring.
    pub(crate) places: Range<usize>,
    /// The bytes of its texts.
    pub(crate) bytes: usize,
}

/// What became of waiting for an answer.
pub(crate) enum Waited {
    /// A request is answered.
    Answered(Pending, Scored),
    /// The session has ended.
    Ended,
    /// Nothing yet.
    Nothing,
}

/// Reports a request as answered, or as dropped if it never is.
struct Answer {
    number: usize,
    sender: Sender<(usize, Option<Scored>)>,
    scored: Option<Scored>,
}

impl Answer {
    fn give(mut self, scored: Scored) {
        self.scored = Some(scored);
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        // Nobody waits for it if the call has ended.
        let _ = self.sender.send((self.number, self.scored.take()));
    }
}

impl<'a> Requests<'a> {
    /// None yet.
    pub(crate) fn new(access: &'a Access) -> Self {
        let (sender, answers) = channel();
        Self { access, at_hand: AHashMap::new(), next: 0, bytes: 0, sender, answers, hold: None }
    }

    /// Submits a request. Batches wait to be full until [`Requests::rest`].
    pub(crate) fn submit(&mut self, units: Vec<Unit>, pending: Pending) {
        self.hold.get_or_insert_with(|| self.access.hold());
        let number = self.next;
        self.next += 1;
        self.bytes += pending.bytes;
        let answer = Answer { number, sender: self.sender.clone(), scored: None };
        let request = self.access.submit(units, |scored| answer.give(scored));
        self.at_hand.insert(number, (request, pending));
    }

    /// The bytes of texts that wait for answers.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether all are answered.
    pub(crate) fn are_answered(&self) -> bool {
        self.at_hand.is_empty()
    }

    /// No request follows soon.
    pub(crate) fn rest(&mut self) {
        self.hold = None;
    }

    /// Waits a moment for an answer.
    pub(crate) fn wait(&mut self) -> Waited {
        // The sender of this structure keeps the channel open.
        let Ok((number, scored)) = self.answers.recv_timeout(POLL) else { return Waited::Nothing };
        let Some((_, pending)) = self.at_hand.remove(&number) else { return Waited::Nothing };
        self.bytes -= pending.bytes;
        scored.map_or(Waited::Ended, |scored| Waited::Answered(pending, scored))
    }
}

impl Drop for Requests<'_> {
    fn drop(&mut self) {
        self.at_hand.values().for_each(|(request, _)| self.access.cancel(*request));
    }
}
