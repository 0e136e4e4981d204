//! Models in GGUF against transformers on the same weights, by the whole program. `scripts/make_gguf.py` says what the files of
//! testdata/gguf mean, and writes them.

use std::collections::BTreeMap;
use std::path::Path;

use rerank::engine::cpu::Level;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::family::Pair;
use crate::fixture::{Files, Run, command, rerank, run};

const FOLDER: &str = "testdata/gguf";

/// A test model, as its file describes it.
#[derive(Deserialize)]
pub struct Model {
    config: Value,
    tokenizer: String,
    #[serde(default)]
    files: BTreeMap<String, Value>,
    #[serde(default)]
    arguments: Vec<String>,
    pairs: Vec<Pair>,
}

impl Model {
    pub fn read(name: &str) -> Self {
        let text = std::fs::read_to_string(format!("{FOLDER}/{name}.json")).unwrap();
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// Writes the tokenizer's files into a directory, and the weights under a name of their own.
    pub fn write(&self, files: &Files, directory: &str, name: &str, own: &str) -> String {
        let folder = files.path(directory);
        std::fs::create_dir(&folder).unwrap();
        for entry in std::fs::read_dir(Path::new("testdata/tokenizers").join(&self.tokenizer)).unwrap() {
            let entry = entry.unwrap();
            if entry.file_name().to_str().unwrap().starts_with("tokenizer") {
                std::fs::copy(entry.path(), folder.join(entry.file_name())).unwrap();
            }
        }
        for (file, content) in &self.files {
            std::fs::write(folder.join(file), content.to_string()).unwrap();
        }
        std::fs::copy(format!("{FOLDER}/{name}.gguf"), folder.join(own)).unwrap();
        folder.to_str().unwrap().to_owned()
    }

    pub fn input(&self, files: &Files) -> String {
        let line = |(index, pair): (usize, &Pair)| {
            let candidates = json!([{"id": "0", "text": pair.document.text()}]);
            let query = json!({"query_id": index.to_string(), "query": pair.query.text(), "candidates": candidates});
            format!("{query}\n")
        };
        files.write("input.jsonl", self.pairs.iter().enumerate().map(line).collect::<String>())
    }
}

pub fn logits(run: &Run) -> Vec<f64> {
    run.rankings().iter().map(|ranking| ranking["results"][0]["logit"].as_f64().unwrap()).collect()
}

/// All test models, by name.
fn all() -> Vec<String> {
    let names = std::fs::read_dir(FOLDER).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = names.filter_map(|name| Some(name.strip_suffix(".gguf")?.to_owned())).collect();
    names.sort();
    names
}

#[test]
fn models_in_gguf_agree_with_transformers_in_f32() {
    for name in all() {
        let (files, model) = (Files::new(), Model::read(&name));
        let (folder, input) = (model.write(&files, "model", &name, "model.gguf"), model.input(&files));
        for level in Level::all() {
            let options = ["--model", &folder, "--input", &input, "--dtype", "f32", "--no-text"];
            let mut command = command(&options);
            command.args(&model.arguments).env("RERANK_INSTRUCTIONS", level.to_string());
            let found = logits(&run(command, ""));
            for (index, (found, pair)) in found.iter().zip(&model.pairs).enumerate() {
                let off = (found - pair.f32).abs();
                assert!(off < 1e-4, "{name} on {level}, pair {index}: off by {off:e}");
            }
        }
    }
}

#[test]
fn what_the_weights_are_is_reported() {
    let (files, model) = (Files::new(), Model::read("qwen3-mixed"));
    let (folder, input) = (model.write(&files, "model", "qwen3-mixed", "m.gguf"), model.input(&files));
    let stats = |options: &[&str]| -> (Run, Value) {
        let name = files.name("stats.json");
        let run = rerank(&[&["--model", &folder, "--input", &input, "--stats", &name], options].concat());
        assert_eq!(run.status, 0, "{}", run.stderr);
        (run, serde_json::from_str(&files.read("stats.json")).unwrap())
    };
    let (run, figures) = stats(&["--verbose", "--dtype", "f32"]);
    let weights = &figures["weights"];
    let number = |name: &str| weights[name].as_u64().unwrap_or_else(|| panic!("{name} in {weights}"));
    let forms: Vec<&String> = weights["forms"].as_object().unwrap().keys().collect();
    assert_eq!((forms.len(), forms[0].as_str()), (15, "Q6_K"), "{weights}");
    let sum: f64 = weights["forms"].as_object().unwrap().values().map(|share| share.as_f64().unwrap()).sum();
    assert!((sum - 1.).abs() < 1e-9, "{weights}");
    // The layers rest as they are stored, and one of them is packed in f32 besides.
    let layers: u64 = 2 * (256 * (128 + 64 + 64) + 128 * 256 + 3 * 256 * 256) * 4;
    assert!(number("stored_bytes") < number("memory_bytes"), "{weights}");
    assert!(number("memory_bytes") < number("stored_bytes") + layers, "{weights}");
    for part in ["weights: ", " as stored (Q6_K 27.1%, ", " in memory"] {
        assert!(run.stderr.contains(part), "{part:?} is not in {}", run.stderr);
    }
    let (planned, of_plan) = stats(&["--dry-run", "--dtype", "f32"]);
    assert!(planned.stdout.contains("weights ") && planned.stdout.contains("Q6_K 27.1%"), "{}", planned.stdout);
    assert_eq!(of_plan["weights"], *weights);
    // In int8, they are packed once.
    let (_, narrow) = stats(&["--dtype", "int8"]);
    assert!(narrow["weights"]["memory_bytes"].as_u64().unwrap() < number("memory_bytes"), "{narrow}");
    let check = rerank(&["check", "--model", &folder, "--dtype", "f32"]);
    assert!(check.stdout.contains("weights ") && check.stdout.contains("Q6_K 27.1%"), "{}", check.stdout);
}

#[test]
fn a_file_and_its_directory_are_one_model() {
    let (files, model) = (Files::new(), Model::read("qwen2"));
    let (folder, input) = (model.write(&files, "model", "qwen2", "a.gguf"), model.input(&files));
    let file = format!("{folder}/a.gguf");
    let options = ["--input", &input, "--no-text", "--recipe", "mxbai-rerank-v2"];
    let scored = |model: &str| rerank(&[&["--model", model], &options[..]].concat());
    let (of_folder, of_file) = (scored(&folder), scored(&file));
    assert_eq!(of_folder.stdout, of_file.stdout);
    // What is named is known by its content.
    let other = format!("{folder}/model.q4");
    std::fs::rename(&file, &other).unwrap();
    assert_eq!(scored(&other).stdout, of_folder.stdout);
    std::fs::rename(&other, &file).unwrap();
    // Of several files, one is named.
    std::fs::copy(&file, format!("{folder}/b-Q8_0.gguf")).unwrap();
    scored(&folder).fails(1, &["several GGUF files: a.gguf, b-Q8_0.gguf", "--model", "a.gguf"]);
    assert_eq!(scored(&file).stdout, of_folder.stdout);
    // Files for images are no models, and safetensors go before GGUF.
    std::fs::rename(format!("{folder}/b-Q8_0.gguf"), format!("{folder}/mmproj-b.gguf")).unwrap();
    assert_eq!(scored(&folder).stdout, of_folder.stdout);
}

#[test]
fn a_configuration_that_contradicts_the_file_is_reported() {
    let (files, model) = (Files::new(), Model::read("qwen3-vocabulary"));
    let (folder, input) = (model.write(&files, "model", "qwen3-vocabulary", "m.gguf"), model.input(&files));
    let with = |config: &Value| {
        files.write("model/config.json", config.to_string());
        rerank(&["--model", &folder, "--input", &input, "--no-text"])
    };
    let same = with(&model.config);
    assert_eq!(same.status, 0, "{}", same.stderr);
    assert!(!same.stderr.contains("config.json"), "{}", same.stderr);
    let mut other = model.config.clone();
    (other["hidden_size"], other["rope_theta"]) = (json!(1024), json!(5e5));
    let run = with(&other);
    assert_eq!(run.stdout, same.stdout);
    for part in ["hidden_size 1024, where the metadata have 64", "rope_theta 500000.0"] {
        assert!(run.stderr.contains(part), "{part:?} is not in {}", run.stderr);
    }
}
