//! Scores with an encoder: a dense layer with tanh, and then one row of weights, make a logit of the hidden vector of a pair's
//! first token.

use std::sync::Arc;

use anyhow::Result;

use super::Scorer;
use crate::batch::Batch;
use crate::checkpoint::Weights;
use crate::engine::cpu::forward::{Encoder, EncoderConfig};
use crate::engine::cpu::{Arithmetic, Linear, Matrix, Operand, PANEL, Panels, Precision};
use crate::engine::{Profile, Work};

/// An encoder with a classifier of one label.
pub struct FirstTokenScorer {
    encoder: Encoder,
    /// The dense layer of the head, in f32 as all heads.
    dense: Linear,
    dense_bias: Vec<f32>,
    row: Vec<f32>,
    bias: f32,
}

impl FirstTokenScorer {
    /// Reads encoder and head: `bert.pooler.dense` and `classifier` of BERT, `classifier.dense` and `classifier.out_proj` of
    /// XLM-RoBERTa.
    ///
    /// # Errors
    /// If a tensor is missing or of another shape than the configuration gives.
    pub fn load(config: &EncoderConfig, weights: &Arc<Weights>, arithmetic: Arithmetic) -> Result<Self> {
        let [dense, last] = match config.prefix {
            "bert" => ["bert.pooler.dense", "classifier"],
            _ => ["classifier.dense", "classifier.out_proj"],
        };
        let hidden = config.hidden;
        let matrix: Matrix<'_> = weights.matrix(&format!("{dense}.weight"), [hidden, hidden])?;
        let rows: Vec<_> = (0..hidden).map(|row| Some((0, row))).collect();
        Ok(Self {
            encoder: Encoder::load(config, weights, arithmetic)?,
            dense: Linear::new(&[matrix], &rows, Arithmetic { precision: Precision::F32, ..arithmetic })?,
            dense_bias: weights.vector(&format!("{dense}.bias"), hidden)?,
            row: weights.row(&format!("{last}.weight"), [1, hidden], 0)?,
            bias: weights.vector(&format!("{last}.bias"), 1)?[0],
        })
    }

    fn head(&self, first_tokens: &[Vec<f32>]) -> Vec<f32> {
        let rows = first_tokens.len().next_multiple_of(PANEL);
        let count = self.row.len().div_ceil(PANEL);
        let mut memory = vec![0f32; 2 * rows * count * PANEL];
        let (inputs, outputs) = memory.split_at_mut(rows * count * PANEL);
        let (mut inputs, mut outputs) = (Panels::new(inputs, rows), Panels::new(outputs, rows));
        for (row, values) in first_tokens.iter().enumerate() {
            for (feature, value) in values.iter().enumerate() {
                inputs.panel_mut(feature / PANEL)[row][feature % PANEL] = *value;
            }
        }
        let mut operand = Operand::default();
        operand.reshape(self.dense.form(), rows);
        operand.pack(&inputs, &[], &[]);
        self.dense.forward(&operand, 0..self.dense.panels(), &mut outputs);
        let logit = |row: usize| -> f32 {
            let dense = |feature: usize| outputs.panel(feature / PANEL)[row][feature % PANEL];
            let terms = self.row.iter().zip(&self.dense_bias).enumerate();
            terms.map(|(feature, (weight, bias))| (dense(feature) + bias).tanh() * weight).sum::<f32>() + self.bias
        };
        (0..first_tokens.len()).map(logit).collect()
    }
}

impl Scorer for FirstTokenScorer {
    fn score(&mut self, batch: &Batch) -> Result<Vec<f32>> {
        let first_tokens = self.encoder.forward(batch)?;
        Ok(if first_tokens.is_empty() { Vec::new() } else { self.head(&first_tokens) })
    }

    fn begin_profile(&mut self) {
        self.encoder.take_profile();
    }

    fn take_profile(&mut self) -> Option<Profile> {
        Some(self.encoder.take_profile())
    }

    fn work(&self, batch: &Batch) -> Work {
        self.encoder.work(batch)
    }
}
