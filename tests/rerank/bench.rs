//! `rerank bench`: what it reports adds up. How fast it is decides nothing.

use rerank::engine::cpu::Level;
use serde_json::Value;

use crate::adapters::Adapter;
use crate::family::all;
use crate::fixture::{Files, command, rerank, run};

#[test]
fn figures_add_up() {
    let fixed = ["bench", "--model", "testdata/odd-reranker", "--device", "cpu", "--repeat", "2", "--json"];
    for dtype in ["f32", "bf16", "int8", "int16"] {
        let run = rerank(&[&fixed[..], &["--pairs", "120", "--dtype", dtype, "--threads", "2"]].concat());
        assert_eq!(run.status, 0, "{}", run.stderr);
        for said in ["loading testdata/odd-reranker on cpu", "passage: 120 pairs, 2 repetitions", "repetition 2 took"] {
            assert!(run.stderr.contains(said), "{said} in {}", run.stderr);
        }
        let report: Value = serde_json::from_str(&run.stdout).unwrap();
        let number = |name: &str| report[name].as_f64().unwrap_or_else(|| panic!("{name} in {report}"));
        assert_eq!([&report["dtype"], &report["workload"]], [dtype, "passage"]);
        assert_eq!([number("pairs"), number("threads"), number("repetitions")], [120., 2., 2.]);
        assert!(number("computed_tokens") < 0.7 * number("prompt_tokens"), "{report}");
        assert!((number("pairs_per_second") * number("seconds") - 120.).abs() < 1e-6);
        let share = number("share_of_peak");
        assert!(share > 0. && share < 1., "{report}");
        let rate = number("tera_operations") / number("seconds") / number("peak_tera_operations_per_second");
        assert!((rate - share).abs() < 1e-9, "{report}");
        let breakdown = report["breakdown"].as_array().unwrap();
        let sum = |name: &str| breakdown.iter().map(|part| part[name].as_f64().unwrap()).sum::<f64>();
        assert!(sum("time_share") > 0. && sum("time_share") < 1.01, "{report}");
        // What the kinds did in their time is all that was done.
        let seconds = |part: &Value| part["time_share"].as_f64().unwrap() * number("seconds");
        let operations: f64 =
            breakdown.iter().map(|part| part["tera_operations_per_second"].as_f64().unwrap() * seconds(part)).sum();
        assert!((operations / number("tera_operations") - 1.).abs() < 1e-6, "{report}");
    }
}

#[test]
fn an_adapter_is_named_in_the_report() {
    let (adapter, files) = (Adapter::read("on-gptq"), Files::new());
    let [model, _] = adapter.write_base(&files);
    adapter.write(&files.path("adapter"));
    let named = files.name("adapter");
    let arguments = ["bench", "--model", &model, "--adapter", &named, "--pairs", "2", "--repeat", "1", "--json"];
    let run = rerank(&arguments);
    assert_eq!(run.status, 0, "{}", run.stderr);
    let report: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(report["model"], format!("{model} with the adapter {named}"));
}

#[test]
fn auto_means_what_it_means_in_a_run() {
    let measure = ["bench", "--device", "cpu", "--pairs", "2", "--repeat", "1", "--json"];
    let of = |model: &[&str], forced: &str| {
        let mut command = command(&[&measure[..], model].concat());
        command.env("RERANK_INSTRUCTIONS", forced);
        let run = run(command, "");
        let report: Value = serde_json::from_str(&run.stdout).unwrap();
        assert!(
            run.stderr.starts_with(&format!("note: dtype: {}, ", report["dtype"].as_str().unwrap())),
            "{}",
            run.stderr
        );
        (report["dtype"].clone(), report["kernels"].clone())
    };
    let (level, odd) = (Level::available(), ["--model", "testdata/odd-reranker"]);
    assert_eq!(of(&odd, "").0, "f32");
    for model in [["--model", "testdata/tiny-reranker"], ["--shape", "minilm"]] {
        let forced = format!("{level}/products=f32/attention=f32");
        assert_eq!(of(&model, &forced), ("f32".into(), forced.into()));
        if level.has_bf16_units() {
            let forced = format!("{level}/products=bf16/attention=f32");
            assert_eq!(of(&model, &forced), ("bf16".into(), forced.into()));
        }
    }
}

#[test]
fn encoders_in_directories_are_measured() {
    for name in ["bert", "modernbert", "ettin", "deberta"] {
        let files = Files::new();
        let (_, family) = all().into_iter().find(|(other, _)| other == name).unwrap();
        let model = family.write(&files, "model");
        let measured = ["bench", "--model", &model, "--pairs", "4", "--repeat", "1", "--dtype", "f32", "--json"];
        let run = rerank(&[&measured[..], &["--device", "cpu"]].concat());
        assert_eq!(run.status, 0, "{name}: {}", run.stderr);
        let report: Value = serde_json::from_str(&run.stdout).unwrap();
        let number = |name: &str| report[name].as_f64().unwrap_or_else(|| panic!("{name} in {report}"));
        assert_eq!(number("pairs"), 4., "{name}: {report}");
        // Nothing is shared where tokens see those behind them.
        assert_eq!(number("computed_tokens"), number("prompt_tokens"), "{name}: {report}");
    }
}

#[test]
fn every_workload_is_reported() {
    let arguments = [
        "bench",
        "--model",
        "testdata/tiny-reranker",
        "--workload",
        "passage,rag,long",
        "--pairs",
        "3",
        "--repeat",
        "1",
    ];
    let run = rerank(&arguments);
    assert_eq!(run.status, 0, "{}", run.stderr);
    for said in ["passage: testdata/tiny-reranker", "rag: ", "long: ", "pairs/s", "of the", "attention", "peak memory"]
    {
        assert!(run.stdout.contains(said), "{said} in {}", run.stdout);
    }
}

#[test]
fn encoders_compute_every_token() {
    let run = rerank(&[
        "bench",
        "--device",
        "cpu",
        "--dtype",
        "bf16",
        "--shape",
        "minilm",
        "--workload",
        "passage,long",
        "--pairs",
        "4",
        "--repeat",
        "1",
        "--json",
    ]);
    assert_eq!(run.status, 0, "{}", run.stderr);
    for line in run.stdout.lines() {
        let report: Value = serde_json::from_str(line).unwrap();
        assert_eq!(report["computed_tokens"], report["prompt_tokens"]);
        let longest = if report["workload"] == "long" { 512 } else { 124 };
        let tokens = report["prompt_tokens"].as_u64().unwrap();
        assert!((4 * 54..=4 * longest).contains(&tokens), "{report}");
    }
    assert_eq!(run.stdout.lines().count(), 2);
}

#[test]
fn what_can_not_be_measured_is_refused() {
    rerank(&["bench", "--model", "nowhere/at/all"]).fails(2, &["nowhere/at/all"]);
    rerank(&["bench", "--model", "testdata/tiny-reranker", "--shape", "qwen3-8b"]).fails(2, &["--shape"]);
    rerank(&["bench", "--model", "fake"]).fails(2, &["--model fake", "nothing to measure"]);
    rerank(&["bench", "--shape", "gpt"]).fails(2, &["qwen3-0.6b"]);
}
