//! What monitoring systems read: counters, gauges and histograms in the text format of OpenMetrics.

use std::fmt;
use std::sync::atomic::{AtomicI64, AtomicU64};
use std::sync::{Arc, OnceLock};

use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;

use super::admission::Admission;
use super::request::{RerankResponse, ServiceFacts};
use super::tei_metrics::TeiMetrics;
use crate::cli::MetricsAlias;
use crate::engine::gpu::Device;
use crate::session::Answered;

/// The content type of the text.
pub(super) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// All metrics.
pub(super) struct Metrics {
    registry: Registry,
    requests: Family<RequestLabels, Counter>,
    pairs: Counter,
    tokens: Counter,
    computed_tokens: Counter,
    duplicates: Counter,
    cached: Counter,
    truncated: Counter,
    queue_pairs: Gauge<i64, AtomicI64>,
    queue_requests: Gauge<i64, AtomicI64>,
    queue_bytes: Gauge<i64, AtomicI64>,
    connections: Gauge<i64, AtomicI64>,
    batch_pairs: Histogram,
    batch_tokens: Histogram,
    request_documents: Histogram,
    request_seconds: Histogram,
    tokenization_seconds: Histogram,
    queue_seconds: Histogram,
    inference_seconds: Histogram,
    gpu_utilization: Family<GpuLabels, Gauge<f64, AtomicU64>>,
    gpu_memory: Family<GpuLabels, Gauge<i64, AtomicI64>>,
    gpu_watts: Family<GpuLabels, Gauge<f64, AtomicU64>>,
    tei: Option<TeiMetrics>,
    /// What is known once the model is loaded.
    service: OnceLock<Registry>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    dialect: &'static str,
    code: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct GpuLabels {
    device: String,
}

fn seconds() -> Histogram {
    Histogram::new(exponential_buckets(0.001, 2., 18))
}

/// Powers of two up to 32,768.
fn sizes() -> Histogram {
    Histogram::new(exponential_buckets(1., 2., 16))
}

impl Metrics {
    /// Makes the metrics, all of them zero, with those of another server's names if they are wanted.
    pub(super) fn new(alias: Option<MetricsAlias>) -> Self {
        let mut metrics = Self {
            registry: Registry::with_prefix("rerank"),
            requests: Family::default(),
            pairs: Counter::default(),
            tokens: Counter::default(),
            computed_tokens: Counter::default(),
            duplicates: Counter::default(),
            cached: Counter::default(),
            truncated: Counter::default(),
            queue_pairs: Gauge::default(),
            queue_requests: Gauge::default(),
            queue_bytes: Gauge::default(),
            connections: Gauge::default(),
            batch_pairs: sizes(),
            batch_tokens: sizes(),
            request_documents: sizes(),
            request_seconds: seconds(),
            tokenization_seconds: seconds(),
            queue_seconds: seconds(),
            inference_seconds: seconds(),
            gpu_utilization: Family::default(),
            gpu_memory: Family::default(),
            gpu_watts: Family::default(),
            tei: None,
            service: OnceLock::new(),
        };
        metrics.register();
        metrics.tei = alias.map(|MetricsAlias::Tei| TeiMetrics::register());
        metrics
    }

    fn register(&mut self) {
        let registry = &mut self.registry;
        registry.register("requests", "Requests for scores, by dialect and status", self.requests.clone());
        registry.register(
            "pairs",
            "Pairs that were scored, those from the cache and equal ones included",
            self.pairs.clone(),
        );
        registry.register("tokens", "Tokens of the scored prompts", self.tokens.clone());
        registry.register(
            "computed_tokens",
            "Tokens that were computed: shared prefixes once for each batch",
            self.computed_tokens.clone(),
        );
        registry.register("duplicate_pairs", "Pairs that got the score of an equal one", self.duplicates.clone());
        registry.register("cache_hits", "Pairs whose scores were in the cache", self.cached.clone());
        registry.register("truncated_pairs", "Pairs whose texts were cut", self.truncated.clone());
        registry.register("queue_pairs", "Pairs that wait or are computed", self.queue_pairs.clone());
        registry.register("queue_requests", "Requests that wait or are computed", self.queue_requests.clone());
        registry.register(
            "queue_bytes",
            "Bytes of bodies, texts, and responses that are not written yet",
            self.queue_bytes.clone(),
        );
        registry.register("connections", "Open connections", self.connections.clone());
        registry.register("batch_pairs", "Pairs of a batch", self.batch_pairs.clone());
        registry.register("batch_tokens", "Computed tokens of a batch", self.batch_tokens.clone());
        registry.register("request_documents", "Documents of a request", self.request_documents.clone());
        registry.register(
            "request_seconds",
            "From the last byte of a request to its response",
            self.request_seconds.clone(),
        );
        registry.register("tokenization_seconds", "Making a request's prompts", self.tokenization_seconds.clone());
        registry.register("queue_seconds", "From then to the start of its first batch", self.queue_seconds.clone());
        registry.register(
            "inference_seconds",
            "From then to the end of its last batch",
            self.inference_seconds.clone(),
        );
        registry.register(
            "gpu_utilization_ratio",
            "Share of the time in which some kernel ran",
            self.gpu_utilization.clone(),
        );
        registry.register("gpu_memory_bytes", "Memory in use, by all programs", self.gpu_memory.clone());
        registry.register("gpu_power_watts", "Power", self.gpu_watts.clone());
    }

