//! From pooled hidden vectors to logits, in f32 whatever the precision of the products before: in bf16, logits of unlike
//! documents tie (Qwen3-Reranker, arXiv 2508.03306).

use anyhow::{Result, bail, ensure};

use super::Model;
use super::cpu::{Arithmetic, Level, Linear, Operand, PANEL, Panels, activated};
use crate::checkpoint::Weights;
use crate::model::{self, Activation, Answers, HeadOutput, HeadStep, NormKind};
use crate::precision::Precision;

/// A model's head.
pub struct LogitHead {
    steps: Vec<Step>,
    /// What the last vector is multiplied with.
    row: Vec<f32>,
    bias: Option<f32>,
}

/// What is done to a vector before the last product.
enum Step {
    Dense(Dense),
    Norm(VectorNorm),
}

/// A linear layer and its activation.
struct Dense {
    linear: Linear,
    outputs: usize,
    bias: Option<Vec<f32>>,
    activation: Option<Activation>,
}

/// A norm of a vector.
struct VectorNorm {
    kind: NormKind,
    weight: Vec<f32>,
    bias: Option<Vec<f32>>,
    epsilon: f64,
}

impl LogitHead {
    /// Reads the head. Dense layers are computed with instructions of a level.
    ///
    /// # Errors
    /// If a tensor is missing or of another shape than described, or the recipe and the head do not fit each other.
    pub fn load(model: &Model, level: Level) -> Result<Self> {
        let Model { architecture, weights, .. } = model;
        let steps =
            architecture.head.steps.iter().map(|step| Step::load(step, weights, level)).collect::<Result<_>>()?;
        let (row, bias) = output_row(model)?;
        Ok(Self { steps, row, bias })
    }

    /// The logits of vectors.
    pub fn logits(&self, pooled: &[Vec<f32>]) -> Vec<f32> {
        if self.steps.is_empty() {
            return pooled.iter().map(|vector| self.logit(vector)).collect();
        }
        let mut vectors = pooled.to_vec();
        self.steps.iter().for_each(|step| step.apply(&mut vectors));
        vectors.iter().map(|vector| self.logit(vector)).collect()
    }

    fn logit(&self, vector: &[f32]) -> f32 {
        let product = vector.iter().zip(&self.row).map(|(value, weight)| value * weight).sum::<f32>();
        self.bias.map_or(product, |bias| product + bias)
    }
}

/// What the last vector is multiplied with, and what is added to the product.
///
/// # Errors
/// If a tensor is missing or of another shape than described, or the recipe and the head do not fit each other.
pub(super) fn output_row(model: &Model) -> Result<(Vec<f32>, Option<f32>)> {
    let Model { architecture, weights, answers } = model;
    let head = &architecture.head;
    let (mut row, mut bias) = match (&head.output, answers) {
        (HeadOutput::Classifier(linear), None) => {
            let bias = match &linear.bias {
                Some(bias) => Some(weights.vector(bias)?[0]),
                None => None,
            };
            (weights.row(&linear.weight, 0)?, bias)
        }
        (HeadOutput::Vocabulary(matrix), Some(Answers { yes, no })) => {
            let mut row = weights.row(matrix, *yes as usize)?;
            if let Some(no) = no {
                let no = weights.row(matrix, *no as usize)?;
                row.iter_mut().zip(no).for_each(|(yes, no)| *yes -= no);
            }
            (row, None)
        }
        (HeadOutput::Answers { rows, yes, no }, Some(_)) => {
            let [mut row, no] = [weights.row(rows, *yes)?, weights.row(rows, *no)?];
            row.iter_mut().zip(no).for_each(|(yes, no)| *yes -= no);
            (row, None)
        }
        (HeadOutput::Classifier(_), Some(_)) => {
            bail!("the recipe names answers, and the model has a head of one label and no rows for tokens")
        }
        (HeadOutput::Vocabulary(_) | HeadOutput::Answers { .. }, None) => {
            bail!("the recipe asks for a head of one label, and the model is a language model without one")
        }
    };
    if head.temperature != 1. {
        row.iter_mut().chain(&mut bias).for_each(|weight| *weight = (f64::from(*weight) / head.temperature) as f32);
    }
    Ok((row, bias))
}

