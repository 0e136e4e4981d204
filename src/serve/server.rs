//! What each path answers.

use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use tokio::sync::watch;

use super::admission::{Admission, Place};
use super::body::{BodyLimits, RequestBody};
use super::caught::caught;
use super::deadline::Deadline;
use super::dialect::{self, Context, Dialect, Endpoint, Limits, Rendered};
use super::keys::Keys;
use super::log::{self, RequestLine};
use super::metrics::{self, Metrics};
use super::origins::Origins;
use super::request::{Problem, ProblemKind, RerankRequest, RerankResponse, is_request_id};
use super::response::{refused, respond, set, written};
use super::service::{Admitted, Service};
use super::{ServiceLimits, page};
use crate::engine::gpu::Device;
use crate::progress::Reporter;

/// JSON of this size and more is read and written where it keeps no other connection waiting.
const LARGE: usize = 64 << 10;
/// About what a document adds to a response without its text.
const BYTES_OF_A_RESULT: usize = 64;
/// The header with the identifier of a request.
const REQUEST_ID: &str = "x-request-id";
/// The paths that report whether requests can be answered, below the prefixes of dialects too.
const HEALTH: [&str; 6] =
    ["/health", "/ping", "/.well-known/ready", "/.well-known/live", "/v1/health/ready", "/v1/health/live"];

/// The service with what stands around it.
pub(super) struct Server {
    pub(super) keys: Keys,
    pub(super) origins: Origins,
    pub(super) dialect: Option<Dialect>,
    pub(super) limits: ServiceLimits,
    pub(super) admission: Arc<Admission>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) reporter: Arc<Reporter>,
    pub(super) gpus: OnceLock<Vec<Arc<dyn Device>>>,
    /// The loaded model, once it is there.
    pub(super) service: OnceLock<Arc<Service>>,
    /// Whether the requests at hand are given up, because the service has waited for them long enough at its end.
    pub(super) given_up: watch::Sender<bool>,
    /// Counts requests, for their ids.
    pub(super) requests: AtomicU64,
    /// Sets the ids of this process apart from those of another one.
    pub(super) seed: u64,
}

/// A request for scores until it is answered. If its client goes away before that, this is dropped, and counted.
struct Answering<'a> {
    server: &'a Server,
    began: Instant,
    line: RequestLine,
}

/// The status that nginx logs where the client has closed the connection.
const CLIENT_CLOSED: u16 = 499;

impl Drop for Answering<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.line.status = ProblemKind::Internal as u16;
        }
        self.server.metrics.count(self.line.dialect, self.line.status);
        self.line.seconds = self.began.elapsed().as_secs_f64();
        self.line.print(&self.server.reporter);
    }
}

impl Server {
    /// Answers a request.
    pub(super) async fn answer(self: Arc<Self>, request: Request<Body>) -> Response<Body> {
        let began = Instant::now();
        let id = self.id_of(request.headers());
        let path = request.uri().path().to_owned();
        let (parts, body) = request.into_parts();
        let mut body = RequestBody::new(&parts.headers, body);
        let endpoint = dialect::endpoint(&path).filter(|_| parts.method == Method::POST);
        let answering = async {
            match (endpoint, &parts.method) {
                (Some(endpoint), _) => self.post(&path, &id, endpoint, (&parts.headers, &mut body)).await,
                (None, &Method::GET | &Method::HEAD) => self.get(&path, &parts.headers),
                _ => self.wrong_method(&path),
            }
        };
        let mut response = caught(answering).await.unwrap_or_else(|| self.problem(&path, &panicked()));
        // Many clients read nothing before they have sent everything.
        let _ = self.unless_given_up(body.discard(self.limits.body_bytes)).await;
        if endpoint.is_none() {
            let line = RequestLine::of_other(&id, parts.method.as_str(), &path, response.status().as_u16());
            let is_routine = response.status().is_success() || is_health(&path);
            RequestLine { is_routine, seconds: began.elapsed().as_secs_f64(), ..line }.print(&self.reporter);
        }
        if !response.headers().contains_key(REQUEST_ID) {
            set(&mut response, REQUEST_ID, &id);
        }
        response
    }

    fn get(&self, path: &str, headers: &HeaderMap) -> Response<Body> {
        if is_health(path) || (path == "/" && !self.is_ready() && !accepts_a_page(headers)) {
            return self.health(path);
        }
        if let Some(file) = page::file(path) {
            return file;
        }
        if let Err(problem) = self.origins.check(headers).and_then(|()| self.keys.check(headers)) {
            return self.problem(path, &problem);
        }
        if is_metrics(path) {
            let gpus = self.gpus.get().map_or(&[][..], Vec::as_slice);
            let text = self.metrics.text(&self.admission, gpus).unwrap_or_default();
            return respond(StatusCode::OK, metrics::CONTENT_TYPE, text);
        }
        if dialect::endpoint(path).is_some() {
            return self.wrong_method(path);
        }
        let Some(service) = self.service.get() else { return self.problem(path, &loading()) };
        match dialect::get(path, &service.facts) {
            Some(json) => respond(StatusCode::OK, "application/json", json),
            None => self.problem(path, &not_found(path)),
        }
    }

