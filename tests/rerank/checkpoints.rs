//! What a checkpoint states about itself is obeyed as transformers obeys it, or refused by name.
//! `scripts/reference_checkpoints.py` makes the expected numbers.

use std::collections::HashMap;

use candle_core::{DType, Tensor};
use serde_json::{Value, json};

use crate::fixture::{Files, rerank, rerank_on};
use crate::models::{change_config, changed, logits, token};

type Tensors = HashMap<String, Tensor>;

fn renamed(tensors: &mut Tensors, name: impl Fn(&str) -> String) {
    *tensors = tensors.drain().map(|(old, tensor)| (name(&old), tensor)).collect();
}

fn bare(name: &str) -> String {
    name.strip_prefix("model.").unwrap_or(name).to_owned()
}

/// Stores the tensors as a variant of the script does.
fn store(tensors: &mut Tensors, how: Option<&str>) {
    match how {
        None => {}
        Some("only-head") => drop(tensors.remove("model.embed_tokens.weight").unwrap()),
        Some("bare") => renamed(tensors, bare),
        Some("twice") => renamed(tensors, |name| format!("model.{name}")),
        Some("classifier") => {
            let head = tensors.remove("lm_head.weight").unwrap();
            let row = |word| head.get(token(word)).unwrap();
            tensors.insert("score.weight".into(), (row("yes") - row("no")).unwrap().unsqueeze(0).unwrap());
        }
        Some("double") => tensors.values_mut().for_each(|tensor| *tensor = tensor.to_dtype(DType::F64).unwrap()),
        Some(other) => panic!("{other}"),
    }
}

/// A copy of the odd model with fields of config.json changed and removed.
fn variant(files: &Files, variant: &Value) -> String {
    let config = variant.get("config").cloned().unwrap_or(json!({}));
    let model = changed(files, &config, |tensors| store(tensors, variant["tensors"].as_str()));
    let mut config: Value = serde_json::from_str(&files.read("model/config.json")).unwrap();
    for field in variant["without"].as_array().into_iter().flatten() {
        config.as_object_mut().unwrap().remove(field.as_str().unwrap()).unwrap();
    }
    files.write("model/config.json", config.to_string());
    model
}

/// The first query's candidates, in the order of the input.
fn scored(model: &str) -> Vec<f64> {
    let input = std::fs::read_to_string("testdata/candidates.jsonl").unwrap();
    let rankings = rerank_on(input.lines().next().unwrap(), &["--model", model, "--dtype", "f32"]).rankings();
    let results = rankings[0]["results"].as_array().unwrap();
    let mut pairs: Vec<_> = results.iter().map(|result| (result["original_rank"].as_i64(), &result["logit"])).collect();
    pairs.sort_by_key(|(rank, _)| *rank);
    pairs.into_iter().map(|(_, logit)| logit.as_f64().unwrap()).collect()
}

#[test]
fn configurations_and_names_are_read_as_transformers_reads_them() {
    let expected: Value =
        serde_json::from_str(&std::fs::read_to_string("testdata/checkpoints.expected.json").unwrap()).unwrap();
    for (name, expected) in expected["variants"].as_object().unwrap() {
        let files = Files::new();
        let found = scored(&variant(&files, expected));
        let expected = expected["logits"].as_array().unwrap();
        assert_eq!(found.len(), expected.len(), "{name}");
        for (logit, expected) in found.iter().zip(expected) {
            assert!((logit - expected.as_f64().unwrap()).abs() < 1e-4, "{name}: {found:?}, not {expected}");
        }
    }
}

#[test]
fn a_head_that_differs_from_the_embedding_is_used_and_reported() {
    let files = Files::new();
    let model = changed(&files, &json!({"tie_word_embeddings": true}), |_| ());
    let run = rerank(&["--model", &model, "--input", "testdata/candidates.jsonl"]);
    assert_eq!(run.rankings().len(), 3);
    assert!(
        run.stderr.contains("tie_word_embeddings") && run.stderr.contains("lm_head.weight is used"),
        "{}",
        run.stderr
    );
    // A head that is the embedding is no news.
    let files = Files::new();
    let model = changed(&files, &json!({"tie_word_embeddings": true}), |tensors| {
        let embedding = tensors["model.embed_tokens.weight"].clone();
        tensors.insert("lm_head.weight".into(), embedding);
    });
    let run = rerank(&["--model", &model, "--input", "testdata/candidates.jsonl"]);
    assert_eq!(run.rankings().len(), 3);
    assert!(!run.stderr.contains("lm_head"), "{}", run.stderr);
}

