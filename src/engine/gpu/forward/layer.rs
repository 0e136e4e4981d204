//! A layer's weights. Biases are put where they cost least.

use anyhow::Result;
use rayon::prelude::*;

use super::gates::activates_at_once;
use super::weights::{GpuLinear, Load};
use crate::engine::gpu::{GpuNorm, Memory, Weight};
use crate::model::{Activation, Attention, Layer, Linear, Mlp, NormPlacement, Rotary};

/// A layer.
pub(super) struct GpuLayer {
    pub(super) placement: NormPlacement,
    pub(super) attention_norm: Option<GpuNorm>,
    pub(super) attention: GpuAttention,
    pub(super) mlp_norm: GpuNorm,
    pub(super) mlp: GpuMlp,
}

/// Attention.
pub(super) struct GpuAttention {
    /// Outputs of queries, then of keys, then of values.
    pub(super) query_key_value: Weight,
    /// What is done to them.
    pub(super) preparation: Preparation,
    pub(super) output: GpuLinear,
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
    /// Outputs of gates, then of ups; or both in the order in which their product is activated at once; or ups alone.
    pub(super) inner: Weight,
    pub(super) bias: Option<Memory>,
    pub(super) activation: Activation,
    pub(super) is_gated: bool,
    pub(super) activates_at_once: bool,
    pub(super) down: GpuLinear,
}

impl GpuLayer {
    pub(super) fn load(layer: &Layer, rotaries: &[Rotary], load: &Load<'_>) -> Result<Self> {
        let inner: Vec<&Linear> = layer.mlp.inner();
        let activates_at_once = activates_at_once(&layer.mlp, load.gpu);
        Ok(Self {
            placement: layer.placement,
            attention_norm: load.optional_norm(layer.attention_norm.as_ref())?,
            attention: GpuAttention::load(&layer.attention, rotaries, load)?,
            mlp_norm: load.norm(&layer.mlp_norm)?,
            mlp: GpuMlp {
                inner: match &inner[..] {
                    [gate, up] if activates_at_once => load.gates_and_ups([&gate.weight, &up.weight])?,
                    _ => load.linears(&inner)?,
                },
                bias: load.biases(&inner)?,
                activation: layer.mlp.activation(),
                is_gated: matches!(layer.mlp, Mlp::Gated { .. }),
                activates_at_once,
                down: load.linear(layer.mlp.down())?,
            },
        })
    }
}

impl GpuAttention {
    fn load(attention: &Attention, rotaries: &[Rotary], load: &Load<'_>) -> Result<Self> {
        let Attention { query, key, value, output, query_key_norms, rotary, window, scale, .. } = attention;
        let table = rotary.and_then(|rotary| rotaries.iter().position(|other| *other == rotary));
        let merged = [query, key, value];
        let (preparation, output) = match (table, query_key_norms) {
            (Some(table), Some([query_norm, key_norm])) => {
                let (query, key) = (load.norm(query_norm)?, load.norm(key_norm)?);
                let bias = load.biases(&merged)?;
                (Preparation::NormAndRotate { bias, query, key, table }, load.linear(output)?)
            }
            (Some(table), None) => (Preparation::Rotate { bias: load.biases(&merged)?, table }, load.linear(output)?),
            (None, _) => {
                // Before the matrix, whose pages are let go when it is read.
                let bias = output_bias(attention, load)?.map(|bias| load.gpu.vector(&bias)).transpose()?;
                let output = GpuLinear { weight: load.linears(&[output])?, bias };
                (Preparation::Queries { bias: load.biases(&[query])? }, output)
            }
        };
        Ok(Self { query_key_value: load.linears(&merged)?, preparation, output, window: *window, scale: *scale })
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
