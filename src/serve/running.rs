//! The service from its start to its end: the port is opened first, so that health can be asked for while the model loads.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::AtomicU64;
use std::sync::mpsc::channel;
use std::sync::{Arc, OnceLock};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, anyhow};
use tokio::net::{TcpListener, TcpSocket, lookup_host};
use tokio::runtime::Builder;
use tokio::sync::{Semaphore, oneshot, watch};

use super::ServeConfig;
use super::admission::Admission;
use super::connections;
use super::health::Health;
use super::keys::Keys;
use super::metrics::Metrics;
use super::origins::Origins;
use super::request::ServiceFacts;
use super::server::Server;
use super::service::Service;
use crate::batch::QueueOrder;
use crate::cache::ScoreCache;
use crate::checkpoint::Downloads;
use crate::device::Opened;
use crate::exit::Exit;
use crate::panics;
use crate::progress::{Progress, Reporter, Verbosity};
use crate::record::Query;
use crate::session::{Scheduling, Session, Unit};
use crate::setup::{self, Finding, Loading, Setup, finish_cache};
use crate::stop::Stop;

/// Threads that read requests and write responses; those of the model are others.
const CONNECTION_THREADS: usize = 2;
/// Connections that may wait to be taken: a burst of clients must not have to try again.
const BACKLOG: u32 = 1024;
/// Requests whose prompts are made at a time, at least: a large one must not keep small ones waiting.
const LEAST_TOKENIZING: usize = 4;

/// Serves until a stop is requested, and then answers the requests at hand.
///
/// # Errors
/// If the address can't be opened, the model can't be loaded, or scores can't be written to the cache.
pub fn run(config: &ServeConfig, stop: &Stop) -> Result<Exit> {
    let reporter = Arc::new(match config.is_json_log {
        true => Reporter::json(config.verbosity),
        false => Reporter::new(Progress::None, config.verbosity),
    });
    panics::report_place(&reporter);
    config.notes.iter().for_each(|note| reporter.note(note));
    crate::threads::start(config.model.threads)?;
    // Each connection takes a descriptor, and systems give a process few unless it asks for more. Where it gets no more, room is made
    // when there are none left.
    let _ = rlimit::increase_nofile_limit(u64::MAX);
    let runtime = Builder::new_multi_thread().worker_threads(CONNECTION_THREADS).enable_all().build()?;
    let server = Arc::new(server(config, &reporter));
    let listener = runtime.block_on(listen(config))?;
    let address = listener.local_addr()?;
    reporter.line(&format!("listening on http://{address}"));
    warn_of_strangers(config, address, &reporter);
    let (end, ending) = oneshot::channel::<()>();
    let connections = runtime.spawn({
        let (server, cors) = (Arc::clone(&server), config.address.cors.clone());
        async move {
            connections::take(listener, &server, &cors, async {
                // An error is the end, too: that of a program whose model could not be loaded.
                let _ = ending.await;
            })
            .await
        }
    });
    let Loaded { session, cache, service } = load(config, &server, &reporter)?;
    // Requests are taken only once a signal lets them be answered.
    stop.begin_scoring(move || {
        let _ = end.send(());
    });
    open(service, &server, &reporter);
    let is_drained =
        runtime.block_on(connections).map_err(|_| anyhow!("the thread that takes connections has panicked"))?;
    session.finish()?.iter().for_each(|warning| reporter.note(warning));
    finish_cache(config.cache.as_ref(), cache.as_deref(), &reporter)?;
    if !is_drained {
        let seconds = config.limits.drain.as_secs();
        reporter.error(&format!("not all requests were answered within {seconds} s (--drain-timeout)"));
        return Ok(Exit::Failed);
    }
    reporter.line("all requests are answered");
    Ok(Exit::Done)
}

async fn listen(config: &ServeConfig) -> Result<TcpListener> {
    let (host, port) = (config.address.host.as_str(), config.address.port);
    bind(host, port).await.with_context(|| {
        format!(
            "cannot listen on {host}, port {port}; choose another one with --host and --port, or end what listens there"
        )
    })
}

/// Listens on the first of a host's addresses that can be had.
async fn bind(host: &str, port: u16) -> io::Result<TcpListener> {
    let mut failed = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
    for address in lookup_host((host, port)).await? {
        let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        // A service that is started again can have its address at once.
        socket.set_reuseaddr(cfg!(unix))?;
        match socket.bind(address).and_then(|()| socket.listen(BACKLOG)) {
            Ok(listener) => return Ok(listener),
            Err(error) => failed = error,
        }
    }
    Err(failed)
}

fn warn_of_strangers(config: &ServeConfig, address: SocketAddr, reporter: &Reporter) {
    if config.address.keys.is_empty() && !address.ip().is_loopback() {
        reporter.warning("everybody who reaches this address is served; --api-key-file lets in those who have a key");
    }
}

