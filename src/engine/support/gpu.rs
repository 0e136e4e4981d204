//! What of a description the engine of GPUs can compute.

use anyhow::Result;

use super::{Support, is_rms, linears};
use crate::model::{
    Activation, Architecture, Attention, Embedding, HeadOutput, Layer, Mlp, Norm, NormPlacement, Pooling,
};

impl Support<'_> {
    pub(super) fn check_gpu(&self) -> Result<()> {
        let [first, ..] = &self.architecture.layers[..] else { return self.lacks(true, "a model without layers") };
        self.check_gpu_head()?;
        for layer in &self.architecture.layers {
            self.check_gpu_attention(&layer.attention, &first.attention)?;
            self.check_gpu_layer(layer, &first.attention)?;
        }
        self.check_gpu_around()
    }

    fn check_gpu_head(&self) -> Result<()> {
        let Architecture { head, pooling, .. } = self.architecture;
        self.lacks(*pooling != Pooling::LastToken, "the pooling of other tokens than the last")?;
        self.lacks(!head.steps.is_empty(), "dense layers or norms in the head")?;
        if let HeadOutput::Classifier(linear) = &head.output {
            self.lacks(linear.outputs() != 1, "heads of several labels")?;
            self.lacks(linear.bias.is_some(), "a bias in the head")?;
        }
        Ok(())
    }

    fn check_gpu_attention(&self, attention: &Attention, first: &Attention) -> Result<()> {
        let Attention { heads, mask, window, scale, relative, .. } = attention;
        self.lacks(relative.is_some(), "disentangled attention")?;
        self.lacks(*heads != first.heads || *mask != first.mask, "attention that differs by layer")?;
        self.lacks(heads.key == 0 || !heads.query.is_multiple_of(heads.key), "heads that can't be shared evenly")?;
        self.lacks(window.is_some(), "attention in windows")?;
        self.lacks(*scale != heads.usual_scale(), "a scale of attention that is not 1/√head_dim")
    }

    fn check_gpu_layer(&self, layer: &Layer, first: &Attention) -> Result<()> {
        let Layer { placement, attention_norm, attention, mlp_norm, mlp } = layer;
        self.lacks(*placement != NormPlacement::Before, "norms before some layers and behind others")?;
        let norms = attention_norm.as_ref().is_some_and(is_rms) && is_rms(mlp_norm);
        self.lacks(!norms, "layers whose norms are not two RMSNorms")?;
        let Attention { heads, query_key_norms, rotary, .. } = attention;
        let width = |norm: &Norm| norm.weight.rows.len() == heads.head_dim;
        let of_heads = |norms: &[Norm; 2]| norms.iter().all(|norm| is_rms(norm) && width(norm));
        self.lacks(!query_key_norms.as_ref().is_some_and(of_heads), "queries and keys without a norm of each head")?;
        let differ = query_key_norms.as_ref().is_some_and(|[query, key]| query.epsilon != key.epsilon);
        self.lacks(differ, "norms of queries and keys with an ε of their own")?;
        let whole = rotary.is_some_and(|rotary| rotary.features == heads.head_dim);
        self.lacks(!whole, "attention without a rotary embedding of whole heads")?;
        self.lacks(*rotary != first.rotary, "rotary embeddings that differ by layer")?;
        let gated = matches!(mlp, Mlp::Gated { activation: Activation::Silu, .. });
        self.lacks(!gated, "MLPs that are not gated by silu")?;
        self.lacks(linears(layer).any(|linear| linear.bias.is_some()), "biases")
    }

    fn check_gpu_around(&self) -> Result<()> {
        let Architecture { embedding, final_norm, .. } = self.architecture;
        let Embedding { scale, positions, token_types, norm, projection, .. } = embedding;
        self.lacks(projection.is_some(), "a projection of the embedding")?;
        self.lacks(*scale != 1., "the scaled embedding")?;
        self.lacks(positions.is_some(), "learned positions")?;
        self.lacks(token_types.is_some() || norm.is_some(), "token types or the embedding's norm")?;
        self.lacks(!final_norm.as_ref().is_some_and(is_rms), "another last norm than RMSNorm")
    }
}
