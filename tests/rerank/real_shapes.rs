//! Models whose layers have the shapes of published ones, against transformers. The expected numbers are made by
//! `scripts/reference_shapes.py`.

use std::collections::HashMap;
use std::sync::Arc;

use rerank::batch::{Limits, plan};
use rerank::checkpoint::Weights;
use rerank::engine::cpu::{Arithmetic, Level};
use rerank::engine::gpu::forward::GpuEngine;
use rerank::engine::gpu::{Gpu, Type};
use rerank::engine::{self, Engine};
use rerank::model::{Answers, Architecture};
use rerank::precision::Precision;
use rerank::recipe::Prompt;
use serde::Deserialize;
use serde_json::json;

use crate::emulated::Emulated;
use crate::fixture::{Files, rerank_by};
use crate::generated::{Shape, text, tokens};

#[derive(Deserialize)]
struct Expected {
    query: String,
    models: HashMap<String, Model>,
}

#[derive(Deserialize)]
struct Model {
    shape: Shape,
    pairs: Vec<Pair>,
    /// The logits of arbitrary tokens, without a prompt around them.
    sequences: Vec<Logits>,
}

#[derive(Deserialize)]
struct Pair {
    /// How many words the document has.
    words: usize,
    #[serde(flatten)]
    logits: Logits,
}

#[derive(Deserialize)]
struct Logits {
    tokens: usize,
    f32: f64,
    /// transformers' own in bf16.
    bf16: f64,
}

fn expected() -> Expected {
    serde_json::from_str(&std::fs::read_to_string("testdata/shapes.expected.json").unwrap()).unwrap()
}

/// How far our logits are from transformers' in f32, at most and on average, and its own in bf16 on average.
fn deviations(shape: &str, arithmetic: Arithmetic) -> (f64, f64, f64) {
    let expected = expected();
    let Model { shape, pairs, .. } = &expected.models[shape];
    let files = Files::new();
    let directory = shape.write(&files, "model");
    let candidate =
        |(index, pair): (usize, &Pair)| json!({"id": index.to_string(), "text": text(index as u64, pair.words)});
    let candidates: Vec<_> = pairs.iter().enumerate().map(candidate).collect();
    let input = files.write("input.jsonl", json!({"query": expected.query, "candidates": candidates}).to_string());
    let arguments = ["--model", &directory, "--input", &input, "--quiet", "--no-text"];
    let rankings = rerank_by(arithmetic, &arguments).rankings();
    let results = rankings[0]["results"].as_array().unwrap();
    assert_eq!(results.len(), pairs.len());
    let ours: Vec<f64> = results
        .iter()
        .map(|result| {
            let pair = &pairs[result["id"].as_str().unwrap().parse::<usize>().unwrap()];
            (result["logit"].as_f64().unwrap() - pair.logits.f32).abs()
        })
        .collect();
    let mean = |deviations: &[f64]| deviations.iter().sum::<f64>() / deviations.len() as f64;
    let theirs: Vec<f64> = pairs.iter().map(|pair| (pair.logits.bf16 - pair.logits.f32).abs()).collect();
    (ours.iter().copied().fold(0., f64::max), mean(&ours), mean(&theirs))
}

const SHAPES: [&str; 2] = ["head_dim-128", "head_dim-64"];

#[test]
fn published_shapes_agree_with_transformers_in_f32() {
    for shape in SHAPES {
        for level in Level::all() {
            let (most, ..) = deviations(shape, Arithmetic::new(level, Precision::F32));
            assert!(most < 5e-5, "{shape} on {level}: up to {most}");
        }
    }
}

#[test]
fn published_shapes_are_near_in_less_precision() {
    for shape in SHAPES {
        for level in Level::all() {
            for (precision, bound) in
                [(Precision::Bf16, 0.1), (Precision::F16, 0.01), (Precision::Int8, 0.6), (Precision::Int16, 0.03)]
            {
                for arithmetic in Arithmetic::all(level, precision) {
                    let (most, mean, theirs) = deviations(shape, arithmetic);
                    let kernels = arithmetic.kernel_class();
                    assert!(most < bound && mean > 0., "{shape} on {kernels}: up to {most}");
                    assert!(
                        precision != Precision::Bf16 || mean < theirs,
                        "{shape} on {kernels}: {mean}, not {theirs}"
                    );
                }
            }
        }
    }
}

/// The id of a word that is one token.
fn token(word: &str) -> u32 {
    let tokenizer: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string("testdata/odd-reranker/tokenizer.json").unwrap()).unwrap();
    tokenizer["model"]["vocab"][word].as_u64().unwrap() as u32
}

#[test]
fn published_shapes_agree_with_transformers_on_an_emulated_gpu() {
    for shape in SHAPES {
        let Model { shape: made, sequences, .. } = &expected().models[shape];
        let files = Files::new();
        made.write(&files, "model");
        let model = engine::Model {
            architecture: Arc::new(Architecture::read(&files.path("model/config.json")).unwrap()),
            weights: Arc::new(Weights::open(&[files.path("model/model.safetensors")]).unwrap()),
            answers: Some(Answers { yes: token("yes"), no: Some(token("no")) }),
        };
        let prompts: Vec<Prompt> = sequences
            .iter()
            .enumerate()
            .map(|(seed, logits)| Prompt::whole(tokens(seed as u64, logits.tokens)))
            .collect();
        let limits = Limits { pairs: 9, tokens: 1000, share_prefixes: true, fill: false };
        let [batch] = &plan(&[prompts], limits)[..] else { panic!("one batch holds all") };
        for (value, bound) in [(Type::F32, 5e-5), (Type::F16, 0.03), (Type::Bf16, 0.2)] {
            let gpu = Gpu::new(Emulated::hopper(1 << 30), value);
            let logits = GpuEngine::load(&model, gpu).unwrap().run(batch).unwrap();
            for (pair, logit) in batch.pairs().zip(&logits) {
                let difference = (f64::from(*logit) - sequences[pair.candidate].f32).abs();
                assert!(difference < bound, "{shape} in {value:?}: {logit}, not {}", sequences[pair.candidate].f32);
            }
        }
    }
}
