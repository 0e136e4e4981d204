//! Long prompts in f32 against a forward in f64: the error must be that of f32, whatever the length. The expected numbers are
//! made by `scripts/reference_long.py`.

use std::collections::HashMap;

use rerank::engine::cpu::{Arithmetic, Level};
use rerank::precision::Precision;
use serde::Deserialize;
use serde_json::json;

use crate::fixture::{Files, rerank_by};
use crate::generated::{Shape, text};

#[derive(Deserialize)]
struct Expected {
    query: String,
    models: HashMap<String, Model>,
}

#[derive(Deserialize)]
struct Model {
    shape: Shape,
    pairs: Vec<Pair>,
}

#[derive(Deserialize)]
struct Pair {
    /// How many words the document has.
    words: usize,
    /// How many tokens the prompt has.
    tokens: usize,
    f64: f64,
    /// transformers' own in f32.
    f32: f64,
}

/// Prompts of up to so many tokens, on a level.
fn check(model: &str, level: Level, longest: usize) {
    let expected: Expected =
        serde_json::from_str(&std::fs::read_to_string("testdata/long.expected.json").unwrap()).unwrap();
    let Model { shape, pairs } = &expected.models[model];
    let files = Files::new();
    let directory = shape.write(&files, "model");
    let candidate = |(index, pair): (usize, &Pair)| {
        (pair.tokens <= longest).then(|| json!({"id": index.to_string(), "text": text(index as u64, pair.words)}))
    };
    let candidates: Vec<_> = pairs.iter().enumerate().filter_map(candidate).collect();
    let input = files.write("input.jsonl", json!({"query": expected.query, "candidates": candidates}).to_string());
    let arguments = ["--model", &directory, "--input", &input, "--max-length", "32768", "--quiet", "--no-text"];
    let rankings = rerank_by(Arithmetic::new(level, Precision::F32), &arguments).rankings();
    let results = rankings[0]["results"].as_array().unwrap();
    assert_eq!(results.len(), candidates.len());
    for result in results {
        let pair = &pairs[result["id"].as_str().unwrap().parse::<usize>().unwrap()];
        let error = (result["logit"].as_f64().unwrap() - pair.f64).abs();
        let bound = 2. * (pair.f32 - pair.f64).abs() + 2e-5;
        assert!(error <= bound, "{model} on {level}, {} tokens: off by {error}, more than {bound}", pair.tokens);
    }
}

#[test]
fn peaked_attention_is_exact_at_length() {
    check("peaked", Level::available(), 32_768);
}

#[test]
fn flat_attention_is_exact_at_length() {
    check("flat", Level::available(), 32_768);
}

#[test]
fn every_level_is_exact_at_length() {
    for level in Level::all() {
        check("peaked", level, 8192);
        check("flat", level, 8192);
    }
}