    fn is_ready(&self) -> bool {
        self.service.get().is_some_and(|service| service.health.is_good())
    }

    /// Whether requests can be answered.
    fn health(&self, path: &str) -> Response<Body> {
        let status = match self.service.get() {
            None => "loading",
            // A process that lives needs no restart because it loads.
            Some(service) if service.health.is_good() => "ok",
            Some(_) => "failing",
        };
        let is_live = status == "loading" && path.trim_end_matches('/').ends_with("/live");
        let code = if status == "ok" || is_live { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
        respond(code, "application/json", format!("{{\"status\":\"{status}\"}}"))
    }

    async fn post(
        &self,
        path: &str,
        id: &str,
        endpoint: Endpoint,
        request: (&HeaderMap, &mut RequestBody),
    ) -> Response<Body> {
        let dialect = dialect::of_error(path, self.dialect);
        let line = RequestLine {
            message: "request",
            request_id: id.to_owned(),
            method: "POST".to_owned(),
            path: log::shortened(path),
            dialect: dialect.name(),
            status: CLIENT_CLOSED,
            ..RequestLine::default()
        };
        let mut answering = Answering { server: self, began: Instant::now(), line };
        let deadline = Deadline::of(request.0, self.limits.request);
        let read = self.unless_given_up(self.read(endpoint, dialect, request, deadline.as_ref())).await;
        let (dialect, answered) = match read.unwrap_or_else(|problem| Err((dialect, problem))) {
            Ok((dialect, request, place, deadline)) => {
                answering.line.dialect = dialect.name();
                answering.line.documents = request.documents.len();
                if let Some(own) = &request.id {
                    answering.line.request_id.clone_from(own);
                }
                let id = answering.line.request_id.clone();
                let scored = self.unless_given_up(self.rerank((request, place), dialect, &id, deadline)).await;
                (dialect, scored.unwrap_or_else(Err))
            }
            Err((dialect, problem)) => (dialect, Err(problem)),
        };
        let line = &mut answering.line;
        line.dialect = dialect.name();
        let mut response = match answered {
            Ok((response, rendered)) => {
                line.status = 200;
                line.tokens = response.tokens();
                line.tokenization_seconds = response.timings.tokenization;
                line.queue_seconds = response.timings.queue;
                line.inference_seconds = response.timings.inference;
                self.metrics.answer(&response);
                written(rendered, &self.admission)
            }
            Err(problem) => {
                line.status = problem.status();
                line.problem = (problem.kind == ProblemKind::Internal).then(|| problem.message.clone());
                refused(dialect, &problem)
            }
        };
        set(&mut response, REQUEST_ID, &line.request_id);
        response
    }

    /// What comes of a request, unless it is given up before.
    async fn unless_given_up<T>(&self, work: impl Future<Output = T>) -> Result<T, Problem> {
        let mut given_up = self.given_up.subscribe();
        tokio::select! {
            biased;
            done = work => Ok(done),
            _ = given_up.wait_for(|given_up| *given_up) => Err(self.ended()),
        }
    }

    fn ended(&self) -> Problem {
        let seconds = self.limits.drain.as_secs();
        let message = format!(
            "the service ends, and the request was not done within {seconds} s (--drain-timeout); ask another one"
        );
        Problem::new(ProblemKind::Unavailable, message)
    }

    /// Reads a request for scores. It is returned with the place that its body holds.
    async fn read(
        &self,
        endpoint: Endpoint,
        dialect: Dialect,
        (headers, body): (&HeaderMap, &mut RequestBody),
        deadline: Result<&Deadline, &Problem>,
    ) -> Result<(Dialect, RerankRequest, Place, Deadline), (Dialect, Problem)> {
        let checked = self.origins.check(headers).and_then(|()| self.keys.check(headers));
        checked.map_err(|problem| (dialect, problem))?;
        let deadline = deadline.map_err(|problem| (dialect, problem.clone()))?;
        if self.service.get().is_none() {
            return Err((dialect, loading()));
        }
        let limits = BodyLimits { bytes: self.limits.body_bytes, patience: deadline.left() };
        let body = body.read(headers, limits, &self.admission).await;
        let (body, place) = body.map_err(|problem| (dialect, problem))?;
        let limits = Limits { documents: self.limits.documents, characters: self.limits.characters };
        let parse = || endpoint.read(&body, self.dialect, &limits);
        let (dialect, request) = aside(body.len(), parse)?;
        Ok((dialect, request, place, *deadline))
    }

    async fn rerank(
        &self,
        (request, place): (RerankRequest, Place),
        dialect: Dialect,
        id: &str,
        deadline: Deadline,
    ) -> Result<(RerankResponse, Rendered), Problem> {
        let Some(service) = self.service.get() else { return Err(loading()) };
        check_model(&request, service)?;
        if request.instruction.is_some() && !service.facts.takes_instruction {
            let message = "`instruction`: this model's prompt has no place for one; leave it out";
            return Err(Problem::new(ProblemKind::Invalid, message));
        }
        let Some(admitted) = Admitted::new(request, place) else { return Err(self.busy()) };
        let response = service.rerank(&admitted, deadline).await?;
        let created = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs());
        let context = Context { facts: &service.facts, id, created };
        let request = &admitted.request;
        let render = || dialect.render(request, &response, &context);
        let rendered = aside(request.bytes() + response.ranking.len() * BYTES_OF_A_RESULT, render);
        if rendered.body.is_empty() {
            return Err(Problem::new(
                ProblemKind::Internal,
                "the response can't be written, which is a fault of rerank",
            ));
        }
        Ok((response, rendered))
    }

