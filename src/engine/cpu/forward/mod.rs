//! The processor's interpreter of a description: one forward over packed, prefix-sharing batches.

mod blocks;
mod layer;
mod pass;
mod projection;
mod tiles;
mod workspace;

#[cfg(test)]
mod attention_tests;

use std::ops::Range;

use anyhow::{Context, Result};

use self::layer::{Layer, load_layer_norm};
use self::pass::{Memory, Pass};
use self::workspace::Tile;
use super::{Arithmetic, KeyValues, LayerNorm, PANEL, Rope};
use crate::batch::Batch;
use crate::checkpoint::Weights;
use crate::engine::{Engine, LogitHead, Model, Profile, Work, check_batch, support};
use crate::model::{Architecture, Embedding, Pooling, Positions, Rotary};

/// A model on the processor.
pub struct CpuEngine {
    model: Model,
    arithmetic: Arithmetic,
    head: LogitHead,
    /// The first token type's row, filled up to whole panels, and the norm of the embedding.
    embedding_norm: Option<(Vec<f32>, LayerNorm)>,
    layers: Vec<Layer>,
    /// The weight of the norm behind the last layer, and its ε.
    final_norm: Option<(Vec<f32>, f32)>,
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
        for layer in &architecture.layers {
            let rotary = layer.attention.rotary;
            if let Some(rotary) = rotary.filter(|rotary| !rotaries.contains(rotary)) {
                rotaries.push(rotary);
            }
            let angles = rotaries.iter().position(|other| Some(*other) == rotary).unwrap_or(0);
            layers.push(Layer::load(layer, architecture.hidden, angles, (weights, arithmetic))?);
        }
        let final_norm = match &architecture.final_norm {
            Some(norm) => Some((weights.vector(&norm.weight)?, norm.epsilon as f32)),
            None => None,
        };
        Ok(Self {
            arithmetic,
            head: LogitHead::load(model, arithmetic.level)?,
            embedding_norm: embedding_norm(&architecture.embedding, weights)?,
            layers,
            final_norm,
            angles: rotaries.into_iter().map(Rope::new).collect(),
            memory: Memory::new(|| KeyValues::new(heads, arithmetic)),
            model: model.clone(),
        })
    }

    /// The hidden vector that stands for each pair, in the batch's order of pairs.
    fn forward(&mut self, batch: &Batch) -> Result<Vec<Vec<f32>>> {
        let Self { model, arithmetic, embedding_norm, layers, final_norm, angles, memory, .. } = self;
        let Architecture { embedding, hidden, pooling, .. } = &*model.architecture;
        check_batch(&model.architecture, batch)?;
        let tokens = model.weights.matrix(&embedding.tokens)?;
        let positions = match &embedding.positions {
            Some(Positions { table, first }) => Some((model.weights.matrix(table)?, *first)),
            None => None,
        };
        let reach = batch.positions.iter().max().map_or(0, |&most| most as usize + 1);
        angles.iter_mut().for_each(|angles| angles.reach(reach));
        let pooled = |segment: usize| {
            let tokens = &batch.segments[segment].tokens;
            if *pooling == Pooling::FirstToken { tokens.start } else { tokens.end - 1 }
        };
        let pooled: Vec<_> = batch.pair_segments().map(|segment| (segment, pooled(segment))).collect();
        let embed = |tile: &mut Tile<'_>, range: Range<usize>| {
            tile.embed(&batch.token_ids[range.clone()], tokens.as_ref());
            if let Some((positions, first)) = &positions {
                let rows = batch.positions[range].iter().map(|position| *position as usize + first);
                tile.add_rows(rows, positions.as_ref());
            }
            if let Some((token_type, norm)) = &*embedding_norm {
                norm.apply(&mut tile.hidden, token_type, arithmetic.level);
            }
        };
        let rows = |tile: &Tile<'_>| -> Vec<Vec<f32>> {
            let rows = 0..tile.positions.len();
            match &*final_norm {
                Some((weight, epsilon)) => {
                    let scales = tile.squares.scales(*hidden, *epsilon, arithmetic.level);
                    let row = |row: usize| {
                        tile.row(row).zip(weight).map(|(value, weight)| value * scales[row] * weight).collect()
                    };
                    rows.map(row).collect()
                }
                None => rows.map(|row| tile.row(row).take(*hidden).collect()).collect(),
            }
        };
        let pass = Pass { layers, angles, batch, hidden: *hidden };
        Ok(pass.run(memory, embed, &pooled, rows))
    }
}

/// The first token type's row, and the norm of the embedding, if it has one. All tokens are of the first type.
fn embedding_norm(embedding: &Embedding, weights: &Weights) -> Result<Option<(Vec<f32>, LayerNorm)>> {
    let Some(norm) = &embedding.norm else { return Ok(None) };
    let mut row = match &embedding.token_types {
        Some(types) => weights.row(types, 0)?,
        None => vec![0.; embedding.tokens.inputs()],
    };
    row.resize(row.len().next_multiple_of(PANEL), 0.);
    Ok(Some((row, load_layer_norm(norm, weights)?)))
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
