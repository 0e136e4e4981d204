//! What a description means, computed step by step in f64: the oracle of the engines.

use std::collections::{HashMap, HashSet};

use float8::F8E4M3;
use rerank::batch::Batch;
use rerank::checkpoint::Weights;
use rerank::engine::Model;
use rerank::model::{
    Activation, Architecture, Attention, HeadOutput, HeadStep, Layer, Linear, Mask, Mlp, Norm, NormKind, NormPlacement,
    Pooling, Positions, Rotary, Tensor,
};

type Vector = Vec<f64>;
/// Rows.
type Matrix = Vec<Vector>;

/// A model and its widened weights.
pub struct Reference<'a> {
    model: &'a Model,
    matrices: HashMap<(String, usize), Matrix>,
    /// The names of weights that are multiplied in E4M3, with a scale for each output and for each row of inputs.
    quantized: HashSet<String>,
}

impl<'a> Reference<'a> {
    pub fn new(model: &'a Model) -> Self {
        let read = |tensor: &Tensor| ((tensor.name.clone(), tensor.rows.start), rows(&model.weights, tensor));
        let matrices = model.architecture.tensors().into_iter().map(read).collect();
        Self { model, matrices, quantized: HashSet::new() }
    }

    /// With the linear layers of all layers but the last in E4M3.
    pub fn quantized(model: &'a Model) -> Self {
        let [layers @ .., _] = &model.architecture.layers[..] else { panic!("the model has no layers") };
        let weights = layers.iter().flat_map(Layer::linears).map(|linear| linear.weight.name.clone());
        let mut reference = Self { quantized: weights.collect(), ..Self::new(model) };
        for ((name, _), matrix) in &mut reference.matrices {
            if reference.quantized.contains(name) {
                matrix.iter_mut().for_each(|row| *row = in_e4m3(row));
            }
        }
        reference
    }

    /// The logits of a batch's pairs, each of its prompt alone.
    pub fn logits(&self, batch: &Batch) -> Vec<f32> {
        let prompt = |segment: usize| {
            let tokens = batch.history(segment).into_iter().flatten();
            self.logit(&tokens.map(|token| (batch.token_ids[token], batch.token_types[token])).collect::<Vec<_>>())
        };
        batch.pair_segments().map(|segment| prompt(segment) as f32).collect()
    }

    /// The logit of one prompt, its tokens with their types.
    fn logit(&self, tokens: &[(u32, u8)]) -> f64 {
        let Architecture { layers, final_norm, pooling, .. } = &*self.model.architecture;
        let mut hidden = self.embed(tokens);
        layers.iter().for_each(|layer| self.layer(layer, &mut hidden));
        if let Some(norm) = final_norm {
            hidden.iter_mut().for_each(|row| *row = self.norm(norm, row));
        }
        let pooled = match pooling {
            Pooling::FirstToken => hidden.remove(0),
            Pooling::LastToken => hidden.pop().unwrap(),
            Pooling::Mean => {
                let sum = hidden.iter().fold(vec![0.; hidden[0].len()], |sum, row| add(&sum, row));
                sum.into_iter().map(|value| value / tokens.len() as f64).collect()
            }
        };
        self.head(pooled)
    }

    fn matrix(&self, tensor: &Tensor) -> &Matrix {
        &self.matrices[&(tensor.name.clone(), tensor.rows.start)]
    }

    fn vector(&self, tensor: &Tensor) -> Vector {
        self.matrix(tensor).iter().map(|row| row[0]).collect()
    }

    fn embed(&self, tokens: &[(u32, u8)]) -> Matrix {
        let embedding = &self.model.architecture.embedding;
        let row = |(position, &(token, token_type)): (usize, &(u32, u8))| {
            let scale = f64::from(embedding.scale);
            let mut sum: Vector =
                self.matrix(&embedding.tokens)[token as usize].iter().map(|value| value * scale).collect();
            if let Some(Positions { table, first }) = &embedding.positions {
                sum = add(&sum, &self.matrix(table)[position + first]);
            }
            if let Some(types) = &embedding.token_types {
                sum = add(&sum, &self.matrix(types)[usize::from(token_type)]);
            }
            let normed = embedding.norm.as_ref().map_or(sum.clone(), |norm| self.norm(norm, &sum));
            embedding.projection.as_ref().map_or(normed.clone(), |linear| self.linear(linear, &normed))
        };
        tokens.iter().enumerate().map(row).collect()
    }

