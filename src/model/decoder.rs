//! The decoder of Qwen3: one forward over packed, prefix-sharing batches. Residual stream in f32; what a kernel rounds is
//! its own affair. See `modeling_qwen3.py` of transformers, whose numbers the tests compare.

use anyhow::Result;
use candle_core::{DType, Tensor};

use super::{DecoderConfig, Weights};
use crate::batch::Batch;
use crate::kernels::{Attend, Attention, AttentionSpan, Heads, Linear, Precision, Rope, rms_norm, swiglu};

/// The MLP's inner features are as many as three to four times the others: its rows are computed in blocks of so many, so
/// that a long document does not take memory for all of them.
const MLP_ROWS: usize = 8192;

/// The layers, and the norms and embedding around them.
pub struct Decoder {
    config: DecoderConfig,
    precision: Precision,
    /// `(vocabulary, hidden)`, in the checkpoint's type.
    embedding: Tensor,
    layers: Vec<Layer>,
    norm: Tensor,
}

struct Layer {
    attention_norm: Tensor,
    query: Linear,
    key: Linear,
    value: Linear,
    output: Linear,
    query_norm: Tensor,
    key_norm: Tensor,
    mlp_norm: Tensor,
    gate: Linear,
    up: Linear,
    down: Linear,
}

impl Decoder {
    /// Reads the weights, named as in transformers (`model.…`).
    ///
    /// # Errors
    /// If a tensor is missing or of another shape than the configuration says.
    pub fn load(config: &DecoderConfig, weights: &Weights, precision: Precision) -> Result<Self> {
        let layer = |index| Layer::load(config, weights, precision, &format!("model.layers.{index}"));
        Ok(Self {
            config: config.clone(),
            precision,
            embedding: weights.get("model.embed_tokens.weight", &[config.vocabulary, config.hidden])?,
            layers: (0..config.layers).map(layer).collect::<Result<_>>()?,
            norm: weights.get_f32("model.norm.weight", &[config.hidden])?,
        })
    }

    /// The normalized hidden vector of each pair's last token, f32 `(pairs, hidden)`, in the batch's order of pairs.
    ///
    /// # Errors
    /// If a token id is outside the vocabulary.
    pub fn forward(&self, batch: &Batch) -> Result<Tensor> {
        let Some((last_layer, layers)) = self.layers.split_last() else { anyhow::bail!("the model has no layers") };
        let token_ids = Tensor::from_slice(&batch.token_ids, batch.token_ids.len(), self.embedding.device())?;
        let mut hidden = self.embedding.index_select(&token_ids, 0)?.to_dtype(DType::F32)?;
        let rope = Rope::new(&batch.positions, self.config.head_dim, self.config.rope_theta);

        let all = self.attention(spans_of_all_tokens(batch));
        for layer in layers {
            let normed = layer.norm_before_attention(&hidden, &self.config)?;
            let (keys, values) = layer.keys_and_values(&normed, &rope, &self.config)?;
            let attended = all.forward(&layer.queries(&normed, &rope, &self.config)?, &keys, &values)?;
            hidden = layer.finish(&hidden, &attended, &self.config)?;
        }

        // Only the pairs' last tokens are scored: in the last layer the others are needed as keys and values alone.
        let ends: Vec<usize> = batch.pair_segments().map(|segment| batch.segments[segment].tokens.end - 1).collect();
        let rows = Tensor::from_iter(ends.iter().map(|&end| end as u32), self.embedding.device())?;
        let normed = last_layer.norm_before_attention(&hidden, &self.config)?;
        let (keys, values) = last_layer.keys_and_values(&normed, &rope, &self.config)?;
        let queries = last_layer.queries(&normed.index_select(&rows, 0)?, &rope.select(&ends), &self.config)?;
        let attended = self.attention(spans_of_last_tokens(batch)).forward(&queries, &keys, &values)?;
        let hidden = last_layer.finish(&hidden.index_select(&rows, 0)?, &attended, &self.config)?;
        Ok(rms_norm(&hidden, &self.norm, self.config.norm_epsilon as f32)?)
    }

