//! The real program on an emulated GPU: built with CUDA, it opens a driver, a cuBLAS and a cuBLASLt that are emulated on the
//! processor.

mod families;
mod quantized;
mod streaming;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

use candle_core::{DType, Device, Tensor};
use serde_json::{Value, json};

use crate::emulated::compile;
use crate::fixture::{self, Files, Run};
use crate::models::changed;

/// A folder with the libraries.
fn libraries() -> &'static PathBuf {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("driver");
        std::fs::create_dir_all(&folder).unwrap();
        compile("tests/gpu/driver.cpp", &folder.join("libcuda.so"));
        // One library in memory, whatever its name: all have the same allocations.
        for name in ["libcublas.so", "libcublasLt.so"] {
            let link = folder.join(name);
            let _ = std::fs::remove_file(&link);
            std::os::unix::fs::symlink("libcuda.so", link).unwrap();
        }
        folder
    })
}

/// Runs the program with an emulated GPU like this.
pub fn run(arguments: &[&str], gpu: &[(&str, &str)]) -> Run {
    let mut command = fixture::command(arguments);
    command.env("LD_LIBRARY_PATH", libraries()).envs(gpu.iter().copied());
    fixture::run(command, "")
}

const TINY: [&str; 6] =
    ["--model", "testdata/tiny-reranker", "--input", "testdata/candidates.jsonl", "--progress", "none"];

/// By candidate, in the order of the rankings.
pub fn logits(rankings: &[Value]) -> Vec<(String, f64)> {
    let results = rankings.iter().flat_map(|ranking| ranking["results"].as_array().unwrap());
    results.map(|result| (result["id"].to_string(), result["logit"].as_f64().unwrap())).collect()
}

#[test]
fn a_gpu_ranks_as_the_processor_does() {
    let expected = run(&[&TINY[..], &["--device", "cpu", "--dtype", "f32"]].concat(), &[]).rankings();
    for (device, dtype, tolerance) in [("cuda", "f32", 1e-4), ("auto", "bf16", 0.05), ("cuda:1,0", "bf16", 0.05)] {
        // The warm-up fills a batch: on an emulated GPU a large one takes minutes.
        let arguments = ["--device", device, "--dtype", dtype, "--max-batch-tokens", "400"];
        let run = run(&[&TINY[..], &arguments].concat(), &[("EMULATED_GPUS", "2")]);
        assert!(!run.stderr.contains("CPU"), "{}", run.stderr);
        let rankings = run.rankings();
        let ids =
            |rankings: &[Value]| -> Vec<Value> { rankings.iter().map(|ranking| ranking["query_id"].clone()).collect() };
        assert_eq!(ids(&rankings), ids(&expected), "{device}");
        assert_eq!(logits(&rankings).len(), logits(&expected).len());
        for ((id, logit), (other, reference)) in logits(&rankings).iter().zip(logits(&expected)) {
            assert!(
                id == &other && (logit - reference).abs() < tolerance,
                "{device} {dtype}: {id} {logit} {reference}"
            );
        }
    }
}

#[test]
fn little_memory_is_enough() {
    // The model takes 4.5 MB, a token of a batch 4 kB: not all of a window's fit at once.
    let files = Files::new();
    let stats = files.name("stats.json");
    let arguments = ["--device", "cuda", "--dtype", "f32", "--max-batch-tokens", "4096", "--stats", &stats];
    let run = run(&[&TINY[..], &arguments].concat(), &[("EMULATED_MEMORY", "6000000")]);
    assert!(run.stderr.contains("for which there is memory"), "{}", run.stderr);
    assert_eq!(run.rankings().len(), 3);
    let stats: Value = serde_json::from_str(&files.read("stats.json")).unwrap();
    assert!(stats["device"].as_str().unwrap().starts_with("cuda:0 (Emulated GPU"), "{stats}");
    assert_eq!(stats["gpus"][0]["name"], stats["device"]);
    assert!(stats["device"].as_str().unwrap().ends_with("cuBLASLt 13.0.2)"), "{stats}");
    let warnings = stats["warnings"].as_array().unwrap();
    assert!(warnings.len() == 1 && warnings[0].as_str().unwrap().contains("4 of 4 layers do not fit"), "{stats}");
    assert_eq!(stats["instructions"], "cuda");
    let shares = stats["time_shares"].as_object().unwrap();
    let sum: f64 = shares.values().map(|share| share.as_f64().unwrap()).sum();
    assert!((sum - 1.).abs() < 1e-9 && shares.contains_key("attention") && shares.contains_key("norm"), "{stats}");
    assert!(stats["tera_operations_per_second"].as_f64().unwrap() > 0., "{stats}");
}