    fn layer(&self, layer: &Layer, hidden: &mut Matrix) {
        let Layer { placement, attention_norm, attention, mlp_norm, mlp } = layer;
        let normed = |norm: Option<&Norm>, rows: &Matrix| -> Matrix {
            rows.iter().map(|row| norm.map_or(row.clone(), |norm| self.norm(norm, row))).collect()
        };
        let mut block = |norm: Option<&Norm>, compute: &dyn Fn(&Matrix) -> Matrix| {
            let results = match placement {
                NormPlacement::Before => compute(&normed(norm, hidden)),
                NormPlacement::After => compute(hidden),
            };
            let sums: Matrix = hidden.iter().zip(&results).map(|(row, result)| add(row, result)).collect();
            *hidden = if *placement == NormPlacement::After { normed(norm, &sums) } else { sums };
        };
        block(attention_norm.as_ref(), &|rows| self.attention(attention, rows));
        block(Some(mlp_norm), &|rows| rows.iter().map(|row| self.mlp(mlp, row)).collect());
    }

    fn attention(&self, attention: &Attention, rows: &Matrix) -> Matrix {
        let Attention { heads, query, key, value, output, query_key_norms, rotary, relative, .. } = attention;
        assert!(relative.is_none(), "disentangled attention is not computed here");
        let project = |linear: &Linear, norm: Option<&Norm>, turns: bool| -> Vec<Matrix> {
            let heads = |(position, row): (usize, &Vector)| -> Matrix {
                let products = self.linear(linear, row);
                let head = |head: &[f64]| {
                    let head = norm.map_or(head.to_vec(), |norm| self.norm(norm, head));
                    if turns { rotated(rotary.as_ref(), &head, position) } else { head }
                };
                products.chunks(heads.head_dim).map(head).collect()
            };
            rows.iter().enumerate().map(heads).collect()
        };
        let norm = |index: usize| query_key_norms.as_ref().map(|norms| &norms[index]);
        let (queries, keys, values) =
            (project(query, norm(0), true), project(key, norm(1), true), project(value, None, false));
        let sees = |one: usize, other: usize| {
            let near = attention.window.is_none_or(|window| one.abs_diff(other) <= window);
            near && (attention.mask == Mask::Bidirectional || other <= one)
        };
        let token = |token: usize| {
            let seen: Vec<usize> = (0..rows.len()).filter(|&other| sees(token, other)).collect();
            let head = |head: usize| -> Vector {
                let key_head = head / heads.group();
                let scores = seen.iter().map(|&other| dot(&queries[token][head], &keys[other][key_head]));
                let weights = softmax(scores.map(|score| score * attention.scale).collect());
                let mut sum = vec![0.; heads.head_dim];
                for (weight, &other) in weights.iter().zip(&seen) {
                    let weighted: Vector = values[other][key_head].iter().map(|value| value * weight).collect();
                    sum = add(&sum, &weighted);
                }
                sum
            };
            self.linear(output, &(0..heads.query).flat_map(head).collect::<Vector>())
        };
        (0..rows.len()).map(token).collect()
    }

    fn mlp(&self, mlp: &Mlp, row: &[f64]) -> Vector {
        match mlp {
            Mlp::Gated { gate, up, down, activation } => {
                let (gates, ups) = (self.linear(gate, row), self.linear(up, row));
                let inner: Vector =
                    gates.iter().zip(&ups).map(|(gate, up)| activate(*activation, *gate) * up).collect();
                self.linear(down, &inner)
            }
            Mlp::Plain { up, down, activation } => {
                let inner: Vector = self.linear(up, row).iter().map(|value| activate(*activation, *value)).collect();
                self.linear(down, &inner)
            }
        }
    }

