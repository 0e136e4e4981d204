//! Everything that a description can have, on an emulated GPU against the oracle: small models after published families, with
//! random weights.

use std::collections::HashMap;
use std::sync::Arc;

use candle_core::{DType, Device, Tensor};
use rerank::batch::{Limits, plan};
use rerank::checkpoint::Weights;
use rerank::engine::gpu::forward::GpuEngine;
use rerank::engine::gpu::{Gpu, Type};
use rerank::engine::{Engine, Model};
use rerank::model::{
    Activation, Answers, Architecture, Attention, Embedding, Head, HeadOutput, HeadStep, Heads, Layer, Linear, Mask,
    Mlp, Norm, NormPlacement, Pooling, Positions, Rotary, RotaryScaling,
};
use rerank::recipe::Prompt;

use crate::emulated::Emulated;
use crate::fixture::Files;
use crate::generated;
use crate::reference::Reference;

const VOCABULARY: usize = 60;
const LAYERS: usize = 3;
const LONGEST: usize = 200;

/// What is the same in all layers of a model.
pub struct Sizes {
    pub heads: Heads,
    pub hidden: usize,
    pub inner: usize,
}

impl Sizes {
    /// Heads that share the features of the residual stream.
    pub fn encoder(heads: usize, head_dim: usize) -> Self {
        let hidden = heads * head_dim;
        Self { heads: Heads { query: heads, key: heads, head_dim }, hidden, inner: 2 * hidden }
    }

    fn linear(&self, name: &str, [outputs, inputs]: [usize; 2], biased: bool) -> Linear {
        if biased { Linear::biased(name, outputs, inputs) } else { Linear::new(name, outputs, inputs) }
    }

    /// A layer in the manner of BERT, biases included or not; a family changes what it has otherwise.
    fn layer(&self, index: usize, biased: bool) -> Layer {
        let Self { heads, hidden, inner } = *self;
        let name = |part: &str| format!("layer.{index}.{part}");
        let linear = |part: &str, shape: [usize; 2]| self.linear(&name(part), shape, biased);
        Layer {
            placement: NormPlacement::After,
            attention_norm: Some(Norm::layer(&name("attention_norm"), hidden, 1e-5)),
            attention: Attention {
                heads,
                query: linear("query", [heads.query_width(), hidden]),
                key: linear("key", [heads.key_width(), hidden]),
                value: linear("value", [heads.key_width(), hidden]),
                output: linear("output", [hidden, heads.query_width()]),
                query_key_norms: None,
                rotary: None,
                relative: None,
                mask: Mask::Bidirectional,
                window: None,
                scale: heads.usual_scale(),
            },
            mlp_norm: Norm::layer(&name("mlp_norm"), hidden, 1e-5),
            mlp: Mlp::Plain {
                up: linear("up", [inner, hidden]),
                down: linear("down", [hidden, inner]),
                activation: Activation::Gelu,
            },
        }
    }

    fn gated(&self, index: usize, activation: Activation) -> Mlp {
        let linear = |part: &str, shape: [usize; 2]| self.linear(&format!("layer.{index}.{part}"), shape, false);
        Mlp::Gated {
            gate: linear("gate", [self.inner, self.hidden]),
            up: linear("up", [self.inner, self.hidden]),
            down: linear("down", [self.hidden, self.inner]),
            activation,
        }
    }

    /// The whole in the manner of BERT.
    pub fn model(&self, biased: bool, change: impl Fn(usize, &mut Layer)) -> Architecture {
        let hidden = self.hidden;
        let layer = |index: usize| {
            let mut layer = self.layer(index, biased);
            change(index, &mut layer);
            layer
        };
        let table = |name: &str, rows: usize| rerank::model::Tensor::matrix(name, rows, hidden);
        Architecture {
            family: "a test's",
            hidden,
            max_length: LONGEST,
            embedding: Embedding {
                positions: Some(Positions { table: table("positions", LONGEST + 2), first: 2 }),
                token_types: Some(table("types", 2)),
                norm: Some(Norm::layer("embedding_norm", hidden, 1e-5)),
                ..Embedding::of_tokens(table("tokens", VOCABULARY))
            },
            layers: (0..LAYERS).map(layer).collect(),
            final_norm: None,
            pooling: Pooling::FirstToken,
            padding: None,
            head: Head {
                steps: vec![HeadStep::Dense(Linear::biased("dense", hidden, hidden), Some(Activation::Tanh))],
                output: HeadOutput::Classifier(Linear::biased("classifier", 1, hidden)),
                temperature: 1.,
            },
        }
    }

