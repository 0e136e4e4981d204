//! Heads that sentence-transformers keeps in folders of modules. Their scores are tested with those of the families.

use std::fs;
use std::path::{Path, PathBuf};

use candle_core::{DType, Device, Tensor};
use serde_json::{Value, json};

use crate::fake_hub::{Hub, ODD, run};
use crate::family::all;
use crate::fixture::{Files, rerank};
use crate::models::logits;

/// The test model whose head is in four folders.
fn ettin(files: &Files) -> String {
    let (_, family) = all().into_iter().find(|(name, _)| name == "ettin").unwrap();
    family.write(files, "model")
}

fn change(path: &Path, change: &Value) {
    let mut content: Value = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    match change {
        Value::Object(fields) => fields.iter().for_each(|(name, value)| content[name] = value.clone()),
        whole => content = whole.clone(),
    }
    fs::write(path, content.to_string()).unwrap();
}

#[track_caller]
fn refused(made: impl FnOnce(&Path), parts: &[&str]) {
    let files = Files::new();
    let model = ettin(&files);
    made(&files.path("model"));
    let run = rerank(&["--model", &model, "--input", "testdata/candidates.jsonl"]);
    run.fails(1, parts);
}

#[test]
fn settings_of_modules_are_obeyed_or_refused_by_name() {
    let dense = "2_Dense/config.json";
    for (file, changes, parts) in [
        ("1_Pooling/config.json", json!({"pooling_mode": "max"}), ["1_Pooling/config.json", "pooling_mode is max"]),
        ("1_Pooling/config.json", json!({"pooling_mode": ["cls", "mean"]}), ["1_Pooling/config.json", "2 entries"]),
        ("1_Pooling/config.json", json!({"include_prompt": false}), ["1_Pooling/config.json", "include_prompt"]),
        ("1_Pooling/config.json", json!({"embedding_dimension": 63}), ["1_Pooling/config.json", "have 63"]),
        ("1_Pooling/config.json", json!({"norm": true}), ["1_Pooling/config.json", "not supported: norm; remove"]),
        (dense, json!({"activation_function": "torch.nn.modules.activation.Mish"}), [dense, "Mish"]),
        (dense, json!({"activation_function": "own.GELU"}), [dense, "own.GELU"]),
        (dense, json!({"activation_function": null}), [dense, "activation_function is null"]),
        (dense, json!({"use_residual": true}), [dense, "use_residual"]),
        (dense, json!({"module_input_name": "token_embeddings"}), [dense, "token_embeddings"]),
        (dense, json!({"module_output_name": "vector"}), [dense, "module_output_name is vector"]),
        (dense, json!({"module_output_name": "scores"}), [dense, "out_features is 64"]),
        (dense, json!({"in_features": 63}), [dense, "63 features"]),
        (dense, json!({"in_features": null}), [dense, "no in_features"]),
        (dense, json!({"bias": true}), ["2_Dense/model.safetensors", "tensor linear.bias is missing"]),
        (
            "4_Dense/config.json",
            json!({"bias": false}),
            ["4_Dense/model.safetensors", "tensor linear.bias is not part"],
        ),
        ("4_Dense/config.json", json!({"module_output_name": null}), ["modules.json", "no Dense makes a score"]),
        (
            "4_Dense/config.json",
            json!({"activation_function": "torch.nn.modules.activation.Sigmoid"}),
            ["4_Dense/config.json", "Sigmoid"],
        ),
        ("3_LayerNorm/config.json", json!({"dimension": 65}), ["3_LayerNorm/config.json", "65 features"]),
        ("3_LayerNorm/config.json", json!({"eps": 1e-3}), ["3_LayerNorm/config.json", "eps"]),
        (
            "sentence_bert_config.json",
            json!({"transformer_task": "sequence-classification"}),
            ["sentence_bert_config.json", "sequence-classification"],
        ),
        ("sentence_bert_config.json", json!({"module_output_name": "scores"}), ["modules.json", "scores"]),
        (
            "sentence_bert_config.json",
            json!({"modality_config": {"text": {"method": "forward", "method_output_name": "pooler_output"}}}),
            ["modality_config.text", "pooler_output"],
        ),
        ("config.json", json!({"hidden_size": 32}), ["1_Pooling/config.json", "has 32"]),
    ] {
        refused(|model| change(&model.join(file), &changes), &parts);
    }
}

