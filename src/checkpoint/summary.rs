//! What a model's weights are: the forms in which they are stored, and the bytes that they take there.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;

use super::Weights;
use crate::model::{Architecture, Tensor};

/// The weights that a model reads, as they are stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WeightsSummary {
    /// Bytes of the stored tensors.
    pub bytes: u64,
    /// The forms, such as `bf16` or `Q4_K`, and how many values are stored in each, most first.
    pub forms: Vec<(String, u64)>,
}

impl Weights {
    /// Sums up the tensors that a model reads.
    ///
    /// # Errors
    /// If one is missing, or of another shape or type.
    pub fn summary(&self, architecture: &Architecture) -> Result<WeightsSummary> {
        let mut forms = BTreeMap::<String, u64>::new();
        let mut counted = BTreeSet::new();
        let mut names = BTreeSet::new();
        for tensor in architecture.tensors() {
            // The head may be the embedding.
            if !counted.insert((&tensor.name, tensor.rows.start, tensor.rows.end)) {
                continue;
            }
            let found = self.find(tensor)?;
            *forms.entry(found.rows.form()).or_default() += (tensor.rows.len() * tensor.inputs()) as u64;
            names.extend(found.names);
        }
        let mut forms: Vec<_> = forms.into_iter().collect();
        forms.sort_by_key(|(_, values)| std::cmp::Reverse(*values));
        Ok(WeightsSummary { bytes: names.into_iter().map(|name| self.stored_bytes(name)).sum(), forms })
    }

    /// The bytes of the stored tensors that a matrix consists of; of fused ones, in proportion to the rows.
    ///
    /// # Errors
    /// As [`Weights::matrix`].
    pub fn matrix_bytes(&self, tensor: &Tensor) -> Result<u64> {
        let bytes: u64 = self.find(tensor)?.names.into_iter().map(|name| self.stored_bytes(name)).sum();
        let all = tensor.shape.first().copied().unwrap_or(1).max(1) as u64;
        Ok((u128::from(bytes) * tensor.rows.len() as u128 / u128::from(all)) as u64)
    }
}
