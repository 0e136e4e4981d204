//! Models that do not fit into the memory of an emulated GPU, by the whole program. The emulated GPU makes copies as late as it may, and
//! refuses those that are too early (`tests/gpu/streams.cpp`).

use serde_json::Value;

use super::{TINY, run};
use crate::fixture::{Files, Run};
use crate::gguf::Model;

/// In bf16, the toy model's layers have 344,064 bytes each, and its embedding 917,504.
const LAYER: u64 = 344_064;
const EMBEDDING: u64 = 917_504;

/// With few tokens in a batch: on an emulated GPU large ones take long.
fn ranked(options: &[&str]) -> Run {
    let few = ["--device", "cuda", "--dtype", "bf16", "--max-batch-tokens", "100"];
    run(&[&TINY[..], &few, options].concat(), &[])
}

#[test]
fn a_model_that_does_not_fit_is_streamed() {
    let files = Files::new();
    let whole = ranked(&[]);
    assert!(whole.rankings().len() == 3 && !whole.stderr.contains("layers do not fit"), "{}", whole.stderr);
    for (memory, streamed) in [("2700KB", 3), ("2400 kB", 4)] {
        let stats = files.name(memory);
        let run = ranked(&["--gpu-memory", memory, "--verbose", "--stats", &stats]);
        assert_eq!(run.stdout, whole.stdout, "{memory}: {}", run.stderr);
        let note = format!("cuda:0: {streamed} of 4 layers do not fit into the GPU's memory");
        assert!(run.stderr.contains(&note), "{}", run.stderr);
        let detail = format!("{streamed} of 4 layers are kept in host memory");
        assert!(run.stderr.contains(&detail), "{}", run.stderr);
        let stats: Value = serde_json::from_str(&files.read(memory)).unwrap();
        let weights = &stats["weights"];
        // Two layers have room in the slots.
        assert_eq!(weights["memory_bytes"], EMBEDDING + (4 - streamed + 2) * LAYER);
        assert_eq!(weights["streamed"]["host_bytes"], streamed * LAYER);
        assert_eq!([&weights["streamed"]["layers"], &weights["streamed"]["of"]], [streamed, 4]);
        assert!(stats["time_shares"]["waiting for uploaded layers"].as_f64().unwrap() > 0., "{stats}");
    }
    // A dry run knows it too.
    let plan = ranked(&["--gpu-memory", "2700KB", "--dry-run"]);
    assert!(plan.stdout.contains("3 of 4 layers are kept in host memory"), "{}{}", plan.stdout, plan.stderr);
}

#[test]
fn an_encoder_in_gguf_is_streamed() {
    let (files, model) = (Files::new(), Model::read("modernbert"));
    let (folder, input) = (model.write(&files, "model", "modernbert", "model.gguf"), model.input(&files));
    let ranked = |options: &[&str]| {
        let fixed = ["--model", &folder, "--input", &input, "--device", "cuda", "--max-batch-tokens", "64"];
        // There is no memory to try algorithms in.
        run(&[&fixed[..], options].concat(), &[("RERANK_GPU_WITHOUT", "cublaslt")])
    };
    let streamed = ranked(&["--gpu-memory", "400kB"]);
    assert!(streamed.stderr.contains("4 of 4 layers do not fit"), "{}", streamed.stderr);
    assert_eq!(streamed.rankings(), ranked(&[]).rankings());
}

#[test]
fn a_limit_of_memory_is_obeyed_or_refused() {
    let fails = |options: &[&str], status: i32, parts: &[&str]| {
        run(&[&TINY[..], options].concat(), &[]).fails(status, parts);
    };
    let little = ["--device", "cuda", "--dtype", "bf16", "--gpu-memory", "1MB"];
    fails(&little, 1, &["the model does not fit; allow more than the 976.56 KiB of --gpu-memory", "--device cpu"]);
    let on_cpu = "--gpu-memory: no GPU computes here; leave it out, or name a GPU with --device cuda";
    fails(&["--device", "cpu", "--gpu-memory", "8GiB"], 2, &[on_cpu]);
    run(&["--model", "fake", "--input", "testdata/candidates.jsonl", "--gpu-memory", "8GiB"], &[]).fails(2, &[on_cpu]);
    fails(&["--device", "cuda", "--gpu-memory", "much"], 2, &["--gpu-memory", "a size is expected"]);
}