#[test]
fn lists_of_modules_are_refused_by_what_is_wrong() {
    let module = |index: usize, path: &str, kind: &str| {
        let kind = format!("sentence_transformers.models.{kind}");
        json!({"idx": index, "name": index.to_string(), "path": path, "type": kind})
    };
    let transformer = module(0, "", "Transformer");
    let pooling = module(1, "1_Pooling", "Pooling");
    let scores = |index: usize| module(index, "4_Dense", "Dense");
    let normalize = module(2, "2_Normalize", "Normalize");
    for (modules, parts) in [
        (json!([transformer, pooling, normalize, scores(3)]), ["modules.json: module 2 is", "Normalize"]),
        (
            json!([transformer, pooling, scores(2), scores(3)]),
            ["module 3 is", "behind the module that gives the scores"],
        ),
        (json!([transformer, pooling, module(2, "", "Dense")]), ["path of module 2", "should name its folder"]),
        (json!([transformer, pooling, module(2, "9_Dense", "Dense")]), ["modules.json", "no 9_Dense/config.json"]),
        (json!([pooling, transformer]), ["module 0 is", "should be a Transformer"]),
    ] {
        refused(|model| change(&model.join("modules.json"), &modules), &parts);
    }
}

#[test]
fn weights_of_modules_are_checked() {
    let weights = |model: &Path| model.join("2_Dense/model.safetensors");
    let save = |model: &Path, tensors: &[(&str, Tensor)]| {
        let tensors = tensors.iter().map(|(name, tensor)| ((*name).to_owned(), tensor.clone()));
        candle_core::safetensors::save(&tensors.collect::<std::collections::HashMap<_, _>>(), weights(model)).unwrap();
    };
    let matrix = |rows: usize| Tensor::zeros((rows, 64), DType::F32, &Device::Cpu).unwrap();
    refused(|model| fs::remove_file(weights(model)).unwrap(), &["has no 2_Dense/model.safetensors"]);
    refused(
        |model| fs::rename(weights(model), model.join("2_Dense/pytorch_model.bin")).unwrap(),
        &["has no 2_Dense/model.safetensors", "its weights (2_Dense/pytorch_model.bin)", "save_pretrained"],
    );
    refused(
        |model| {
            let bytes = fs::read(weights(model)).unwrap();
            fs::write(weights(model), &bytes[..bytes.len() - 9]).unwrap();
        },
        &["2_Dense/model.safetensors is not a complete safetensors file", "download it again"],
    );
    refused(
        |model| save(model, &[("linear.weight", matrix(63))]),
        &["2_Dense/model.safetensors: tensor linear.weight has shape [63, 64]", "[64, 64]"],
    );
    refused(
        |model| save(model, &[("linear.weight", matrix(64)), ("residual.weight", matrix(64))]),
        &["2_Dense/model.safetensors: tensor residual.weight is not part of the module"],
    );
    refused(
        |model| save(model, &[("weight", matrix(64))]),
        &["2_Dense/model.safetensors: tensor linear.weight is missing", "has weight"],
    );
}

/// Moves the transformer's files of a model into a folder, as sentence-transformers keeps them in some.
fn move_transformer(files: &Files) -> PathBuf {
    let folder = files.path("model/0_Transformer");
    fs::create_dir(&folder).unwrap();
    for entry in fs::read_dir(files.path("model")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if path.is_file() && !["modules.json", "config_sentence_transformers.json"].contains(&name) {
            fs::rename(&path, folder.join(name)).unwrap();
        }
    }
    let path = files.path("model/modules.json");
    let mut modules: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
    modules[0]["path"] = "0_Transformer".into();
    fs::write(&path, modules.to_string()).unwrap();
    folder
}

#[test]
fn a_transformer_can_be_in_a_folder_of_its_own() {
    let files = Files::new();
    let model = ettin(&files);
    let expected = logits(&model, &["--dtype", "f32"]);
    let folder = move_transformer(&files);
    assert_eq!(logits(&model, &["--dtype", "f32"]), expected);
    fs::remove_file(folder.join("tokenizer.json")).unwrap();
    rerank(&["--model", &model, "--input", "testdata/candidates.jsonl"])
        .fails(1, &["has no 0_Transformer/tokenizer.json"]);
}

#[test]
fn folders_of_modules_are_downloaded() {
    for has_folder in [false, true] {
        let files = Files::new();
        let model = ettin(&files);
        if has_folder {
            move_transformer(&files);
        }
        let expected = rerank(&["--model", &model, "--input", "testdata/candidates.jsonl"]).stdout;
        let hub = Hub::of_directory(files.path("model"));
        let endpoint = hub.endpoint();
        let first = run(&files, &endpoint, &[], &ODD);
        assert!(first.status == 0 && first.stdout == expected, "{}", first.stderr);
        assert!(first.stderr.contains("4_Dense/model.safetensors"), "{}", first.stderr);
        drop(hub);
        let cached = run(&files, &endpoint, &[], &[&ODD[..], &["--offline"]].concat());
        assert!(cached.status == 0 && cached.stdout == expected, "{}", cached.stderr);
        assert!(!cached.stderr.contains("is not known"), "{}", cached.stderr);
    }
}
