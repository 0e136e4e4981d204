//! `--dtype fp8` on an emulated GPU, by the whole program.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::{TINY, run};
use crate::fixture::{Files, Run};
use crate::models::changed;

/// Algorithms and rows as in `products.rs`.
const CHOSEN: &str = "13";
const WAVERING: &str = "17";
const TRIED_ROWS: [&str; 6] = ["1", "7", "64", "1000", "8192", "32768"];

/// With few tokens in a batch: on an emulated GPU large ones take long.
fn ranked(device: &str, dtype: &str, options: &[&str], gpu: &[(&str, &str)]) -> Run {
    let few = ["--device", device, "--dtype", dtype, "--max-batch-tokens", "200"];
    run(&[&TINY[..], &few, options].concat(), gpu)
}

/// The logits of all pairs, in the order of queries and ids.
fn logits(run: &Run) -> Vec<f64> {
    let of_query = |ranking: &Value| {
        let results = ranking["results"].as_array().unwrap().iter();
        let by_id = results.map(|result| (result["id"].to_string(), result["logit"].as_f64().unwrap()));
        by_id.collect::<BTreeMap<_, _>>().into_values().collect::<Vec<_>>()
    };
    run.rankings().iter().flat_map(of_query).collect()
}

#[test]
fn linear_layers_are_multiplied_in_8_bits() {
    let files = Files::new();
    let (kernels, log, stats) = (files.name("kernels"), files.name("log"), files.name("stats.json"));
    let gpu = [("EMULATED_KERNELS", &kernels[..]), ("EMULATED_LOG", &log)];
    let run = ranked("cuda", "fp8", &["--stats", &stats], &gpu);
    let exact = ranked("cpu", "f32", &[], &[]);
    let (ours, expected) = (logits(&run), logits(&exact));
    assert_eq!(ours.len(), expected.len());
    let most = ours.iter().zip(&expected).map(|(logit, expected)| (logit - expected).abs()).fold(0., f64::max);
    assert!((0.03..0.15).contains(&most), "{most}");
    let launched = files.read("kernels");
    let launched: BTreeSet<&str> = launched.lines().collect();
    for kernel in ["rms_norm_quantized_bf16", "quantize_rows_bf16", "swiglu_quantized_bf16", "rms_norm_bf16"] {
        assert!(launched.contains(kernel), "{kernel} of {launched:?}");
    }
    // Only products of E4M3 have this shape. One algorithm does them all, and it is not the faster one, whose sums depend on the rows.
    let log = files.read("log");
    let of_shape = log.lines().filter_map(|line| line.strip_suffix(" 384 128")).filter_map(|line| line.split_once(' '));
    let (tried, done): (Vec<_>, Vec<_>) = of_shape.partition(|(_, rows)| TRIED_ROWS.contains(rows));
    assert!(!done.is_empty() && done.iter().all(|(algorithm, _)| *algorithm == CHOSEN), "{done:?}");
    assert!(tried.iter().any(|(algorithm, _)| *algorithm == WAVERING), "{tried:?}");
    let stats: Value = serde_json::from_str(&files.read("stats.json")).unwrap();
    assert_eq!(stats["dtype"], "fp8");
    // The embedding has 917,504 bytes, each of four layers half as many values; the last one stays in bf16.
    assert_eq!(stats["weights"]["memory_bytes"], 917_504 + 3 * 172_032 + 344_064);
}

#[test]
fn a_device_that_has_no_such_products_refuses_them() {
    let fails = |gpu: &[(&str, &str)], parts: &[&str]| ranked("cuda", "fp8", &[], gpu).fails(1, parts);
    fails(&[("EMULATED_CAPABILITY", "80")], &["--dtype fp8 needs", "compute capability 9.0", "use --dtype bf16"]);
    fails(&[("RERANK_GPU_WITHOUT", "cublaslt")], &["switched off by RERANK_GPU_WITHOUT", "use --dtype bf16"]);
    fails(&[("EMULATED_LT", "scales")], &["cuBLASLt has no algorithm for products of 208 × 528 in E4M3"]);
    let files = Files::new();
    let model = changed(&files, &json!({"num_hidden_layers": 1}), |tensors| {
        tensors.retain(|name, _| !["layers.1.", "layers.2.", "layers.3."].iter().any(|layer| name.contains(layer)));
    });
    let input = ["--model", &model, "--input", "testdata/candidates.jsonl", "--device", "cuda", "--dtype", "fp8"];
    run(&input, &[]).fails(2, &["--dtype fp8 leaves the last layer as it is, and the model has no other"]);
    ranked("cpu", "fp8", &[], &[]).fails(1, &["--dtype fp8 is for NVIDIA GPUs", "--device cuda"]);
}
