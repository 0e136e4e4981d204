//! What of a description the processor's engine can compute.

use anyhow::{Result, ensure};

use crate::model::{Activation, Architecture, Attention, Layer, Mlp, Norm, NormKind, NormPlacement, Pooling};

/// Refuses a description by the name of what this engine lacks.
///
/// # Errors
/// A sentence that names it.
pub(crate) fn check(architecture: &Architecture) -> Result<()> {
    let Architecture { family, embedding, layers, final_norm, pooling, .. } = architecture;
    let lacks = |has: bool, what: &str| {
        ensure!(!has, "{what} of {family} models can't be computed yet");
        Ok(())
    };
    lacks(*pooling == Pooling::Mean, "mean pooling")?;
    lacks(embedding.scale != 1., "the scaled embedding")?;
    lacks(embedding.token_types.is_some() && embedding.norm.is_none(), "token types without a norm")?;
    let is_other = |norm: &Norm, kind: NormKind| norm.kind != kind || norm.weight_offset != 0.;
    lacks(embedding.norm.as_ref().is_some_and(|norm| is_other(norm, NormKind::Layer)), "the embedding's norm")?;
    lacks(final_norm.as_ref().is_some_and(|norm| is_other(norm, NormKind::Rms)), "the last norm")?;
    let first = &layers[0];
    for layer in layers {
        let Layer { placement, attention_norm, attention, mlp_norm, mlp } = layer;
        lacks(*placement != first.placement, "norms before some layers and behind others")?;
        lacks(attention_norm.is_none(), "attention without a norm")?;
        let kind = if *placement == NormPlacement::Before { NormKind::Rms } else { NormKind::Layer };
        let mut norms = attention_norm.iter().chain([mlp_norm]);
        lacks(norms.any(|norm| is_other(norm, kind)), "this kind of norms at this place in layers")?;
        check_attention(attention, &first.attention, lacks)?;
        let before = *placement == NormPlacement::Before;
        lacks(before && attention.output.bias.is_some(), "the bias of attention's output")?;
        lacks(before && mlp.down().bias.is_some(), "the bias of the MLP's output")?;
        match mlp {
            Mlp::Gated { gate, up, activation, .. } => {
                lacks(*activation != Activation::Silu, "gated MLPs with another activation than silu")?;
                lacks(gate.bias.is_some() || up.bias.is_some(), "biases in gated MLPs")?;
            }
            Mlp::Plain { up, activation, .. } => {
                lacks(*activation != Activation::Gelu, "MLPs with another activation than gelu")?;
                lacks(up.bias.is_none(), "MLPs without biases")?;
            }
        }
    }
    Ok(())
}

fn check_attention(attention: &Attention, first: &Attention, lacks: impl Fn(bool, &str) -> Result<()>) -> Result<()> {
    let Attention { heads, query_key_norms, rotary, mask, window, scale, .. } = attention;
    lacks(heads.query % heads.key != 0 || *heads != first.heads, "heads that differ between layers")?;
    lacks(*mask != first.mask, "attention in both directions in some layers only")?;
    lacks(window.is_some(), "attention in windows")?;
    lacks(*scale != heads.usual_scale(), "a scale of attention that is not 1/√head_dim")?;
    lacks(rotary.is_some() != query_key_norms.is_some(), "a rotary embedding without norms of queries and keys")?;
    lacks(rotary.is_some_and(|rotary| rotary.features != heads.head_dim), "a rotary embedding of a part of a head")?;
    let mut norms = query_key_norms.iter().flatten();
    lacks(norms.any(|norm| norm.kind != NormKind::Rms || norm.weight_offset != 0.), "norms of queries and keys")
}
