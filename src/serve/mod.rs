//! `rerank serve`: the engine as an HTTP service.
//!
//! ```text
//! connection ─ bytes ─► dialect ─ RerankRequest ─► service: prompts ─ units ─► session ─ logits ─► dialect ─ bytes ─► connection
//! ```

// What clients send can end nothing but their request: no panic.
#![cfg_attr(
    not(test),
    warn(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::string_slice,
        clippy::get_unwrap,
        clippy::panic,
        clippy::unreachable,
        clippy::todo,
        clippy::unimplemented
    )
)]

mod admission;
mod body;
mod caught;
mod connections;
mod deadline;
mod dialect;
mod health;
mod keys;
mod log;
mod metrics;
mod open;
mod origins;
mod page;
mod request;
mod response;
mod running;
mod server;
mod service;
mod tei_metrics;
mod units;

use std::time::Duration;

pub use self::dialect::Dialect;
pub use self::running::run;
use crate::cli::MetricsAlias;
use crate::config::{CacheChoice, ModelChoice};
use crate::progress::Verbosity;

/// The configuration of the service.
#[derive(Debug)]
pub struct ServeConfig {
    /// Where it listens, and to whom.
    pub address: Address,
    /// What it takes on.
    pub limits: ServiceLimits,
    /// The model, and how it computes.
    pub model: ModelChoice,
    /// The names of the model; responses have the first.
    pub names: Vec<String>,
    /// Where scores are kept.
    pub cache: Option<CacheChoice>,
    /// Whether messages are JSON objects.
    pub is_json_log: bool,
    /// The server under whose names metrics are printed, too.
    pub metrics_alias: Option<MetricsAlias>,
    /// How much is printed on standard error.
    pub verbosity: Verbosity,
    /// What the user should know of how the options were understood.
    pub notes: Vec<String>,
}

/// Where the service listens, and to whom.
pub struct Address {
    /// A name or number of this machine.
    pub host: String,
    /// The port; 0 is a free one.
    pub port: u16,
    /// The keys of which a client must send one, if there are any.
    pub keys: Vec<String>,
    /// The origins whose pages may call it.
    pub cors: Vec<String>,
    /// The dialect of requests whose bodies do not settle it.
    pub dialect: Option<Dialect>,
}

/// Without the keys, which are printed nowhere.
impl std::fmt::Debug for Address {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { host, port, cors, dialect, .. } = self;
        formatter.debug_tuple("Address").field(host).field(port).field(cors).field(dialect).finish()
    }
}

/// What the service takes on.
#[derive(Clone, Copy, Debug)]
pub struct ServiceLimits {
    /// The most bytes of a body.
    pub body_bytes: usize,
    /// The most documents of a request.
    pub documents: usize,
    /// The most characters of a text.
    pub characters: usize,
    /// The most pairs that wait or are computed.
    pub queue_pairs: usize,
    /// The most bytes of bodies, texts and responses that are held.
    pub queue_bytes: usize,
    /// The most connections.
    pub connections: usize,
    /// The time for which a request is tried.
    pub request: Duration,
    /// The time for which requests at hand are waited for at the end.
    pub drain: Duration,
}
