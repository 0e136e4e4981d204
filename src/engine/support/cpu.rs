//! What of a description the engine of the processor can compute.

use anyhow::Result;

use super::Support;
use crate::model::{Attention, HeadOutput, Linear, Norm, NormKind};

impl Support<'_> {
    pub(super) fn check_cpu(&self) -> Result<()> {
        let [first, ..] = &self.architecture.layers[..] else { return self.lacks(true, "a model without layers") };
        for layer in &self.architecture.layers {
            self.check_cpu_attention(&layer.attention, &first.attention)?;
        }
        self.check_cpu_around()
    }

    fn check_cpu_attention(&self, attention: &Attention, first: &Attention) -> Result<()> {
        let Attention { heads, query_key_norms, rotary, relative, .. } = attention;
        self.lacks(relative.is_some(), "disentangled attention")?;
        self.lacks(*heads != first.heads, "heads that differ by layer")?;
        self.lacks(heads.key == 0 || !heads.query.is_multiple_of(heads.key), "heads that can't be shared evenly")?;
        let part = rotary.is_some_and(|rotary| rotary.features != heads.head_dim);
        self.lacks(part, "a rotary embedding of parts of heads")?;
        self.lacks(
            rotary.is_some() && !heads.head_dim.is_multiple_of(2),
            "a rotary embedding of an odd number of features",
        )?;
        let Some(norms) = query_key_norms else { return Ok(()) };
        self.lacks(rotary.is_none(), "norms of queries and keys without a rotary embedding")?;
        let of_heads = |norm: &Norm| norm.kind == NormKind::Rms && norm.weight.rows.len() == heads.head_dim;
        self.lacks(!norms.iter().all(of_heads), "norms of queries and keys other than an RMSNorm of each head")?;
        Ok(())
    }

    fn check_cpu_around(&self) -> Result<()> {
        let embedding = &self.architecture.embedding;
        let wide = embedding.projection.as_ref().map_or(embedding.tokens.inputs(), Linear::outputs);
        self.lacks(wide != self.architecture.hidden, "an embedding of other features than the layers'")?;
        if let HeadOutput::Classifier(linear) = &self.architecture.head.output {
            self.lacks(linear.outputs() != 1, "heads of several labels")?;
        }
        Ok(())
    }
}