    /// The whole in the manner of Llama: a decoder.
    pub fn decoder(&self, activation: Activation, change: impl Fn(usize, &mut Layer)) -> Architecture {
        let rotary = Rotary::of_theta(1e4, self.heads.head_dim);
        let mut model = self.model(false, |index, layer| {
            let norm = |part: &str| Norm::rms(&format!("layer.{index}.{part}_norm"), self.hidden, 1e-6);
            layer.placement = NormPlacement::Before;
            (layer.attention_norm, layer.mlp_norm) = (Some(norm("attention")), norm("mlp"));
            (layer.attention.rotary, layer.attention.mask) = (Some(rotary), Mask::Causal);
            layer.mlp = self.gated(index, activation);
            change(index, layer);
        });
        model.embedding = Embedding::of_tokens(model.embedding.tokens);
        model.final_norm = Some(Norm::rms("final_norm", self.hidden, 1e-6));
        model.pooling = Pooling::LastToken;
        let output = HeadOutput::Vocabulary(model.embedding.tokens.clone());
        model.head = Head { steps: Vec::new(), output, temperature: 1. };
        model
    }
}

/// Weights that are random, but the same every time: norms' are near 1 (with their offset), and products keep sizes.
pub fn with_weights(architecture: Architecture, files: &Files) -> Model {
    let gemma = architecture.layers[0].mlp_norm.weight_offset == 1.;
    let mut tensors = HashMap::new();
    for (seed, tensor) in architecture.tensors().into_iter().enumerate() {
        let (rows, columns) = (tensor.shape[0], tensor.inputs());
        let (center, scale) = match (tensor.shape.len(), tensor.name.contains("norm.weight")) {
            (1, true) => (if gemma { 0. } else { 1. }, 0.4),
            (1, false) => (0., 0.5),
            _ => (0., 2.5 / (columns as f32).sqrt()),
        };
        let integers = generated::integers(seed as u64 + 1, rows * columns);
        let values: Vec<f32> =
            integers.map(|integer| center + scale * (integer as f32 / 128. - 1.)).take(rows * columns).collect();
        let values = Tensor::from_vec(values, tensor.shape.as_slice(), &Device::Cpu).unwrap();
        tensors.insert(tensor.name.clone(), values.to_dtype(DType::F32).unwrap());
    }
    let path = files.path("model.safetensors");
    candle_core::safetensors::save(&tensors, &path).unwrap();
    let is_language_model = matches!(architecture.head.output, HeadOutput::Vocabulary(_));
    let answers = is_language_model.then_some(Answers { yes: 7, no: Some(8) });
    Model { architecture: Arc::new(architecture), weights: Arc::new(Weights::open(&[path]).unwrap()), answers }
}

pub fn prompts() -> Vec<Prompt> {
    let prompt = |length: usize| {
        let tokens = (0..length).map(|index| (index * index * 7 + length) as u32 % VOCABULARY as u32).collect();
        Prompt { second_type: Some(length / 3), ..Prompt::whole(tokens) }
    };
    [1, 7, 66, 131].into_iter().map(prompt).collect()
}

/// An emulated GPU: its type of values, whether it is Hopper, and how far logits may be off.
type Case = (Type, bool, f32);
const F32: Case = (Type::F32, false, 2e-5);

/// Checks a model's logits by the oracle, and that each prompt alone has the same bits. Kernels of these names must have run.
fn check(architecture: Architecture, cases: &[Case], kernels: &[&str]) {
    let files = Files::new();
    let model = with_weights(architecture, &files);
    let limits = Limits { pairs: 9, tokens: 1000, share_prefixes: false, fill: false };
    let batch = &plan(&[prompts()], limits)[0];
    let expected = Reference::new(&model).logits(batch);
    let spread = expected.iter().copied().fold(f32::MIN, f32::max) - expected.iter().copied().fold(f32::MAX, f32::min);
    assert!(spread > 0.1, "the logits hardly differ: {expected:?}");
    let mut launched = Vec::new();
    for &(value, hopper, tolerance) in cases {
        let device = if hopper { Emulated::hopper(1 << 30) } else { Emulated::new(1 << 30) };
        let mut engine = GpuEngine::load(&model, Gpu::new(device.clone(), value).with_late_from(64)).unwrap();
        assert_eq!(engine.warnings(), Vec::<String>::new());
        device.launched.lock().unwrap().clear();
        let logits = engine.run(batch).unwrap();
        launched.extend(device.launched.lock().unwrap().clone());
        for (logit, expected) in logits.iter().zip(&expected) {
            assert!((logit - expected).abs() < tolerance, "{value:?}: {logits:?}, not {expected:?}");
        }
        for (id, logit) in batch.pairs().zip(&logits) {
            let alone = plan(&[vec![prompts()[id.candidate].clone()]], limits);
            assert_eq!(engine.run(&alone[0]).unwrap(), [*logit], "{value:?}, alone");
        }
    }
    for kernel in kernels {
        assert!(launched.iter().any(|name| name.starts_with(kernel)), "{kernel} of {launched:?}");
    }
}

