//! Adapters that don't fit, are damaged, or have something that can't be merged: each is refused by name, and nothing is left out
//! without a word.

use std::collections::HashMap;

use candle_core::{DType, Device, Tensor};
use serde_json::{Value, json};

use crate::adapters::{Adapter, write};
use crate::fixture::{Files, Run, rerank};

const QUERY: &str = "base_model.model.bert.encoder.layer.0.attention.self.query";

#[test]
fn a_dry_run_checks_an_adapter_without_the_weights() {
    let (adapter, files) = (Adapter::read("expression"), Files::new());
    let [model, input] = adapter.write_base(&files);
    std::fs::remove_file(files.path("bert/model.safetensors")).unwrap();
    adapter.write(&files.path("adapter"));
    Adapter::read("rank-1").write(&files.path("other"));
    let dry = |name: &str| adapter.run([&model, &input], &["--dry-run", "--adapter", &files.name(name)]);
    dry("adapter").fails(0, &[]);
    dry("other").fails(1, &["of modules that the model does not have", "trained on qwen3"]);
}

/// A model with an adapter, which is changed before each run.
struct Case {
    files: Files,
    adapter: Adapter,
    base: [String; 2],
}

impl Case {
    fn new() -> Self {
        let (adapter, files) = (Adapter::read("saved-head"), Files::new());
        let base = adapter.write_base(&files);
        Self { files, adapter, base }
    }

    /// Asserts that an adapter with these changes is refused by a message with these parts.
    #[track_caller]
    fn refused(&self, config: &Value, change: impl FnOnce(&mut HashMap<String, Tensor>), parts: &[&str]) {
        let mut whole = self.adapter.config.clone();
        whole.as_object_mut().unwrap().extend(config.as_object().unwrap().clone());
        let mut tensors = self.adapter.tensors();
        change(&mut tensors);
        write(&self.files.path("adapter"), &whole, &tensors);
        self.fails(parts);
    }

    #[track_caller]
    fn fails(&self, parts: &[&str]) {
        let [model, input] = &self.base;
        let run = self.adapter.run([model, input], &["--adapter", &self.files.name("adapter")]);
        run.fails(1, parts);
        for file in ["adapter_config.json", "adapter_model.safetensors"] {
            let path = self.files.name("adapter") + "/" + file;
            assert!(run.stderr.matches(&path).count() < 2, "a path is there twice: {}", run.stderr);
        }
    }
}

fn zeros(shape: &[usize]) -> Tensor {
    Tensor::zeros(shape, DType::F32, &Device::Cpu).unwrap()
}

#[test]
fn what_a_configuration_states_is_obeyed_or_refused() {
    let case = Case::new();
    for (config, parts) in [
        (json!({"peft_type": "LOHA"}), ["peft_type is LOHA", "merge_and_unload()"]),
        (json!({"peft_type": "PROMPT_TUNING"}), ["PROMPT_TUNING", "adapter_config.json"]),
        (json!({"peft_type": null}), ["no peft_type", "adapter_config.json"]),
        (json!({"use_dora": true}), ["use_dora (DoRA", "not supported"]),
        (json!({"use_qalora": true}), ["use_qalora", "not supported"]),
        (json!({"layer_replication": [[0, 1]]}), ["layer_replication", "not supported"]),
        (json!({"trainable_token_indices": [1]}), ["trainable_token_indices", "not supported"]),
        (json!({"target_parameters": ["experts"]}), ["target_parameters", "not supported"]),
        (json!({"alora_invocation_tokens": [5]}), ["alora_invocation_tokens", "not supported"]),
        (json!({"megatron_config": {"a": 1}}), ["megatron_config", "not supported"]),
        (json!({"init_lora_weights": "pissa_niter_4"}), ["pissa_niter_4", "path_initial_model_for_weight_conversion"]),
        (json!({"init_lora_weights": "olora"}), ["olora", "changes the base weights"]),
        (json!({"use_something_new": 3}), ["does not know", "use_something_new"]),
        (json!({"bias": "some"}), ["bias is \"some\"", "lora_only"]),
        (json!({"r": 8}), ["lora_A.weight has shape [4, 384]", "rank 8"]),
        (json!({"r": "4"}), ["r is \"4\"", "a whole number"]),
        (json!({"lora_alpha": "x"}), ["lora_alpha", "should be a number"]),
        (json!({"rank_pattern": {"layer.0.*": 2}}), ["should have [2, 384]", "rank_pattern"]),
        (json!({"rank_pattern": {"(": 2}}), ["rank_pattern is \"(\"", "no regular expression"]),
        (json!({"target_modules": null}), ["no target_modules", "PEFT writes them"]),
        (json!({"target_modules": ["query"]}), ["does not mean", "attention.self.value"]),
        (json!({"target_modules": ["query", "key", "value"]}), ["has no tensors of modules", "attention.self.key"]),
        (json!({"target_modules": "all-linear"}), ["has no tensors of modules", "dense"]),
        (json!({"target_modules": ".*query|.*value", "layers_to_transform": [0]}), ["layers_to_transform", "no list"]),
        (json!({"layers_to_transform": [0]}), ["does not mean", "layer.1.attention.self"]),
        (json!({"exclude_modules": ["value"]}), ["does not mean", "attention.self.value"]),
        (json!({"modules_to_save": ["classifier", "pooler"]}), ["modules_to_save has pooler", "bert.pooler"]),
        (json!({"lora_bias": true}), ["has no bias", "lora_bias is true"]),
    ] {
        case.refused(&config, |_| {}, &parts);
    }
    // Patterns that take forever end.
    let slow = json!({"target_modules": r"(?=((.*.*)*)*x\1)(a*)*b\3"});
    case.refused(&slow, |_| {}, &["target_modules", "adapter_config.json"]);
}

