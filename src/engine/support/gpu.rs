//! What of a description the engine of GPUs can compute.

use anyhow::Result;

use super::Support;
use crate::model::{Architecture, Attention, HeadOutput, Layer, Mask, Norm, NormKind, NormPlacement, Pooling};

impl Support<'_> {
    pub(super) fn check_gpu(&self) -> Result<()> {
        let [first, ..] = &self.architecture.layers[..] else { return self.lacks(true, "a model without layers") };
        if let HeadOutput::Classifier(linear) = &self.architecture.head.output {
            self.lacks(linear.outputs() != 1, "heads of several labels")?;
        }
        let Architecture { embedding, hidden, .. } = self.architecture;
        let is_narrow = embedding.tokens.inputs() != *hidden && embedding.projection.is_none();
        self.lacks(is_narrow, "an embedding of other features than the layers'")?;
        for layer in &self.architecture.layers {
            self.check_gpu_layer(layer, first)?;
            self.check_gpu_attention(&layer.attention, &first.attention)?;
        }
        Ok(())
    }

    fn check_gpu_layer(&self, layer: &Layer, first: &Layer) -> Result<()> {
        let Layer { placement, attention_norm, .. } = layer;
        self.lacks(*placement != first.placement, "norms before some layers and behind others")?;
        let lacks_norm = *placement == NormPlacement::After && attention_norm.is_none();
        self.lacks(lacks_norm, "layers without a norm behind attention")
    }

    fn check_gpu_attention(&self, attention: &Attention, first: &Attention) -> Result<()> {
        let Attention { heads, query_key_norms, rotary, relative, mask, .. } = attention;
        self.lacks(relative.is_some(), "disentangled attention")?;
        self.lacks(*heads != first.heads || *mask != first.mask, "attention that differs by layer")?;
        self.lacks(heads.key == 0 || !heads.query.is_multiple_of(heads.key), "heads that can't be shared evenly")?;
        let pools_first = self.architecture.pooling == Pooling::FirstToken;
        self.lacks(pools_first && *mask == Mask::Causal, "the first token, which sees nothing but itself,")?;
        let partial = rotary.is_some_and(|rotary| rotary.features != heads.head_dim);
        self.lacks(partial, "a rotary embedding of a part of each head")?;
        self.lacks(heads.head_dim > 256, "heads of more than 256 features")?;
        self.lacks(
            rotary.is_some() && !heads.head_dim.is_multiple_of(2),
            "heads of an odd number of features that turn",
        )?;
        let Some(norms) = query_key_norms else { return Ok(()) };
        self.lacks(!heads.head_dim.is_multiple_of(4), "norms of heads whose features are no multiple of 4")?;
        let fits = |norm: &Norm| norm.kind == NormKind::Rms && norm.weight.rows.len() == heads.head_dim;
        self.lacks(rotary.is_none(), "norms of queries and keys that do not turn")?;
        self.lacks(!norms.iter().all(|norm| fits(norm) && norm.bias.is_none()), "other norms of heads than RMSNorm")?;
        self.lacks(norms[0].epsilon != norms[1].epsilon, "norms of queries and keys with an ε of their own")
    }
}
