//! The encoder of BERT and XLM-RoBERTa: one forward over packed batches, in which every token of a prompt looks at every
//! other. See `modeling_bert.py` and `modeling_xlm_roberta.py` of transformers.

use std::sync::Arc;

use anyhow::{Result, ensure};

use super::blocks::Shape;
use super::encoder_layer::{EncoderLayer, load_norm};
use super::pass::{Memory, Pass};
use super::workspace::Tile;
use crate::batch::Batch;
use crate::checkpoint::Weights;
use crate::engine::cpu::{Arithmetic, Heads, KeyValues, LayerNorm, PANEL};
use crate::engine::{Kind, Profile, Work};

/// The shape of an encoder in the style of BERT.
#[derive(Clone, Debug, PartialEq)]
pub struct EncoderConfig {
    /// The prefix of the tensors' names: `bert` or `roberta`.
    pub prefix: &'static str,
    /// Rows of the embedding of tokens.
    pub vocabulary: usize,
    /// Features of the residual stream.
    pub hidden: usize,
    /// Features inside the MLP.
    pub intermediate: usize,
    /// Layers.
    pub layers: usize,
    /// Attention heads; divides the features.
    pub heads: usize,
    /// ε of LayerNorm.
    pub norm_epsilon: f64,
    /// Rows of the embedding of positions.
    pub max_positions: usize,
    /// The row of a prompt's first position.
    pub first_position: usize,
    /// Rows of the embedding of token types.
    pub token_types: usize,
}

/// The layers and the embeddings below them.
pub struct Encoder {
    config: EncoderConfig,
    shape: Shape,
    arithmetic: Arithmetic,
    weights: Arc<Weights>,
    /// The first token type's, filled up to whole panels.
    token_type: Vec<f32>,
    norm: LayerNorm,
    layers: Vec<EncoderLayer>,
    memory: Memory,
}

impl Encoder {
    /// Reads the weights, named as in transformers (`bert.…`, `roberta.…`).
    ///
    /// # Errors
    /// If a tensor is missing or of another shape than the configuration gives.
    pub fn load(config: &EncoderConfig, weights: &Arc<Weights>, arithmetic: Arithmetic) -> Result<Self> {
        let EncoderConfig { prefix, hidden, intermediate, heads, .. } = *config;
        ensure!(heads > 0 && hidden.is_multiple_of(heads), "{hidden} features can't be shared evenly by {heads} heads");
        ensure!(config.layers > 0, "the model has no layers");
        let heads = Heads { query: heads, key: heads, head_dim: hidden / heads };
        let shape = Shape { heads, hidden, intermediate, epsilon: config.norm_epsilon as f32 };
        let [tokens, positions, types] = config.embeddings();
        weights.matrix(&tokens, [config.vocabulary, hidden])?;
        weights.matrix(&positions, [config.max_positions, hidden])?;
        let mut token_type = weights.row(&types, [config.token_types, hidden], 0)?;
        token_type.resize(hidden.next_multiple_of(PANEL), 0.);
        let layer = |index| EncoderLayer::load(shape, weights, arithmetic, &format!("{prefix}.encoder.layer.{index}"));
        Ok(Self {
            config: config.clone(),
            shape,
            arithmetic,
            weights: Arc::clone(weights),
            token_type,
            norm: load_norm(weights, &format!("{prefix}.embeddings.LayerNorm"), hidden, shape.epsilon)?,
            layers: (0..config.layers).map(layer).collect::<Result<_>>()?,
            memory: Memory::new(|| KeyValues::new(heads, arithmetic)),
        })
    }

    /// The hidden vector of each pair's first token, in the batch's order of pairs. All tokens are of the first type.
    ///
    /// # Errors
    /// If a token id is outside the vocabulary, a prompt longer than the model's positions, or beginnings are shared: what
    /// a beginning's tokens become depends on what follows.
    pub fn forward(&mut self, batch: &Batch) -> Result<Vec<Vec<f32>>> {
        let Self { config, shape, arithmetic, weights, token_type, norm, layers, memory } = self;
        let [tokens, positions, _] = config.embeddings();
        let tokens = weights.matrix(&tokens, [config.vocabulary, config.hidden])?;
        let positions = weights.matrix(&positions, [config.max_positions, config.hidden])?;
        for &token in &batch.token_ids {
            let inside = (token as usize) < config.vocabulary;
            ensure!(inside, "token {token} is outside the vocabulary of {}", config.vocabulary);
        }
        let room = config.max_positions.saturating_sub(config.first_position);
        for segment in &batch.segments {
            let length = segment.tokens.len();
            ensure!(length <= room, "a prompt has {length} tokens, and the model was made for {room}");
            ensure!(segment.continues.is_none(), "an encoder's prompts can't share their beginnings");
        }
        let pass = Pass { layers, context: &(), batch, hidden: config.hidden };
        let starts: Vec<_> =
            batch.pair_segments().map(|segment| (segment, batch.segments[segment].tokens.start)).collect();
        let embed = |tile: &mut Tile<'_>, range: std::ops::Range<usize>| {
            tile.embed(&batch.token_ids[range.clone()], &tokens);
            let rows = batch.positions[range].iter().map(|position| *position as usize + config.first_position);
            tile.add_rows(rows, &positions);
            norm.apply(&mut tile.hidden, token_type, arithmetic.level);
        };
        let first = |tile: &Tile<'_>| -> Vec<Vec<f32>> {
            (0..tile.positions.len()).map(|row| tile.row(row).take(shape.hidden).collect()).collect()
        };
        Ok(pass.run(memory, embed, &starts, first))
    }

    /// The profile since the last call.
    pub fn take_profile(&mut self) -> Profile {
        self.memory.take_profile()
    }

    /// The operations that a batch needs. In the last layer, all but keys and values are those of the pairs' first tokens.
    pub fn work(&self, batch: &Batch) -> Work {
        let layers = self.layers.len() as f64;
        let [hidden, inner] = [self.shape.hidden, self.shape.intermediate].map(|width| width as f64);
        let tokens = layers * batch.token_ids.len() as f64;
        let whole = tokens - (batch.token_ids.len() as f64 - batch.pairs().count() as f64);
        let lengths = || batch.segments.iter().map(|segment| segment.tokens.len() as f64);
        let seen = (layers - 1.) * lengths().map(|length| length * length).sum::<f64>() + lengths().sum::<f64>();
        let mut work = Work::default();
        work.operate(Kind::Projection, 2. * hidden * hidden * (whole + 2. * tokens));
        work.operate(Kind::Output, 2. * hidden * hidden * whole);
        work.operate(Kind::GateAndUp, 2. * hidden * inner * whole);
        work.operate(Kind::Down, 2. * hidden * inner * whole);
        work.operate(Kind::Attention, 4. * hidden * seen);
        work
    }
}

impl EncoderConfig {
    /// The tensors of tokens, positions and token types.
    fn embeddings(&self) -> [String; 3] {
        ["word", "position", "token_type"].map(|kind| format!("{}.embeddings.{kind}_embeddings.weight", self.prefix))
    }
}
