//! Requests to stores go through ureq, the client that also asks the hub: one implementation of TLS, one way to name a proxy.
//!
//! A request runs in a thread that may block. Its answer's body comes through a channel of a few pieces, so that a large one is never
//! held as a whole.

use std::error::Error;
use std::fmt;
use std::io::Read;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::{Body, Frame};
use object_store::ClientOptions;
use object_store::client::{
    ClientConfigKey, HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpResponseBody,
    HttpService,
};
use tokio::sync::{mpsc, oneshot};
use ureq::http::{Method, Request, Response, Uri};
use ureq::{Agent, Proxy};

use super::{prefixes, trouble};
use crate::slices::first;
use crate::transport;

/// Bytes of a piece of a body, and the pieces that may wait for their reader.
const PIECE_BYTES: usize = 128 << 10;
const PIECES_WAITING: usize = 4;

/// The wait for a connection, and for an answer or its next bytes, unless the environment names others.
const CONNECT: Duration = Duration::from_secs(10);
const ANSWER: Duration = Duration::from_secs(60);

/// The wait for a whole request that the library sets by default: it is meant for small requests, and ends large ones.
const DEFAULT_OF_LIBRARY: &str = "30s";

/// Settings of the library's own client which have no counterpart here, and may not be passed over.
const REFUSED: [ClientConfigKey; 3] =
    [ClientConfigKey::AllowInvalidCertificates, ClientConfigKey::ProxyCaCertificate, ClientConfigKey::ProxyExcludes];

/// A request that failed on its way, in words.
#[derive(Debug)]
pub(super) struct Transport(pub(super) String);

impl fmt::Display for Transport {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl Error for Transport {}

/// Makes clients.
#[derive(Debug)]
pub(super) struct Connector;

impl HttpConnector for Connector {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        let refused = |problem: String| object_store::Error::NotSupported { source: Box::new(Transport(problem)) };
        let value = |key: ClientConfigKey| options.get_config_value(&key);
        for key in REFUSED {
            let name = key.as_ref().to_ascii_uppercase();
            if value(key).is_some_and(|value| value != "false") {
                return Err(refused(format!("the setting {name} of the environment is not known here: leave it out")));
            }
        }
        let seconds = |key: ClientConfigKey| {
            let text = value(key).filter(|text| text != DEFAULT_OF_LIBRARY);
            text.map(|text| humantime::parse_duration(&text)).transpose().map_err(|error| refused(error.to_string()))
        };
        let connect = seconds(ClientConfigKey::ConnectTimeout)?.unwrap_or(CONNECT);
        let answer = seconds(ClientConfigKey::ReadTimeout)?.unwrap_or(ANSWER);
        let mut config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects_will_error(false)
            .allow_non_standard_methods(true)
            .user_agent(concat!("rerank/", env!("CARGO_PKG_VERSION")))
            .timeout_resolve(Some(connect))
            .timeout_connect(Some(connect))
            .timeout_per_read(Some(answer))
            .timeout_per_write(Some(answer))
            .timeout_recv_response(Some(answer))
            .timeout_per_call(seconds(ClientConfigKey::Timeout)?);
        if let Some(agent) = value(ClientConfigKey::UserAgent) {
            config = config.user_agent(agent);
        }
        if let Some(proxy) = value(ClientConfigKey::ProxyUrl) {
            // The address may have a password.
            let proxy =
                Proxy::new(&proxy).map_err(|_| refused("the setting PROXY_URL is no proxy's address".to_owned()))?;
            config = config.proxy(Some(proxy));
        }
        let allows_http = value(ClientConfigKey::AllowHttp).is_some_and(|value| value == "true");
        Ok(HttpClient::new(Service { agent: config.build().into(), allows_http, answer }))
    }
}

/// A client for the requests to one store.
#[derive(Debug)]
struct Service {
    agent: Agent,
    allows_http: bool,
    answer: Duration,
}

