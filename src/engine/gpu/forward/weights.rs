//! A decoder's weights on their way from a checkpoint to a GPU's memory.

use anyhow::Result;
use candle_core::DType;
use half::{bf16, f16};
use rayon::prelude::*;

use crate::checkpoint::Weights;
use crate::engine::cpu::Matrix;
use crate::engine::gpu::{Gpu, Memory, Type, Weight};
use crate::model::DecoderConfig;

/// Everything that a forward multiplies with.
pub(super) struct GpuWeights {
    pub(super) embedding: Weight,
    pub(super) layers: Vec<GpuLayer>,
    pub(super) norm: Memory,
    pub(super) head: Memory,
}

pub(super) struct GpuLayer {
    pub(super) attention_norm: Memory,
    /// Outputs of queries, then of keys, then of values.
    pub(super) query_key_value: Weight,
    pub(super) query_norm: Memory,
    pub(super) key_norm: Memory,
    pub(super) output: Weight,
    pub(super) mlp_norm: Memory,
    /// Outputs of gates, then of ups.
    pub(super) gate_and_up: Weight,
    pub(super) down: Weight,
}

impl GpuWeights {
    pub(super) fn load(config: &DecoderConfig, weights: &Weights, head: &[f32], gpu: &Gpu) -> Result<Self> {
        let load = Load { weights, gpu };
        Ok(Self {
            embedding: load.matrix(&[("model.embed_tokens.weight".into(), config.vocabulary)], config.hidden)?,
            layers: (0..config.layers).map(|layer| GpuLayer::load(config, &load, layer)).collect::<Result<_>>()?,
            norm: load.vector("model.norm.weight", config.hidden)?,
            head: gpu.vector(head)?,
        })
    }
}

impl GpuLayer {
    fn load(config: &DecoderConfig, load: &Load<'_>, layer: usize) -> Result<Self> {
        let DecoderConfig { hidden, intermediate, head_dim, .. } = *config;
        let (queries, keys) = (config.query_width(), config.key_width());
        let name = |part: &str| format!("model.layers.{layer}.{part}.weight");
        let matrix = |parts: &[(&str, usize)], inputs: usize| {
            let parts: Vec<_> = parts.iter().map(|(part, outputs)| (name(part), *outputs)).collect();
            load.matrix(&parts, inputs)
        };
        let products = [("self_attn.q_proj", queries), ("self_attn.k_proj", keys), ("self_attn.v_proj", keys)];
        Ok(Self {
            attention_norm: load.vector(&name("input_layernorm"), hidden)?,
            query_key_value: matrix(&products, hidden)?,
            query_norm: load.vector(&name("self_attn.q_norm"), head_dim)?,
            key_norm: load.vector(&name("self_attn.k_norm"), head_dim)?,
            output: matrix(&[("self_attn.o_proj", hidden)], queries)?,
            mlp_norm: load.vector(&name("post_attention_layernorm"), hidden)?,
            gate_and_up: matrix(&[("mlp.gate_proj", intermediate), ("mlp.up_proj", intermediate)], hidden)?,
            down: matrix(&[("mlp.down_proj", hidden)], intermediate)?,
        })
    }
}

struct Load<'a> {
    weights: &'a Weights,
    gpu: &'a Gpu,
}

impl Load<'_> {
    /// Matrices of the same inputs, one below the other.
    fn matrix(&self, parts: &[(String, usize)], inputs: usize) -> Result<Weight> {
        let mut weight = self.gpu.weight(parts.iter().map(|(_, outputs)| outputs).sum(), inputs)?;
        let mut row = 0;
        for (name, outputs) in parts {
            let matrix = self.weights.matrix(name, [*outputs, inputs])?;
            if same(matrix.dtype, self.gpu.value()) {
                weight.fill(row, matrix.bytes)?;
            } else {
                weight.fill(row, &converted(&matrix, *outputs, self.gpu.value()))?;
            }
            self.weights.release(name);
            row += outputs;
        }
        Ok(weight)
    }

    fn vector(&self, name: &str, length: usize) -> Result<Memory> {
        self.gpu.vector(&self.weights.vector(name, length)?)
    }
}

fn same(dtype: DType, value: Type) -> bool {
    matches!((dtype, value), (DType::F32, Type::F32) | (DType::BF16, Type::Bf16) | (DType::F16, Type::F16))
}

/// The values of all rows in the device's type.
fn converted(matrix: &Matrix<'_>, rows: usize, value: Type) -> Vec<u8> {
    let row_bytes = matrix.inputs * value.size();
    let mut bytes = vec![0u8; rows * row_bytes];
    bytes.par_chunks_exact_mut(row_bytes).enumerate().for_each_init(
        || vec![0f32; matrix.inputs],
        |values, (row, bytes)| {
            matrix.row(row, values);
            for (target, wide) in bytes.chunks_exact_mut(value.size()).zip(values) {
                match value {
                    Type::F32 => target.copy_from_slice(&wide.to_le_bytes()),
                    Type::Bf16 => target.copy_from_slice(&bf16::from_f32(*wide).to_le_bytes()),
                    Type::F16 => target.copy_from_slice(&f16::from_f32(*wide).to_le_bytes()),
                }
            }
        },
    );
    bytes
}
