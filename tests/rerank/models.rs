//! Checkpoints: whole, converted, wrong.

use std::collections::HashMap;
use std::path::Path;

use candle_core::{DType, Device, Tensor};
use rerank::engine::cpu::Level;
use serde_json::{Value, json};

use crate::fixture::{Files, command, rerank, run};

const ODD: &str = "testdata/odd-reranker";
const INPUT: [&str; 2] = ["--input", "testdata/candidates.jsonl"];

/// All tensors of the odd model.
fn tensors() -> HashMap<String, Tensor> {
    let shards = std::fs::read_dir(ODD).unwrap().map(|entry| entry.unwrap().path());
    let shards = shards.filter(|path| path.extension().is_some_and(|extension| extension == "safetensors"));
    shards.flat_map(|path| candle_core::safetensors::load(path, &Device::Cpu).unwrap()).collect()
}

/// A copy of the odd model in one file, with changed configuration and tensors.
pub fn changed(files: &Files, config: &Value, change: impl FnOnce(&mut HashMap<String, Tensor>)) -> String {
    let model = files.copy_model(ODD, "model");
    for entry in std::fs::read_dir(&model).unwrap() {
        let path = entry.unwrap().path();
        if path.to_str().unwrap().contains(".safetensors") {
            std::fs::remove_file(path).unwrap();
        }
    }
    let mut tensors = tensors();
    change(&mut tensors);
    candle_core::safetensors::save(&tensors, Path::new(&model).join("model.safetensors")).unwrap();
    change_config(files, config);
    model
}

pub fn change_config(files: &Files, changes: &Value) {
    let mut config: Value = serde_json::from_str(&files.read("model/config.json")).unwrap();
    if changes.get("num_hidden_layers").is_some() {
        // An entry for each layer; all are of the usual kind.
        config.as_object_mut().unwrap().remove("layer_types");
    }
    for (name, value) in changes.as_object().unwrap() {
        config[name] = value.clone();
    }
    files.write("model/config.json", config.to_string());
}

pub fn logits(model: &str, arguments: &[&str]) -> Vec<f64> {
    let rankings = rerank(&[&["--model", model], &INPUT[..], arguments].concat()).rankings();
    let results = rankings.iter().flat_map(|ranking| ranking["results"].as_array().unwrap());
    results.map(|result| result["logit"].as_f64().unwrap()).collect()
}

/// The id that the odd model's tokenizer gives a word of one token.
pub fn token(word: &str) -> usize {
    let tokenizer = tokenizers::Tokenizer::from_file(format!("{ODD}/tokenizer.json")).unwrap();
    tokenizer.token_to_id(word).unwrap() as usize
}

#[test]
fn a_converted_classifier_scores_like_its_language_model() {
    let files = Files::new();
    let config = json!({"architectures": ["Qwen3ForSequenceClassification"], "num_labels": 1});
    let model = changed(&files, &config, |tensors| {
        let head = tensors.remove("lm_head.weight").unwrap();
        let row = |word| head.get(token(word)).unwrap();
        tensors.insert("score.weight".into(), (row("yes") - row("no")).unwrap().unsqueeze(0).unwrap());
    });
    assert_eq!(logits(&model, &[]), logits(ODD, &[]));
}

#[test]
fn a_tied_head_is_the_embedding() {
    let files = Files::new();
    let model = changed(&files, &json!({"tie_word_embeddings": true}), |tensors| {
        let head = tensors.remove("lm_head.weight").unwrap();
        tensors.insert("model.embed_tokens.weight".into(), head);
    });
    let tied = logits(&model, &[]);
    let files = Files::new();
    let untied = changed(&files, &json!({}), |tensors| {
        let head = tensors["lm_head.weight"].clone();
        tensors.insert("model.embed_tokens.weight".into(), head);
    });
    assert_eq!(tied, logits(&untied, &[]));
    assert_ne!(tied, logits(ODD, &[]));
}

