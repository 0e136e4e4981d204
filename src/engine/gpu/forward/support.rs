//! What of a description the GPU's engine can compute.

use anyhow::{Result, ensure};

use crate::model::{
    Activation, Architecture, Attention, HeadOutput, Layer, Linear, Mlp, Norm, NormKind, NormPlacement, Pooling,
};

/// Refuses a description by the name of what this engine lacks.
///
/// # Errors
/// A sentence that names it.
pub(crate) fn check(architecture: &Architecture) -> Result<()> {
    let Architecture { family, embedding, layers, final_norm, pooling, head, .. } = architecture;
    let lacks = |has: bool, what: &str| {
        ensure!(!has, "{what} of {family} models can't be computed on a GPU yet; use --device cpu");
        Ok(())
    };
    let is_rms = |norm: &Norm| norm.kind == NormKind::Rms && norm.weight_offset == 0.;
    lacks(embedding.scale != 1., "the scaled embedding")?;
    lacks(embedding.positions.is_some(), "learned positions")?;
    lacks(embedding.token_types.is_some() || embedding.norm.is_some(), "token types or the embedding's norm")?;
    lacks(!final_norm.as_ref().is_some_and(is_rms), "another last norm than RMSNorm")?;
    lacks(*pooling == Pooling::Mean, "mean pooling")?;
    lacks(!head.steps.is_empty(), "dense layers in the head")?;
    let biased = matches!(&head.output, HeadOutput::Classifier(linear) if linear.bias.is_some());
    lacks(biased, "a bias in the head")?;
    let first = &layers[0].attention;
    for layer in layers {
        let Layer { placement, attention_norm, attention, mlp_norm, mlp } = layer;
        lacks(*placement != NormPlacement::Before, "norms behind the residual sums")?;
        let norms = attention_norm.as_ref().is_some_and(is_rms) && is_rms(mlp_norm);
        lacks(!norms, "layers whose norms are not two RMSNorms")?;
        let Attention { heads, query, key, value, output, query_key_norms, rotary, mask, window, scale } = attention;
        lacks(
            *heads != first.heads || *mask != first.mask || *rotary != first.rotary,
            "attention that differs by layer",
        )?;
        lacks(
            !query_key_norms.as_ref().is_some_and(|norms| norms.iter().all(is_rms)),
            "queries and keys without norms",
        )?;
        lacks(
            rotary.is_none_or(|rotary| rotary.features != heads.head_dim),
            "attention without a full rotary embedding",
        )?;
        lacks(window.is_some(), "attention in windows")?;
        lacks(*scale != heads.usual_scale(), "a scale of attention that is not 1/√head_dim")?;
        let gated = matches!(mlp, Mlp::Gated { activation: Activation::Silu, .. });
        lacks(!gated, "MLPs that are not gated by silu")?;
        let linears = [query, key, value, output, mlp.down()].into_iter().chain(mlp.inner());
        lacks(linears.into_iter().any(|linear: &Linear| linear.bias.is_some()), "biases")?;
    }
    Ok(())
}
