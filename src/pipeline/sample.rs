//! A sample of an input: its first queries are prepared as a dry run prepares them, and the rest is extrapolated or counted.

use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result, bail};

use super::faults::Faults;
use super::outputs;
use super::read::Reading;
use super::setup;
use super::stages::Stages;
use crate::config::Config;
use crate::input::{self, Event, Events, Position};
use crate::out_of_memory::for_records;
use crate::progress::Reporter;
use crate::shard::Positions;

/// Pairs of which the tokens are counted, at least, if the input has as many.
const PAIRS: u64 = 20_000;

/// What an input has, as far as a sample shows it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    /// Queries.
    pub queries: f64,
    /// Pairs.
    pub pairs: f64,
    /// Tokens that are computed, shared beginnings once.
    pub tokens: f64,
    /// Bytes of the candidates' texts and fields.
    pub text_bytes: f64,
}

/// A sample of an input.
pub struct Sample {
    /// What the whole input has; counted to its end if `share` is 1, else extrapolated.
    pub counts: Counts,
    /// The share of the input's bytes that was read, 0 to 1.
    pub share: f64,
    /// Pairs whose tokens were counted.
    pub sampled_pairs: u64,
    /// The seconds in which this machine would score the whole input; or why that is not known.
    pub seconds: Result<f64, String>,
    /// How that was measured.
    pub measured: String,
}

/// What was read of the input.
#[derive(Clone, Copy, Default)]
struct Read {
    queries: u64,
    pairs: u64,
    bytes: u64,
    /// The share at which reading ended; none before that.
    share: Option<f64>,
}

/// The events of a sample: when it has enough pairs, the rest is not read, or, where it is not known how much that is, counted.
struct Beginning<E> {
    events: E,
    position: Option<Position>,
    read: Arc<Mutex<Read>>,
}

impl<E: Iterator<Item = Result<Event>>> Iterator for Beginning<E> {
    type Item = Result<Event>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        if read.share.is_some() {
            return None;
        }
        loop {
            let is_enough = read.pairs >= PAIRS;
            // Of rows that are gathered, all is read before the first query comes.
            let share = self.position.as_ref().map_or(1., Position::share);
            if is_enough && share > 0. && share < 1. {
                read.share = Some(share);
                return None;
            }
            match self.events.next() {
                Some(Ok(Event::Group(group))) => {
                    read.queries += 1;
                    read.pairs += group.candidates.len() as u64;
                    read.bytes += group.bytes() as u64;
                    if !is_enough {
                        return Some(Ok(Event::Group(group)));
                    }
                }
                None => {
                    read.share = Some(1.);
                    return None;
                }
                event => return event,
            }
        }
    }
}

/// Reads a sample of the input of a dry run.
///
/// # Errors
/// If the input or the model's files can't be read, or a record can't be used.
pub fn sample(config: &Config, reporter: &Arc<Reporter>) -> Result<Sample> {
    config.notes.iter().for_each(|note| reporter.note(note));
    crate::threads::start(config.model.threads)?;
    let devices = setup::open_devices(config, reporter)?;
    let faults = Arc::new(Faults::new(config.skip_bad_records, None, Arc::clone(reporter)));
    let (first, events) = for_records(|| {
        let mut events: Events = input::open(&config.input)?;
        outputs::first_group(&mut events, &faults).map(|first| (first, events))
    })?;
    if first.is_none() {
        bail!("the input has no queries, so that there is nothing to plan");
    }
    let setup = setup::choose(config, devices, (config.model.instructions, config.model.precision), reporter)?;
    let (position, read) = (events.position(), Arc::new(Mutex::new(Read::default())));
    let reading = Arc::new(Reading::new(position.clone()));
    let beginning = Beginning { events: first.into_iter().chain(events), position, read: Arc::clone(&read) };
    let stages = Stages {
        config,
        setup: &setup,
        faults: &faults,
        reading: &reading,
        positions: Positions::default(),
        cache: None,
        judging: None,
    };
    let figures = stages.count(beginning, reporter)?;
    if faults.failed() {
        bail!(
            "the sample ends at a record that can't be used; mend it, or leave such records out with --on-error skip"
        );
    }
    let read = *read.lock().unwrap_or_else(PoisonError::into_inner);
    let share = read.share.context("the sample was not read to its end")?;
    let whole = |count: u64| count as f64 / share;
    let of_sample = whole(read.pairs) / (figures.pairs.max(1) as f64);
    Ok(Sample {
        counts: Counts {
            queries: whole(read.queries),
            pairs: whole(read.pairs),
            tokens: figures.computed_tokens as f64 * of_sample,
            text_bytes: whole(read.bytes),
        },
        share,
        sampled_pairs: figures.pairs,
        seconds: figures.estimated_seconds.map(|seconds| seconds * of_sample).ok_or(figures.estimate.clone()),
        measured: figures.estimate,
    })
}
