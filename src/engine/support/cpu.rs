//! What of a description the engine of the processor can compute.

use anyhow::Result;

use super::{Support, is_layer_norm, is_rms, linears};
use crate::model::{
    Activation, Architecture, Attention, Embedding, HeadOutput, HeadStep, Layer, Mask, Mlp, Norm, NormPlacement,
    Pooling,
};

impl Support<'_> {
    pub(super) fn check_cpu(&self) -> Result<()> {
        let [first, ..] = &self.architecture.layers[..] else { return self.lacks(true, "a model without layers") };
        let is_encoder = first.placement == NormPlacement::After;
        self.check_head(is_encoder)?;
        for layer in &self.architecture.layers {
            self.check_attention(&layer.attention, &first.attention)?;
            if is_encoder {
                self.check_encoder_layer(layer)?;
            } else {
                self.check_decoder_layer(layer)?;
            }
        }
        if is_encoder { self.check_around_encoder() } else { self.check_around_decoder() }
    }

    fn check_head(&self, is_encoder: bool) -> Result<()> {
        let head = &self.architecture.head;
        self.lacks(self.architecture.pooling == Pooling::Mean, "mean pooling")?;
        for step in &head.steps {
            let HeadStep::Dense(linear, activation) = step else { return self.lacks(true, "norms in the head") };
            self.lacks(*activation != Some(Activation::Tanh), "another activation than tanh in the head")?;
            self.lacks(linear.bias.is_none(), "dense layers without biases in the head")?;
        }
        self.lacks(!is_encoder && !head.steps.is_empty(), "dense layers in the head")?;
        if let HeadOutput::Classifier(linear) = &head.output {
            self.lacks(linear.outputs() != 1, "heads of several labels")?;
        }
        Ok(())
    }

    fn check_attention(&self, attention: &Attention, first: &Attention) -> Result<()> {
        let Attention { heads, mask, window, scale, relative, .. } = attention;
        self.lacks(relative.is_some(), "disentangled attention")?;
        self.lacks(*heads != first.heads || *mask != first.mask, "attention that differs by layer")?;
        self.lacks(heads.key == 0 || !heads.query.is_multiple_of(heads.key), "heads that can't be shared evenly")?;
        self.lacks(window.is_some(), "attention in windows")?;
        self.lacks(*scale != heads.usual_scale(), "a scale of attention that is not 1/√head_dim")?;
        let pools_first = self.architecture.pooling == Pooling::FirstToken;
        self.lacks(pools_first && *mask == Mask::Causal, "the first token, which sees nothing but itself,")
    }

    fn check_decoder_layer(&self, layer: &Layer) -> Result<()> {
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
        let gated = matches!(mlp, Mlp::Gated { activation: Activation::Silu, .. });
        self.lacks(!gated, "MLPs that are not gated by silu")?;
        self.lacks(linears(layer).any(|linear| linear.bias.is_some()), "biases")
    }

    fn check_around_decoder(&self) -> Result<()> {
        let Architecture { embedding, final_norm, .. } = self.architecture;
        let Embedding { scale, positions, token_types, norm, projection, .. } = embedding;
        self.lacks(projection.is_some(), "a projection of the embedding")?;
        self.lacks(*scale != 1., "the scaled embedding")?;
        self.lacks(positions.is_some(), "learned positions")?;
        self.lacks(token_types.is_some() || norm.is_some(), "token types or the embedding's norm")?;
        self.lacks(!final_norm.as_ref().is_some_and(is_rms), "another last norm than RMSNorm")
    }

    fn check_encoder_layer(&self, layer: &Layer) -> Result<()> {
        let Layer { placement, attention_norm, attention, mlp_norm, mlp } = layer;
        self.lacks(*placement != NormPlacement::After, "norms before some layers and behind others")?;
        let norms = attention_norm.as_ref().is_some_and(is_layer_norm) && is_layer_norm(mlp_norm);
        self.lacks(!norms, "layers whose norms are not two LayerNorms")?;
        let turns = attention.rotary.is_some() || attention.query_key_norms.is_some();
        self.lacks(turns, "a rotary embedding, or norms of queries and keys, in an encoder")?;
        self.lacks(attention.mask == Mask::Causal, "attention in one direction in an encoder")?;
        let plain = matches!(mlp, Mlp::Plain { activation: Activation::Gelu, .. });
        self.lacks(!plain, "MLPs with another activation than gelu")?;
        self.lacks(linears(layer).any(|linear| linear.bias.is_none()), "linear layers without biases")
    }

    fn check_around_encoder(&self) -> Result<()> {
        let Architecture { embedding, final_norm, pooling, .. } = self.architecture;
        let Embedding { scale, positions, token_types, norm, projection, .. } = embedding;
        self.lacks(projection.is_some(), "a projection of the embedding")?;
        self.lacks(*scale != 1., "the scaled embedding")?;
        self.lacks(
            positions.is_none() || token_types.is_none(),
            "an encoder without learned positions or token types",
        )?;
        self.lacks(!norm.as_ref().is_some_and(is_layer_norm), "an encoder without a LayerNorm of the embedding")?;
        self.lacks(final_norm.is_some(), "a last norm behind norms")?;
        self.lacks(*pooling != Pooling::FirstToken, "the last token of an encoder")
    }
}