    fn head(&self, mut vector: Vector) -> f64 {
        let head = &self.model.architecture.head;
        for step in &head.steps {
            vector = match step {
                HeadStep::Norm(norm) => self.norm(norm, &vector),
                HeadStep::Dense(linear, activation) => {
                    let products = self.linear(linear, &vector).into_iter();
                    products.map(|value| activation.map_or(value, |activation| activate(activation, value))).collect()
                }
            };
        }
        let logit = match (&head.output, self.model.answers) {
            (HeadOutput::Classifier(linear), _) => self.linear(linear, &vector)[0],
            (HeadOutput::Vocabulary(tensor), Some(answers)) => {
                let logit = |token: u32| dot(&self.matrix(tensor)[token as usize], &vector);
                logit(answers.yes) - answers.no.map_or(0., logit)
            }
            (HeadOutput::Answers { .. }, _) => panic!("test models have a whole head"),
            (HeadOutput::Vocabulary(_), None) => panic!("a language model has answers"),
        };
        logit / head.temperature
    }

    fn linear(&self, linear: &Linear, inputs: &[f64]) -> Vector {
        let is_quantized = self.quantized.contains(&linear.weight.name);
        let inputs = &if is_quantized { in_e4m3(inputs) } else { inputs.to_vec() };
        let products: Vector = self.matrix(&linear.weight).iter().map(|row| dot(row, inputs)).collect();
        linear.bias.as_ref().map_or(products.clone(), |bias| add(&products, &self.vector(bias)))
    }

    fn norm(&self, norm: &Norm, row: &[f64]) -> Vector {
        let count = row.len() as f64;
        let mean = if norm.kind == NormKind::Layer { row.iter().sum::<f64>() / count } else { 0. };
        let variance = row.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / count;
        let scale = 1. / (variance + norm.epsilon).sqrt();
        let weights = self.vector(&norm.weight);
        let normed = row.iter().zip(weights);
        let normed: Vector =
            normed.map(|(value, weight)| (value - mean) * scale * (weight + f64::from(norm.weight_offset))).collect();
        norm.bias.as_ref().map_or(normed.clone(), |bias| add(&normed, &self.vector(bias)))
    }
}

/// Values rounded to E4M3, of which the largest becomes the largest number.
fn in_e4m3(values: &[f64]) -> Vector {
    let scale = values.iter().fold(0f64, |largest, value| largest.max(value.abs())) / 448.;
    values.iter().map(|value| F8E4M3::from_f64(value / scale).to_f64() * scale).collect()
}

fn rows(weights: &Weights, tensor: &Tensor) -> Matrix {
    let matrix = weights.matrix(tensor).unwrap();
    let mut values = vec![0f32; tensor.inputs()];
    let row = |row: usize| {
        matrix.row(row, &mut values);
        values.iter().map(|&value| f64::from(value)).collect()
    };
    (0..tensor.rows.len()).map(row).collect()
}

fn rotated(rotary: Option<&Rotary>, head: &[f64], position: usize) -> Vector {
    let Some(rotary) = rotary else { return head.to_vec() };
    let half = rotary.features / 2;
    let mut turned = head.to_vec();
    for (feature, frequency) in rotary.frequencies().into_iter().enumerate() {
        // The angle is rounded to f32, as transformers does.
        let (sine, cosine) = f64::from(position as f32 * frequency).sin_cos();
        turned[feature] = head[feature] * cosine - head[half + feature] * sine;
        turned[half + feature] = head[half + feature] * cosine + head[feature] * sine;
    }
    turned
}

fn activate(activation: Activation, x: f64) -> f64 {
    match activation {
        Activation::Silu => x / (1. + (-x).exp()),
        Activation::Gelu => x * 0.5 * (1. + candle_core::cpu::erf::erf_f64(x / 2f64.sqrt())),
        Activation::GeluTanh => {
            0.5 * x * (1. + ((2. / std::f64::consts::PI).sqrt() * (x + 0.044715 * x.powi(3))).tanh())
        }
        Activation::Relu => x.max(0.),
        Activation::Tanh => x.tanh(),
    }
}

fn softmax(scores: Vector) -> Vector {
    let most = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let weights: Vector = scores.iter().map(|score| (score - most).exp()).collect();
    let sum: f64 = weights.iter().sum();
    weights.into_iter().map(|weight| weight / sum).collect()
}

fn add(one: &[f64], other: &[f64]) -> Vector {
    assert_eq!(one.len(), other.len());
    one.iter().zip(other).map(|(one, other)| one + other).collect()
}

fn dot(one: &[f64], other: &[f64]) -> f64 {
    assert_eq!(one.len(), other.len());
    one.iter().zip(other).map(|(one, other)| one * other).sum()
}
