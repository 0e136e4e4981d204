//! Logits against transformers, on models that are small enough to commit. `scripts/reference_logits.py` makes the
//! expected numbers.

use std::collections::HashMap;

use rerank::engine::cpu::{Arithmetic, Level, Unit};
use rerank::precision::Precision;
use serde::Deserialize;
use serde_json::Value;

use crate::fixture::{Files, command, rerank, rerank_by, run};

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
fn logits(model: &str, arithmetic: Arithmetic) -> Vec<[f64; 3]> {
    let text = std::fs::read_to_string(format!("testdata/{model}.expected.json")).unwrap();
    let expected: Expected = serde_json::from_str(&text).unwrap();
    let (model, max_length) = (format!("testdata/{model}"), expected.max_length.to_string());
    let arguments = ["--model", &model, "--input", "testdata/parity.jsonl", "--max-length", &max_length, "--quiet"];
    let rankings = rerank_by(arithmetic, &arguments).rankings();
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
        let (most, _) = deviations(&logits(model, Arithmetic::new(level, Precision::F32)), 0, 1);
        assert!(most < 1e-4, "{model} on {level}: up to {most}");
    }
}

#[track_caller]
fn agrees_in_bf16(model: &str) {
    for arithmetic in Level::all().flat_map(|level| Arithmetic::all(level, Precision::Bf16)) {
        let (pairs, kernels) = (logits(model, arithmetic), arithmetic.kernel_class());
        let (most, mean) = deviations(&pairs, 0, 1);
        let (_, reference) = deviations(&pairs, 2, 1);
        assert!(most < 0.05, "{model} on {kernels}: up to {most}");
        assert!(mean < reference, "{model} on {kernels}: {mean} on average, and the reference {reference}");
        assert!(mean > 0., "{model} on {kernels}: nothing was rounded");
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
    let (most, _) = deviations(&logits("odd-reranker", Arithmetic::new(Level::available(), Precision::F16)), 0, 1);
    assert!(most < 0.01 && most > 0., "{most}");
}

#[test]
fn whole_numbers_are_not_far_off() {
    // Without instructions for it, 200 pairs take long: once is enough.
    for (model, level, precision, bound) in [
        ("tiny-reranker", Level::available(), Precision::Int8, 0.1),
        ("odd-reranker", Level::available(), Precision::Int8, 0.2),
        ("odd-reranker", Level::Plain, Precision::Int8, 0.2),
        ("tiny-reranker", Level::available(), Precision::Int16, 0.01),
        ("odd-reranker", Level::available(), Precision::Int16, 0.02),
    ] {
        for arithmetic in Arithmetic::all(level, precision) {
            let (most, mean) = deviations(&logits(model, arithmetic), 0, 1);
            assert!(
                most < bound && mean > 0.,
                "{model} on {}: up to {most}, {mean} on average",
                arithmetic.kernel_class()
            );
        }
    }
}

#[test]
fn forced_kernels_are_reported_and_wrong_ones_refused() {
    let files = Files::new();
    let stats = files.name("stats.json");
    let arguments =
        ["--model", "testdata/odd-reranker", "--input", "testdata/candidates.jsonl", "--stats", &stats, "--verbose"];
    let levels = [Level::Plain, Level::available()].into_iter();
    let arithmetics = levels.flat_map(|level| Precision::ON_CPU.map(|precision| (level, precision)));
    for arithmetic in arithmetics.flat_map(|(level, precision)| Arithmetic::all(level, precision)) {
        let run = rerank_by(arithmetic, &arguments);
        let (dtype, kernels) = (arithmetic.precision.name(), arithmetic.kernel_class());
        assert!(run.stderr.contains(&format!("{dtype} on {kernels}")), "{}", run.stderr);
        assert!(!run.stderr.contains("measured"), "{}", run.stderr);
        let stats: Value = serde_json::from_str(&files.read("stats.json")).unwrap();
        assert_eq!([&stats["dtype"], &stats["kernels"]], [dtype, &kernels]);
        assert_eq!(stats["instructions"], arithmetic.level.name());
    }
    for (forced, named) in
        [("mmx", "avx512-bf16"), ("plain/products=bf16", "no instructions"), ("softmax=f32", "softmax")]
    {
        let mut command = command(&arguments);
        command.env("RERANK_INSTRUCTIONS", forced);
        run(command, "").fails(2, &["RERANK_INSTRUCTIONS", named]);
    }
}

/// What a run with `--dtype auto` on given instructions takes, and what it says of that.
fn automatic(instructions: &str, model: &str) -> (String, String) {
    let files = Files::new();
    let stats = files.name("stats.json");
    let mut command = command(&["--model", model, "--input", "testdata/candidates.jsonl", "--stats", &stats]);
    command.env("RERANK_INSTRUCTIONS", instructions);
    let run = run(command, "");
    run.rankings();
    let notes = run.stderr.lines().filter_map(|line| line.strip_prefix("note: "));
    let reasons: Vec<&str> = notes.filter(|note| note.starts_with("dtype: ")).collect();
    assert_eq!(reasons.len(), 1, "{}", run.stderr);
    let stats: Value = serde_json::from_str(&files.read("stats.json")).unwrap();
    (stats["dtype"].as_str().unwrap().to_owned(), reasons[0].to_owned())
}

#[test]
fn auto_is_f32_where_bf16_is_not_clearly_faster() {
    for level in Level::all().filter(|level| !level.has_bf16_units()) {
        let (dtype, reason) = automatic(level.name(), "testdata/tiny-reranker");
        assert_eq!(dtype, "f32");
        assert!(reason.contains(level.name()) && reason.contains("--dtype bf16"), "{reason}");
    }
    let (dtype, reason) = automatic("", "testdata/odd-reranker");
    assert_eq!(dtype, "f32");
    assert!(reason.contains("f32, in which the checkpoint is stored"), "{reason}");
}

#[test]
fn auto_is_the_precision_of_the_checkpoint_where_that_is_faster() {
    for level in Level::all().filter(|level| level.has_bf16_units()) {
        for unit in [Unit::Bf16, Unit::F32] {
            let forced = format!("{level}/products={}", unit.name());
            let (dtype, reason) = automatic(&forced, "testdata/tiny-reranker");
            assert_eq!(dtype, unit.name(), "{reason}");
            assert!(reason.contains(&format!("{dtype}, ")) && reason.contains("--dtype"), "{reason}");
        }
        let (dtype, reason) = automatic(level.name(), "testdata/tiny-reranker");
        assert!(reason.contains("times as fast") && reason.starts_with(&format!("dtype: {dtype}, ")), "{reason}");
    }
}

#[test]
fn nothing_is_said_of_a_precision_that_was_asked_for_or_does_not_matter() {
    let input = ["--input", "testdata/candidates.jsonl"];
    for arguments in [
        &["--model", "testdata/tiny-reranker", "--dtype", "bf16"][..],
        &["--model", "testdata/tiny-reranker", "--dtype", "f32"],
        &["--model", "testdata/tiny-reranker", "--dry-run"],
        &["--model", "testdata/tiny-reranker", "--quiet"],
        &["--model", "fake"],
    ] {
        let run = rerank(&[&input, arguments].concat());
        assert!(run.status == 0 && !run.stderr.contains("dtype: "), "{}", run.stderr);
    }
}
