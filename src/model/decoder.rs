//! The decoder of Qwen3: one forward over packed, prefix-sharing batches. See `modeling_qwen3.py` of transformers, whose
//! numbers the tests compare.
//!
//! A batch's tokens go through a layer in tiles, each on one thread (see [`crate::kernels`]). A layer needs the keys and
//! values of all tiles before its attention, and nothing else of another tile: so a tile finishes one layer and computes its
//! keys and values for the next before the threads meet.

use std::ops::Range;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use anyhow::{Result, ensure};
use rayon::prelude::*;

use super::layer::{Layer, Shape, Tile, Workspace};
use super::tiles::{Layout, tiles};
use super::{DecoderConfig, Weights};
use crate::batch::Batch;
use crate::kernels::{Arithmetic, Buffer, Heads, KeyValues, Kind, Level, Matrix, PANEL, Profile, Rope, Writing};

/// Rows of a tile: so many that weights are read seldom, so few that what a tile needs at once stays in an L2 cache of 2 MiB.
const TILE_ROWS: usize = 256;

/// The layers, and the norms and embedding around them.
pub struct Decoder {
    shape: Shape,
    arithmetic: Arithmetic,
    weights: Arc<Weights>,
    vocabulary: usize,
    layers: Vec<Layer>,
    norm: Vec<f32>,
    rope: Rope,
    /// The residual stream, tile after tile.
    hidden: Buffer<f32>,
    /// Of the layer at hand and of the next.
    stores: [KeyValues; 2],
    workspaces: Mutex<Vec<Workspace>>,
}

const EMBEDDING: &str = "model.embed_tokens.weight";

impl Decoder {
    /// Reads the weights, named as in transformers (`model.…`).
    ///
    /// # Errors
    /// If a tensor is missing or of another shape than the configuration says.
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
        let layer = |index| Layer::load(shape, weights, arithmetic, &format!("model.layers.{index}"));
        let stores = [(); 2].map(|()| KeyValues::new(heads, arithmetic));
        Ok(Self {
            shape,
            arithmetic,
            weights: Arc::clone(weights),
            vocabulary: config.vocabulary,
            layers: (0..config.layers).map(layer).collect::<Result<_>>()?,
            norm,
            rope: Rope::new(config.head_dim, config.rope_theta),
            hidden: Buffer::default(),
            stores,
            workspaces: Mutex::default(),
        })
    }

    /// The normalized hidden vector of each pair's last token, in the batch's order of pairs.
    ///
    /// # Errors
    /// If a token id is outside the vocabulary.
    pub fn forward(&mut self, batch: &Batch) -> Result<Vec<Vec<f32>>> {
        let embedding = self.weights.matrix(EMBEDDING, [self.vocabulary, self.shape.hidden])?;
        for &token in &batch.token_ids {
            let inside = (token as usize) < self.vocabulary;
            ensure!(inside, "token {token} is outside the vocabulary of {}", self.vocabulary);
        }
        let layout = Layout::new(batch);
        let ranges = tiles(batch.token_ids.len(), TILE_ROWS, rayon::current_num_threads());
        self.rope.reach(batch.positions.iter().max().map_or(0, |&most| most as usize + 1));
        self.stores.iter_mut().for_each(|store| store.clear(layout.blocks));
        let width = self.shape.hidden.next_multiple_of(PANEL);
        let padded: usize = ranges.iter().map(|range| range.len().next_multiple_of(PANEL)).sum();
        self.hidden.reserve(padded * width);
        let mut rest: &mut [f32] = &mut self.hidden;
        let mut tiles = Vec::with_capacity(ranges.len());
        for range in &ranges {
            let (own, others) = rest.split_at_mut(range.len().next_multiple_of(PANEL) * width);
            rest = others;
            let mut tile = Tile::new(own, range.len());
            tile.positions.extend(&batch.positions[range.clone()]);
            tile.slots = &layout.slots[range.clone()];
            tile.spans = layout.spans(batch, range);
            tiles.push(tile);
        }

        let pass = Pass {
            shape: self.shape,
            level: self.arithmetic.level,
            layers: &self.layers,
            rope: &self.rope,
            workspaces: &self.workspaces,
            batch,
            ranges,
        };
        let [mut store, mut next] = self.stores.each_mut();
        pass.begin(&mut tiles, &embedding, &store.write());
        for pair in self.layers.windows(2) {
            pass.step(pair, &mut tiles, store, &next.write());
            std::mem::swap(&mut store, &mut next);
        }
        Ok(pass.end(&tiles, &layout, store, &self.norm))
    }
}

/// One batch on its way through the layers.
struct Pass<'a> {
    shape: Shape,
    level: Level,
    layers: &'a [Layer],
    rope: &'a Rope,
    workspaces: &'a Mutex<Vec<Workspace>>,
    batch: &'a Batch,
    /// The tokens of each tile.
    ranges: Vec<Range<usize>>,
}