#[test]
fn encoders_after_bert() {
    let bf16 = [F32, (Type::Bf16, false, 0.1)];
    check(Sizes::encoder(3, 32).model(true, |_, _| ()), &bf16, &["attend_bf16_32", "activate_plain_bf16"]);
    // ELECTRA: a narrow embedding; heads that no fast kernel has.
    let mut electra = Sizes::encoder(2, 26).model(true, |_, _| ());
    let narrow = |name: &str, rows: usize| rerank::model::Tensor::matrix(name, rows, 24);
    electra.embedding.tokens = narrow("tokens", VOCABULARY);
    electra.embedding.positions = Some(Positions { table: narrow("positions", LONGEST), first: 0 });
    electra.embedding.token_types = Some(narrow("types", 2));
    electra.embedding.norm = Some(Norm::layer("embedding_norm", 24, 1e-5));
    electra.embedding.projection = Some(Linear::biased("projection", 52, 24));
    electra.head.steps = vec![HeadStep::Dense(Linear::biased("dense", 52, 52), Some(Activation::Gelu))];
    check(electra, &[F32], &["fill_rows"]);
    // DistilBERT: no token types; a head with ReLU.
    let mut distil = Sizes::encoder(2, 64).model(true, |_, _| ());
    distil.embedding.token_types = None;
    distil.head.steps = vec![HeadStep::Dense(Linear::biased("dense", 128, 128), Some(Activation::Relu))];
    check(distil, &[(Type::F16, true, 0.02)], &["attend_hopper_early_f16_64", "attend_hopper_late_f16_64"]);
}

/// Windows of some layers, two rotary embeddings, norms before and one behind; the first layer has none before attention.
pub fn modernbert() -> Architecture {
    let sizes = Sizes::encoder(2, 64);
    let bare = |name: &str| Norm { bias: None, ..Norm::layer(name, sizes.hidden, 1e-5) };
    let mut model = sizes.model(false, |index, layer| {
        let theta = if index == 0 { 16e4 } else { 1e4 };
        layer.placement = NormPlacement::Before;
        layer.attention_norm = (index > 0).then(|| bare(&format!("layer.{index}.attention_norm")));
        layer.mlp_norm = bare(&format!("layer.{index}.mlp_norm"));
        layer.attention.rotary = Some(Rotary::of_theta(theta, sizes.heads.head_dim));
        layer.attention.window = (index > 0).then_some(20);
        layer.mlp = sizes.gated(index, Activation::Gelu);
    });
    model.embedding.positions = None;
    model.embedding.token_types = None;
    model.embedding.norm = Some(bare("embedding_norm"));
    model.final_norm = Some(bare("final_norm"));
    let dense = HeadStep::Dense(Linear::new("dense", 128, 128), Some(Activation::Gelu));
    model.head.steps = vec![dense, HeadStep::Norm(bare("head_norm"))];
    model
}

#[test]
fn encoders_after_modernbert() {
    let kernels = ["attend_windows_bf16_64", "attend_hopper_late_bf16_64", "rotate_bf16", "activate_gated_bf16"];
    check(modernbert(), &[F32, (Type::Bf16, true, 0.1)], &kernels);
    let pooled_whole = Architecture { pooling: Pooling::Mean, ..modernbert() };
    check(pooled_whole, &[F32, (Type::F16, false, 0.02)], &["mean_rows", "attend_windows_f16_64", "attend_f16_64"]);
}

