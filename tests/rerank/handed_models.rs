//! What people hand to `--model` that is not a reranker's directory, or not only that.

use std::fs;

use serde_json::json;

use crate::fixture::{Files, command, rerank, run};
use crate::models::{change_config, changed};

const ODD: &str = "testdata/odd-reranker";
const TINY: &str = "testdata/tiny-reranker";
const INPUT: &str = "testdata/candidates.jsonl";

/// Runs with a model, which is refused in one line with these parts.
#[track_caller]
fn refused(model: &str, status: i32, parts: &[&str]) {
    let run = rerank(&["--model", model, "--input", INPUT]);
    run.fails(status, parts);
    assert_eq!(run.stderr.lines().count(), 1, "{}", run.stderr);
}

#[test]
fn addresses_and_paths_that_nobody_expanded_come_with_what_was_meant() {
    for (model, named) in [
        ("https://huggingface.co/Qwen/Qwen3-Reranker-0.6B", "its address: Qwen/Qwen3-Reranker-0.6B"),
        ("file:///models/qwen", "/models/qwen"),
        ("~/models/qwen", "not in quotes"),
        ("Qwen3-Reranker-0.6B", "owner/name"),
        ("owner/name@v2", "--revision v2"),
        ("owner/na me", "letters, digits"),
        ("", "is needed"),
    ] {
        refused(model, 2, &["--model", model, named]);
    }
    let run = rerank(&["--model", ODD, "--revision", "v2", "--input", INPUT]);
    run.fails(2, &["--revision \"v2\"", "only models on the hub", ODD]);
}

#[cfg(unix)]
#[test]
fn what_is_no_file_is_not_said_to_be_absent() {
    use std::os::unix::fs::symlink;
    let files = Files::new();
    let model = files.copy_model(TINY, "model");
    let weights = files.path("model/model.safetensors");
    fs::remove_file(&weights).unwrap();
    fs::create_dir(&weights).unwrap();
    refused(&model, 1, &["model.safetensors is not a file"]);
    fs::remove_dir(&weights).unwrap();
    symlink("model.safetensors", &weights).unwrap();
    refused(&model, 1, &["model.safetensors is a link to a file that is not there"]);
    symlink(files.path("b"), files.path("a")).unwrap();
    symlink(files.path("a"), files.path("b")).unwrap();
    refused(&files.name("a"), 2, &["this link does not lead to a directory"]);
}

#[test]
fn a_download_that_has_not_ended_is_called_so() {
    for name in ["model.safetensors.part", "model.safetensors.crdownload", "model.safetensors.gz"] {
        let files = Files::new();
        let model = files.copy_model(TINY, "model");
        fs::rename(files.path("model/model.safetensors"), files.path("model").join(name)).unwrap();
        refused(&model, 1, &["has no model.safetensors, only", name, "finish its download"]);
    }
}

#[test]
fn an_embedding_model_is_called_one() {
    let files = Files::new();
    let model = files.copy_model(ODD, "model");
    let module = |path: &str, kind: &str| json!({"path": path, "type": format!("sentence_transformers.models.{kind}")});
    let modules = [module("", "Transformer"), module("1_Pooling", "Pooling"), module("2_Normalize", "Normalize")];
    files.write("model/modules.json", json!(modules).to_string());
    refused(&model, 1, &[&model, "embedding model", "name a reranker"]);
    // Without a head, and with the embedding in its place: transformers would run it, and its scores mean nothing.
    let files = Files::new();
    let model = changed(&files, &json!({"tie_word_embeddings": true}), |tensors| {
        tensors.remove("lm_head.weight").unwrap();
        *tensors =
            tensors.drain().map(|(name, tensor)| (name.trim_start_matches("model.").to_owned(), tensor)).collect();
    });
    let run = rerank(&["--model", &model, "--input", INPUT]);
    assert_eq!(run.rankings().len(), 3);
    assert!(run.stderr.contains("saved without a head, as those of embedding models are"), "{}", run.stderr);
}

#[test]
fn names_that_training_left_are_explained() {
    let files = Files::new();
    let model = changed(&files, &json!({}), |tensors| {
        let names: Vec<String> = tensors.keys().cloned().collect();
        for name in names {
            let tensor = tensors.remove(&name).unwrap();
            tensors.insert(format!("module.{name}"), tensor);
        }
    });
    refused(&model, 1, &["its name is module.", "(module.)"]);
    let files = Files::new();
    let model = changed(&files, &json!({}), |tensors| drop(tensors.remove("lm_head.weight").unwrap()));
    refused(&model, 1, &["lm_head.weight is missing", "tie_word_embeddings"]);
}

#[test]
fn a_configuration_of_another_computation_is_refused() {
    for (changes, named) in [
        (json!({"layer_types": vec!["sliding_attention"; 4]}), "`sliding_attention`"),
        (json!({"is_causal": false}), "both ways"),
        (json!({"partial_rotary_factor": 0.5}), "partial_rotary_factor 0.5"),
        (json!({"rms_norm_eps": 1e300}), "rms_norm_eps"),
        (json!({"max_position_embeddings": 20}), "max_position_embeddings of config.json allows 20 tokens"),
        (json!({"hidden_act": "a\n\u{1b}[31mb"}), "a\\n\\u{1b}[31mb"),
    ] {
        let files = Files::new();
        let model = files.copy_model(ODD, "model");
        change_config(&files, &changes);
        refused(&model, 1, &["config.json", named]);
    }
}

#[test]
fn a_number_of_threads_in_the_environment_is_obeyed_or_refused() {
    for (threads, ok) in [("1", true), ("0", true), ("", true), ("x", false), ("-1", false), ("99999", false)] {
        let mut command = command(&["--model", "fake", "--input", INPUT]);
        command.env("RAYON_NUM_THREADS", threads);
        let run = run(command, "");
        if ok {
            assert_eq!(run.rankings().len(), 3);
        } else {
            run.fails(2, &["RAYON_NUM_THREADS", threads, "from 1 to 1024"]);
        }
    }
}