impl Pass<'_> {
    /// Embeds the tokens and computes the first layer's keys and values.
    fn begin(&self, tiles: &mut [Tile<'_>], embedding: &Matrix<'_>, to: &Writing<'_>) {
        tiles.par_iter_mut().zip(&self.ranges).with_max_len(1).for_each(|(tile, range)| {
            let mut lap = Instant::now();
            tile.embed(&self.batch.token_ids[range.clone()], embedding);
            tile.squares.add_all(&tile.hidden, self.level);
            self.with_workspace(|workspace| {
                workspace.profile.lap(Kind::Embedding, &mut lap);
                self.layers[0].keys_and_values(tile, to, self.rope, workspace);
            });
        });
    }

    /// Finishes a layer, and computes the next one's keys and values.
    fn step(&self, pair: &[Layer], tiles: &mut [Tile<'_>], store: &KeyValues, next: &Writing<'_>) {
        tiles.par_iter_mut().with_max_len(1).for_each(|tile| {
            self.with_workspace(|workspace| {
                pair[0].finish(tile, store, self.rope, workspace);
                pair[1].keys_and_values(tile, next, self.rope, workspace);
            });
        });
    }

    /// Finishes the last layer. Only the pairs' last tokens are scored: the others are needed as keys and values alone.
    fn end(&self, all: &[Tile<'_>], layout: &Layout, store: &KeyValues, norm: &[f32]) -> Vec<Vec<f32>> {
        let ends: Vec<usize> = self.batch.pair_segments().collect();
        let ranges = tiles(ends.len(), TILE_ROWS, rayon::current_num_threads());
        let results = ranges.into_par_iter().with_max_len(1).map(|range| {
            let mut memory =
                vec![0f32; range.len().next_multiple_of(PANEL) * self.shape.hidden.next_multiple_of(PANEL)];
            let mut tile = Tile::new(&mut memory, range.len());
            for (row, &segment) in ends[range].iter().enumerate() {
                let token = self.batch.segments[segment].tokens.end - 1;
                let source = self.ranges.partition_point(|range| range.end <= token);
                tile.copy_row(row, &all[source], token - self.ranges[source].start);
                tile.positions.push(self.batch.positions[token]);
                tile.spans.push(layout.last(self.batch, segment, row));
            }
            tile.squares.add_all(&tile.hidden, self.level);
            self.with_workspace(|workspace| {
                self.layers[self.layers.len() - 1].finish(&mut tile, store, self.rope, workspace);
            });
            self.normalized(&tile, norm)
        });
        results.collect::<Vec<_>>().into_iter().flatten().collect()
    }

    fn normalized(&self, tile: &Tile<'_>, weight: &[f32]) -> Vec<Vec<f32>> {
        let scales = tile.squares.scales(self.shape.hidden, self.shape.epsilon, self.level);
        let row = |row: usize| {
            let value = |feature: usize| tile.hidden.panel(feature / PANEL)[row][feature % PANEL];
            weight.iter().enumerate().map(|(feature, weight)| value(feature) * scales[row] * weight).collect()
        };
        (0..tile.positions.len()).map(row).collect()
    }

    /// Lends memory that no other thread uses meanwhile.
    fn with_workspace(&self, work: impl FnOnce(&mut Workspace)) {
        let lock = || self.workspaces.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let taken = lock().pop();
        let mut workspace = taken.unwrap_or_default();
        work(&mut workspace);
        lock().push(workspace);
    }
}

impl Decoder {
    /// Where the time went since this was last asked.
    pub fn take_profile(&mut self) -> Profile {
        let workspaces = self.workspaces.get_mut().unwrap_or_else(|poisoned| poisoned.into_inner());
        let mut sum = Profile::default();
        for workspace in workspaces {
            sum.add(&std::mem::take(&mut workspace.profile));
        }
        sum
    }

    /// Multiplications and additions that a batch needs, in linear layers and in attention.
    pub fn operations(&self, batch: &Batch) -> [f64; 2] {
        let layers = self.layers.len() as f64;
        let [keys_and_values, rest] = Layer::operations(self.shape);
        let (tokens, pairs) = (batch.token_ids.len() as f64, batch.pairs().count() as f64);
        let linear = tokens * (layers * keys_and_values + (layers - 1.) * rest) + pairs * rest;
        let sees = |position: &u32| f64::from(*position) + 1.;
        let ends = batch.pair_segments().map(|segment| &batch.positions[batch.segments[segment].tokens.end - 1]);
        let seen = (layers - 1.) * batch.positions.iter().map(sees).sum::<f64>() + ends.map(sees).sum::<f64>();
        [linear, seen * (4 * self.shape.heads.query * self.shape.heads.head_dim) as f64]
    }
}
