//! The head: from pooled vectors to logits, in f32 whatever the type of activations, as on the processor.

use anyhow::Result;

use super::weights::{GpuLinear, Load};
use crate::engine::Model;
use crate::engine::gpu::{Gpu, GpuNorm, Memory, Rows, Type};
use crate::engine::head::output_row;
use crate::model::{Activation, HeadStep};

/// A model's head.
pub(super) struct GpuHead {
    gpu: Gpu,
    steps: Vec<Step>,
    row: Memory,
    bias: Option<f32>,
}

/// A step of a head.
enum Step {
    Dense(GpuLinear, Option<Activation>),
    Norm(GpuNorm),
}

impl GpuHead {
    /// Copies the weights.
    ///
    /// # Errors
    /// If a tensor is missing or of another shape than described, or the device has no memory for it.
    pub(super) fn load(model: &Model, gpu: &Gpu) -> Result<Self> {
        let gpu = gpu.with_value(Type::F32);
        let load = Load { weights: &model.weights, gpu: &gpu };
        let (row, bias) = output_row(model)?;
        let steps = model.architecture.head.steps.iter().map(|step| {
            Ok(match step {
                HeadStep::Dense(linear, activation) => Step::Dense(load.linear(linear)?, *activation),
                HeadStep::Norm(norm) => Step::Norm(load.norm(norm)?),
            })
        });
        let steps: Vec<Step> = steps.collect::<Result<_>>()?;
        Ok(Self { row: gpu.vector(&row)?, steps, bias, gpu })
    }

    /// The row, where it is all that the head has.
    pub(super) fn single_row(&self) -> Option<&Memory> {
        (self.steps.is_empty() && self.bias.is_none()).then_some(&self.row)
    }

    /// The logits of so many vectors, which stand in the first memory. Both have room for as many of the widest.
    ///
    /// # Errors
    /// If the device fails.
    pub(super) fn score(
        &self,
        [vectors, spare]: [&Memory; 2],
        (count, features): (usize, usize),
        logits: &Memory,
    ) -> Result<()> {
        let (mut vectors, mut spare) = (vectors, spare);
        let mut rows = Rows::new(vectors, count, features);
        for step in &self.steps {
            match step {
                Step::Norm(norm) => self.gpu.normalize(rows, Some(norm), None, (None, true))?,
                Step::Dense(linear, activation) => {
                    let outputs = linear.weight.outputs();
                    let results = Rows::new(spare, count, outputs);
                    self.gpu.multiply(rows, &linear.weight, 0..outputs, results)?;
                    self.gpu.activate(results, linear.bias.as_ref(), *activation, results)?;
                    std::mem::swap(&mut vectors, &mut spare);
                    rows = results;
                }
            }
        }
        self.gpu.dot(rows, (&self.row, self.bias.unwrap_or(0.)), logits)
    }
}
