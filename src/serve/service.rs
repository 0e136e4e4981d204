//! The engine for many clients at once: requests become units, a session scores them, and scores become responses.

use std::sync::Arc;
use std::time::Instant;

use tokio::sync::{Semaphore, oneshot};
use tokio::time::timeout;

use super::admission::Place;
use super::deadline::Deadline;
use super::health::Health;
use super::request::{Problem, ProblemKind, RerankRequest, RerankResponse, ScoredPair, ServiceFacts, Timings};
use super::units::units_of;
use crate::cache::ScoreCache;
use crate::recipe::{Activation, Prompts};
use crate::session::{Access, RequestId, Scored, Unit};

/// Documents whose prompts are made before another request gets a chance.
const DOCUMENTS_AT_A_TIME: usize = 256;

/// A loaded model that answers requests.
pub(super) struct Service {
    pub(super) facts: ServiceFacts,
    pub(super) access: Access,
    pub(super) prompts: Arc<dyn Prompts>,
    pub(super) activation: Activation,
    pub(super) cache: Option<Arc<ScoreCache>>,
    /// How many requests have their prompts made at a time.
    pub(super) tokenizing: Arc<Semaphore>,
    pub(super) health: Arc<Health>,
}

/// A request that was let in. Its place is free once nobody holds its texts, not even a thread that makes prompts for a client that
/// has gone away.
pub(super) struct Admitted {
    pub(super) request: RerankRequest,
    _place: Place,
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
    /// If its texts can't be scored, its time is over, or scoring fails.
    pub(super) async fn rerank(
        self: &Arc<Self>,
        request: &Arc<Admitted>,
        deadline: Deadline,
    ) -> Result<RerankResponse, Problem> {
        let began = Instant::now();
        let scored = timeout(deadline.left(), self.score(request)).await.map_err(|_| deadline.exceeded())?;
        let mut response = scored?;
        response.ranking = ranking(&request.request, &response.pairs);
        response.timings.total = began.elapsed().as_secs_f64();
        Ok(response)
    }

    async fn score(self: &Arc<Self>, request: &Arc<Admitted>) -> Result<RerankResponse, Problem> {
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
            score: if request.request.raw_scores { logit } else { self.activation.score(logit) },
            tokens,
            truncated,
        };
        let pairs = logits.into_iter().zip(sizes).map(pair).collect();
        let timings = Timings { total: 0., tokenization, queue, inference };
        Ok(RerankResponse { pairs, ranking: Vec::new(), timings })
    }

    /// Makes prompts, some at a time, so that other requests get in between, on threads that may take their time.
    async fn units(self: &Arc<Self>, request: &Arc<Admitted>) -> Result<Vec<Unit>, Problem> {
        let count = request.request.documents.len();
        let mut units = Vec::with_capacity(count);
        while units.len() < count {
            let Ok(permit) = Arc::clone(&self.tokenizing).acquire_owned().await else { return Err(ended()) };
            let documents = units.len()..count.min(units.len() + DOCUMENTS_AT_A_TIME);
            let (service, request) = (Arc::clone(self), Arc::clone(request));
            let made = tokio::task::spawn_blocking(move || {
                // The thread goes on though its client may go away.
                let _permit = permit;
                units_of(&request.request, documents, service.prompts.as_ref(), service.cache.as_deref())
            });
            let panicked = |_| Err(Problem::new(ProblemKind::Internal, "making the prompts has panicked"));
            units.extend(made.await.unwrap_or_else(panicked)?);
        }
        Ok(units)
    }

    fn logits(&self, scored: Scored) -> Result<Vec<f32>, Problem> {
        let problem = match scored.logits {
            Ok(logits) if logits.iter().all(|logit| logit.is_finite()) => return Ok(logits),
            Ok(_) => format!(
                "the output of {} is not a number for one of the documents; another --dtype may help, or its files are damaged",
                self.facts.model_with_adapter()
            ),
            Err(problem) => problem,
        };
        Err(Problem::new(ProblemKind::Internal, problem))
    }

    async fn submit(&self, units: Vec<Unit>) -> Result<Scored, Problem> {
        let (sender, receiver) = oneshot::channel();
        let request = self.access.submit(units, move |scored| {
            // Nobody waits for it if its client has gone away.
            let _ = sender.send(scored);
        });
        let mut pending = Pending { access: &self.access, request, is_done: false };
        let scored = receiver.await.map_err(|_| {
            self.health.note_end();
            ended()
        })?;
        // Where a batch has failed, other pairs of the request may still wait, and are cancelled.
        pending.is_done = scored.logits.is_ok();
        Ok(scored)
    }
}

