//! One batch on its way through the layers of a transformer, whatever its layers are made of.
//!
//! A batch's tokens go through a layer in tiles, each on one thread (see [`crate::engine::cpu`]). A layer needs the keys and
//! values of all tiles before its attention, and nothing else of another tile: so a tile finishes one layer and computes its
//! keys and values for the next before the threads meet.

use std::ops::Range;
use std::sync::Mutex;
use std::time::Instant;

use rayon::prelude::*;

use super::layer::Layer;
use super::tiles::{Layout, tiles};
use super::workspace::{Tile, Workspace};
use crate::batch::Batch;
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
}

impl Memory {
    /// `stores` shows what keys and values look like.
    pub(super) fn new(stores: impl Fn() -> KeyValues) -> Self {
        Self { hidden: Buffer::default(), stores: [stores(), stores()], workspaces: Mutex::default() }
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
    pub(super) layers: &'a [Layer],
    /// The angles of the layers' rotary embeddings.
    pub(super) angles: &'a [Rope],
    pub(super) batch: &'a Batch,
    /// Features of the residual stream.
    pub(super) hidden: usize,
}

impl Pass<'_> {
    /// Sets the tiles' rows by `embed` (a tile, and the tokens that are its rows), and computes all layers. Of the last one
    /// only the rows of `wanted` are computed, each a segment and one of its tokens: the others are needed as keys and values.
    /// These rows, of `hidden` features, are what `take` gets, in tiles.
    pub(super) fn run<R: Send>(
        &self,
        memory: &mut Memory,
        embed: impl Fn(&mut Tile<'_>, Range<usize>) + Sync,
        wanted: &[(usize, usize)],
        take: impl Fn(&Tile<'_>) -> Vec<R> + Sync,
    ) -> Vec<R> {
        let layout = Layout::new(self.batch);
        let ranges = tiles(self.batch.token_ids.len(), TILE_ROWS, rayon::current_num_threads());
        let Memory { hidden, stores, workspaces } = memory;
        stores.iter_mut().for_each(|store| store.clear(layout.blocks));
        let width = self.hidden.next_multiple_of(PANEL);
        let padded: usize = ranges.iter().map(|range| range.len().next_multiple_of(PANEL)).sum();
        hidden.reserve(padded * width);
        let mut rest: &mut [f32] = hidden;
        let mut tiles = Vec::with_capacity(ranges.len());
        for range in &ranges {
            let (own, others) = rest.split_at_mut(range.len().next_multiple_of(PANEL) * width);
            rest = others;
            let mut tile = Tile::new(own, range.len());
            tile.positions.extend(&self.batch.positions[range.clone()]);
            tile.slots = &layout.slots[range.clone()];
            tile.spans = layout.spans(self.batch, range);
            tiles.push(tile);
        }
        let [mut store, mut next] = stores.each_mut();
        let to = store.write();
        tiles.par_iter_mut().zip(&ranges).with_max_len(1).for_each(|(tile, range)| {
            with_workspace(workspaces, |workspace| {
                let mut lap = Instant::now();
                embed(tile, range.clone());
                self.layers[0].enter(tile);
                workspace.profile.lap(Kind::Embedding, &mut lap);
                self.layers[0].keys_and_values(tile, &to, self.angles, workspace);
            });
        });
        for pair in self.layers.windows(2) {
            let to = next.write();
            tiles.par_iter_mut().with_max_len(1).for_each(|tile| {
                with_workspace(workspaces, |workspace| {
                    pair[0].finish(tile, store, self.angles, workspace);
                    pair[1].keys_and_values(tile, &to, self.angles, workspace);
                });
            });
            std::mem::swap(&mut store, &mut next);
        }
        self.end(Finished { tiles: &tiles, ranges: &ranges, layout: &layout, store, workspaces }, wanted, take)
    }

    fn end<R: Send>(
        &self,
        finished: Finished<'_, '_>,
        wanted: &[(usize, usize)],
        take: impl Fn(&Tile<'_>) -> Vec<R> + Sync,
    ) -> Vec<R> {
        let last = &self.layers[self.layers.len() - 1];
        let parts = tiles(wanted.len(), TILE_ROWS, rayon::current_num_threads());
        let results = parts.into_par_iter().with_max_len(1).map(|part| {
            let width = self.hidden.next_multiple_of(PANEL);
            let mut memory = vec![0f32; part.len().next_multiple_of(PANEL) * width];
            let mut tile = Tile::new(&mut memory, part.len());
            for (row, &(segment, token)) in wanted[part].iter().enumerate() {
                let source = finished.ranges.partition_point(|range| range.end <= token);
                tile.copy_row(row, &finished.tiles[source], token - finished.ranges[source].start);
                tile.positions.push(self.batch.positions[token]);
                tile.spans.push(finished.layout.single(self.batch, segment, token, row));
            }
            last.enter(&mut tile);
            with_workspace(finished.workspaces, |workspace| {
                last.finish(&mut tile, finished.store, self.angles, workspace);
            });
            take(&tile)
        });
        results.collect::<Vec<_>>().into_iter().flatten().collect()
    }
}

/// All layers but the last, and that one's keys and values.
struct Finished<'a, 'b> {
    tiles: &'a [Tile<'b>],
    /// The tokens of each tile.
    ranges: &'a [Range<usize>],
    layout: &'a Layout,
    store: &'a KeyValues,
    workspaces: &'a Mutex<Vec<Workspace>>,
}

/// Lends memory that no other thread uses meanwhile.
fn with_workspace(workspaces: &Mutex<Vec<Workspace>>, work: impl FnOnce(&mut Workspace)) {
    let lock = || workspaces.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let taken = lock().pop();
    let mut workspace = taken.unwrap_or_default();
    work(&mut workspace);
    lock().push(workspace);
}