/// A run of the adapter, with changes of its configuration.
fn changed(name: &str, config: &Value) -> Run {
    let (mut adapter, files) = (Adapter::read(name), Files::new());
    let [model, input] = adapter.write_base(&files);
    adapter.config.as_object_mut().unwrap().extend(config.as_object().unwrap().clone());
    adapter.write(&files.path("adapter"));
    adapter.run([&model, &input], &["--adapter", &files.name("adapter")])
}

#[test]
fn a_saved_head_that_is_the_embedding_must_be_in_the_file() {
    changed("rank-1", &json!({"modules_to_save": ["lm_head"]})).fails(1, &["modules_to_save has lm_head"]);
}

#[test]
fn what_the_model_does_not_have_is_noted() {
    let config = json!({
        "modules_to_save": ["foo"],
        "target_modules": ["o_proj", "down_proj", "q_proj", "bar"],
        "layers_to_transform": [1, 7],
    });
    let run = changed("some-layers", &config);
    assert_eq!(run.status, 0, "{}", run.stderr);
    let names = "foo in modules_to_save, bar in target_modules, 7 in layers_to_transform;";
    assert!(run.stderr.contains("note: ") && run.stderr.contains(names), "{}", run.stderr);
    let usual = changed("saved-head", &json!({}));
    assert!(!usual.stderr.contains("passes over"), "{}", usual.stderr);
}

#[test]
fn tensors_that_do_not_fit_are_refused() {
    let case = Case::new();
    let name = |end: &str| format!("{QUERY}.{end}");
    let none = json!({});
    let parts = [QUERY, "lora_B", "complete?"].map(|part| part.replace("base_model.model.", ""));
    case.refused(&none, |tensors| drop(tensors.remove(&name("lora_B.weight"))), &parts.each_ref().map(String::as_str));
    let wrong = |tensors: &mut HashMap<String, Tensor>| drop(tensors.insert(name("lora_B.weight"), zeros(&[380, 4])));
    case.refused(
        &none,
        wrong,
        &["lora_B.weight has shape [380, 4], and should have [384, 4]", "adapter_model.safetensors"],
    );
    let integers = |tensors: &mut HashMap<String, Tensor>| {
        drop(tensors.insert(name("lora_A.weight"), zeros(&[4, 384]).to_dtype(DType::I64).unwrap()))
    };
    case.refused(&none, integers, &["lora_A.weight is of type I64", "f32"]);
    for (other, shape, named) in [
        (
            "bert.encoder.layer.7.attention.self.query.lora_A.weight",
            vec![4, 384],
            "of modules that the model does not have",
        ),
        ("bert.encoder.layer.0.experts.lora_A.weight", vec![4, 384], "of modules that the model does not have"),
        ("bert.encoder.layer.0.other.weight", vec![4], "no place for"),
        ("bert.encoder.layer.0.attention.self.query.lora_magnitude_vector", vec![384], "DoRA"),
        ("bert.encoder.layer.0.attention.self.query.lora_B.bias", vec![384], "lora_bias is not true"),
        ("bert.encoder.layer.0.attention.self.query.lora_embedding_A", vec![4, 384], "not of the kind"),
        ("bert.embeddings.token_adapter.trainable_tokens_delta", vec![4, 384], "by themselves"),
        ("bert.encoder.layer.0.attention.self.query.lora_A.other.weight", vec![4, 384], "there twice"),
    ] {
        let other = format!("base_model.model.{other}");
        let add = |tensors: &mut HashMap<String, Tensor>| drop(tensors.insert(other.clone(), zeros(&shape)));
        case.refused(&none, add, &[named, "adapter_model.safetensors"]);
    }
    case.refused(&none, HashMap::clear, &["has no tensors"]);
    let labels = |tensors: &mut HashMap<String, Tensor>| {
        tensors.insert("base_model.model.classifier.weight".to_owned(), zeros(&[3, 384]));
        tensors.insert("base_model.model.classifier.bias".to_owned(), zeros(&[3]));
    };
    case.refused(&none, labels, &["3 labels", "a reranker has one"]);
    let (adapter, files) = (Adapter::read("expression"), Files::new());
    let base = adapter.write_base(&files);
    Adapter::read("rank-1").write(&files.path("adapter"));
    Case { files, adapter, base }.fails(&["of modules that the model does not have", "trained on qwen3"]);
}

