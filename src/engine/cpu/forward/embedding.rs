//! How tokens become the residual stream.

use std::ops::Range;

use anyhow::Result;

use super::norm::RowNorm;
use super::projection::{Projection, as_they_are};
use super::workspace::{Tile, Workspace};
use crate::batch::Batch;
use crate::checkpoint::{RowSource, Weights};
use crate::engine::cpu::{Arithmetic, Level, PANEL, Panels};
use crate::model::{self, Positions};

/// What follows the rows of tables, with its weights.
pub(super) struct Embedding {
    /// The rows of token types.
    types: Vec<Vec<f32>>,
    norm: Option<RowNorm>,
    /// From narrow rows to the residual stream.
    projection: Option<Projection>,
    level: Level,
}

/// The tables, whose rows are read where they are needed.
pub(super) struct Tables<'a> {
    embedding: &'a Embedding,
    tokens: Box<dyn RowSource + 'a>,
    scale: f32,
    /// The rows, and the first one that is meant.
    positions: Option<(Box<dyn RowSource + 'a>, usize)>,
}

impl Embedding {
    /// Reads the weights.
    ///
    /// # Errors
    /// If a tensor is missing or of another shape than described.
    pub(super) fn load(embedding: &model::Embedding, weights: &Weights, arithmetic: Arithmetic) -> Result<Self> {
        let mut types = Vec::new();
        if let Some(table) = &embedding.token_types {
            // A batch's types are bytes.
            let rows = table.rows.len().min(1 << u8::BITS);
            types = (0..rows).map(|row| weights.row(table, row)).collect::<Result<_>>()?;
        }
        let norm = embedding.norm.as_ref().map(|norm| RowNorm::load(norm, weights)).transpose()?;
        let projection = match &embedding.projection {
            Some(linear) => Some(Projection::load(&[linear], &as_they_are(linear.outputs()), weights, arithmetic)?),
            None => None,
        };
        Ok(Self { types, norm, projection, level: arithmetic.level })
    }

    /// Looks the tables up.
    ///
    /// # Errors
    /// If a tensor is missing or of another shape than described.
    pub(super) fn tables<'a>(&'a self, embedding: &model::Embedding, weights: &'a Weights) -> Result<Tables<'a>> {
        let positions = match &embedding.positions {
            Some(Positions { table, first }) => Some((weights.matrix(table)?, *first)),
            None => None,
        };
        Ok(Tables { embedding: self, tokens: weights.matrix(&embedding.tokens)?, scale: embedding.scale, positions })
    }
}

impl Tables<'_> {
    /// Sets a tile's rows to those of a batch's tokens; what is beyond them belongs to no token.
    pub(super) fn embed(&self, tile: &mut Tile<'_>, batch: &Batch, tokens: Range<usize>, workspace: &mut Workspace) {
        let Embedding { norm, projection, level, .. } = self.embedding;
        let Some(projection) = projection else {
            self.set_rows(&mut tile.hidden, batch, tokens);
            if let Some(norm) = norm {
                norm.apply(&mut tile.hidden, &[], *level);
            }
            return;
        };
        let Workspace { normed, results, .. } = workspace;
        let rows = tile.hidden.rows();
        let size = self.tokens.inputs().next_multiple_of(PANEL) * rows;
        results.reserve(size);
        let mut narrow = Panels::new(&mut results[..size], rows);
        self.set_rows(&mut narrow, batch, tokens);
        if let Some(norm) = norm {
            norm.apply(&mut narrow, &[], *level);
        }
        normed.reshape(projection.linear.form(), rows);
        normed.pack(&narrow, &[], &[]);
        let panels = 0..projection.linear.panels();
        projection.linear.forward(normed, panels.clone(), &mut tile.hidden);
        projection.add_bias(panels, &mut tile.hidden);
    }

    /// The sums of the tables' rows; what is beyond the tokens is zeros.
    fn set_rows(&self, panels: &mut Panels<'_>, batch: &Batch, tokens: Range<usize>) {
        for panel in 0..panels.count() {
            panels.panel_mut(panel).iter_mut().skip(tokens.len()).for_each(|row| row.fill(0.));
        }
        let features = self.tokens.inputs();
        let mut sum = vec![0f32; features.next_multiple_of(PANEL)];
        let mut other = vec![0f32; features];
        for (row, token) in tokens.enumerate() {
            self.tokens.row(batch.token_ids[token] as usize, &mut sum[..features]);
            if self.scale != 1. {
                sum.iter_mut().for_each(|value| *value *= self.scale);
            }
            if let Some((positions, first)) = &self.positions {
                positions.row(batch.positions[token] as usize + first, &mut other);
                sum.iter_mut().zip(&other).for_each(|(sum, value)| *sum += value);
            }
            if let Some(of_type) = self.embedding.types.get(usize::from(batch.token_types[token])) {
                sum.iter_mut().zip(of_type).for_each(|(sum, value)| *sum += value);
            }
            for (panel, values) in sum.as_chunks::<PANEL>().0.iter().enumerate() {
                panels.panel_mut(panel)[row] = *values;
            }
        }
    }
}
