//! The engine for many clients at once: requests become units, a session scores them, and scores become responses.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::{Semaphore, oneshot};
use tokio::time::timeout;

use super::admission::Admission;
use super::request::{Problem, ProblemKind, RerankRequest, RerankResponse, ScoredPair, ServiceFacts, Timings};
use super::units::units_of;
use crate::cache::ScoreCache;
use crate::recipe::{Activation, Prompts};
use crate::session::{Access, RequestId, Scored, Unit};

/// So many batches that fail one after the other are taken for a fault of the device, which only a new process can mend.
const FAILURES_OF_A_SICK_DEVICE: u32 = 3;

/// Documents whose prompts are made before another request gets a chance.
const DOCUMENTS_AT_A_TIME: usize = 256;

/// A loaded model that answers requests.
pub(super) struct Service {
    pub(super) facts: ServiceFacts,
    pub(super) access: Access,
    pub(super) prompts: Arc<dyn Prompts>,
    pub(super) activation: Activation,
    pub(super) cache: Option<Arc<ScoreCache>>,
    pub(super) admission: Arc<Admission>,
    /// How many requests have their prompts made at a time.
    pub(super) tokenizing: Semaphore,
    /// After this time, a request is given up.
    pub(super) patience: Duration,
    /// Requests that have failed since one was scored.
    pub(super) failures: AtomicU32,
}

/// A request of the session, which is cancelled when this is dropped before it is done: its client has gone away.
struct Pending<'a> {
    access: &'a Access,
    request: RequestId,
    is_done: bool,
}

impl Drop for Pending<'_> {
    fn drop(&mut self) {
        if !self.is_done {
            self.access.cancel(self.request);
        }
    }
}

impl Service {
    /// Scores a request.
    ///
    /// # Errors
    /// If its texts can't be scored, too much waits already, its time is over, or scoring fails.
    pub(super) async fn rerank(self: &Arc<Self>, request: &Arc<RerankRequest>) -> Result<RerankResponse, Problem> {
        let began = Instant::now();
        let Some(place) = self.admission.take(request.documents.len(), request.bytes()) else {
            let held = self.admission.held();
            return Err(Problem::new(
                ProblemKind::Busy,
                format!("{} pairs of {} requests wait already; try again soon", held.pairs, held.requests),
            ));
        };
        let scored = timeout(self.patience, self.score(request)).await.map_err(|_| {
            let seconds = self.patience.as_secs();
            Problem::new(
                ProblemKind::DeadlineExceeded,
                format!(
                    "the request was not done within {seconds} s (--request-timeout); send fewer documents at a time"
                ),
            )
        })?;
        drop(place);
        let mut response = scored?;
        response.ranking = ranking(request, &response.pairs);
        response.timings.total = began.elapsed().as_secs_f64();
        Ok(response)
    }

    /// Whether scoring works, as far as is known.
    pub(super) fn is_healthy(&self) -> bool {
        self.failures.load(Ordering::Relaxed) < FAILURES_OF_A_SICK_DEVICE
    }

    async fn score(self: &Arc<Self>, request: &Arc<RerankRequest>) -> Result<RerankResponse, Problem> {
        let began = Instant::now();
        let units = self.units(request).await?;
        let tokenization = began.elapsed().as_secs_f64();
        let sizes: Vec<(usize, bool)> =
            units.iter().map(|unit| (unit.prompt().token_ids.len(), unit.prompt().truncated)).collect();
        let submitted = Instant::now();
        let scored = self.submit(units).await?;
        let inference = scored.seconds;
        let queue = (submitted.elapsed().as_secs_f64() - inference).max(0.);
        let logits = self.logits(scored)?;
        let pair = |(logit, (tokens, truncated)): (f32, (usize, bool))| ScoredPair {
            logit,
            score: if request.raw_scores { logit } else { self.activation.score(logit) },
            tokens,
            truncated,
        };
        let pairs = logits.into_iter().zip(sizes).map(pair).collect();
        let timings = Timings { total: 0., tokenization, queue, inference };
        Ok(RerankResponse { pairs, ranking: Vec::new(), timings })
    }

    /// Makes prompts, some at a time, so that other requests get in between, on threads that may take their time.
    async fn units(self: &Arc<Self>, request: &Arc<RerankRequest>) -> Result<Vec<Unit>, Problem> {
        let count = request.documents.len();
        let mut units = Vec::with_capacity(count);
        while units.len() < count || count == 0 {
            let Ok(_permit) = self.tokenizing.acquire().await else { return Err(ended()) };
            let documents = units.len()..count.min(units.len() + DOCUMENTS_AT_A_TIME);
            let (service, request) = (Arc::clone(self), Arc::clone(request));
            let made = tokio::task::spawn_blocking(move || {
                units_of(&request, documents, service.prompts.as_ref(), service.cache.as_deref())
            });
            let panicked = |_| Err(Problem::new(ProblemKind::Internal, "making the prompts has panicked"));
            units.extend(made.await.unwrap_or_else(panicked)?);
            if count == 0 {
                break;
            }
        }
        Ok(units)
    }

    async fn submit(&self, units: Vec<Unit>) -> Result<Scored, Problem> {
        let (sender, receiver) = oneshot::channel();
        let request = self.access.submit(units, move |scored| {
            // Nobody waits for it if its client has gone away.
            let _ = sender.send(scored);
        });
        let mut pending = Pending { access: &self.access, request, is_done: false };
        let scored = receiver.await.map_err(|_| ended())?;
        pending.is_done = true;
        Ok(scored)
    }

    fn logits(&self, scored: Scored) -> Result<Vec<f32>, Problem> {
        match scored.logits {
            Ok(logits) if logits.iter().all(|logit| logit.is_finite()) => {
                self.failures.store(0, Ordering::Relaxed);
                Ok(logits)
            }
            Ok(_) => Err(Problem::new(
                ProblemKind::Internal,
                "the model's output is not a number for one of the documents; another --dtype may help",
            )),
            Err(problem) => {
                self.failures.fetch_add(1, Ordering::Relaxed);
                Err(Problem::new(ProblemKind::Internal, problem))
            }
        }
    }
}

fn ended() -> Problem {
    Problem::new(ProblemKind::Unavailable, "the service is about to end; ask another one")
}

/// The documents that the client wants, best first. −0 and 0 are a tie, as in a run.
fn ranking(request: &RerankRequest, pairs: &[ScoredPair]) -> Vec<usize> {
    let mut ranking: Vec<(usize, &ScoredPair)> = pairs.iter().enumerate().collect();
    ranking.sort_by(|(_, one), (_, other)| other.logit.partial_cmp(&one.logit).unwrap_or(std::cmp::Ordering::Equal));
    let least = request.min_score.unwrap_or(f32::NEG_INFINITY);
    let wanted = ranking.into_iter().filter(|(_, pair)| pair.score >= least).map(|(index, _)| index);
    wanted.take(request.top_n.unwrap_or(usize::MAX)).collect()
}
