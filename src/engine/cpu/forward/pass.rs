//! One batch on its way through the layers of a transformer, whatever its layers are made of.
//!
//! A batch's tokens go through a layer in tiles, each on one thread (see [`crate::engine::cpu`]). A layer needs the keys and
//! values of all tiles before its attention, and nothing else of another tile: so a tile finishes one layer and computes its
//! keys and values for the next before the threads meet.

use std::ops::Range;
use std::sync::Mutex;
use std::time::Instant;

use anyhow::Result;
use rayon::prelude::*;

use super::expansion::{Expansion, Free};
use super::layer::Layer;
use super::projection::Projection;
use super::tiles::{Layout, split};
use super::workspace::{Tile, Workspace};
use crate::batch::Batch;
use crate::checkpoint::Weights;
use crate::engine::cpu::{Buffer, KeyValues, PANEL, Rope};
use crate::engine::{Kind, Profile};

/// Rows of a tile: so many that weights are read seldom, so few that what a tile needs at once stays in an L2 cache of 2 MiB.
const TILE_ROWS: usize = 256;

/// Memory that forward passes use one after the other.
pub(super) struct Memory {
    /// The residual stream, tile after tile.
    hidden: Buffer<f32>,
    /// The keys and values of the current layer and of the next.
    stores: [KeyValues; 2],
    workspaces: Mutex<Vec<Workspace>>,
    /// Where weights that rest are packed.
    packed: Free,
}

impl Memory {
    /// `stores` shows what keys and values look like.
    pub(super) fn new(stores: impl Fn() -> KeyValues) -> Self {
        let workspaces = Mutex::default();
        Self { hidden: Buffer::default(), stores: [stores(), stores()], workspaces, packed: Free::new() }
    }

    /// The profile since the last call.
    pub(super) fn take_profile(&mut self) -> Profile {
        let workspaces = self.workspaces.get_mut().unwrap_or_else(|poisoned| poisoned.into_inner());
        let mut sum = Profile::default();
        for workspace in workspaces {
            sum.add(&std::mem::take(&mut workspace.profile));
        }
        sum
    }
}

/// A batch and the layers that it goes through; there is at least one.
pub(super) struct Pass<'a> {
    pub(super) layers: &'a mut [Layer],
    /// Where the weights of layers are that rest.
    pub(super) weights: &'a Weights,
    /// The angles of the layers' rotary embeddings.
    pub(super) angles: &'a [Rope],
    pub(super) batch: &'a Batch,
    /// Features of the residual stream.
    pub(super) hidden: usize,
}

/// What of the last layer is wanted.
pub(super) enum Wanted {
    /// The rows of these tokens, each with its segment.
    Tokens(Vec<(usize, usize)>),
    /// The mean of all tokens of each pair's segment.
    Means,
}