#[async_trait]
impl HttpService for Service {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let (parts, mut body) = request.into_parts();
        let is_plain = parts.uri.scheme_str() == Some("http");
        if is_plain && !self.allows_http {
            let problem = "its address begins with http://, so that what is sent can be read on the way; if that is meant, set \
                           AWS_ALLOW_HTTP=true (AZURE_ALLOW_HTTP, GOOGLE_ALLOW_HTTP)";
            return Err(HttpError::new(HttpErrorKind::Unknown, Transport(problem.to_owned())));
        }
        let mut sent = Vec::with_capacity(body.content_length());
        while let Some(frame) = body.frame().await {
            sent.extend(frame?.into_data().into_iter().flatten());
        }
        let lists_prefixes = prefixes::are_listed(&parts.uri);
        let host = parts.uri.host().unwrap_or_default().to_owned();
        let request = Request::from_parts(parts, sent);
        let (agent, answer) = (self.agent.clone(), self.answer);
        let (answered, answers) = oneshot::channel();
        tokio::task::spawn_blocking(move || exchange(&agent, request, answer, answered));
        let answer = answers.await.unwrap_or_else(|_| Err(failed("the request was given up", HttpErrorKind::Unknown)));
        match &answer {
            Ok(answer) if answer.status().is_server_error() || answer.status().as_u16() == 429 => {
                trouble::failed(&host, &answer.status().to_string());
            }
            Err(error) if error.kind() != HttpErrorKind::Unknown => {
                trouble::failed(&host, &error.source().map(ToString::to_string).unwrap_or_default());
            }
            _ => trouble::answered(),
        }
        let answer = answer?;
        if !lists_prefixes {
            return Ok(answer);
        }
        let (head, body) = answer.into_parts();
        let bytes = body.bytes().await?;
        let listed = std::str::from_utf8(&bytes).map(prefixes::without_odd);
        Ok(HttpResponse::from_parts(head, listed.map_or_else(|_| bytes.clone().into(), HttpResponseBody::from)))
    }
}

fn failed(problem: impl Into<String>, kind: HttpErrorKind) -> HttpError {
    HttpError::new(kind, Transport(problem.into()))
}

/// Sends a request, hands its answer over, and then the pieces of the body for as long as somebody takes them.
fn exchange(
    agent: &Agent,
    request: Request<Vec<u8>>,
    limit: Duration,
    answered: oneshot::Sender<Result<HttpResponse, HttpError>>,
) {
    let uri = request.uri().clone();
    let (head, mut body) = match send(agent, request) {
        Ok(response) => response.into_parts(),
        Err(error) => {
            let problem = transport::problem(&error, limit);
            return drop(answered.send(Err(failed(problem, kind(&error, &uri)))));
        }
    };
    let (pieces, channel) = mpsc::channel(PIECES_WAITING);
    let length = body.content_length();
    if answered.send(Ok(HttpResponse::from_parts(head, HttpResponseBody::new(Pieces(channel))))).is_err() {
        return;
    }
    let (mut reader, mut buffer, mut read) = (body.as_reader(), vec![0; PIECE_BYTES], 0);
    loop {
        let piece = match reader.read(&mut buffer) {
            Ok(0) if length.is_some_and(|length| read < length) => Err("the connection broke off".to_owned()),
            Ok(0) => return,
            Ok(count) => Ok(Bytes::copy_from_slice(first(&buffer, count))),
            Err(error) => Err(transport::problem(&ureq::Error::Io(error), limit)),
        };
        read += piece.as_ref().map_or(0, |piece| piece.len() as u64);
        let is_last = piece.is_err();
        let piece = piece.map_err(|problem| failed(problem, HttpErrorKind::Interrupted));
        if pieces.blocking_send(piece).is_err() || is_last {
            return;
        }
    }
}

fn send(agent: &Agent, request: Request<Vec<u8>>) -> Result<Response<ureq::Body>, ureq::Error> {
    let (parts, body) = request.into_parts();
    let has_body = !body.is_empty() || [Method::PUT, Method::POST].contains(&parts.method);
    if has_body { agent.run(Request::from_parts(parts, body)) } else { agent.run(Request::from_parts(parts, ())) }
}

/// Whether another attempt may help. The machine's own service for credentials answers at once, or there is none.
fn kind(error: &ureq::Error, uri: &Uri) -> HttpErrorKind {
    let is_of_machine = uri.host().is_some_and(|host| host.starts_with("169.254.") || host.starts_with("metadata."));
    match error {
        _ if is_of_machine => HttpErrorKind::Unknown,
        ureq::Error::Timeout(ureq::Timeout::Resolve | ureq::Timeout::Connect) => HttpErrorKind::Connect,
        ureq::Error::Timeout(_) => HttpErrorKind::Timeout,
        ureq::Error::Io(error) if transport::is_timeout(error) => HttpErrorKind::Timeout,
        ureq::Error::Io(error) if transport::was_connected(error) => HttpErrorKind::Interrupted,
        ureq::Error::Protocol(_) => HttpErrorKind::Interrupted,
        ureq::Error::Io(error) if error.kind() == std::io::ErrorKind::InvalidData => HttpErrorKind::Unknown,
        ureq::Error::Io(_) | ureq::Error::ConnectionFailed => HttpErrorKind::Connect,
        _ => HttpErrorKind::Unknown,
    }
}

/// The pieces of a body.
struct Pieces(mpsc::Receiver<Result<Bytes, HttpError>>);

impl Body for Pieces {
    type Data = Bytes;
    type Error = HttpError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, HttpError>>> {
        self.0.poll_recv(context).map(|piece| piece.map(|piece| piece.map(Frame::data)))
    }
}