impl Admitted {
    /// Lets a request in, in place of its body; none, if it doesn't fit beside what is there.
    pub(super) fn new(request: RerankRequest, mut place: Place) -> Option<Arc<Self>> {
        let is_admitted = place.exchange(request.documents.len(), request.bytes());
        is_admitted.then(|| Arc::new(Self { request, _place: place }))
    }
}

fn ended() -> Problem {
    Problem::new(ProblemKind::Unavailable, "the service scores no more, as it ends or has failed; ask another one")
}

/// The documents that the client wants, best first. −0 and 0 are a tie, as in a run.
fn ranking(request: &RerankRequest, pairs: &[ScoredPair]) -> Vec<usize> {
    let mut ranking: Vec<(usize, &ScoredPair)> = pairs.iter().enumerate().collect();
    ranking.sort_by(|(_, one), (_, other)| other.logit.partial_cmp(&one.logit).unwrap_or(std::cmp::Ordering::Equal));
    let least = request.min_score.unwrap_or(f32::NEG_INFINITY);
    let wanted = ranking.into_iter().filter(|(_, pair)| pair.score >= least).map(|(index, _)| index);
    wanted.take(request.top_n.unwrap_or(usize::MAX)).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::sync::mpsc::{Receiver, channel};
    use std::time::Duration;

    use axum::http::HeaderMap;

    use super::*;
    use crate::batch::{Batch, Limits, QueueOrder};
    use crate::engine::Engine;
    use crate::recipe::{RecipeChoice, fake_recipe};
    use crate::serve::admission::Admission;
    use crate::session::{Scheduling, Session};

    /// An engine that scores nothing until it is released.
    struct Stuck(Mutex<Receiver<()>>);

    impl Engine for Stuck {
        fn run(&mut self, batch: &Batch) -> anyhow::Result<Vec<f32>> {
            let _ = self.0.lock().unwrap().recv();
            Ok(vec![0.; batch.pair_segments().count()])
        }
    }

    fn deadline(patience: Duration) -> Deadline {
        Deadline::of(&HeaderMap::new(), patience).unwrap()
    }

    /// A service of this session, and a request to it.
    fn service(session: &Session, admission: &Arc<Admission>) -> (Arc<Service>, Arc<Admitted>) {
        let recipe = fake_recipe(&RecipeChoice::default());
        let service = Arc::new(Service {
            facts: ServiceFacts::default(),
            access: session.access(),
            prompts: recipe.prompts,
            activation: recipe.activation,
            cache: None,
            tokenizing: Arc::new(Semaphore::new(1)),
            health: Arc::default(),
        });
        let texts = |count: usize| (0..count).map(|number| format!("text {number}")).collect::<Vec<_>>();
        let request = RerankRequest { queries: texts(1), documents: texts(9), ..RerankRequest::default() };
        (service, Admitted::new(request, admission.take(0, 0).unwrap()).unwrap())
    }

    const LIMITS: Limits = Limits { pairs: 1, tokens: 100, share_prefixes: false, fill: true };
    const SCHEDULING: Scheduling = Scheduling { ahead: 1, limits: LIMITS, order: QueueOrder::Fair };

    #[tokio::test]
    async fn a_request_that_takes_too_long_is_given_up() {
        let (release, released) = channel();
        let (scored, batches) = channel();
        let engine: Box<dyn Engine> = Box::new(Stuck(Mutex::new(released)));
        let session =
            Session::start(vec![engine], SCHEDULING, None, move |answered| scored.send(answered.computed).unwrap());
        let admission = Admission::new(100, 1000);
        let (service, admitted) = service(&session, &admission);
        let problem = service.rerank(&admitted, deadline(Duration::from_millis(20))).await.unwrap_err();
        assert_eq!(problem.kind, ProblemKind::DeadlineExceeded);
        assert!(problem.message.contains("--request-timeout"), "{}", problem.message);
        drop(admitted);
        assert_eq!(admission.held(), crate::serve::admission::Held::default());
        drop(release);
        session.finish().unwrap();
        assert!(batches.iter().sum::<u64>() < 9, "the pairs that wait are dropped");
    }

    #[tokio::test]
    async fn a_service_whose_scheduler_has_panicked_is_not_healthy() {
        let (release, released) = channel::<()>();
        drop(release);
        let engine: Box<dyn Engine> = Box::new(Stuck(Mutex::new(released)));
        let session = Session::start(vec![engine], SCHEDULING, None, |_| panic!("a fault"));
        let (service, admitted) = service(&session, &Admission::new(100, 1000));
        assert!(service.health.is_good());
        let problem = service.rerank(&admitted, deadline(Duration::from_secs(60))).await.unwrap_err();
        assert_eq!(problem.kind, ProblemKind::Unavailable);
        assert!(!service.health.is_good());
        assert!(session.finish().is_err());
    }
}
