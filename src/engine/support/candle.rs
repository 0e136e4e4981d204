//! What of a description the engine that is made of candle-transformers' models can compute: DeBERTa-v2.

use anyhow::Result;

use super::Support;
use crate::model::{
    Activation, Architecture, Attention, Embedding, Layer, Linear, Mask, Mlp, Norm, NormKind, NormPlacement, Pooling,
};

impl Support<'_> {
    /// Checks a description with disentangled attention.
    pub(super) fn check_candle(&self) -> Result<()> {
        self.lacks(self.on_gpu, "disentangled attention")?;
        let Architecture { embedding, layers, final_norm, pooling, hidden, .. } = self.architecture;
        let Embedding { scale, norm, projection, .. } = embedding;
        self.lacks(*scale != 1. || projection.is_some(), "the scaled or projected embedding")?;
        self.lacks(!norm.as_ref().is_some_and(is_layer_norm), "an encoder without a LayerNorm of the embedding")?;
        self.lacks(final_norm.is_some(), "a last norm behind norms")?;
        self.lacks(*pooling != Pooling::FirstToken, "the pooling of other tokens than the first")?;
        for layer in layers {
            self.check_candle_layer(layer, &layers[0], *hidden)?;
        }
        Ok(())
    }

    fn check_candle_layer(&self, layer: &Layer, first: &Layer, hidden: usize) -> Result<()> {
        let Layer { placement, attention_norm, attention, mlp_norm, mlp } = layer;
        self.lacks(*placement != NormPlacement::After, "norms before the sums")?;
        let norms = attention_norm.as_ref().is_some_and(is_layer_norm) && is_layer_norm(mlp_norm);
        self.lacks(!norms, "layers whose norms are not two LayerNorms")?;
        self.lacks(layer.linears().any(|linear| linear.bias.is_none()), "linear layers without biases")?;
        let plain = matches!(mlp, Mlp::Plain { activation: Activation::Gelu | Activation::Relu, .. });
        self.lacks(!plain, "MLPs with another activation than gelu and relu")?;
        let Attention { heads, query, key, query_key_norms, rotary, relative, mask, window, scale, .. } = attention;
        let Some(relative) = relative else { return self.lacks(true, "attention that differs by layer") };
        let same = first.attention.relative.as_ref().is_some_and(|first| first.table == relative.table);
        self.lacks(!same || *heads != first.attention.heads, "attention that differs by layer")?;
        self.lacks(heads.key != heads.query || heads.query_width() != hidden, "heads that share keys")?;
        self.lacks(query_key_norms.is_some() || rotary.is_some(), "turned or normalized queries and keys")?;
        self.lacks(*mask != Mask::Bidirectional || window.is_some(), "masks of disentangled attention")?;
        let terms = 1 + relative.projections().count();
        let usual = 1. / ((heads.head_dim * terms) as f64).sqrt();
        self.lacks(*scale != usual, "a scale of disentangled attention that does not count its terms")?;
        let is_of_content = |linear: &Linear| linear == query || linear == key;
        let shared = relative.projections().filter(|linear| is_of_content(linear)).count();
        self.lacks(shared != 0 && shared + 1 != terms, "positions of which one is projected as contents are")
    }
}

fn is_layer_norm(norm: &Norm) -> bool {
    norm.kind == NormKind::Layer && norm.bias.is_some() && norm.weight_offset == 0.
}