#[test]
fn the_text_part_of_a_larger_model_is_found() {
    let expected = logits("testdata/odd-reranker", &["--dtype", "f32"]);
    let names: [fn(&str) -> String; 2] =
        [|name| format!("language_model.{name}"), |name| format!("language_model.{}", bare(name))];
    for name in names {
        let files = Files::new();
        let model = changed(&files, &json!({}), |tensors| renamed(tensors, name));
        assert_eq!(logits(&model, &["--dtype", "f32"]), expected);
        let run = rerank(&["--model", &model, "--input", "testdata/candidates.jsonl"]);
        assert!(run.stderr.contains("warning: the weights stand under other names"), "{}", run.stderr);
    }
}

#[test]
fn shards_may_stand_in_a_folder_of_the_model() {
    let files = Files::new();
    let model = files.copy_model("testdata/odd-reranker", "model");
    std::fs::create_dir(files.path("model/weights")).unwrap();
    let index = files.read("model/model.safetensors.index.json");
    files.write("model/model.safetensors.index.json", index.replace("\"model-", "\"weights/model-"));
    for shard in 1..=3 {
        let name = format!("model-0000{shard}-of-00003.safetensors");
        std::fs::rename(files.path("model").join(&name), files.path("model/weights").join(&name)).unwrap();
    }
    assert_eq!(logits(&model, &[]), logits("testdata/odd-reranker", &[]));
    files.write("model/model.safetensors.index.json", index.replace("\"model-", "\"./weights/model-"));
    assert_eq!(logits(&model, &[]), logits("testdata/odd-reranker", &[]));
    for outside in ["../model-", "/model-", "a/../../model-", "weights\\\\model-"] {
        files.write("model/model.safetensors.index.json", index.replace("\"model-", &format!("\"{outside}")));
        rerank(&["--model", &model, "--input", "testdata/candidates.jsonl"])
            .fails(1, &["names a shard outside the model"]);
    }
}

#[test]
fn a_field_that_nobody_knows_is_refused_by_name() {
    for (changes, named) in [
        (json!({"attn_logit_softcapping": 30.0}), "attn_logit_softcapping"),
        (json!({"use_rope": false}), "use_rope"),
        (
            json!({"rope_parameters": {"rope_type": "default", "rope_theta": 1e6, "mrope_section": [8, 4, 4]}}),
            "mrope_section",
        ),
        (json!({"rope_parameters": {"rope_type": "llama3", "rope_theta": 1e6, "factor": 8.0}}), "`llama3`"),
        (json!({"auto_map": {"AutoModelForCausalLM": "modeling.Own"}}), "code of its own"),
        (
            json!({"use_sliding_window": true, "sliding_window": 9, "layer_types": ["full_attention"]}),
            "layer_types has 1 entries",
        ),
        (json!({"is_encoder_decoder": true}), "is_encoder_decoder"),
        (json!({"pruned_heads": {"0": [1]}}), "pruned_heads"),
        (json!({"use_bidirectional_attention": true}), "looks both ways"),
        (json!({"mlp_bias": true}), "mlp_bias"),
        (
            json!({"layer_types": ["full_attention", "full_attention", "full_attention", "sliding_attention"]}),
            "sliding_attention",
        ),
        (json!({"is_causal": false}), "looks both ways"),
    ] {
        let files = Files::new();
        let model = files.copy_model("testdata/odd-reranker", "model");
        change_config(&files, &changes);
        let run = rerank(&["--model", &model, "--input", "testdata/candidates.jsonl"]);
        run.fails(1, &["config.json", named]);
    }
}

#[test]
fn numbers_that_only_python_writes_are_named() {
    let files = Files::new();
    let model = files.copy_model("testdata/odd-reranker", "model");
    let config = files.read("model/config.json").replacen("0.02", "NaN", 1);
    files.write("model/config.json", config);
    rerank(&["--model", &model, "--input", "testdata/candidates.jsonl"]).fails(1, &["config.json", "NaN or Infinity"]);
}

#[test]
fn fields_that_change_nothing_and_nulls_are_passed_over() {
    let files = Files::new();
    let model = files.copy_model("testdata/odd-reranker", "model");
    change_config(
        &files,
        &json!({
            "_name_or_path": "somewhere", "torch_dtype": "float32", "attn_implementation": "sdpa", "unsloth_version": "1",
            "temperature": 0.6, "pruned_heads": {}, "is_encoder_decoder": false, "sentence_transformers": null,
            "attn_logit_softcapping": null, "quantization_config": null, "is_causal": true, "rope_scaling": {}
        }),
    );
    assert_eq!(logits(&model, &[]), logits("testdata/odd-reranker", &[]));
}

#[test]
fn what_is_no_adapter_beside_the_weights_is_refused() {
    let files = Files::new();
    let model = files.copy_model("testdata/odd-reranker", "model");
    let adapter = files.write("model/adapter_config.json", "{}");
    rerank(&["--model", &model, "--input", "testdata/candidates.jsonl"])
        .fails(1, &[&adapter, "an adapter that rerank can't merge", "no peft_type"]);
}
