//! The main loop of a run: it brings what the stages and the session report into the input's order, and hands rankings to the
//! writer.

use std::sync::mpsc::{Receiver, Sender, SyncSender};

use anyhow::{Result, anyhow};

use super::order::Order;
use super::prepare::{Prepared, Sink};
use super::stages::Message;
use crate::session::{Access, Hold, Scored, Unit};
use crate::stop::Stop;

/// Whatever happens to a run.
pub(super) enum Arrival {
    /// The next group was submitted to the session.
    Group(Prepared),
    /// A group, counted from 0, is scored.
    Scored(u64, Scored),
    /// A group will not be scored, because the session has stopped.
    Dropped,
    /// No more groups will come.
    End,
    /// After a stop, the batches at hand are scored.
    Stopped,
}

/// How scoring ended.
pub(super) enum End {
    Complete,
    Interrupted,
    /// The writer has stopped, or a bad record that stops the run was reported.
    BrokenOff,
}

/// Submits groups to a session, and reports them to the run.
pub(super) struct Submission {
    access: Access,
    arrivals: Sender<Arrival>,
    submitted: u64,
    hold: Option<Hold>,
}

impl Submission {
    pub(super) fn new(access: Access, arrivals: Sender<Arrival>) -> Self {
        Self { access, arrivals, submitted: 0, hold: None }
    }
}

impl Sink for Submission {
    fn expect(&mut self) {
        self.hold = Some(self.access.hold());
    }

    fn take(&mut self, prepared: Prepared, units: Vec<Unit>) -> bool {
        if self.arrivals.send(Arrival::Group(prepared)).is_err() {
            return false;
        }
        let answer = Answer { number: self.submitted, arrivals: Some(self.arrivals.clone()) };
        self.submitted += 1;
        self.access.submit(units, |scored| answer.give(scored));
        true
    }

    fn rest(&mut self) {
        self.hold = None;
    }
}

impl Drop for Submission {
    /// Also if the thread panics: the run would wait for it otherwise.
    fn drop(&mut self) {
        self.hold = None;
        // This fails only if the run has ended before.
        let _ = self.arrivals.send(Arrival::End);
    }
}

/// Reports a group as scored, or as dropped if it is never scored.
struct Answer {
    number: u64,
    arrivals: Option<Sender<Arrival>>,
}

impl Answer {
    fn give(mut self, scored: Scored) {
        if let Some(arrivals) = self.arrivals.take() {
            let _ = arrivals.send(Arrival::Scored(self.number, scored));
        }
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        if let Some(arrivals) = self.arrivals.take() {
            let _ = arrivals.send(Arrival::Dropped);
        }
    }
}

/// The main loop's connections.
pub(super) struct Run<'a> {
    pub(super) arrivals: &'a Receiver<Arrival>,
    /// With which a stop reports back.
    pub(super) sender: &'a Sender<Arrival>,
    pub(super) access: &'a Access,
    pub(super) stop: &'a Stop,
    pub(super) rankings: &'a SyncSender<Message>,
}

impl Run<'_> {
    /// Sends the rankings of all groups to the writer, and returns how that ended.
    ///
    /// # Errors
    /// If scoring fails. The batches of the other devices are awaited: the rankings that they complete are not lost.
    pub(super) fn collect(&self, order: &mut Order) -> Result<End> {
        let (mut ended, mut failure) = (false, None);
        loop {
            match self.arrivals.recv().map_err(|_| anyhow!("all threads of the run have ended"))? {
                Arrival::Group(prepared) => order.push(prepared),
                Arrival::Scored(number, scored) => {
                    if let Err(problem) = order.take(number, scored)
                        && failure.is_none()
                    {
                        failure = Some(anyhow!(problem));
                        stopper(self.access, self.sender)();
                    }
                }
                Arrival::Dropped if failure.is_some() || self.stop.requested().is_some() => {}
                Arrival::Dropped => return Err(anyhow!("the thread that forms batches has panicked")),
                Arrival::End => ended = true,
                Arrival::Stopped => return failure.map_or(Ok(End::Interrupted), Err),
            }
            while let Some(ranking) = order.next_ranking() {
                let Ok((ranking, permit)) = ranking else { return Ok(End::BrokenOff) };
                if self.rankings.send(Message::Ranking(ranking)).is_err() {
                    return Ok(End::BrokenOff);
                }
                drop(permit);
            }
            if ended && order.is_empty() {
                return Ok(End::Complete);
            }
        }
    }
}

/// What stops a session, and has that reported to the run.
pub(super) fn stopper(access: &Access, arrivals: &Sender<Arrival>) -> impl FnOnce() + Send + 'static {
    let (access, arrivals) = (access.clone(), arrivals.clone());
    move || {
        access.stop(move || {
            // This fails only if the run has ended before.
            let _ = arrivals.send(Arrival::Stopped);
        });
    }
}