#[test]
fn what_keeps_a_gpu_from_being_used_is_reported() {
    let fails = |device: &str, gpu: &[(&str, &str)], parts: &[&str]| {
        run(&[&TINY[..], &["--device", device]].concat(), gpu).fails(1, parts);
    };
    fails("cuda", &[("EMULATED_INIT", "100")], &["there is no NVIDIA GPU", "--device cpu"]);
    fails("cuda", &[("EMULATED_INIT", "803")], &["driver's library", "restart"]);
    fails("cuda", &[("EMULATED_GPUS", "0")], &["no NVIDIA GPU"]);
    fails("cuda:3", &[("EMULATED_GPUS", "2")], &["no GPU 3", "has 2"]);
    fails("cuda", &[("EMULATED_CAPABILITY", "75")], &["7.5", "8.0", "--device cpu"]);
    fails("cuda", &[("EMULATED_DRIVER", "11040")], &["11.4", "built with CUDA 1", "update the driver"]);
    fails(
        "cuda",
        &[("EMULATED_MEMORY", "100000"), ("EMULATED_CAPABILITY", "80")],
        &["does not fit", "does not have 896.00 KiB"],
    );
    let run = run(&[&TINY[..], &["--device", "auto", "--dtype", "f32"]].concat(), &[("EMULATED_GPUS", "0")]);
    assert!(run.stderr.starts_with("note: computing on the CPU: there is no NVIDIA GPU"), "{}", run.stderr);
    assert_eq!(run.rankings().len(), 3);
}

