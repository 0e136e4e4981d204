//! The metrics under the names of text-embeddings-inference, on which dashboards and autoscalers are built.

use std::fmt;
use std::sync::atomic::AtomicI64;

use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

use super::request::RerankResponse;
use crate::session::Answered;

/// The metrics of that server that a reranker has. Its counters have no `_total` behind their names, which the format's own
/// counters would add, so they are gauges here.
pub(super) struct TeiMetrics {
    registry: Registry,
    count: Family<Method, Gauge<i64, AtomicI64>>,
    success: Family<Method, Gauge<i64, AtomicI64>>,
    failure: Family<Failure, Gauge<i64, AtomicI64>>,
    duration: Histogram,
    tokenization: Histogram,
    queue: Histogram,
    inference: Histogram,
    input_length: Histogram,
    batch_size: Histogram,
    batch_tokens: Histogram,
    queue_size: Gauge<i64, AtomicI64>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Method {
    method: &'static str,
}

const BATCH: Method = Method { method: "batch" };

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Failure {
    err: &'static str,
}

impl TeiMetrics {
    pub(super) fn register() -> Self {
        let seconds = || Histogram::new(exponential_buckets(0.001, 2., 18));
        let sizes = || Histogram::new(exponential_buckets(1., 2., 16));
        let mut metrics = Self {
            registry: Registry::with_prefix("te"),
            count: Family::default(),
            success: Family::default(),
            failure: Family::default(),
            duration: seconds(),
            tokenization: seconds(),
            queue: seconds(),
            inference: seconds(),
            input_length: sizes(),
            batch_size: sizes(),
            batch_tokens: sizes(),
            queue_size: Gauge::default(),
        };
        let registry = &mut metrics.registry;
        registry.register("request_count", "Requests", metrics.count.clone());
        registry.register("request_success", "Requests that were answered", metrics.success.clone());
        registry.register("request_failure", "Requests that were refused or have failed", metrics.failure.clone());
        registry.register("request_duration", "Seconds of a request", metrics.duration.clone());
        registry.register("request_tokenization_duration", "Seconds of making prompts", metrics.tokenization.clone());
        registry.register("request_queue_duration", "Seconds of waiting for a batch", metrics.queue.clone());
        registry.register("request_inference_duration", "Seconds of scoring", metrics.inference.clone());
        registry.register("request_input_length", "Tokens of a prompt", metrics.input_length.clone());
        registry.register("batch_next_size", "Pairs of a batch", metrics.batch_size.clone());
        registry.register("batch_next_tokens", "Tokens of a batch", metrics.batch_tokens.clone());
        registry.register("queue_size", "Requests that wait or are computed", metrics.queue_size.clone());
        metrics
    }

    pub(super) fn count(&self, code: u16) {
        self.count.get_or_create(&BATCH).inc();
        let err = match code {
            200 => {
                self.success.get_or_create(&BATCH).inc();
                return;
            }
            429 => "overloaded",
            422 => "tokenization",
            503 => "unhealthy",
            500 | 504 => "inference",
            _ => "validation",
        };
        self.failure.get_or_create(&Failure { err }).inc();
    }

    pub(super) fn answer(&self, response: &RerankResponse) {
        let timings = response.timings;
        self.duration.observe(timings.total);
        self.tokenization.observe(timings.tokenization);
        self.queue.observe(timings.queue);
        self.inference.observe(timings.inference);
        response.pairs.iter().for_each(|pair| self.input_length.observe(pair.tokens as f64));
    }

    pub(super) fn batch(&self, answered: &Answered) {
        self.batch_size.observe(answered.computed as f64);
        self.batch_tokens.observe(answered.tokens as f64);
    }

    pub(super) fn encode(&self, output: &mut String, waiting: usize) -> Result<(), fmt::Error> {
        self.queue_size.set(waiting as i64);
        text::encode_registry(output, &self.registry)
    }
}