    fn attention(&self, spans: Vec<AttentionSpan>) -> Attention {
        let DecoderConfig { heads, key_heads, head_dim, .. } = self.config;
        let heads = Heads { query: heads, key: key_heads, head_dim };
        Attention { spans, attend: Attend::Causal, heads, precision: self.precision }
    }
}

/// Every segment looks back on what it continues, and on itself.
fn spans_of_all_tokens(batch: &Batch) -> Vec<AttentionSpan> {
    let span =
        |index: usize| AttentionSpan { queries: batch.segments[index].tokens.clone(), keys: batch.history(index) };
    (0..batch.segments.len()).map(span).collect()
}

/// One query for each pair, at its last token.
fn spans_of_last_tokens(batch: &Batch) -> Vec<AttentionSpan> {
    let pairs = batch.pair_segments().enumerate();
    pairs.map(|(row, index)| AttentionSpan { queries: row..row + 1, keys: batch.history(index) }).collect()
}

impl Layer {
    fn load(config: &DecoderConfig, weights: &Weights, precision: Precision, name: &str) -> Result<Self> {
        let DecoderConfig { hidden, intermediate, head_dim, .. } = *config;
        let (queries, keys) = (config.heads * head_dim, config.key_heads * head_dim);
        let linear = |part: &str, shape: [usize; 2]| -> Result<Linear> {
            Ok(Linear::new(&weights.get(&format!("{name}.{part}.weight"), &shape)?, precision)?)
        };
        let norm = |part: &str, features: usize| weights.get_f32(&format!("{name}.{part}.weight"), &[features]);
        Ok(Self {
            attention_norm: norm("input_layernorm", hidden)?,
            query: linear("self_attn.q_proj", [queries, hidden])?,
            key: linear("self_attn.k_proj", [keys, hidden])?,
            value: linear("self_attn.v_proj", [keys, hidden])?,
            output: linear("self_attn.o_proj", [hidden, queries])?,
            query_norm: norm("self_attn.q_norm", head_dim)?,
            key_norm: norm("self_attn.k_norm", head_dim)?,
            mlp_norm: norm("post_attention_layernorm", hidden)?,
            gate: linear("mlp.gate_proj", [intermediate, hidden])?,
            up: linear("mlp.up_proj", [intermediate, hidden])?,
            down: linear("mlp.down_proj", [hidden, intermediate])?,
        })
    }

    fn norm_before_attention(&self, hidden: &Tensor, config: &DecoderConfig) -> Result<Tensor> {
        Ok(rms_norm(hidden, &self.attention_norm, config.norm_epsilon as f32)?)
    }

    fn queries(&self, normed: &Tensor, rope: &Rope, config: &DecoderConfig) -> Result<Tensor> {
        let queries = self.query.forward(normed)?;
        Ok(rope.turn(&rms_norm(&queries, &self.query_norm, config.norm_epsilon as f32)?)?)
    }

    fn keys_and_values(&self, normed: &Tensor, rope: &Rope, config: &DecoderConfig) -> Result<(Tensor, Tensor)> {
        let keys = rms_norm(&self.key.forward(normed)?, &self.key_norm, config.norm_epsilon as f32)?;
        Ok((rope.turn(&keys)?, self.value.forward(normed)?))
    }

    /// The layer's second half: both residual sums and the MLP between them.
    fn finish(&self, hidden: &Tensor, attended: &Tensor, config: &DecoderConfig) -> Result<Tensor> {
        let hidden = (hidden + self.output.forward(attended)?)?;
        let mut blocks = Vec::new();
        for start in (0..hidden.dim(0)?).step_by(MLP_ROWS) {
            let block = hidden.narrow(0, start, MLP_ROWS.min(hidden.dim(0)? - start))?;
            let normed = rms_norm(&block, &self.mlp_norm, config.norm_epsilon as f32)?;
            let inner = swiglu(&self.gate.forward(&normed)?, &self.up.forward(&normed)?)?;
            blocks.push((&block + self.down.forward(&inner)?)?);
        }
        Ok(if blocks.len() == 1 { blocks.remove(0) } else { Tensor::cat(&blocks, 0)? })
    }
}
