//! Takes connections, as many as are allowed at a time, and ends them when the service is to end.

use std::convert::Infallible;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::{HeaderName, HeaderValue, Method, Request, header};
use http_body_util::BodyExt;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_io_timeout::TimeoutStream;
use tower::ServiceExt;
use tower_http::cors::{AllowOrigin, CorsLayer};

use super::deadline::REQUEST_TIMEOUT;
use super::dialect::TRUNCATED_DOCUMENTS;
use super::open::{Busy, Connections, Idle};
use super::server::Server;

/// How long a connection may wait for a request, and a request's head may take to come.
const HEAD_PATIENCE: Duration = Duration::from_secs(75);
/// How long a client may take no byte of a response.
const WRITE_PATIENCE: Duration = Duration::from_secs(30);
/// How often clients are looked for that take their responses too slowly.
const LOOK: Duration = Duration::from_secs(1);
/// The most bytes of a request's head.
const MOST_OF_HEAD: usize = 64 << 10;
/// How long accepting waits where the process has no file descriptor left.
const EXHAUSTED_PAUSE: Duration = Duration::from_millis(50);
/// How long the clients whose requests are given up at the end have to take that answer: long enough for a machine that is busy with
/// other work to write it.
const LAST_ANSWERS: Duration = Duration::from_secs(5);

/// Takes connections until `ending` is done, and then waits for the requests at hand, for as long as the limits allow. Those that take
/// longer are given up. Returns whether all were answered.
pub(super) async fn take(
    listener: TcpListener,
    server: &Arc<Server>,
    origins: &[String],
    ending: impl Future<Output = ()>,
) -> bool {
    let router = router(server, origins);
    let connections = Connections::new(server.limits.connections);
    let graceful = GracefulShutdown::new();
    let looking = tokio::spawn(close_slow(Arc::clone(&connections), server.limits.request));
    let mut ending = pin!(ending);
    let mut is_exhausted = false;
    loop {
        let accepted = async {
            match listener.accept().await {
                Ok((stream, _)) => Ok((stream, connections.place().await)),
                Err(error) => Err(error),
            }
        };
        let accepted = tokio::select! {
            accepted = accepted => accepted,
            () = &mut ending => break,
        };
        match accepted {
            Ok((stream, connected)) => {
                is_exhausted = false;
                let (watcher, router, server) = (graceful.watcher(), router.clone(), Arc::clone(server));
                tokio::spawn(async move {
                    server.metrics.connected(1);
                    let idle = Arc::clone(&connected.idle);
                    tokio::select! {
                        // The client may break off whenever it likes.
                        _ = watcher.watch(connection(stream, router, &idle)) => {}
                        () = idle.closed() => {}
                    }
                    server.metrics.connected(-1);
                    drop(connected);
                });
            }
            Err(error) => {
                if !is_exhausted {
                    server.reporter.error(&format!("cannot accept a connection: {error}; it is tried again"));
                }
                is_exhausted = true;
                connections.make_room();
                tokio::time::sleep(EXHAUSTED_PAUSE).await;
            }
        }
    }
    drop(listener);
    let mut drained = pin!(graceful.shutdown());
    // A client that has sent but a part of a request's head is left without an answer that it could wait for.
    let is_drained = timeout(server.limits.drain, &mut drained).await.is_ok() || connections.are_idle();
    if !is_drained {
        server.given_up.send_replace(true);
        let _ = timeout(LAST_ANSWERS, drained).await;
    }
    looking.abort();
    is_drained
}

async fn close_slow(connections: Arc<Connections>, patience: Duration) {
    loop {
        tokio::time::sleep(LOOK).await;
        connections.close_slow(patience);
    }
}

type Connection = http1::Connection<
    TokioIo<std::pin::Pin<Box<TimeoutStream<TcpStream>>>>,
    TowerToHyperService<
        tower::util::BoxCloneService<Request<hyper::body::Incoming>, axum::response::Response, Infallible>,
    >,
>;

fn connection(stream: TcpStream, router: Router, idle: &Arc<Idle>) -> Connection {
    // Small responses are sent at once.
    let _ = stream.set_nodelay(true);
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(WRITE_PATIENCE));
    let idle = Arc::clone(idle);
    let answer = move |request: Request<hyper::body::Incoming>| {
        let (router, busy) = (router.clone(), idle.busy());
        async move {
            let response = router.oneshot(request.map(Body::new)).await;
            busy.write();
            response.map(|response| response.map(|body| noticed(body, busy)))
        }
    };
    let service = tower::service_fn(answer).boxed_clone();
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_PATIENCE)
        .max_buf_size(MOST_OF_HEAD)
        .serve_connection(TokioIo::new(Box::pin(stream)), TowerToHyperService::new(service))
}

/// A response's bytes, which hyper holds until they are written, though it drops their body before.
struct Noticed {
    bytes: Bytes,
    _busy: Arc<Busy>,
}

impl AsRef<[u8]> for Noticed {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// A body for which the connection is busy until its last byte is written.
fn noticed(body: Body, busy: Busy) -> Body {
    let busy = Arc::new(busy);
    let noticed = move |bytes| Bytes::from_owner(Noticed { bytes, _busy: Arc::clone(&busy) });
    Body::new(body.map_frame(move |frame| frame.map_data(&noticed)))
}

fn router(server: &Arc<Server>, origins: &[String]) -> Router {
    let answering = Arc::clone(server);
    let router = Router::new().fallback(move |request: Request<Body>| Arc::clone(&answering).answer(request));
    if origins.is_empty() { router } else { router.layer(cors(origins)) }
}

fn cors(origins: &[String]) -> CorsLayer {
    let origin = match origins.iter().any(|origin| origin == "*") {
        true => AllowOrigin::any(),
        false => AllowOrigin::list(origins.iter().filter_map(|origin| HeaderValue::from_str(origin).ok())),
    };
    // A `*` would not stand for `authorization`.
    let headers = [header::AUTHORIZATION, header::CONTENT_TYPE].into_iter();
    let headers: Vec<HeaderName> =
        headers.chain(["x-api-key", "x-request-id", REQUEST_TIMEOUT].map(HeaderName::from_static)).collect();
    let exposed = ["x-request-id", "retry-after", TRUNCATED_DOCUMENTS].map(HeaderName::from_static);
    CorsLayer::new()
        .allow_origin(origin)
        .allow_methods([Method::GET, Method::POST])
        .allow_headers(headers)
        .expose_headers(exposed)
}