impl Pass<'_> {
    /// Sets the tiles' rows by `embed` (a tile, and the tokens that are its rows), computes all layers, and finishes rows by
    /// `close`. Of the last layer only the wanted rows are computed: the others are needed as keys and values. Returns the
    /// wanted vectors.
    ///
    /// # Errors
    /// If weights that rest can't be read.
    pub(super) fn run(
        &mut self,
        memory: &mut Memory,
        embed: impl Fn(&mut Tile<'_>, Range<usize>, &mut Workspace) + Sync,
        wanted: &Wanted,
        close: impl Fn(&mut Tile<'_>) + Sync,
    ) -> Result<Vec<Vec<f32>>> {
        let layout = Layout::new(self.batch);
        let ranges = split(self.batch.token_ids.len(), TILE_ROWS, rayon::current_num_threads());
        let Memory { hidden, stores, workspaces, packed } = memory;
        stores.iter_mut().for_each(|store| store.clear(layout.blocks));
        let mut tiles = self.tiles(&ranges, &layout, hidden);
        let [mut store, mut next] = stores.each_mut();
        let to = store.write();
        let (angles, weights) = (self.angles, self.weights);
        let mut expansion = Expansion { weights, free: packed, workspaces };
        expansion.of(&mut self.layers[0].key_and_value_weights())?;
        let first = &self.layers[0];
        tiles.par_iter_mut().zip(&ranges).with_max_len(1).for_each(|(tile, range)| {
            with_workspace(workspaces, |workspace| {
                let mut lap = Instant::now();
                embed(tile, range.clone(), workspace);
                first.enter(tile);
                workspace.profile.lap(Kind::Embedding, &mut lap);
                first.keys_and_values(tile, &to, angles, workspace);
            });
        });
        expansion.end(&mut self.layers[0].key_and_value_weights());
        for index in 1..self.layers.len() {
            let to = next.write();
            let [layer, following] = &mut self.layers[index - 1..=index] else { break };
            expansion.of(&mut weights_between(layer, following))?;
            let pair = [&*layer, &*following];
            tiles.par_iter_mut().with_max_len(1).for_each(|tile| {
                with_workspace(workspaces, |workspace| {
                    pair[0].finish(tile, store, angles, workspace);
                    pair[1].keys_and_values(tile, &to, angles, workspace);
                });
            });
            expansion.end(&mut weights_between(layer, following));
            std::mem::swap(&mut store, &mut next);
        }
        let last = self.layers.len() - 1;
        expansion.of(&mut self.layers[last].other_weights())?;
        let finished = Finished { ranges: &ranges, layout: &layout, store, workspaces };
        let vectors = match wanted {
            Wanted::Tokens(wanted) => self.end(&tiles, &finished, wanted, close),
            Wanted::Means => self.end_with_means(&mut tiles, &finished, close),
        };
        expansion.end(&mut self.layers[last].other_weights());
        Ok(vectors)
    }

    /// The tiles of tokens, whose rows stand in `memory`, tile after tile.
    fn tiles<'a>(&self, ranges: &[Range<usize>], layout: &'a Layout, memory: &'a mut Buffer<f32>) -> Vec<Tile<'a>> {
        let width = self.hidden.next_multiple_of(PANEL);
        let padded: usize = ranges.iter().map(|range| range.len().next_multiple_of(PANEL)).sum();
        memory.reserve(padded * width);
        let mut rest: &mut [f32] = memory;
        let mut tiles = Vec::with_capacity(ranges.len());
        for range in ranges {
            let (own, others) = rest.split_at_mut(range.len().next_multiple_of(PANEL) * width);
            rest = others;
            let mut tile = Tile::new(own, range.len());
            tile.positions.extend(&self.batch.positions[range.clone()]);
            tile.slots = &layout.slots[range.clone()];
            tile.spans = layout.spans(self.batch, range);
            tiles.push(tile);
        }
        tiles
    }

    /// Computes the last layer for the wanted rows alone.
    fn end(
        &self,
        tiles: &[Tile<'_>],
        finished: &Finished<'_>,
        wanted: &[(usize, usize)],
        close: impl Fn(&mut Tile<'_>) + Sync,
    ) -> Vec<Vec<f32>> {
        let last = &self.layers[self.layers.len() - 1];
        let parts = split(wanted.len(), TILE_ROWS, rayon::current_num_threads());
        let results = parts.into_par_iter().with_max_len(1).map(|part| {
            let width = self.hidden.next_multiple_of(PANEL);
            let mut memory = vec![0f32; part.len().next_multiple_of(PANEL) * width];
            let mut tile = Tile::new(&mut memory, part.len());
            for (row, &(segment, token)) in wanted[part].iter().enumerate() {
                let source = finished.tile_of(token);
                tile.copy_row(row, &tiles[source], token - finished.ranges[source].start);
                tile.positions.push(self.batch.positions[token]);
                tile.spans.push(finished.layout.single(self.batch, segment, token, row));
            }
            last.enter(&mut tile);
            with_workspace(finished.workspaces, |workspace| {
                last.finish(&mut tile, finished.store, self.angles, workspace);
            });
            close(&mut tile);
            let row = |row: usize| tile.row(row).take(self.hidden).collect();
            (0..tile.positions.len()).map(row).collect::<Vec<Vec<f32>>>()
        });
        results.collect::<Vec<_>>().into_iter().flatten().collect()
    }

    /// Computes the last layer for all rows, and the mean of each pair's.
    fn end_with_means(
        &self,
        tiles: &mut [Tile<'_>],
        finished: &Finished<'_>,
        close: impl Fn(&mut Tile<'_>) + Sync,
    ) -> Vec<Vec<f32>> {
        let last = &self.layers[self.layers.len() - 1];
        tiles.par_iter_mut().with_max_len(1).for_each(|tile| {
            with_workspace(finished.workspaces, |workspace| {
                last.finish(tile, finished.store, self.angles, workspace);
            });
            close(tile);
        });
        let pairs: Vec<usize> = self.batch.pair_segments().collect();
        let mean = |segment: usize| -> Vec<f32> {
            let tokens = self.batch.segments[segment].tokens.clone();
            let count = tokens.len() as f64;
            // Summed in the order of the tokens, however they are split into tiles.
            let mut sums = vec![0f64; self.hidden];
            for token in tokens {
                let tile = finished.tile_of(token);
                let row = tiles[tile].row(token - finished.ranges[tile].start);
                sums.iter_mut().zip(row).for_each(|(sum, value)| *sum += f64::from(value));
            }
            sums.into_iter().map(|sum| (sum / count) as f32).collect()
        };
        pairs.into_par_iter().map(mean).collect()
    }
}

/// What all layers but the last have left, and that one's keys and values.
struct Finished<'a> {
    /// The tokens of each tile.
    ranges: &'a [Range<usize>],
    layout: &'a Layout,
    store: &'a KeyValues,
    workspaces: &'a Mutex<Vec<Workspace>>,
}

impl Finished<'_> {
    /// The tile of which a token is a row.
    fn tile_of(&self, token: usize) -> usize {
        self.ranges.partition_point(|range| range.end <= token)
    }
}

/// The weights that stand between the keys and values of a layer and those of the next.
fn weights_between<'a>(layer: &'a mut Layer, following: &'a mut Layer) -> [&'a mut Projection; 6] {
    let [query, output, inner, down] = layer.other_weights();
    let [key, value] = following.key_and_value_weights();
    [query, output, inner, down, key, value]
}

/// Lends memory that no other thread uses meanwhile.
pub(super) fn with_workspace(workspaces: &Mutex<Vec<Workspace>>, work: impl FnOnce(&mut Workspace)) {
    let lock = || workspaces.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let taken = lock().pop();
    let mut workspace = taken.unwrap_or_default();
    work(&mut workspace);
    lock().push(workspace);
}
