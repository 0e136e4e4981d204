//! A layer's weights without its matrices. Biases are put where they cost least.

use anyhow::Result;
use rayon::prelude::*;

use super::matrices::{Matrices, activates_at_once};
use super::weights::Load;
use crate::engine::gpu::{GpuNorm, Memory};
use crate::model::{Activation, Attention, Layer, Mlp, NormPlacement, Rotary};

/// A layer whose matrices are on the device.
#[derive(Clone, Copy)]
pub(super) struct Ready<'a> {
    pub(super) layer: &'a GpuLayer,
    pub(super) matrices: &'a Matrices,
}

/// A layer without its matrices.
pub(super) struct GpuLayer {
    pub(super) placement: NormPlacement,
    pub(super) attention_norm: Option<GpuNorm>,
    pub(super) attention: GpuAttention,
    pub(super) mlp_norm: GpuNorm,
    pub(super) mlp: GpuMlp,
}

/// Attention.
pub(super) struct GpuAttention {
    /// What is done to queries, keys and values.
    pub(super) preparation: Preparation,
    pub(super) output_bias: Option<Memory>,
    pub(super) window: Option<usize>,
    pub(super) scale: f64,
}

/// What is done to queries, keys and values before attention. Biases are of all three, but where it is said.
pub(super) enum Preparation {
    /// Norms of query and key heads, which then turn by a table of angles.
    NormAndRotate { bias: Option<Memory>, query: GpuNorm, key: GpuNorm, table: usize },
    /// Queries and keys turn by a table of angles.
    Rotate { bias: Option<Memory>, table: usize },
    /// Queries get their bias. That of keys adds the same to all scores of a query, so that it counts for nothing, and that of values is
    /// part of the output's.
    Queries { bias: Option<Memory> },
}

/// An MLP.
pub(super) struct GpuMlp {
    /// Of gates and ups, or of ups alone.
    pub(super) bias: Option<Memory>,
    pub(super) activation: Activation,
    pub(super) is_gated: bool,
    pub(super) activates_at_once: bool,
    pub(super) down_bias: Option<Memory>,
}

impl GpuLayer {
    pub(super) fn load(layer: &Layer, rotaries: &[Rotary], load: &Load<'_>) -> Result<Self> {
        Ok(Self {
            placement: layer.placement,
            attention_norm: load.optional_norm(layer.attention_norm.as_ref())?,
            attention: GpuAttention::load(&layer.attention, rotaries, load)?,
            mlp_norm: load.norm(&layer.mlp_norm)?,
            mlp: GpuMlp {
                bias: load.biases(&layer.mlp.inner())?,
                activation: layer.mlp.activation(),
                is_gated: matches!(layer.mlp, Mlp::Gated { .. }),
                activates_at_once: activates_at_once(&layer.mlp, load.gpu),
                down_bias: load.biases(&[layer.mlp.down()])?,
            },
        })
    }
}

impl GpuAttention {
    fn load(attention: &Attention, rotaries: &[Rotary], load: &Load<'_>) -> Result<Self> {
        let Attention { query, key, value, output, query_key_norms, rotary, window, scale, .. } = attention;
        let table = rotary.and_then(|rotary| rotaries.iter().position(|other| *other == rotary));
        let biases = || load.biases(&[query, key, value]);
        let (preparation, output_bias) = match (table, query_key_norms) {
            (Some(table), Some([query_norm, key_norm])) => {
                let (query, key) = (load.norm(query_norm)?, load.norm(key_norm)?);
                (Preparation::NormAndRotate { bias: biases()?, query, key, table }, load.biases(&[output])?)
            }
            (Some(table), None) => (Preparation::Rotate { bias: biases()?, table }, load.biases(&[output])?),
            (None, _) => {
                let bias = output_bias(attention, load)?.map(|bias| load.gpu.vector(&bias)).transpose()?;
                (Preparation::Queries { bias: load.biases(&[query])? }, bias)
            }
        };
        Ok(Self { preparation, output_bias, window: *window, scale: *scale })
    }
}

/// The output's bias together with what the values' bias becomes: a query's weights of values sum to one.
fn output_bias(attention: &Attention, load: &Load<'_>) -> Result<Option<Vec<f32>>> {
    let own = load.bias(&attention.output)?;
    let Some(values) = load.bias(&attention.value)? else { return Ok(own) };
    let (group, head_dim) = (attention.heads.group(), attention.heads.head_dim);
    let of_feature = |feature: usize| values[feature / head_dim / group * head_dim + feature % head_dim];
    let weight = load.weights.matrix(&attention.output.weight)?;
    let row = |output: usize| {
        let mut row = vec![0f32; weight.inputs()];
        weight.row(output, &mut row);
        let products =
            row.iter().enumerate().map(|(feature, weight)| f64::from(*weight) * f64::from(of_feature(feature)));
        (products.sum::<f64>() + f64::from(own.as_ref().map_or(0., |own| own[output]))) as f32
    };
    Ok(Some((0..attention.output.outputs()).into_par_iter().map(row).collect()))
}
