//! The decoder of Qwen3: one forward over packed, prefix-sharing batches. See `modeling_qwen3.py` of transformers, whose
//! numbers the tests compare.

use std::sync::Arc;

use anyhow::{Result, ensure};

use super::blocks::Shape;
use super::decoder_layer::DecoderLayer;
use super::pass::{Memory, Pass};
use super::workspace::Tile;
use crate::batch::Batch;
use crate::checkpoint::Weights;
use crate::engine::cpu::{Arithmetic, Heads, KeyValues, Level, Rope};
use crate::engine::{Profile, Work};
use crate::model::DecoderConfig;

/// The layers, and the norms and embedding around them.
pub struct Decoder {
    shape: Shape,
    arithmetic: Arithmetic,
    weights: Arc<Weights>,
    config: DecoderConfig,
    layers: Vec<DecoderLayer>,
    norm: Vec<f32>,
    rope: Rope,
    memory: Memory,
}

const EMBEDDING: &str = "model.embed_tokens.weight";

impl Decoder {
    /// Reads the weights, named as in transformers (`model.…`).
    ///
    /// # Errors
    /// If a tensor is missing or of another shape than the configuration gives.
    pub fn load(config: &DecoderConfig, weights: &Arc<Weights>, arithmetic: Arithmetic) -> Result<Self> {
        let heads = Heads { query: config.heads, key: config.key_heads, head_dim: config.head_dim };
        let shape = Shape {
            heads,
            hidden: config.hidden,
            intermediate: config.intermediate,
            epsilon: config.norm_epsilon as f32,
        };
        weights.matrix(EMBEDDING, [config.vocabulary, config.hidden])?;
        let norm = weights.vector("model.norm.weight", config.hidden)?;
        ensure!(config.layers > 0, "the model has no layers");
        let layer = |index| DecoderLayer::load(shape, weights, arithmetic, &format!("model.layers.{index}"));
        Ok(Self {
            shape,
            arithmetic,
            weights: Arc::clone(weights),
            config: config.clone(),
            layers: (0..config.layers).map(layer).collect::<Result<_>>()?,
            norm,
            rope: Rope::new(config.head_dim, config.rope_theta),
            memory: Memory::new(|| KeyValues::new(heads, arithmetic)),
        })
    }

    /// The normalized hidden vector of each pair's last token, in the batch's order of pairs.
    ///
    /// # Errors
    /// If a token id is outside the vocabulary.
    pub fn forward(&mut self, batch: &Batch) -> Result<Vec<Vec<f32>>> {
        let embedding = self.weights.matrix(EMBEDDING, [self.config.vocabulary, self.shape.hidden])?;
        for &token in &batch.token_ids {
            let inside = (token as usize) < self.config.vocabulary;
            ensure!(inside, "token {token} is outside the vocabulary of {}", self.config.vocabulary);
        }
        self.rope.reach(batch.positions.iter().max().map_or(0, |&most| most as usize + 1));
        let Self { shape, arithmetic, layers, norm, rope, memory, .. } = self;
        let pass = Pass { layers, context: &*rope, batch, hidden: shape.hidden };
        let ends: Vec<_> =
            batch.pair_segments().map(|segment| (segment, batch.segments[segment].tokens.end - 1)).collect();
        let embed = |tile: &mut Tile<'_>, tokens| tile.embed(&batch.token_ids[tokens], &embedding);
        Ok(pass.run(memory, embed, &ends, |tile| normalized(tile, norm, *shape, arithmetic.level)))
    }

    /// The profile since the last call.
    pub fn take_profile(&mut self) -> Profile {
        self.memory.take_profile()
    }

    /// The operations that a batch needs.
    pub fn work(&self, batch: &Batch) -> Work {
        self.config.operations(batch)
    }
}

/// The rows of a tile after the last norm.
fn normalized(tile: &Tile<'_>, weight: &[f32], shape: Shape, level: Level) -> Vec<Vec<f32>> {
    let scales = tile.squares.scales(shape.hidden, shape.epsilon, level);
    let row = |row: usize| tile.row(row).zip(weight).map(|(value, weight)| value * scales[row] * weight).collect();
    (0..tile.positions.len()).map(row).collect()
}