#[test]
fn weights_are_loaded_when_the_cache_lacks_a_score() {
    let files = Files::new();
    let cache = files.name("cache");
    let arguments = ["--device", "cuda", "--dtype", "f32", "--max-batch-tokens", "400", "--quiet", "--cache", &cache];
    let ranked = |gpu: &[(&str, &str)]| run(&[&TINY[..], &arguments].concat(), gpu);
    // A GPU is another one with other memory, as far as that is printed.
    let computed = ranked(&[("EMULATED_MEMORY", "40000000")]).stdout;
    // The model does not fit into this memory.
    let little = [("EMULATED_MEMORY", "100000")];
    assert_eq!(ranked(&little).stdout, computed);
    let more = files.write("more.jsonl", r#"{"query":"red planet","documents":["Mars is red.","It rains."]}"#);
    let ranked = |gpu: &[(&str, &str)]| {
        run(&[&["--model", "testdata/tiny-reranker", "--input", &more][..], &arguments].concat(), gpu)
    };
    ranked(&little).fails(1, &["scoring failed", "does not fit"]);
    let expected = run(&["--model", "testdata/tiny-reranker", "--input", &more, "--dtype", "f32"], &[]).rankings();
    for ((id, logit), (other, reference)) in
        logits(&ranked(&[("EMULATED_MEMORY", "40000000")]).rankings()).iter().zip(logits(&expected))
    {
        assert!(id == &other && (logit - reference).abs() < 1e-4, "{id} {logit} {reference}");
    }
}

#[test]
fn what_is_switched_off_is_reported() {
    let files = Files::new();
    let stats = files.name("stats.json");
    let arguments = ["--device", "cuda", "--max-batch-tokens", "100", "--stats", &stats, "--quiet", "--top-k", "1"];
    let off = |names: &str| run(&[&TINY[..], &arguments].concat(), &[("RERANK_GPU_WITHOUT", names)]);
    assert_eq!(off("cublaslt,hopper").rankings().len(), 3);
    let stats: Value = serde_json::from_str(&files.read("stats.json")).unwrap();
    let warnings = stats["warnings"].as_array().unwrap();
    assert!(warnings.len() == 1 && warnings[0].as_str().unwrap().starts_with("cuda:0: cuBLASLt is switched off"));
    off("hoper").fails(1, &["RERANK_GPU_WITHOUT=hoper", "use hopper, tensor, product or cublaslt"]);
    // Not a reason to compute on the CPU.
    let auto = [&TINY[..], &["--device", "auto"]].concat();
    run(&auto, &[("RERANK_GPU_WITHOUT", "hoper")]).fails(1, &["RERANK_GPU_WITHOUT=hoper"]);
}

#[test]
fn heads_for_tensor_cores_have_kernels_of_their_own() {
    let files = Files::new();
    let values = |rows: usize, columns: usize| {
        let values = (0..rows * columns).map(|index| ((index * 7919 % 2003) as f32 / 1001. - 1.) / 6.);
        Tensor::from_vec(values.collect(), (rows, columns), &Device::Cpu).unwrap()
    };
    let config = json!({"head_dim": 64, "num_attention_heads": 4, "num_key_value_heads": 2, "num_hidden_layers": 2});
    let model = changed(&files, &config, |tensors| {
        tensors.retain(|name, _| !["layers.2", "layers.3"].iter().any(|layer| name.contains(layer)));
        for (name, tensor) in tensors {
            let part = name.rsplit('.').nth(1).unwrap_or_default();
            *tensor = match part {
                "q_proj" => values(4 * 64, 48),
                "k_proj" | "v_proj" => values(2 * 64, 48),
                "o_proj" => values(48, 4 * 64),
                "q_norm" | "k_norm" => Tensor::ones(64, DType::F32, &Device::Cpu).unwrap(),
                _ => continue,
            };
        }
    });
    let query = std::fs::read_to_string("testdata/candidates.jsonl").unwrap();
    let input = files.write("query.jsonl", query.lines().next().unwrap());
    let fixed = ["--model", &model, "--input", &input, "--progress", "none", "--max-batch-tokens", "300"];
    let expected = logits(&run(&[&fixed[..], &["--device", "cpu", "--dtype", "f32"]].concat(), &[]).rankings());
    for (number, (without, capability, kernels)) in [
        ("", "90", ["attend_hopper_early_bf16_64", "attend_hopper_late_bf16_64", "multiply_gated_hopper_bf16"]),
        ("product", "90", ["attend_hopper_early_bf16_64", "attend_hopper_late_bf16_64", "swiglu_bf16"]),
        ("", "80", ["attend_bf16_64", "attend_plain_bf16", "qk_norm_rope_bf16_64"]),
        ("tensor", "90", ["attend_plain_bf16", "qk_norm_rope_bf16_64", "swiglu_bf16"]),
    ]
    .into_iter()
    .enumerate()
    {
        let log = files.name(&format!("kernels-{number}"));
        let gpu = [("RERANK_GPU_WITHOUT", without), ("EMULATED_CAPABILITY", capability), ("EMULATED_KERNELS", &log)];
        let run = run(&[&fixed[..], &["--device", "cuda"]].concat(), &gpu);
        assert!(!run.stderr.contains("cuda:0:"), "{}", run.stderr);
        let mut deviations = logits(&run.rankings()).into_iter().map(|(id, logit)| {
            let (_, reference) = expected.iter().find(|(other, _)| *other == id).unwrap();
            (logit - reference).abs()
        });
        assert!(deviations.all(|deviation| deviation < 0.05));
        let launched = files.read(&format!("kernels-{number}"));
        let launched: BTreeSet<&str> = launched.lines().collect();
        assert!(kernels.iter().all(|kernel| launched.contains(kernel)), "{launched:?}");
        let attends = launched.iter().any(|kernel| kernel.starts_with("attend_hopper"));
        assert_eq!(attends, kernels[1].contains("hopper"), "{launched:?}");
        let activates_at_once = launched.contains("multiply_gated_hopper_bf16");
        assert_eq!(activates_at_once, capability == "90" && !without.contains("product"), "{launched:?}");
    }
}

#[test]
fn a_bench_holds_every_kernel_against_the_gpu() {
    let arguments = ["bench", "--model", "testdata/tiny-reranker", "--device", "cuda", "--json", "--repeat", "1"];
    let few = ["--pairs", "1", "--max-batch-tokens", "100"];
    let run =
        run(&[&arguments[..], &few].concat(), &[("EMULATED_MEMORY", "2000000000"), ("EMULATED_CAPABILITY", "80")]);
    let report: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!([report["batch_tokens"].as_u64(), report["pairs"].as_u64()], [Some(100), Some(1)]);
    // The model takes 2.3 MB.
    assert!((2_300_000..4_600_000).contains(&report["gpu_memory"].as_u64().unwrap()), "{report}");
    assert!(report["peak_gigabytes_per_second"].as_f64().unwrap() > 0., "{report}");
    let breakdown = report["breakdown"].as_array().unwrap();
    assert_eq!(breakdown.len(), 9, "{report}");
    for part in breakdown {
        for name in ["time_share", "gigabytes_per_second", "share_of_ceiling"] {
            assert!(part[name].as_f64().unwrap() > 0., "{name} of {part}");
        }
    }
}

#[test]
fn without_a_driver_the_program_starts() {
    let none = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    let output =
        Command::new(env!("CARGO_BIN_EXE_rerank")).env("LD_LIBRARY_PATH", none).arg("--version").output().unwrap();
    assert!(output.status.success());
}
