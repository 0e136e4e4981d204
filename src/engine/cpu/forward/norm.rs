//! The norms of the description, with their weights.

use anyhow::{Result, ensure};

use crate::checkpoint::Weights;
use crate::engine::cpu::{LayerNorm, Level, Panels, RmsNorm};
use crate::model::{self, NormKind, NormPlacement};

/// A norm of rows.
pub(super) enum RowNorm {
    Rms(RmsNorm),
    Layer(LayerNorm),
}

/// The norm of attention or of an MLP, where it stands.
pub(super) enum BlockNorm {
    /// There is none.
    None,
    /// The norm of what goes in.
    Before(RowNorm),
    /// The norm of the sum.
    After(RowNorm),
}

impl RowNorm {
    /// Reads the weights.
    ///
    /// # Errors
    /// If a tensor is missing or of another shape than described.
    pub(super) fn load(norm: &model::Norm, weights: &Weights) -> Result<Self> {
        let mut weight = weights.vector(&norm.weight)?;
        if norm.weight_offset != 0. {
            weight.iter_mut().for_each(|weight| *weight += norm.weight_offset);
        }
        let epsilon = norm.epsilon as f32;
        match norm.kind {
            NormKind::Rms => {
                ensure!(norm.bias.is_none(), "RMSNorm has no bias");
                Ok(Self::Rms(RmsNorm::new(weight, epsilon)))
            }
            NormKind::Layer => {
                let bias = match &norm.bias {
                    Some(bias) => weights.vector(bias)?,
                    None => vec![0.; weight.len()],
                };
                Ok(Self::Layer(LayerNorm::new(weight, bias, epsilon)))
            }
        }
    }

    /// Adds `before` (whole panels of features, or nothing, if it is empty) to each row and normalizes it in its place.
    pub(super) fn apply(&self, panels: &mut Panels<'_>, before: &[f32], level: Level) {
        match self {
            Self::Rms(norm) => norm.apply(panels, before, level),
            Self::Layer(norm) => norm.apply(panels, before, level),
        }
    }
}

impl BlockNorm {
    /// Reads the weights, as [`RowNorm::load`].
    pub(super) fn load(norm: Option<&model::Norm>, placement: NormPlacement, weights: &Weights) -> Result<Self> {
        let Some(norm) = norm else { return Ok(Self::None) };
        let norm = RowNorm::load(norm, weights)?;
        Ok(match placement {
            NormPlacement::Before => Self::Before(norm),
            NormPlacement::After => Self::After(norm),
        })
    }

    /// Whether it normalizes the sum.
    pub(super) fn is_after(&self) -> bool {
        matches!(self, Self::After(_))
    }

    /// Whether it needs the sums of squares of the residual stream.
    pub(super) fn needs_squares(&self) -> bool {
        matches!(self, Self::Before(RowNorm::Rms(_)))
    }
}