    fn busy(&self) -> Problem {
        let held = self.admission.held();
        let message = format!("{} pairs of {} requests wait already; try again soon", held.pairs, held.requests);
        Problem::new(ProblemKind::Busy, message)
    }

    /// Whether a path is one that is read by GET.
    fn is_read(&self, path: &str) -> bool {
        let facts = self.service.get().map(|service| &service.facts);
        is_health(path)
            || is_metrics(path)
            || page::file(path).is_some()
            || facts.is_some_and(|facts| dialect::get(path, facts).is_some())
    }

    /// The answer to a method that a path does not have.
    fn wrong_method(&self, path: &str) -> Response<Body> {
        let methods = match (self.is_read(path), dialect::endpoint(path).is_some()) {
            (false, false) => return self.problem(path, &not_found(path)),
            (true, false) => "GET, HEAD",
            (false, true) => "POST",
            (true, true) => "GET, HEAD, POST",
        };
        let problem = Problem::new(ProblemKind::MethodNotAllowed, format!("{path} is asked with {methods}"));
        let mut response = self.problem(path, &problem);
        response.headers_mut().insert(header::ALLOW, HeaderValue::from_static(methods));
        response
    }

    fn problem(&self, path: &str, problem: &Problem) -> Response<Body> {
        refused(dialect::of_error(path, self.dialect), problem)
    }

    /// The client's own id of a request, or a new one.
    fn id_of(&self, headers: &HeaderMap) -> String {
        let sent = headers.get(REQUEST_ID).and_then(|id| id.to_str().ok());
        sent.filter(|id| is_request_id(id)).map_or_else(
            || {
                let number = self.requests.fetch_add(1, Ordering::Relaxed);
                format!("{:016x}", self.seed.wrapping_add(number).wrapping_mul(0x9e37_79b9_7f4a_7c15))
            },
            str::to_owned,
        )
    }
}

/// For text-embeddings-inference, the root is one of these paths.
fn is_health(path: &str) -> bool {
    let (dialect, rest) = dialect::without_prefix(path);
    HEALTH.contains(&rest) || (dialect == Some(Dialect::Tei) && rest.is_empty())
}

fn is_metrics(path: &str) -> bool {
    dialect::without_prefix(path).1 == "/metrics"
}

/// Whether a browser asks, and not a program that wants to know whether the service is there.
fn accepts_a_page(headers: &HeaderMap) -> bool {
    headers.get(header::ACCEPT).is_some_and(|kinds| String::from_utf8_lossy(kinds.as_bytes()).contains("text/html"))
}

fn check_model(request: &RerankRequest, service: &Service) -> Result<(), Problem> {
    let facts = &service.facts;
    match &request.model {
        Some(model) if *model != facts.model && !facts.aliases.contains(model) => Err(Problem::new(
            ProblemKind::NotFound,
            format!("this service has the model {}; ask for that, or leave `model` out", facts.model),
        )),
        _ => Ok(()),
    }
}

/// Works on so many bytes of JSON.
fn aside<T>(bytes: usize, work: impl FnOnce() -> T) -> T {
    if bytes < LARGE { work() } else { tokio::task::block_in_place(work) }
}

fn panicked() -> Problem {
    Problem::new(ProblemKind::Internal, "answering the request has panicked, which is a fault of rerank")
}

fn loading() -> Problem {
    Problem::new(ProblemKind::Unavailable, "the model is still loading; GET /health reports when it is ready")
}

fn not_found(path: &str) -> Problem {
    let message = match dialect::misplaced(path) {
        Some(sentence) => sentence.to_owned(),
        None => {
            "there is nothing at this path; POST /v1/rerank ranks documents, and GET / has a page to try it".to_owned()
        }
    };
    Problem::new(ProblemKind::NotFound, message)
}