#[test]
fn narrow_checkpoints_are_read() {
    for dtype in [DType::BF16, DType::F16] {
        let files = Files::new();
        let model = changed(&files, &json!({}), |tensors| {
            for tensor in tensors.values_mut() {
                *tensor = tensor.to_dtype(dtype).unwrap();
            }
        });
        for (narrow, wide) in logits(&model, &["--dtype", "f32"]).iter().zip(logits(ODD, &["--dtype", "f32"])) {
            assert!((narrow - wide).abs() < 0.1, "{dtype:?}: {narrow} {wide}");
        }
    }
}

#[test]
fn a_checkpoint_is_stored_as_most_of_its_values_are() {
    let reason = |matrices: DType, vectors: DType| {
        let files = Files::new();
        let model = changed(&files, &json!({}), |tensors| {
            for tensor in tensors.values_mut() {
                *tensor = tensor.to_dtype(if tensor.rank() == 2 { matrices } else { vectors }).unwrap();
            }
        });
        let mut command = command(&[&["--model", &model], &INPUT[..]].concat());
        command.env("RERANK_INSTRUCTIONS", Level::Plain.name());
        run(command, "").stderr
    };
    for (matrices, vectors, said) in [
        (DType::BF16, DType::F32, "f32, because plain has no instructions for products of bf16"),
        (DType::F16, DType::F32, "f32, which holds the checkpoint's f16 exactly"),
        (DType::F32, DType::BF16, "f32, in which the checkpoint is stored"),
    ] {
        let (reason, said) = (reason(matrices, vectors), said.replace("plain", Level::Plain.name()));
        assert!(reason.contains(&said), "{said}: {reason}");
    }
}

#[test]
fn the_forward_agrees_with_candle_transformers() {
    use candle_transformers::models::qwen3::{Config, ModelForCausalLM};
    let mut config: Value =
        serde_json::from_str(&std::fs::read_to_string(format!("{ODD}/config.json")).unwrap()).unwrap();
    config["rope_theta"] = config["rope_parameters"]["rope_theta"].clone();
    let config: Config = serde_json::from_value(config).unwrap();
    let weights = candle_nn::VarBuilder::from_tensors(tensors(), DType::F32, &Device::Cpu);
    let mut model = ModelForCausalLM::new(&config, weights).unwrap();

    use rerank::batch::{Limits, plan};
    use rerank::checkpoint::{AdapterChoice, Downloads, ModelSource};
    use rerank::engine::Target;
    use rerank::engine::cpu::Arithmetic;
    use rerank::precision::Precision;
    use rerank::recipe::RecipeChoice;
    use rerank::record::Query;
    use rerank::reranker::{Reranker, RerankerOptions};
    let source = ModelSource::Directory(ODD.into());
    let options = RerankerOptions {
        source,
        adapter: AdapterChoice::default(),
        recipe: RecipeChoice::default(),
        weights: true,
        on_gpu: false,
        downloads: Downloads::Silent,
    };
    let reranker = Reranker::find(&options).unwrap();
    let query = Query { text: "red planet".into(), ..Query::default() };
    let prompts: Vec<_> = ["Mars is red.", "", "Venus"]
        .iter()
        .map(|text| reranker.recipe().prompts.prompt(&query, text).unwrap())
        .collect();
    let batches =
        plan(std::slice::from_ref(&prompts), Limits { pairs: 9, tokens: 9999, share_prefixes: true, fill: false });
    let ours = reranker
        .load(&Target::Cpu(Arithmetic::new(Level::available(), Precision::F32)))
        .unwrap()
        .run(&batches[0])
        .unwrap();
    for (id, logit) in batches[0].pairs().zip(ours) {
        model.clear_kv_cache();
        let tokens =
            Tensor::new(prompts[id.candidate].token_ids.as_slice(), &Device::Cpu).unwrap().unsqueeze(0).unwrap();
        let logits = model.forward(&tokens, 0).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();
        let expected = logits[token("yes")] - logits[token("no")];
        assert!((logit - expected).abs() < 1e-4, "{logit} {expected}");
    }
}

/// Runs a changed copy and checks what is said about it.
#[track_caller]
fn refused(change: impl FnOnce(&Files), arguments: &[&str], parts: &[&str]) {
    let files = Files::new();
    let model = files.copy_model(ODD, "model");
    change(&files);
    let output = files.name("ranked.jsonl");
    let run = rerank(&[&["--model", &model, "--output", &output], &INPUT[..], arguments].concat());
    run.fails(1, parts);
    assert!(!files.path("ranked.jsonl").exists(), "an output was left behind");
}