fn server(config: &ServeConfig, reporter: &Arc<Reporter>) -> Server {
    let nanoseconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_nanos() as u64);
    Server {
        keys: Keys::new(&config.address.keys),
        origins: Origins::new(&config.address.cors, &config.address.host),
        dialect: config.address.dialect,
        limits: config.limits,
        admission: Admission::new(config.limits.queue_pairs, config.limits.queue_bytes),
        metrics: Arc::new(Metrics::new(config.metrics_alias)),
        reporter: Arc::clone(reporter),
        gpus: OnceLock::new(),
        service: OnceLock::new(),
        given_up: watch::Sender::new(false),
        requests: AtomicU64::new(0),
        seed: nanoseconds ^ u64::from(std::process::id()).rotate_left(32),
    }
}

/// The model behind the service, before it is asked.
struct Loaded {
    session: Session,
    cache: Option<Arc<ScoreCache>>,
    service: Service,
}

/// Loads the model, and has it score something.
fn load(config: &ServeConfig, server: &Server, reporter: &Arc<Reporter>) -> Result<Loaded> {
    let choice = &config.model;
    let devices = setup::open_devices(choice, reporter)?;
    let downloads = if config.verbosity == Verbosity::Quiet { Downloads::Silent } else { Downloads::Lines };
    let finding = Finding { weights: true, downloads };
    let setup = Setup::choose(choice, finding, devices, (choice.instructions, choice.precision))?;
    setup.report(true, reporter);
    let cache = setup.open_cache(config.cache.as_ref(), reporter)?;
    let loaded = setup.load(Loading::Supervised, reporter)?;
    let (metrics, health) = (Arc::clone(&server.metrics), Arc::new(Health::default()));
    let scheduling = Scheduling { ahead: setup.batches_ahead(), limits: loaded.limits, order: QueueOrder::Fair };
    let facts = facts(config, &setup, scheduling)?;
    let session = Session::start(loaded.engines, scheduling, cache.clone(), {
        let health = Arc::clone(&health);
        move |answered| {
            metrics.batch(&answered);
            health.note(&answered);
        }
    });
    warm_up(&session, &setup)?;
    let gpu = |device: &Opened| match device {
        Opened::Cpu => None,
        Opened::Gpu(device) => Some(Arc::clone(device)),
    };
    let _ = server.gpus.set(setup.devices.iter().filter_map(gpu).collect());
    let recipe = setup.reranker.recipe();
    let service = Service {
        facts,
        access: session.access(),
        prompts: Arc::clone(&recipe.prompts),
        activation: recipe.activation,
        cache: cache.clone(),
        tokenizing: Arc::new(Semaphore::new(choice.threads.max(LEAST_TOKENIZING))),
        health,
    };
    Ok(Loaded { session, cache, service })
}

/// Opens the service for requests.
fn open(service: Service, server: &Server, reporter: &Reporter) {
    let facts = &service.facts;
    server.metrics.describe(facts);
    let ready = format!("ready: {} in {} on {}", facts.model_with_adapter(), facts.dtype, facts.device);
    let _ = server.service.set(Arc::new(service));
    reporter.line(&ready);
}

/// Scores a pair, so that the first client does not wait for what is done but once.
fn warm_up(session: &Session, setup: &Setup) -> Result<()> {
    let query = Query { text: "a query".to_owned(), ..Query::default() };
    let prompt = setup.reranker.recipe().prompts.prompt(&query, "a document").context("cannot warm up")?;
    let (sender, scored) = channel();
    session.access().submit(vec![Unit::new(prompt, None)], move |scored| {
        let _ = sender.send(scored);
    });
    let scored = scored.recv().context("the model has not scored its first pair")?;
    scored.logits.map(drop).map_err(|problem| anyhow!("the model can't score a pair: {problem}"))
}

fn facts(config: &ServeConfig, setup: &Setup, scheduling: Scheduling) -> Result<ServiceFacts> {
    let recipe = setup.reranker.recipe();
    let mut names = config.names.iter().cloned();
    Ok(ServiceFacts {
        model: names.next().unwrap_or_default(),
        aliases: names.collect(),
        adapter: setup.reranker.adapter().map(str::to_owned),
        fingerprint: setup.fingerprint()?.unwrap_or_default().to_owned(),
        dtype: setup.compute.precision.name().to_owned(),
        device: setup.device(),
        recipe: recipe.name.name.clone(),
        instruction: recipe.instruction.clone(),
        takes_instruction: recipe.takes_instruction,
        max_length: recipe.max_length,
        max_batch_tokens: scheduling.limits.tokens,
        max_batch_pairs: scheduling.limits.pairs,
        max_documents: config.limits.documents,
        max_requests: config.limits.connections,
        version: env!("CARGO_PKG_VERSION"),
        started: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs()),
    })
}
