//! Logits against transformers, on models that are small enough to commit. `scripts/reference_logits.py` makes the
//! expected numbers.

use std::collections::HashMap;

use rerank::kernels::Level;
use serde::Deserialize;

use crate::fixture::{command, rerank_at};

#[derive(Deserialize)]
struct Expected {
    max_length: u32,
    /// By query id and candidate id.
    logits: HashMap<String, HashMap<String, Logits>>,
}

#[derive(Deserialize)]
struct Logits {
    f32: f64,
    /// transformers' own, computed in bf16.
    bf16: f64,
    tokens: u32,
}

/// Our logit, the reference's in f32, and in bf16, for every pair.
fn logits(model: &str, level: Level, dtype: &str) -> Vec<[f64; 3]> {
    let text = std::fs::read_to_string(format!("testdata/{model}.expected.json")).unwrap();
    let expected: Expected = serde_json::from_str(&text).unwrap();
    let (model, max_length) = (format!("testdata/{model}"), expected.max_length.to_string());
    let arguments = [
        "--model",
        &model,
        "--input",
        "testdata/parity.jsonl",
        "--max-length",
        &max_length,
        "--quiet",
        "--dtype",
        dtype,
    ];
    let rankings = rerank_at(level, &arguments).rankings();
    let mut pairs = Vec::new();
    for ranking in &rankings {
        for result in ranking["results"].as_array().unwrap() {
            let expected = &expected.logits[ranking["query_id"].as_str().unwrap()][result["id"].as_str().unwrap()];
            pairs.push([result["logit"].as_f64().unwrap(), expected.f32, expected.bf16]);
        }
    }
    let longest = expected.logits.values().flat_map(HashMap::values).map(|logits| logits.tokens).max();
    assert!(longest > Some(8000), "no long document among {longest:?}");
    assert_eq!(pairs.len(), expected.logits.values().map(HashMap::len).sum::<usize>());
    assert!(pairs.len() >= 200, "{} pairs", pairs.len());
    pairs
}

fn deviations(pairs: &[[f64; 3]], one: usize, other: usize) -> (f64, f64) {
    let deviations = || pairs.iter().map(|pair| (pair[one] - pair[other]).abs());
    (deviations().fold(0., f64::max), deviations().sum::<f64>() / pairs.len() as f64)
}

#[track_caller]
fn agrees_in_f32(model: &str) {
    for level in Level::all() {
        let (most, _) = deviations(&logits(model, level, "f32"), 0, 1);
        assert!(most < 1e-4, "{model} on {level}: up to {most}");
    }
}

#[track_caller]
fn agrees_in_bf16(model: &str) {
    for level in Level::all() {
        let pairs = logits(model, level, "bf16");
        let (most, mean) = deviations(&pairs, 0, 1);
        let (_, reference) = deviations(&pairs, 2, 1);
        assert!(most < 0.05, "{model} on {level}: up to {most}");
        assert!(mean < reference, "{model} on {level}: {mean} on average, and the reference {reference}");
        assert!(mean > 0., "{model} on {level}: nothing was rounded");
    }
}

#[test]
fn the_tiny_model_agrees_with_transformers_in_f32() {
    agrees_in_f32("tiny-reranker");
}

#[test]
fn the_odd_model_agrees_with_transformers_in_f32() {
    agrees_in_f32("odd-reranker");
}

#[test]
fn the_tiny_model_in_bf16_is_closer_to_f32_than_transformers() {
    agrees_in_bf16("tiny-reranker");
}

#[test]
fn the_odd_model_in_bf16_is_closer_to_f32_than_transformers() {
    agrees_in_bf16("odd-reranker");
}

#[test]
fn half_precision_is_near() {
    let (most, _) = deviations(&logits("odd-reranker", Level::available(), "f16"), 0, 1);
    assert!(most < 0.01 && most > 0., "{most}");
}

#[test]
fn bytes_are_not_far_off() {
    for (model, bound) in [("tiny-reranker", 0.1), ("odd-reranker", 0.2)] {
        for level in [Level::Plain, Level::available()] {
            let (most, mean) = deviations(&logits(model, level, "int8"), 0, 1);
            println!("{model} {level}: int8 up to {most}, {mean} on average");
            assert!(most < bound && mean > 0., "{model} on {level}: up to {most}, {mean} on average");
        }
    }
}

#[test]
fn a_forced_level_is_told_and_a_wrong_one_refused() {
    let arguments = ["--model", "testdata/odd-reranker", "--input", "testdata/candidates.jsonl", "--verbose"];
    let run = rerank_at(Level::Plain, &arguments);
    assert!(run.stderr.contains(&format!("f32 on {}", Level::Plain)), "{}", run.stderr);
    let mut command = command(&arguments);
    let output = command.env("RERANK_INSTRUCTIONS", "mmx").output().unwrap();
    let message = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{message}");
    assert!(message.contains("RERANK_INSTRUCTIONS") && message.contains("avx512-bf16"), "{message}");
}
