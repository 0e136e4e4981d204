//! The pairs of a call get their logits: prompts are made while batches are computed, and few of them wait at a time.

use std::sync::Arc;

use anyhow::{Result, anyhow, bail, ensure};
use pyo3::PyErr;
use rayon::prelude::*;
use rerank::exit::UsageError;
use rerank::progress::Level;
use rerank::recipe::Prompts;
use rerank::record::Query;
use rerank::session::{Access, Unit};

use crate::errors::raised;
use crate::messages::Messages;
use crate::requests::{Pending, Requests, Waited};
use crate::texts::Pairs;

/// Bytes of texts whose prompts are made at a time: signals are looked for in between.
const BYTES_AT_A_TIME: usize = 1 << 20;
/// Fewer bytes than this are not worth waking other threads for.
const FEW_BYTES: usize = 16 << 10;
/// Bytes of texts that wait for their logits, from which on no more prompts are made.
const MOST_WAITING: usize = 4 << 20;
/// The most pairs of a request.
const MOST_PAIRS: usize = 4096;

/// What a call needs of a model.
pub(crate) struct Scoring<'a> {
    pub(crate) access: &'a Access,
    pub(crate) prompts: &'a dyn Prompts,
    pub(crate) messages: &'a Messages,
    /// In place of the model's.
    pub(crate) instruction: Option<Arc<str>>,
    pub(crate) pairs: Pairs<'a>,
}

/// What became of the pairs, in their order.
pub(crate) struct Outcome {
    /// The model's raw outputs, finite.
    pub(crate) logits: Vec<f32>,
    /// 1 for the pairs that were cut, else 0.
    pub(crate) truncated: Vec<u8>,
}

/// Some pairs of one query, whose prompts share a beginning.
struct Piece {
    query: u32,
    /// Its pairs, as a range of the order of scoring.
    places: std::ops::Range<usize>,
    bytes: usize,
}