impl Step {
    fn load(step: &HeadStep, weights: &Weights, level: Level) -> Result<Self> {
        Ok(match step {
            HeadStep::Dense(linear, activation) => Self::Dense(Dense::load(linear, *activation, weights, level)?),
            HeadStep::Norm(norm) => Self::Norm(VectorNorm::load(norm, weights)?),
        })
    }

    fn apply(&self, vectors: &mut [Vec<f32>]) {
        match self {
            Self::Dense(dense) => dense.apply(vectors),
            Self::Norm(norm) => vectors.iter_mut().for_each(|vector| norm.apply(vector)),
        }
    }
}

impl Dense {
    fn load(linear: &model::Linear, activation: Option<Activation>, weights: &Weights, level: Level) -> Result<Self> {
        let model::Linear { weight, bias } = linear;
        let rows: Vec<_> = (0..weight.rows.len()).map(|row| Some((0, row))).collect();
        let linear = Linear::new(&[weights.matrix(weight)?.as_ref()], &rows, Arithmetic::new(level, Precision::F32))?;
        let bias = bias.as_ref().map(|bias| weights.vector(bias)).transpose()?;
        Ok(Self { linear, outputs: weight.rows.len(), bias, activation })
    }

    fn apply(&self, vectors: &mut [Vec<f32>]) {
        if vectors.is_empty() {
            return;
        }
        let rows = vectors.len().next_multiple_of(PANEL);
        let panels = vectors[0].len().div_ceil(PANEL);
        let mut memory = vec![0f32; rows * (panels + self.linear.panels()) * PANEL];
        let (inputs, outputs) = memory.split_at_mut(rows * panels * PANEL);
        let (mut inputs, mut outputs) = (Panels::new(inputs, rows), Panels::new(outputs, rows));
        for (row, values) in vectors.iter().enumerate() {
            for (feature, value) in values.iter().enumerate() {
                inputs.panel_mut(feature / PANEL)[row][feature % PANEL] = *value;
            }
        }
        let mut operand = Operand::default();
        operand.reshape(self.linear.form(), rows);
        operand.pack(&inputs, &[], &[]);
        self.linear.forward(&operand, 0..self.linear.panels(), &mut outputs);
        for (row, vector) in vectors.iter_mut().enumerate() {
            let product = |feature: usize| outputs.panel(feature / PANEL)[row][feature % PANEL];
            let dense = |feature: usize| {
                let value = self.bias.as_ref().map_or(product(feature), |bias| product(feature) + bias[feature]);
                self.activation.map_or(value, |activation| activated(activation, value))
            };
            *vector = (0..self.outputs).map(dense).collect();
        }
    }
}

impl VectorNorm {
    fn load(norm: &model::Norm, weights: &Weights) -> Result<Self> {
        ensure!(norm.kind == NormKind::Layer || norm.bias.is_none(), "RMSNorm has no bias");
        let mut weight = weights.vector(&norm.weight)?;
        weight.iter_mut().for_each(|weight| *weight += norm.weight_offset);
        let bias = norm.bias.as_ref().map(|bias| weights.vector(bias)).transpose()?;
        Ok(Self { kind: norm.kind, weight, bias, epsilon: norm.epsilon })
    }

    fn apply(&self, vector: &mut [f32]) {
        let mean_of = |sum: f64| sum / self.weight.len() as f64;
        let mean = match self.kind {
            NormKind::Rms => 0.,
            NormKind::Layer => mean_of(vector.iter().map(|&value| f64::from(value)).sum()),
        };
        let variance = mean_of(vector.iter().map(|&value| (f64::from(value) - mean).powi(2)).sum());
        let scale = 1. / (variance + self.epsilon).sqrt();
        for (index, (value, weight)) in vector.iter_mut().zip(&self.weight).enumerate() {
            let bias = self.bias.as_ref().map_or(0., |bias| bias[index]);
            *value = ((f64::from(*value) - mean) * scale) as f32 * weight + bias;
        }
    }
}