#[test]
fn an_incomplete_directory_is_reported() {
    for name in ["config.json", "tokenizer.json", "model-00002-of-00003.safetensors"] {
        refused(|files| std::fs::remove_file(files.path("model").join(name)).unwrap(), &[], &[name, "/model has no"]);
    }
    refused(
        |files| std::fs::remove_file(files.path("model/model.safetensors.index.json")).unwrap(),
        &[],
        &["has no model.safetensors"],
    );
}

#[test]
fn a_cut_off_shard_is_reported() {
    refused(
        |files| {
            let path = files.path("model/model-00002-of-00003.safetensors");
            let bytes = std::fs::read(&path).unwrap();
            std::fs::write(&path, &bytes[..bytes.len() - 1000]).unwrap();
        },
        &[],
        &["model-00002-of-00003.safetensors", "not a complete safetensors file", "download it again"],
    );
    refused(
        |files| drop(files.write("model/model-00001-of-00003.safetensors", "")),
        &[],
        &["model-00001-of-00003.safetensors", "not a complete safetensors file"],
    );
}

#[test]
fn a_tensor_of_another_shape_is_reported() {
    refused(
        |files| change_config(files, &json!({"intermediate_size": 81})),
        &[],
        &["mlp.gate_proj.weight", "[80, 48]", "[81, 48]"],
    );
    refused(|files| change_config(files, &json!({"num_hidden_layers": 5})), &[], &["model.layers.4", "missing"]);
}

#[test]
fn an_unsupported_family_is_reported_with_the_supported_ones() {
    let phi = json!({"model_type": "phi3", "architectures": ["Phi3ForCausalLM"]});
    refused(
        |files| change_config(files, &phi),
        &[],
        &["model/config.json", "Phi3ForCausalLM", "supported are the model_types qwen3, qwen2, gemma"],
    );
    refused(|files| drop(files.write("model/config.json", "{")), &[], &["model/config.json"]);
}

#[test]
fn another_models_tokenizer_is_reported() {
    refused(
        |files| {
            let text = files.read("model/tokenizer.json").replace("<|im_end|>", "<|im_stop|>");
            files.write("model/tokenizer.json", text);
        },
        &[],
        &["tokenizer.json", "<|im_end|>"],
    );
    refused(|files| drop(files.write("model/tokenizer.json", "{}")), &[], &["tokenizer.json", "not a tokenizer"]);
    refused(|files| change_config(files, &json!({"vocab_size": 300})), &[], &["420 tokens", "300"]);
}

#[test]
fn lengths_beyond_the_model_or_without_room_are_reported() {
    rerank(&[&["--model", "testdata/odd-reranker", "--max-length", "50000"], &INPUT[..]].concat())
        .fails(2, &["--max-length 50000", "40960"]);
    rerank(&[&["--model", "testdata/odd-reranker", "--max-length", "20"], &INPUT[..]].concat())
        .fails(2, &["--max-length 20", "leaves no room", "raise --max-length"]);
}

#[test]
fn a_nan_is_reported_with_its_pair() {
    let files = Files::new();
    let model = changed(&files, &json!({}), |tensors| {
        let norm = tensors["model.norm.weight"].affine(f64::NAN, 0.).unwrap();
        tensors.insert("model.norm.weight".into(), norm);
    });
    let run = rerank(&[&["--model", &model], &INPUT[..]].concat());
    let named = format!("check the files of {model}");
    run.fails(1, &["testdata/candidates.jsonl:1", "query \"q1\"", "candidate \"", "NaN", &named]);
    assert!(!run.stderr.contains("--dtype f32"), "it is f32 already: {}", run.stderr);
    let run = rerank(&[&["--model", &model, "--dtype", "bf16"], &INPUT[..]].concat());
    run.fails(1, &["NaN", "try --dtype f32"]);
    let run = rerank(&[&["--model", &model, "--on-error", "skip"], &INPUT[..]].concat());
    run.fails(1, &["query \"q3\""]);
    assert!(run.stdout.lines().all(|line| line.ends_with("\"results\":[]}")));
}