#[test]
fn damaged_and_missing_files_are_called_what_they_are() {
    let case = Case::new();
    case.adapter.write(&case.files.path("adapter"));
    let whole = std::fs::read(case.files.path("adapter/adapter_model.safetensors")).unwrap();
    let config = case.files.read("adapter/adapter_config.json");
    for length in [0, 7, 300, whole.len() / 2, whole.len() - 1] {
        case.files.write("adapter/adapter_model.safetensors", &whole[..length]);
        case.fails(&["adapter_model.safetensors", "complete safetensors file"]);
    }
    for length in [0, 1, config.len() / 2] {
        case.files.write("adapter/adapter_config.json", &config[..length]);
        case.fails(&["adapter_config.json"]);
    }
    case.files.write("adapter/adapter_config.json", &config);
    std::fs::remove_file(case.files.path("adapter/adapter_model.safetensors")).unwrap();
    case.fails(&["no adapter_model.safetensors", "save_pretrained()"]);
    case.files.write("adapter/adapter_model.bin", "PK");
    case.fails(&["only adapter_model.bin", "weights_only=True", "save_file("]);
    std::fs::remove_file(case.files.path("adapter/adapter_config.json")).unwrap();
    case.fails(&["has no adapter_config.json", "adapter_model.safetensors"]);
    case.files.write("adapter/config.json", "{}");
    case.fails(&["has no adapter_config.json", "a whole model is named with --model"]);
}

#[test]
fn the_option_takes_one_directory_or_id() {
    let case = Case::new();
    case.adapter.write(&case.files.path("adapter"));
    let [model, input] = &case.base;
    let named = case.files.name("adapter");
    let weights = format!("{named}/adapter_model.safetensors");
    for (arguments, parts) in [
        (
            vec!["--adapter", &named, "--adapter", &named],
            ["given 2 times", "merging several adapters is not supported"],
        ),
        (vec!["--adapter", &weights], ["this is a file", &named]),
        (vec!["--adapter", ""], ["--adapter \"\" names no adapter", "leave the option out"]),
        (vec!["--adapter", "./nowhere"], ["--adapter ./nowhere", "no such directory"]),
        (vec!["--adapter", "owner/name@v2"], ["--adapter owner/name@v2", "leave that out: owner/name"]),
        (vec!["--adapter", "owner/name", "--offline"], ["owner/name", "offline"]),
    ] {
        let run = case.adapter.run([model, input], &arguments);
        assert!(run.status == 1 || run.status == 2, "{}", run.stderr);
        run.fails(run.status, &parts);
    }
    let fake = rerank(&["--model", "fake", "--input", input, "--adapter", &named]);
    fake.fails(fake.status, &["--adapter", "`fake`"]);
    let bench = rerank(&["bench", "--adapter", &named]);
    bench.fails(bench.status, &["--adapter", "--model"]);
    let output = format!("{named}/adapter_config.json");
    let written = case.adapter.run([model, input], &["--adapter", &named, "--output", &output, "--overwrite"]);
    assert_ne!(written.status, 0);
    assert!(case.files.read("adapter/adapter_config.json").contains("LORA"));
}