    /// Adds what is known once the model is loaded.
    pub(super) fn describe(&self, facts: &ServiceFacts) {
        let mut registry = Registry::default();
        let mut labels = vec![
            ("model", facts.model.clone()),
            ("dtype", facts.dtype.clone()),
            ("device", facts.device.clone()),
            ("version", facts.version.to_owned()),
        ];
        labels.extend(facts.adapter.iter().map(|adapter| ("adapter", adapter.clone())));
        registry.register("rerank", "The service", Info::new(labels));
        let _ = self.service.set(registry);
    }

    /// Counts a response.
    pub(super) fn count(&self, dialect: &'static str, code: u16) {
        self.requests.get_or_create(&RequestLabels { dialect, code }).inc();
        self.tei.iter().for_each(|tei| tei.count(code));
    }

    /// Counts what a request was answered.
    pub(super) fn answer(&self, response: &RerankResponse) {
        let timings = response.timings;
        self.pairs.inc_by(response.pairs.len() as u64);
        self.tokens.inc_by(response.tokens() as u64);
        self.truncated.inc_by(response.pairs.iter().filter(|pair| pair.truncated).count() as u64);
        self.request_documents.observe(response.pairs.len() as f64);
        self.request_seconds.observe(timings.total);
        self.tokenization_seconds.observe(timings.tokenization);
        self.queue_seconds.observe(timings.queue);
        self.inference_seconds.observe(timings.inference);
        self.tei.iter().for_each(|tei| tei.answer(response));
    }

    /// Counts a batch, or pairs that the cache has.
    pub(super) fn batch(&self, answered: &Answered) {
        self.cached.inc_by(answered.cached);
        self.duplicates.inc_by(answered.equal);
        self.computed_tokens.inc_by(answered.tokens);
        if answered.computed > 0 {
            self.batch_pairs.observe(answered.computed as f64);
            self.batch_tokens.observe(answered.tokens as f64);
            self.tei.iter().for_each(|tei| tei.batch(answered));
        }
    }

    /// Counts open connections.
    pub(super) fn connected(&self, change: i64) {
        self.connections.inc_by(change);
    }

    /// The text.
    ///
    /// # Errors
    /// If it can't be written to memory, which does not happen.
    pub(super) fn text(&self, admission: &Admission, gpus: &[Arc<dyn Device>]) -> Result<String, fmt::Error> {
        let held = admission.held();
        self.queue_pairs.set(held.pairs as i64);
        self.queue_requests.set(held.requests as i64);
        self.queue_bytes.set(held.bytes as i64);
        for gpu in gpus {
            let Some(load) = gpu.load() else { continue };
            let labels = GpuLabels { device: gpu.name() };
            self.gpu_utilization.get_or_create(&labels).set(load.utilization);
            self.gpu_memory.get_or_create(&labels).set(load.used_memory as i64);
            self.gpu_watts.get_or_create(&labels).set(load.watts);
        }
        let mut output = String::new();
        text::encode_registry(&mut output, &self.registry)?;
        self.service.get().map_or(Ok(()), |service| text::encode_registry(&mut output, service))?;
        if let Some(tei) = &self.tei {
            tei.encode(&mut output, held.requests)?;
        }
        text::encode_eof(&mut output)?;
        Ok(output)
    }
}