impl Scoring<'_> {
    /// Scores the pairs. `pause` is called every now and then, and ends the call by an error.
    ///
    /// # Errors
    /// If a text can't be scored, scoring fails, the model was closed, or `pause` fails.
    pub(crate) fn run(&self, pause: &mut dyn FnMut() -> Result<(), PyErr>) -> Result<Outcome, PyErr> {
        let count = self.pairs.documents.len();
        let order = self.order();
        let mut outcome = Outcome { logits: vec![0.; count], truncated: vec![0; count] };
        let mut requests = Requests::new(self.access);
        let mut pieces = self.pieces(&order).into_iter().peekable();
        while let Some(first) = pieces.next() {
            let mut bytes = first.bytes;
            let mut gathered = vec![first];
            while let Some(piece) = pieces.next_if(|piece| bytes + piece.bytes <= BYTES_AT_A_TIME) {
                bytes += piece.bytes;
                gathered.push(piece);
            }
            for (piece, units) in self.units(gathered, &order).map_err(|error| raised(&error))? {
                for (place, unit) in piece.places.clone().zip(&units) {
                    outcome.truncated[order[place]] = u8::from(unit.prompt().truncated);
                }
                requests.submit(units, Pending { places: piece.places, bytes: piece.bytes });
            }
            pause()?;
            while requests.bytes() >= MOST_WAITING {
                requests.rest();
                self.take(&mut requests, &order, &mut outcome, pause)?;
            }
        }
        requests.rest();
        while !requests.are_answered() {
            self.take(&mut requests, &order, &mut outcome, pause)?;
        }
        self.check(&outcome).map_err(|error| raised(&error))?;
        Ok(outcome)
    }

    /// The indices of the pairs, those of a query one after the other.
    fn order(&self) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.pairs.documents.len()).collect();
        order.sort_by_key(|&index| self.pairs.query_of[index]);
        order
    }

    fn pieces(&self, order: &[usize]) -> Vec<Piece> {
        let mut pieces: Vec<Piece> = Vec::new();
        for (place, &index) in order.iter().enumerate() {
            let (query, bytes) = (self.pairs.query_of[index], self.pairs.documents[index].len());
            match pieces.last_mut() {
                Some(piece)
                    if piece.query == query && piece.places.len() < MOST_PAIRS && piece.bytes < BYTES_AT_A_TIME =>
                {
                    piece.places.end = place + 1;
                    piece.bytes += bytes;
                }
                _ => pieces.push(Piece { query, places: place..place + 1, bytes }),
            }
        }
        pieces
    }

    /// The units of pieces, made by all threads if they are worth it.
    fn units(&self, pieces: Vec<Piece>, order: &[usize]) -> Result<Vec<(Piece, Vec<Unit>)>> {
        let queries: Vec<Query> =
            pieces.iter().map(|piece| self.query(piece.query, order[piece.places.start])).collect::<Result<_>>()?;
        let wanted: Vec<(&Query, usize)> = pieces
            .iter()
            .zip(&queries)
            .flat_map(|(piece, query)| order[piece.places.clone()].iter().map(move |&index| (query, index)))
            .collect();
        let unit = |&(query, index): &(&Query, usize)| self.unit(query, index);
        let made: Vec<Unit> = match pieces.iter().map(|piece| piece.bytes).sum::<usize>() < FEW_BYTES {
            true => wanted.iter().map(unit).collect::<Result<_>>()?,
            false => wanted.par_iter().map(unit).collect::<Result<_>>()?,
        };
        let mut made = made.into_iter();
        let of_piece = |piece: Piece| {
            let units = made.by_ref().take(piece.places.len()).collect();
            (piece, units)
        };
        Ok(pieces.into_iter().map(of_piece).collect())
    }

    /// A query, whose first pair is this one.
    fn query(&self, query: u32, first: usize) -> Result<Query> {
        let text = self.pairs.queries[query as usize];
        let place = || if self.pairs.queries.len() == 1 { "query".to_owned() } else { self.place(first) };
        ensure!(
            !text.trim().is_empty(),
            UsageError::new(format!(
                "{}: the query is empty; give the words that documents are to be ranked for",
                place()
            ))
        );
        let instruction = self.instruction.as_deref().map(str::to_owned);
        let query = Query { text: text.to_owned(), instruction, ..Query::default() };
        match self.prompts.check_query(&query) {
            Ok(None) => {}
            Ok(Some(note)) => self.messages.add(Level::Warning, &format!("{}: {note}", place())),
            Err(error) => bail!(UsageError::new(format!("{}: {error:#}", place()))),
        }
        Ok(query)
    }

    fn unit(&self, query: &Query, index: usize) -> Result<Unit> {
        let prompt = self.prompts.prompt(query, self.pairs.documents[index]);
        let prompt = prompt.map_err(|error| UsageError::new(format!("{}: {error:#}", self.place(index))))?;
        Ok(Unit::new(prompt, None))
    }

    /// Takes an answer, if there is one within a moment.
    fn take(
        &self,
        requests: &mut Requests<'_>,
        order: &[usize],
        outcome: &mut Outcome,
        pause: &mut dyn FnMut() -> Result<(), PyErr>,
    ) -> Result<(), PyErr> {
        match requests.wait() {
            Waited::Answered(pending, scored) => {
                let logits = scored.logits.map_err(|problem| raised(&anyhow!("scoring has failed: {problem}")))?;
                pending.places.zip(logits).for_each(|(place, logit)| outcome.logits[order[place]] = logit);
                Ok(())
            }
            Waited::Ended => Err(raised(&anyhow!("the model scores no more, as it was closed or has failed"))),
            Waited::Nothing => pause(),
        }
    }

    fn check(&self, outcome: &Outcome) -> Result<()> {
        if let Some(index) = outcome.logits.iter().position(|logit| !logit.is_finite()) {
            let logit = outcome.logits[index];
            let place = self.place(index);
            bail!("{place}: the model gave {logit} for it; try --dtype f32, and check the model's files");
        }
        let truncated = outcome.truncated.iter().filter(|truncated| **truncated == 1).count();
        if truncated > 0 {
            let all = outcome.truncated.len();
            let message = format!(
                "{truncated} of {all} pairs are longer than fits, and were scored without the end (--max-length)"
            );
            self.messages.add(Level::Warning, &message);
        }
        Ok(())
    }

    /// What a pair is called in messages.
    fn place(&self, index: usize) -> String {
        format!("{}[{index}]", self.pairs.name)
    }
}
