//! Small models with adapters against PEFT, by the whole program. The adapters and the expected numbers are in
//! testdata/adapters; `scripts/reference_adapters.py` says what the files mean, and writes the numbers.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use candle_core::{DType, Tensor};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::family::{Family, Text, Values};
use crate::fixture::{Files, Run, rerank};
use crate::{gguf, quantized};

/// A test adapter, as its file describes it.
#[derive(Deserialize)]
pub struct Adapter {
    #[serde(flatten)]
    origin: Origin,
    #[serde(default)]
    base: Changes,
    stored: Option<String>,
    #[serde(default)]
    arguments: Vec<String>,
    pub config: Value,
    tensors: BTreeMap<String, Values>,
    pairs: Vec<Pair>,
}

/// Where the base is: a file of testdata/families, of testdata/quantized, or of testdata/gguf.
#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Origin {
    Family(String),
    Quantized(String),
    Gguf(String),
}

/// What is changed in the base.
#[derive(Default, Deserialize)]
struct Changes {
    config: Map<String, Value>,
    without: String,
}

/// A pair and its logit by PEFT.
#[derive(Deserialize)]
struct Pair {
    query: Text,
    document: Text,
    f32: f64,
}

impl Adapter {
    /// The test adapter of this name.
    pub fn read(name: &str) -> Self {
        let adapter = std::fs::read_to_string(format!("testdata/adapters/{name}.json")).unwrap();
        serde_json::from_str(&adapter).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// Writes the base model into a directory, which has a family's name, and the pairs into a file. Returns both.
    pub fn write_base(&self, files: &Files) -> [String; 2] {
        let line = |(index, pair): (usize, &Pair)| {
            let candidates = json!([{"id": index.to_string(), "text": pair.document.text()}]);
            json!({"query_id": index.to_string(), "query": pair.query.text(), "candidates": candidates}).to_string()
                + "\n"
        };
        let input = files.write("input.jsonl", self.pairs.iter().enumerate().map(line).collect::<String>());
        [self.write_model(files), input]
    }

    fn write_model(&self, files: &Files) -> String {
        match &self.origin {
            Origin::Family(name) => {
                let mut family = Family::read(name);
                if !self.base.without.is_empty() {
                    family.change(&self.base.config, &self.base.without);
                }
                family.write(files, name)
            }
            Origin::Quantized(name) => quantized::models().write(files, name, |_| ()),
            Origin::Gguf(name) => gguf::Model::read(name).write(files, "model", name, "m.gguf"),
        }
    }

    /// The tensors by their names in the file.
    pub fn tensors(&self) -> HashMap<String, Tensor> {
        let stored = if self.stored.as_deref() == Some("BF16") { DType::BF16 } else { DType::F32 };
        self.tensors.iter().map(|(name, values)| (name.clone(), values.tensor(name, stored))).collect()
    }

    /// Writes the adapter into a directory, which may be there.
    pub fn write(&self, directory: &Path) {
        write(directory, &self.config, &self.tensors());
    }

    /// Runs with a model, and an adapter if one is named.
    pub fn run(&self, [model, input]: [&str; 2], more: &[&str]) -> Run {
        let mut arguments = vec!["--model", model, "--input", input, "--no-text", "--dtype", "f32"];
        arguments.extend(self.arguments.iter().map(String::as_str));
        rerank(&[&arguments, more].concat())
    }

    /// Asserts that the logits are PEFT's.
    #[track_caller]
    pub fn assert_agrees(&self, run: &Run, name: &str) {
        for (ranking, pair) in run.rankings().iter().zip(&self.pairs) {
            let logit = ranking["results"][0]["logit"].as_f64().unwrap();
            let off = (logit - pair.f32).abs();
            assert!(off < 1e-4, "{name}: {logit}, and {} by PEFT, is off by {off:e}; {}", pair.f32, run.stderr);
        }
    }
}

/// Writes an adapter of these parts.
pub fn write(directory: &Path, config: &Value, tensors: &HashMap<String, Tensor>) {
    std::fs::create_dir_all(directory).unwrap();
    std::fs::write(directory.join("adapter_config.json"), config.to_string()).unwrap();
    candle_core::safetensors::save(tensors, directory.join("adapter_model.safetensors")).unwrap();
}

fn all() -> Vec<String> {
    let stem = |path: std::path::PathBuf| path.file_stem().unwrap().to_str().unwrap().to_owned();
    let mut names: Vec<_> =
        std::fs::read_dir("testdata/adapters").unwrap().map(|entry| stem(entry.unwrap().path())).collect();
    names.sort();
    names
}

#[test]
fn adapters_agree_with_peft_in_f32() {
    for name in all() {
        let (adapter, files) = (Adapter::read(&name), Files::new());
        let [model, input] = adapter.write_base(&files);
        adapter.write(&files.path("adapter"));
        let run = adapter.run([&model, &input], &["--quiet", "--adapter", &files.name("adapter")]);
        adapter.assert_agrees(&run, &name);
    }
}

#[test]
fn bases_stay_in_their_form_under_an_adapter() {
    for (name, form) in [("on-gptq", "(int4 53.7%, bf16 46.3%)"), ("on-gguf", "(Q6_K 27.1%, ")] {
        let (adapter, files) = (Adapter::read(name), Files::new());
        let [model, input] = adapter.write_base(&files);
        adapter.write(&files.path("adapter"));
        let named = files.name("adapter");
        let run = adapter.run([&model, &input], &["--verbose", "--adapter", &named]);
        let line = run.stderr.lines().find(|line| line.starts_with("weights: ")).unwrap_or_default();
        for part in [form, &format!("adapter {named}: LoRA of rank 2 and alpha 1 on ")] {
            assert!(line.contains(part), "{name}, {part}: {}", run.stderr);
        }
    }
}

#[test]
fn an_adapter_beside_the_weights_is_merged() {
    let (adapter, files) = (Adapter::read("rank-1"), Files::new());
    let [model, input] = adapter.write_base(&files);
    adapter.write(&files.path("qwen3"));
    let run = adapter.run([&model, &input], &[]);
    adapter.assert_agrees(&run, "beside the weights");
    assert!(run.stderr.contains("the model's own adapter is merged into it"), "{}", run.stderr);
    adapter.write(&files.path("other"));
    adapter.run([&model, &input], &["--adapter", &files.name("other")]).fails(1, &["an adapter of its own", "--model"]);
}

#[test]
fn an_adapter_that_is_named_as_the_model_names_its_base() {
    let (mut adapter, files) = (Adapter::read("saved-head"), Files::new());
    let [model, input] = adapter.write_base(&files);
    adapter.config["base_model_name_or_path"] = json!(model);
    adapter.write(&files.path("adapter"));
    let named = files.name("adapter");
    let run = adapter.run([&named, &input], &[]);
    adapter.assert_agrees(&run, "by its own name");
    assert!(run.stderr.contains(&format!("merged into its base model {model}")), "{}", run.stderr);
    let beside = format!("run with --model {model} --adapter {named}");
    for (base, parts) in [
        (json!("/nowhere/base"), ["can't be found", "--model BASE --adapter"]),
        (json!("owner/base"), ["owner/base", "--model BASE --adapter"]),
        (json!("nowhere/bert"), ["as a path, it was sought from ", &beside]),
        (Value::Null, ["names no base model", "--model BASE --adapter"]),
        (json!(named), ["an adapter of its own", "merging several"]),
    ] {
        adapter.config["base_model_name_or_path"] = base;
        adapter.write(&files.path("adapter"));
        adapter.run([&named, &input], &["--offline"]).fails(1, &parts);
    }
}

#[test]
fn names_of_older_versions_fit() {
    let (adapter, files) = (Adapter::read("saved-head"), Files::new());
    let [model, input] = adapter.write_base(&files);
    let older = |name: String| {
        let name = name.replace(".lora_A.", ".lora_A.default.").replace(".lora_B.", ".lora_B.default.");
        name.replace("model.classifier.", "model.classifier.modules_to_save.default.")
    };
    let tensors = adapter.tensors().into_iter().map(|(name, tensor)| (older(name), tensor)).collect();
    write(&files.path("adapter"), &adapter.config, &tensors);
    let run = adapter.run([&model, &input], &["--adapter", &files.name("adapter")]);
    adapter.assert_agrees(&run, "older names");
}

#[test]
fn adapters_are_named_in_what_is_reported() {
    let (mut adapter, files) = (Adapter::read("rank-1"), Files::new());
    let [model, input] = adapter.write_base(&files);
    adapter.config["base_model_name_or_path"] = json!("owner/another");
    adapter.write(&files.path("adapter"));
    let tokenizer = files.read("qwen3/tokenizer.json");
    files.write("adapter/tokenizer.json", &tokenizer);
    let named = files.name("adapter");
    let run = adapter.run([&model, &input], &["--verbose", "--adapter", &named]);
    adapter.assert_agrees(&run, "verbose");
    let line = format!("adapter {named}: LoRA of rank 1 and alpha 2 on 4 modules");
    for part in [line.as_str(), "was trained on owner/another"] {
        assert!(run.stderr.contains(part), "{part}: {}", run.stderr);
    }
    assert!(!run.stderr.contains("tokenizer"), "{}", run.stderr);
    let mut tokens: Value = serde_json::from_str(&tokenizer).unwrap();
    tokens["added_tokens"].as_array_mut().unwrap().pop();
    files.write("adapter/tokenizer.json", tokens.to_string());
    let dry = adapter.run([&model, &input], &["--dry-run", "--verbose", "--adapter", &named]);
    assert_eq!(dry.status, 0, "{}", dry.stderr);
    for part in [line.as_str(), "differs from the base model's tokenizer"] {
        assert!(dry.stderr.contains(part), "{part}: {}", dry.stderr);
    }
    let check = rerank(&["check", &model, "--adapter", &named, "--dtype", "f32", "--verbose"]);
    assert_eq!(check.status, 0, "{}", check.stderr);
    for part in [line.as_str(), "check --model MODEL --adapter ADAPTER --golden scores.json\n"] {
        assert!(check.stdout.contains(part), "{part}: {}", check.stdout);
    }
    // What it proposes compares the model with itself.
    let scored = rerank(&["check", &model, "--adapter", &named, "--dtype", "f32", "--format", "json"]);
    let scores = files.write("scores.json", &scored.stdout);
    let again = rerank(&["check", &model, "--adapter", &named, "--dtype", "f32", "--golden", &scores]);
    again.fails(0, &[]);
    assert!(again.stdout.contains("compared with ") && !again.stdout.contains("with nothing"), "{}", again.stdout);
}

#[test]
fn another_adapter_is_another_model() {
    let (adapter, files) = (Adapter::read("rank-1"), Files::new());
    let [model, input] = adapter.write_base(&files);
    adapter.write(&files.path("adapter"));
    let (named, output, cache) = (files.name("adapter"), files.name("ranked.jsonl"), files.name("cache"));
    let options = ["--adapter", &named, "--output", &output, "--cache", &cache];
    assert_eq!(adapter.run([&model, &input], &options).status, 0);
    let mut tensors = adapter.tensors();
    let name = "base_model.model.model.layers.1.self_attn.v_proj.lora_B.weight";
    let changed = (tensors[name].clone() * 1.5).unwrap();
    tensors.insert(name.to_owned(), changed);
    write(&files.path("adapter"), &adapter.config, &tensors);
    adapter.run([&model, &input], &[&options[..], &["--resume"]].concat()).fails(
        2,
        &["the hash of its files", &format!("both times of \"{model} with the adapter {named}\": a file was changed")],
    );
    let other = files.name("other");
    adapter.write(&files.path("other"));
    let resumed = ["--output", &output, "--resume", "--adapter", &other];
    adapter.run([&model, &input], &resumed).fails(0, &["is complete"]);
    write(&files.path("other"), &adapter.config, &tensors);
    let [then, now] = [&named, &other].map(|adapter| format!("\"{model} with the adapter {adapter}\""));
    adapter.run([&model, &input], &resumed).fails(2, &[&format!("({then} then, {now} now)")]);
    let scored = adapter.run([&model, &input], &["--adapter", &named, "--cache", &cache, "--verbose"]);
    assert!(!scored.stderr.contains("2 of 2"), "{}", scored.stderr);
    let first = crate::fixture::rankings(&files.read("ranked.jsonl"));
    assert_ne!(first[0]["results"][0]["logit"], scored.rankings()[0]["results"][0]["logit"]);
}
