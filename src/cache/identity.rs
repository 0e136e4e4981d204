//! What the scores of a cache belong to.

use serde::{Deserialize, Serialize};

/// Everything but the tokens that a logit depends on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// The model, as the user named it.
    pub model: String,
    /// The fingerprint of its files.
    pub fingerprint: String,
    /// The tokens of which the logit is made, if it is a language model's.
    pub answers: String,
    /// The version of the program.
    pub version: String,
    /// The kind of GPU; empty for the processor.
    pub gpu: String,
    /// The precision of products.
    pub dtype: String,
    /// The class of kernels.
    pub kernels: String,
}

impl Identity {
    /// The name of the model's folder: a hash of all but the name that the user gave it.
    pub(super) fn folder(&self) -> String {
        let Self { model: _, fingerprint, answers, version, gpu, dtype, kernels } = self;
        let parts = [fingerprint, answers, version, gpu, dtype, kernels].map(|part| format!("{}:{part}", part.len()));
        let hash = blake3::hash(parts.concat().as_bytes());
        // 128 bits.
        hash.to_hex().chars().take(32).collect()
    }
}
