//! The processor's interpreter of a description: one forward over packed, prefix-sharing batches.

mod blocks;
mod embedding;
mod expansion;
mod layer;
mod norm;
mod pass;
mod projection;
mod tiles;
mod workspace;

#[cfg(test)]
mod attention_tests;

use std::ops::Range;

use anyhow::{Context, Result};

use self::embedding::Embedding;
use self::layer::Layer;
use self::norm::RowNorm;
use self::pass::{Memory, Pass, Wanted};
use self::workspace::{Tile, Workspace};
use super::{Arithmetic, KeyValues, Rope};
use crate::batch::Batch;
use crate::engine::{Engine, LogitHead, Model, Profile, Work, check_batch, support};
use crate::model::{Architecture, Pooling, Rotary};

/// A model on the processor.
pub struct CpuEngine {
    model: Model,
    arithmetic: Arithmetic,
    embedding: Embedding,
    layers: Vec<Layer>,
    final_norm: Option<RowNorm>,
    head: LogitHead,
    /// The angles of all rotary embeddings that occur.
    angles: Vec<Rope>,
    memory: Memory,
}

impl CpuEngine {
    /// Reads the weights.
    ///
    /// # Errors
    /// If the description has what this engine lacks, or a tensor is missing or of another shape than described.
    pub fn load(model: &Model, arithmetic: Arithmetic) -> Result<Self> {
        let (architecture, weights) = (&*model.architecture, &*model.weights);
        support::check(architecture, false)?;
        let first = architecture.layers.first().context("the model has no layers")?;
        let heads = first.attention.heads;
        let mut rotaries: Vec<Rotary> = Vec::new();
        let mut layers = Vec::with_capacity(architecture.layers.len());
        for (index, layer) in architecture.layers.iter().enumerate() {
            let rotary = layer.attention.rotary;
            if let Some(rotary) = rotary.filter(|rotary| !rotaries.contains(rotary)) {
                rotaries.push(rotary);
            }
            let angles = rotaries.iter().position(|other| Some(*other) == rotary);
            let next = architecture.layers.get(index + 1);
            layers.push(Layer::load(layer, angles, next, (weights, arithmetic))?);
        }
        let final_norm = architecture.final_norm.as_ref();
        Ok(Self {
            arithmetic,
            embedding: Embedding::load(&architecture.embedding, weights, arithmetic)?,
            layers,
            final_norm: final_norm.map(|norm| RowNorm::load(norm, weights)).transpose()?,
            head: LogitHead::load(model, arithmetic.level)?,
            angles: rotaries.into_iter().map(Rope::new).collect(),
            memory: Memory::new(|| KeyValues::new(heads, arithmetic)),
            model: model.clone(),
        })
    }

    /// The hidden vector that stands for each pair, in the batch's order of pairs.
    fn forward(&mut self, batch: &Batch) -> Result<Vec<Vec<f32>>> {
        let Self { model, arithmetic, embedding, layers, final_norm, angles, memory, .. } = self;
        let Architecture { hidden, pooling, .. } = *model.architecture;
        check_batch(&model.architecture, batch)?;
        let tables = embedding.tables(&model.architecture.embedding, &model.weights)?;
        let reach = batch.positions.iter().max().map_or(0, |&most| most as usize + 1);
        angles.iter_mut().for_each(|angles| angles.reach(reach));
        let tokens = |segment: usize| batch.segments[segment].tokens.clone();
        let pairs = batch.pair_segments();
        let wanted = match pooling {
            Pooling::FirstToken => Wanted::Tokens(pairs.map(|segment| (segment, tokens(segment).start)).collect()),
            Pooling::LastToken => Wanted::Tokens(pairs.map(|segment| (segment, tokens(segment).end - 1)).collect()),
            Pooling::Mean => Wanted::Means,
        };
        let embed = |tile: &mut Tile<'_>, range: Range<usize>, workspace: &mut Workspace| {
            tables.embed(tile, batch, range, workspace);
        };
        let close = |tile: &mut Tile<'_>| {
            if let Some(norm) = &*final_norm {
                norm.apply(&mut tile.hidden, &[], arithmetic.level);
            }
        };
        let mut pass = Pass { layers, weights: &model.weights, angles, batch, hidden };
        pass.run(memory, embed, &wanted, close)
    }
}

impl Engine for CpuEngine {
    fn run(&mut self, batch: &Batch) -> Result<Vec<f32>> {
        let pooled = self.forward(batch)?;
        Ok(self.head.logits(&pooled))
    }

    fn begin_profile(&mut self) {
        self.memory.take_profile();
    }

    fn take_profile(&mut self) -> Option<Profile> {
        Some(self.memory.take_profile())
    }

    fn work(&self, batch: &Batch) -> Work {
        self.model.architecture.operations(batch)
    }
}