#[test]
fn sizes_need_not_be_multiples_of_anything() {
    let sizes = Sizes { inner: 35, ..Sizes::encoder(3, 10) };
    let turn = |_: usize, layer: &mut Layer| layer.attention.rotary = Some(Rotary::of_theta(1e4, 10));
    for model in [sizes.model(true, |_, _| ()), sizes.model(true, turn)] {
        check(model, &[F32, (Type::Bf16, false, 0.1)], &["activate_plain_bf16"]);
    }
    let sizes = Sizes { heads: Heads { query: 2, key: 1, head_dim: 6 }, hidden: 13, inner: 11 };
    check(sizes.decoder(Activation::Silu, |_, _| ()), &[F32], &["activate_gated_f32", "dot_rows"]);
}

#[test]
fn encoders_with_rotary_embeddings_and_norms_behind() {
    let sizes = Sizes::encoder(4, 32);
    let rotary = Rotary { scaling: RotaryScaling::Linear(2.), ..Rotary::of_theta(1e4, 32) };
    let mut model = sizes.model(true, |index, layer| {
        layer.attention.rotary = Some(rotary);
        let mut mlp = sizes.gated(index, Activation::Gelu);
        if let Mlp::Gated { down, .. } = &mut mlp {
            *down = Linear::biased(&format!("layer.{index}.down"), sizes.hidden, sizes.inner);
        }
        layer.mlp = mlp;
    });
    model.embedding.positions = None;
    check(model, &[F32, (Type::Bf16, false, 0.1)], &["rotate_bf16", "attend_bf16_32"]);
}

#[test]
fn decoders_without_norms_of_heads() {
    // Qwen2: biases of queries, keys and values; a key head for several query heads.
    let sizes = Sizes { heads: Heads { query: 4, key: 2, head_dim: 32 }, hidden: 96, inner: 104 };
    let biased = |linear: &mut Linear| {
        let name = linear.weight.name.trim_end_matches(".weight").to_owned();
        *linear = Linear::biased(&name, linear.outputs(), linear.weight.inputs());
    };
    let qwen2 = sizes.decoder(Activation::Silu, |_, layer| {
        let Attention { query, key, value, .. } = &mut layer.attention;
        [query, key, value].into_iter().for_each(biased);
    });
    check(qwen2, &[F32, (Type::Bf16, false, 0.1)], &["rotate_bf16", "swiglu_bf16"]);
    // Qwen3 with biases everywhere.
    let qwen3 = sizes.decoder(Activation::Silu, |index, layer| {
        let norm = |part: &str| Norm::rms(&format!("layer.{index}.{part}_norm"), 32, 1e-6);
        let Attention { query, key, value, output, .. } = &mut layer.attention;
        [query, key, value, output].into_iter().for_each(biased);
        layer.attention.query_key_norms = Some([norm("query"), norm("key")]);
        layer.attention.window = Some(50);
        if let Mlp::Gated { gate, up, down, .. } = &mut layer.mlp {
            [gate, up, down].into_iter().for_each(biased);
        }
    });
    check(qwen3, &[F32], &["qk_norm_rope_f32", "add_bias_f32"]);
}

#[test]
fn decoders_after_gemma_and_in_both_directions() {
    let sizes = Sizes { heads: Heads { query: 2, key: 1, head_dim: 256 }, hidden: 64, inner: 72 };
    let mut gemma = sizes.decoder(Activation::GeluTanh, |_, layer| {
        layer.mlp_norm.weight_offset = 1.;
        layer.attention_norm.as_mut().unwrap().weight_offset = 1.;
        layer.attention.scale = 0.05;
    });
    gemma.final_norm.as_mut().unwrap().weight_offset = 1.;
    gemma.embedding.scale = 8.;
    check(gemma, &[F32], &["attend_plain_f32"]);
    // Nemotron: Llama without a mask.
    let scaling =
        RotaryScaling::Llama3 { factor: 4., low_frequency_factor: 1., high_frequency_factor: 4., original_length: 64. };
    let sizes = Sizes { heads: Heads { query: 4, key: 2, head_dim: 64 }, hidden: 96, inner: 104 };
    let mut nemotron = sizes.decoder(Activation::Silu, |_, layer| {
        layer.attention.mask = Mask::Bidirectional;
        layer.attention.rotary = Some(Rotary { scaling, ..Rotary::of_theta(1e4, 64) });
    });
    nemotron.pooling = Pooling::Mean;
    nemotron.head.output = HeadOutput::Classifier(Linear::new("score", 1, 96));
    nemotron.head.temperature = 0.5;
    check(nemotron, &[F32, (Type::Bf16, true, 0.2)], &["mean_rows", "attend_hopper_early_bf16_64"]);
}
