//! A small model of each family against transformers, by the whole program. The models and the expected numbers are in
//! testdata/families; `scripts/reference_families.py` says what the files mean, and writes the numbers.

use rerank::engine::cpu::{Arithmetic, Level, Unit};
use rerank::precision::Precision;
use serde_json::json;

use crate::family::{Family, all};
use crate::fixture::{Files, Run, command, rerank_by, run};

/// The ids of all pairs of a test model, in a file with a group for each query.
pub fn input(family: &Family, files: &Files) -> String {
    let mut lines = String::new();
    for (index, pair) in family.pairs.iter().enumerate() {
        let candidates = json!([{"id": index.to_string(), "text": pair.document.text()}]);
        let line = json!({"query_id": index.to_string(), "query": pair.query.text(), "candidates": candidates});
        lines += &format!("{line}\n");
    }
    files.write("input.jsonl", lines)
}

/// The logits in the order of the pairs.
pub fn logits(run: &Run, pairs: usize) -> Vec<f64> {
    let mut found = vec![f64::NAN; pairs];
    for ranking in run.rankings() {
        for result in ranking["results"].as_array().unwrap() {
            found[result["id"].as_str().unwrap().parse::<usize>().unwrap()] = result["logit"].as_f64().unwrap();
        }
    }
    found
}

pub fn arguments<'a>(family: &'a Family, model: &'a str, input: &'a str) -> Vec<&'a str> {
    let mut arguments = vec!["--model", model, "--input", input, "--quiet", "--no-text"];
    arguments.extend(family.arguments.iter().map(String::as_str));
    arguments
}

pub fn off(logits: &[f64], family: &Family) -> Vec<f64> {
    logits.iter().zip(&family.pairs).map(|(logit, pair)| (logit - pair.f32).abs()).collect()
}

pub fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

#[test]
fn families_agree_with_transformers_in_f32() {
    for (name, family) in all() {
        let files = Files::new();
        let (model, input) = (family.write(&files, "model"), input(&family, &files));
        for level in Level::all() {
            let run = rerank_by(Arithmetic::new(level, Precision::F32), &arguments(&family, &model, &input));
            for (index, off) in off(&logits(&run, family.pairs.len()), &family).into_iter().enumerate() {
                assert!(off < 1e-4, "{name} on {level}, pair {index}: off by {off:e}");
            }
        }
    }
}

/// Every family in each precision, by kernels that take turns: all of them would take minutes, and what a family computes does not
/// depend on them.
#[test]
fn families_are_near_in_less_precision() {
    let kernels =
        |precision| -> Vec<Arithmetic> { Level::all().flat_map(|level| Arithmetic::all(level, precision)).collect() };
    for (turn, (name, family)) in all().into_iter().filter(|(_, family)| !family.f32_only).enumerate() {
        let files = Files::new();
        let (model, input) = (family.write(&files, "model"), input(&family, &files));
        let theirs: Vec<_> = family.pairs.iter().map(|pair| (pair.bf16 - pair.f32).abs()).collect();
        let largest = family.pairs.iter().map(|pair| pair.f32.abs()).fold(0., f64::max);
        for (precision, bound) in [
            (Precision::Bf16, 1.5 * mean(&theirs) + 0.002 * largest),
            (Precision::F16, 0.3 * mean(&theirs) + 0.002 * largest),
            (Precision::Int8, family.int8_bound),
            (Precision::Int16, mean(&theirs) + 0.002 * largest),
        ] {
            let kernels = kernels(precision);
            let arithmetic = kernels[turn % kernels.len()];
            let run = rerank_by(arithmetic, &arguments(&family, &model, &input));
            let mean = mean(&off(&logits(&run, family.pairs.len()), &family));
            assert!(mean <= bound, "{name} by {arithmetic:?}: off by {mean} on average, and {bound} is allowed");
        }
    }
}

#[test]
fn a_pair_of_any_family_has_the_same_bits_in_any_batch() {
    for (name, family) in all() {
        let files = Files::new();
        let (model, forward) = (family.write(&files, "model"), input(&family, &files));
        let lines: Vec<_> = files.read("input.jsonl").lines().rev().map(|line| format!("{line}\n")).collect();
        let backward = files.write("backward.jsonl", lines.concat());
        let by = |precision: Precision, input: &str, options: &[&str]| {
            let mut command = command(&arguments(&family, &model, input));
            command.args(["--dtype", precision.name()]).args(options);
            // The kernels are named, as a measurement may choose others in the next run.
            let arithmetic = Arithmetic::new(Level::available(), precision);
            let [products, attention] = [arithmetic.units.products, arithmetic.units.attention].map(Unit::name);
            let kernels = format!("{}/products={products}/attention={attention}", arithmetic.level);
            command.env("RERANK_INSTRUCTIONS", kernels);
            logits(&run(command, ""), family.pairs.len())
        };
        let precisions = [Precision::F32, Precision::Bf16, Precision::Int8];
        let computed = if family.f32_only { &precisions[..1] } else { &precisions[..] };
        for &precision in computed {
            let together = by(precision, &forward, &["--threads", "2"]);
            let alone = by(precision, &backward, &["--threads", "1", "--batch-size", "1"]);
            assert_eq!(together, alone, "{name} in {precision:?}");
        }
    }
}

#[test]
fn published_names_are_found_under_a_configuration_of_transformers() {
    let (_, family) = all().into_iter().find(|(name, _)| name == "new").unwrap();
    let files = Files::new();
    let (model, input) = (family.write(&files, "model"), input(&family, &files));
    let arithmetic = Arithmetic::new(Level::available(), Precision::F32);
    let published = logits(&rerank_by(arithmetic, &arguments(&family, &model, &input)), family.pairs.len());
    let mut config: serde_json::Value = serde_json::from_str(&files.read("model/config.json")).unwrap();
    // The base of the rotary embedding, and what its frequencies are divided by: 8^(2/32).
    let scaled = json!({"rope_type": "linear", "factor": 8f64.powf(2. / 32.), "rope_theta": 160_000.0});
    for (name, value) in [
        ("model_type", json!("gte")),
        ("architectures", json!(["GteForSequenceClassification"])),
        ("rope_parameters", scaled),
        ("rope_scaling", json!(null)),
        ("rope_theta", json!(null)),
    ] {
        config[name] = value;
    }
    files.write("model/config.json", config.to_string());
    let native = logits(&rerank_by(arithmetic, &arguments(&family, &model, &input)), family.pairs.len());
    assert_eq!(native, published);
}

#[test]
fn a_model_that_is_computed_in_f32_alone_refuses_other_precisions() {
    let (_, family) = all().into_iter().find(|(name, _)| name == "deberta").unwrap();
    let files = Files::new();
    let (model, input) = (family.write(&files, "model"), input(&family, &files));
    let mut command = command(&arguments(&family, &model, &input));
    command.args(["--dtype", "bf16"]);
    run(command, "").fails(2, &["--dtype bf16: deberta-v2 models are computed in f32 only"]);
}
