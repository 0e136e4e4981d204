//! What a model's weights are and what memory they take, as users read it.

use std::fmt::{self, Display, Formatter};

use anyhow::Result;
use indicatif::BinaryBytes;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::checkpoint::{Adapter, Weights};
use crate::engine::{StreamedLayers, Target, weights_memory};
use crate::model::Architecture;

/// A model's weights, in the checkpoint and on a device.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct WeightsReport {
    /// Bytes that they take in the checkpoint's files.
    stored_bytes: u64,
    /// The share of the values that are stored in each form, such as `bf16` or `Q4_K`, largest first.
    forms: Map<String, Value>,
    /// Bytes that they take in a device's memory, without what a batch needs besides.
    memory_bytes: u64,
    /// The layers that stay in host memory, because a GPU has too little.
    #[serde(skip_serializing_if = "Option::is_none")]
    streamed: Option<StreamedLayers>,
    /// What is merged into them.
    #[serde(skip_serializing_if = "Option::is_none")]
    adapter: Option<String>,
}

impl WeightsReport {
    /// Looks at the tensors that a model reads.
    ///
    /// # Errors
    /// If one is missing, or of another shape or type than described.
    pub fn new(architecture: &Architecture, weights: &Weights, target: &Target) -> Result<Self> {
        let summary = weights.summary(architecture)?;
        let all = summary.forms.iter().map(|(_, values)| values).sum::<u64>().max(1) as f64;
        let memory = weights_memory(architecture, weights, target)?;
        let share = |(form, values): (String, u64)| (form, Value::from(values as f64 / all));
        Ok(Self {
            stored_bytes: summary.bytes,
            forms: summary.forms.into_iter().map(share).collect(),
            memory_bytes: memory.bytes,
            streamed: memory.streamed,
            adapter: weights.adapter().map(Adapter::describe),
        })
    }
}

impl WeightsReport {
    /// Whether layers stay in host memory.
    pub fn is_streamed(&self) -> bool {
        self.streamed.is_some()
    }
}

impl Display for WeightsReport {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        let percent = |(form, share): (&String, &Value)| match share.as_f64().unwrap_or_default() * 100. {
            share if self.forms.len() == 1 || share >= 99.95 => form.clone(),
            share if share < 0.05 => format!("{form} under 0.1%"),
            share => format!("{form} {share:.1}%"),
        };
        let forms: Vec<String> = self.forms.iter().map(percent).collect();
        let (stored, memory) = (BinaryBytes(self.stored_bytes), BinaryBytes(self.memory_bytes));
        write!(formatter, "{stored} as stored ({}), {memory} in memory", forms.join(", "))?;
        if let Some(StreamedLayers { layers, of, host_bytes }) = self.streamed {
            let host = BinaryBytes(host_bytes);
            write!(
                formatter,
                "; {layers} of {of} layers are kept in host memory ({host}) and uploaded for each batch"
            )?;
        }
        self.adapter.iter().try_for_each(|adapter| write!(formatter, "; adapter {adapter}"))
    }
}
