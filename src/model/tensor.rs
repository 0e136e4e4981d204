//! The parts of a description that have weights: a tensor by its name and shape, a linear layer, a norm.

use std::ops::Range;

/// Some rows of a named tensor: a matrix `(outputs, inputs)`, or a vector, whose values are its rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tensor {
    /// The name in the checkpoint.
    pub name: String,
    /// The shape in the checkpoint.
    pub shape: Vec<usize>,
    /// The rows that are meant: not all where a checkpoint keeps several matrices in one tensor.
    pub rows: Range<usize>,
}

impl Tensor {
    /// A whole matrix.
    pub fn matrix(name: impl Into<String>, outputs: usize, inputs: usize) -> Self {
        Self { name: name.into(), shape: vec![outputs, inputs], rows: 0..outputs }
    }

    /// A whole vector.
    pub fn vector(name: impl Into<String>, length: usize) -> Self {
        Self { name: name.into(), shape: vec![length], rows: 0..length }
    }

    /// Some of the rows.
    #[must_use]
    pub fn part(&self, rows: Range<usize>) -> Self {
        Self { rows, ..self.clone() }
    }

    /// Values in a row.
    pub fn inputs(&self) -> usize {
        self.shape.get(1).copied().unwrap_or(1)
    }
}

/// `y = x · weightᵀ + bias`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Linear {
    /// `(outputs, inputs)`.
    pub weight: Tensor,
    /// One value for each output.
    pub bias: Option<Tensor>,
}

impl Linear {
    /// A linear layer without bias, whose weight is `name.weight`.
    pub fn new(name: &str, outputs: usize, inputs: usize) -> Self {
        Self { weight: Tensor::matrix(format!("{name}.weight"), outputs, inputs), bias: None }
    }

    /// The same with the bias `name.bias`.
    pub fn biased(name: &str, outputs: usize, inputs: usize) -> Self {
        Self { bias: Some(Tensor::vector(format!("{name}.bias"), outputs)), ..Self::new(name, outputs, inputs) }
    }

    /// Weight and bias.
    pub fn tensors(&self) -> impl Iterator<Item = &Tensor> {
        [&self.weight].into_iter().chain(&self.bias)
    }

    /// Some of the rows, where a checkpoint keeps several layers in one.
    #[must_use]
    pub fn part(&self, rows: Range<usize>) -> Self {
        Self { weight: self.weight.part(rows.clone()), bias: self.bias.as_ref().map(|bias| bias.part(rows)) }
    }

    /// Features that come out.
    pub fn outputs(&self) -> usize {
        self.weight.rows.len()
    }
}

/// Kinds of norms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NormKind {
    /// `x / √(mean(x²) + ε) · w` (Zhang and Sennrich, 2019).
    Rms,
    /// `(x − mean) / √(variance + ε) · w + b` (Ba, Kiros and Hinton, 2016).
    Layer,
}

/// A norm of a vector's features.
#[derive(Clone, Debug, PartialEq)]
pub struct Norm {
    /// The kind.
    pub kind: NormKind,
    /// One value for each feature.
    pub weight: Tensor,
    /// The same, for LayerNorm.
    pub bias: Option<Tensor>,
    /// ε.
    pub epsilon: f64,
    /// What is added to the weight: 1 in Gemma, which stores its distance from 1.
    pub weight_offset: f32,
}

impl Norm {
    /// RMSNorm with the weight `name.weight`.
    pub fn rms(name: &str, features: usize, epsilon: f64) -> Self {
        let weight = Tensor::vector(format!("{name}.weight"), features);
        Self { kind: NormKind::Rms, weight, bias: None, epsilon, weight_offset: 0. }
    }

    /// LayerNorm with `name.weight` and `name.bias`.
    pub fn layer(name: &str, features: usize, epsilon: f64) -> Self {
        let bias = Some(Tensor::vector(format!("{name}.bias"), features));
        Self { kind: NormKind::Layer, bias, ..Self::rms(name, features, epsilon) }
    }

    /// Weight and bias.
    pub fn tensors(&self) -> impl Iterator<Item = &Tensor> {
        [&self.weight].into_iter().chain(&self.bias)
    }
}
