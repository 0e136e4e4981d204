//! The decoder of Qwen3: one forward over packed, prefix-sharing batches. See `modeling_qwen3.py` of transformers, whose
//! numbers the tests compare.
//!
//! A batch's tokens go through a layer in tiles, each on one thread (see [`crate::kernels`]). A layer needs the keys and
//! values of all tiles before its attention, and nothing else of another tile: so a tile finishes one layer and computes its
//! keys and values for the next before the threads meet.

use std::sync::{Arc, Mutex};
use std::time::Instant;

use anyhow::{Result, ensure};
use rayon::prelude::*;

use super::layer::{Layer, Shape, Tile, Workspace};
use super::tiles::{Layout, tiles};
use super::{DecoderConfig, Weights};
use crate::batch::Batch;
use crate::kernels::{Arithmetic, Buffer, Heads, KeyValues, Kind, Level, PANEL, Panels, Profile, Rope, Squares};

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
        let layout = Layout::new(batch);
        let threads = rayon::current_num_threads();
        let tokens = tiles(batch.token_ids.len(), TILE_ROWS, threads);
        self.rope.reach(batch.positions.iter().max().map_or(0, |&most| most as usize + 1));
        self.stores.iter_mut().for_each(|store| store.clear(layout.blocks));
        let width = self.shape.hidden.next_multiple_of(PANEL);
        let padded: usize = tokens.iter().map(|range| range.len().next_multiple_of(PANEL)).sum();
        self.hidden.reserve(padded * width);

        let mut rest: &mut [f32] = &mut self.hidden;
        let mut all = Vec::with_capacity(tokens.len());
        for range in &tokens {
            let rows = range.len().next_multiple_of(PANEL);
            let (own, others) = rest.split_at_mut(rows * width);
            rest = others;
            let spans = layout.spans(batch, range);
            all.push(Tile {
                hidden: Panels::new(own, rows),
                positions: batch.positions[range.clone()].to_vec(),
                slots: &layout.slots[range.clone()],
                spans,
                squares: Squares::default(),
            });
        }
        let work = Work { workspaces: &self.workspaces, rope: &self.rope };

        let embedding = self.weights.matrix(EMBEDDING, [self.vocabulary, self.shape.hidden])?;
        for &token in &batch.token_ids {
            ensure!(
                (token as usize) < self.vocabulary,
                "token {token} is outside the vocabulary of {}",
                self.vocabulary
            );
        }
        let [mut store, mut next] = self.stores.each_mut();
        let writing = store.write();
        all.par_iter_mut().zip(&tokens).with_max_len(1).for_each(|(tile, range)| {
            let mut lap = Instant::now();
            let mut values = vec![0f32; width];
            tile.embed(batch.token_ids[range.clone()].iter().map(|&token| {
                embedding.row(token as usize, &mut values[..self.shape.hidden]);
                values.clone()
            }));
            tile.squares.clear(tile.hidden.rows());
            tile.squares.add_all(&tile.hidden, self.arithmetic.level);
            work.with_workspace(|workspace| {
                workspace.profile.lap(Kind::Embedding, &mut lap);
                self.layers[0].keys_and_values(tile, &writing, work.rope, workspace);
            });
        });
        for pair in self.layers.windows(2) {
            let writing = next.write();
            all.par_iter_mut().with_max_len(1).for_each(|tile| {
                work.with_workspace(|workspace| {
                    pair[0].finish(tile, store, work.rope, workspace);
                    pair[1].keys_and_values(tile, &writing, work.rope, workspace);
                });
            });
            std::mem::swap(&mut store, &mut next);
        }

        // Only the pairs' last tokens are scored: in the last layer the others are needed as keys and values alone.
        let ends: Vec<usize> = batch.pair_segments().collect();
        let results = tiles(ends.len(), TILE_ROWS, threads).into_par_iter().with_max_len(1).map(|range| {
            let rows = range.len().next_multiple_of(PANEL);
            let mut memory = vec![0f32; rows * width];
            let mut tile = Tile {
                hidden: Panels::new(&mut memory, rows),
                positions: Vec::new(),
                slots: &[],
                spans: Vec::new(),
                squares: Squares::default(),
            };
            for (row, &segment) in ends[range].iter().enumerate() {
                let token = batch.segments[segment].tokens.end - 1;
                let source = tokens.partition_point(|range| range.end <= token);
                tile.copy_row(row, &all[source], token - tokens[source].start);
                tile.positions.push(batch.positions[token]);
                tile.spans.push(layout.last(batch, segment, row));
            }
            tile.squares.clear(rows);
            tile.squares.add_all(&tile.hidden, self.arithmetic.level);
            work.with_workspace(|workspace| {
                let last = &self.layers[self.layers.len() - 1];
                last.finish(&mut tile, store, work.rope, workspace);
            });
            normalized(&tile, self.shape, &self.norm, self.arithmetic.level)
        });
        Ok(results.collect::<Vec<_>>().into_iter().flatten().collect())
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

fn normalized(tile: &Tile<'_>, shape: Shape, weight: &[f32], level: Level) -> Vec<Vec<f32>> {
    let scales = tile.squares.scales(shape.hidden, shape.epsilon, level);
    let row = |row: usize| {
        let value = |feature: usize| tile.hidden.panel(feature / PANEL)[row][feature % PANEL];
        weight.iter().enumerate().map(|(feature, weight)| value(feature) * scales[row] * weight).collect()
    };
    (0..tile.positions.len()).map(row).collect()
}

struct Work<'a> {
    workspaces: &'a Mutex<Vec<Workspace>>,
    rope: &'a Rope,
}

impl Work<'_> {
    /// Lends memory that no other thread uses meanwhile.
    fn with_workspace(&self, work: impl FnOnce(&mut Workspace)) {
        let lock = || self.workspaces.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let taken = lock().pop();
        let mut workspace = taken.unwrap_or_default();
        work(&mut workspace);
        lock().push(workspace);
    }
}
