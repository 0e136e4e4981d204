//! Files that are not what a model's should be: called what they are, with what to do.

use std::path::Path;

use serde_json::{Value, json};

use crate::fixture::{Files, rerank};
use crate::models::{change_config, changed, logits};

const ODD: &str = "testdata/odd-reranker";
const SHARD: &str = "model-00002-of-00003.safetensors";
const POINTER: &str = "version https://git-lfs.github.com/spec/v1\noid sha256:0f3c\nsize 212624\n";

/// Words of the programming language, which say nothing to users.
const TYPES: [&str; 9] =
    ["expected struct", "missing field", "invalid type", "untagged", "variant", "usize", "f64", "panicked", "RUST_"];

/// Runs a changed copy, which is refused with these parts.
#[track_caller]
fn refused(change: impl FnOnce(&Files), parts: &[&str]) {
    let files = Files::new();
    let model = files.copy_model(ODD, "model");
    change(&files);
    refused_model(&model, 1, parts);
}

#[track_caller]
fn refused_model(model: &str, status: i32, parts: &[&str]) {
    let run = rerank(&["--model", model, "--input", "testdata/candidates.jsonl"]);
    run.fails(status, parts);
    assert_eq!(run.stderr.lines().count(), 1, "{}", run.stderr);
    for name in TYPES {
        assert!(!run.stderr.contains(name), "{}", run.stderr);
    }
}

/// A directory with empty files of these names.
fn directory(files: &Files, names: &[&str]) -> String {
    std::fs::create_dir_all(files.path("model")).unwrap();
    for name in names {
        std::fs::create_dir_all(files.path("model").join(name).parent().unwrap()).unwrap();
        files.write(&format!("model/{name}"), "x");
    }
    files.name("model")
}

#[test]
fn pointers_and_pages_in_place_of_files_are_called_what_they_are() {
    for name in ["config.json", "tokenizer.json", SHARD, "model.safetensors.index.json"] {
        let name = format!("model/{name}");
        refused(|files| drop(files.write(&name, POINTER)), &[&name, "Git LFS pointer", "git lfs pull"]);
        refused(|files| drop(files.write(&name, "<!DOCTYPE html>\n<html>")), &[&name, "web page", "/resolve/"]);
        refused(|files| drop(files.write(&name, "")), &[&name, "empty"]);
        refused(|files| drop(files.write(&name, "Entry not found")), &[&name, "\"Entry not found\""]);
        refused(|files| drop(files.write(&name, b"PK\x03\x04....")), &[&name, "zip archive"]);
        refused(|files| drop(files.write(&name, b"\x1f\x8b\x08\0")), &[&name, "compressed"]);
    }
}

#[test]
fn checkpoints_in_other_forms_are_called_what_they_are() {
    for (name, parts) in [
        ("pytorch_model.bin", ["pytorch_model.bin", "pickle", "save_pretrained"]),
        ("pytorch_model-00001-of-00002.bin", ["pytorch_model-00001-of-00002.bin", "pickle", "save_pretrained"]),
        ("consolidated.00.pth", ["consolidated.00.pth", "pickle", "save_pretrained"]),
        ("last.ckpt", ["last.ckpt", "pickle", "save_pretrained"]),
        ("onnx/model.onnx", ["onnx/model.onnx", "ONNX Runtime", "model.safetensors"]),
        ("q8/model-Q8_0.gguf", ["q8/model-Q8_0.gguf", "in GGUF", "--model"]),
        ("model.ggml", ["model.ggml", "before GGUF", "model.safetensors"]),
        ("tf_model.h5", ["tf_model.h5", "TensorFlow", "transformers"]),
        ("flax_model.msgpack", ["flax_model.msgpack", "Flax", "transformers"]),
        ("openvino_model.bin", ["openvino_model.bin", "OpenVINO", "model.safetensors"]),
        ("adapter_config.json", ["adapter_config.json", "not JSON", "download it again"]),
    ] {
        refused(
            |files| {
                for number in 1..=3 {
                    std::fs::remove_file(files.path(&format!("model/model-0000{number}-of-00003.safetensors")))
                        .unwrap();
                }
                std::fs::remove_file(files.path("model/model.safetensors.index.json")).unwrap();
                directory(files, &[name]);
            },
            &parts,
        );
    }
    for (names, parts) in [
        (vec!["model.ggml"], ["config.json", "before GGUF"]),
        (vec!["a.gguf", "b.gguf"], ["several GGUF files: a.gguf, b.gguf", "/a.gguf"]),
        (vec!["adapter_config.json", "adapter_model.safetensors"], ["adapter_config.json", "not JSON"]),
        (vec!["data/train-00000.parquet", "README.md"], ["holds data", "--input"]),
        (vec!["checkpoint-500/config.json"], ["checkpoint-500", "name that"]),
        (vec!["snapshots/0123/config.json", "refs/main"], ["cache", "snapshots/0123"]),
        (vec![], ["is empty", "tokenizer.json"]),
        (vec!["notes.txt"], ["has no config.json", "model.safetensors"]),
    ] {
        refused_model(&directory(&Files::new(), &names), 1, &parts);
    }
}

#[test]
fn files_named_as_a_model_are_called_what_they_are() {
    let files = Files::new();
    for (name, content, named) in [
        ("a.safetensors", &b"x"[..], "name the directory"),
        ("config.json", b"{}", "name the directory"),
        ("model.onnx", b"\x08\x08\x12\x07pytorch", "ONNX Runtime"),
        ("pytorch_model.bin", b"PK\x03\x04", "pickle"),
        ("model.zip", b"PK\x03\x04", "zip"),
        ("a.jsonl", b"{}\n", "--input"),
        ("a.txt", b"hello", "this is a file"),
    ] {
        refused_model(&files.write(name, content), 2, &[name, named]);
    }
}

#[test]
fn missing_shards_are_named_together() {
    refused(
        |files| {
            for number in [1, 3] {
                std::fs::remove_file(files.path(&format!("model/model-0000{number}-of-00003.safetensors"))).unwrap();
            }
        },
        &[
            "model-00001-of-00003.safetensors, model-00003-of-00003.safetensors",
            "2 of the 3 shards",
            "download them again",
        ],
    );
    refused(
        |files| std::fs::remove_file(files.path("model/model.safetensors.index.json")).unwrap(),
        &["model.safetensors.index.json", "download that too"],
    );
    for (index, named) in [
        (json!({}), "no `weight_map`"),
        (json!({"weight_map": ["a"]}), "no `weight_map`"),
        (json!({"weight_map": {"a": 1}}), "the file of tensor a"),
        (json!({"weight_map": {"a": "../x.safetensors"}}), "outside"),
        (json!({"weight_map": {"a": "pytorch_model.bin"}}), "pytorch_model.bin"),
        (json!({"weight_map": {}}), "no shards"),
    ] {
        refused(
            |files| drop(files.write("model/model.safetensors.index.json", index.to_string())),
            &["model.safetensors.index.json", named],
        );
    }
}

#[test]
fn damaged_safetensors_are_called_damaged() {
    let whole = std::fs::read(Path::new(ODD).join(SHARD)).unwrap();
    let header = u64::from_le_bytes(whole[..8].try_into().unwrap()) as usize;
    let with_header = |header: &str| [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &[0; 64]].concat();
    for (bytes, named) in [
        (
            whole[..whole.len() - 1000].to_vec(),
            format!("announces {} bytes, and it has {}", whole.len(), whole.len() - 1000),
        ),
        (whole[..100].to_vec(), "ends within its header".to_owned()),
        (whole[..5].to_vec(), "5 bytes only".to_owned()),
        ([&[0xff; 8][..], &whole[8..]].concat(), "header".to_owned()),
        ([&whole[..20], b"\xff\xff", &whole[22..]].concat(), "header".to_owned()),
        (
            with_header(r#"{"a":{"dtype":"F32","shape":[4294967296,4294967296,9],"data_offsets":[0,64]}}"#),
            "size".to_owned(),
        ),
        (with_header(r#"{"a":{"dtype":"F32","shape":[4],"data_offsets":[0,64]}}"#), "size".to_owned()),
        (
            with_header(r#"{"a":{"dtype":"F32","shape":[16],"data_offsets":[18446744073709551615,64]}}"#),
            "header".to_owned(),
        ),
        (
            with_header(r#"{"a":{"dtype":"F33","shape":[16],"data_offsets":[0,64]}}"#),
            "tensor a the type \"F33\"".to_owned(),
        ),
        (with_header(r#"{"a":7}"#), "header".to_owned()),
        (vec![0; header], "zeros".to_owned()),
    ] {
        let name = format!("model/{SHARD}");
        refused(|files| drop(files.write(&name, &bytes)), &[&name, "not a complete safetensors file", &named]);
    }
}

#[test]
fn impossible_sizes_are_errors_and_not_aborts() {
    for (field, size, named) in [
        ("head_dim", 1_000_000_000u64, "[48000000000"),
        ("num_attention_heads", 1_000_000_000, "self_attn.q_proj"),
        ("num_key_value_heads", 3, "self_attn.k_proj"),
        ("hidden_size", 1_000_000_000, "[420, 1000000000]"),
        ("intermediate_size", 2_000_000_000, "mlp.gate_proj"),
        ("num_hidden_layers", 2_000_000_000, "num_hidden_layers is 2000000000, and can be up to 1024"),
        ("vocab_size", 2_000_000_000, "2000000000"),
        ("head_dim", u64::MAX, "head_dim is 18446744073709551615"),
        ("max_position_embeddings", 1_000_000_000_000, "max_position_embeddings is 1000000000000"),
        ("num_hidden_layers", 0, "num_hidden_layers is 0"),
    ] {
        let named = if field == "head_dim" && size == 1_000_000_000 { "6000000000" } else { named };
        refused(|files| change_config(files, &json!({field: size})), &[named]);
    }
    let options = ["--max-length", "--batch-size", "--max-batch-tokens"];
    for option in options {
        let run = rerank(&["--model", ODD, "--input", "testdata/candidates.jsonl", option, "1000000000000"]);
        if option == "--max-length" {
            run.fails(2, &["--max-length 1000000000000", "40960"]);
        } else {
            assert_eq!(run.rankings().len(), 3, "{option}");
        }
    }
}

/// A model of one layer whose MLP is as wide as `intermediate`; its file is a hole.
#[cfg(target_os = "linux")]
fn wide_model(files: &Files, intermediate: u64) -> String {
    let model = files.copy_model(ODD, "model");
    std::fs::remove_file(files.path("model/model.safetensors.index.json")).unwrap();
    change_config(
        files,
        &json!({"num_hidden_layers": 1, "intermediate_size": intermediate, "tie_word_embeddings": true}),
    );
    let mut header = serde_json::Map::new();
    let mut end = 0;
    let mut tensor = |name: &str, shape: &[u64]| {
        let start = end;
        end += shape.iter().product::<u64>() * 4;
        header.insert(name.to_owned(), json!({"dtype": "F32", "shape": shape, "data_offsets": [start, end]}));
    };
    tensor("model.embed_tokens.weight", &[420, 48]);
    tensor("model.norm.weight", &[48]);
    for (part, shape) in [
        ("input_layernorm", &[48][..]),
        ("self_attn.q_proj", &[96, 48]),
        ("self_attn.k_proj", &[32, 48]),
        ("self_attn.v_proj", &[32, 48]),
        ("self_attn.o_proj", &[48, 96]),
        ("self_attn.q_norm", &[16]),
        ("self_attn.k_norm", &[16]),
        ("post_attention_layernorm", &[48]),
        ("mlp.gate_proj", &[intermediate, 48]),
        ("mlp.up_proj", &[intermediate, 48]),
        ("mlp.down_proj", &[48, intermediate]),
    ] {
        tensor(&format!("model.layers.0.{part}.weight"), shape);
    }
    let header = Value::from(header).to_string();
    let bytes = [&(header.len() as u64).to_le_bytes()[..], header.as_bytes()].concat();
    let path = files.write("model/model.safetensors", &bytes);
    let file = std::fs::File::options().write(true).open(path).unwrap();
    file.set_len(bytes.len() as u64 + end).unwrap();
    model
}

#[cfg(target_os = "linux")]
#[test]
fn memory_that_is_not_there_is_one_line() {
    let files = Files::new();
    let model = wide_model(&files, 1_000_000);
    // The file has 550 MiB, which can be mapped, and there is no room for weights of that size beside it.
    let program = env!("CARGO_BIN_EXE_rerank");
    let options = "--device cpu --dtype f32 -t 1 -i testdata/candidates.jsonl";
    let script = format!("ulimit -v 900000; exec {program} --model {model} {options}");
    let output = std::process::Command::new("sh").args(["-c", &script]).output().unwrap();
    let message = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), message.lines().count()), (Some(1), 1), "{message}");
    assert!(message.contains("out of memory") && message.contains("--dtype"), "{message}");
}

#[test]
fn tensors_that_nobody_reads_are_named() {
    refused(
        |files| change_config(files, &json!({"num_hidden_layers": 3})),
        &["(3 shards)", "3 layers", "model.layers.3.input_layernorm.weight", "and 8 more"],
    );
    for (extra, named) in [
        ("model.layers.0.self_attn.q_proj.bias", "q_proj.bias"),
        ("lm_head.bias", "lm_head.bias"),
        ("model.layers.0.self_attn.q_proj.lora_A.weight", "lora_A"),
    ] {
        let files = Files::new();
        let model = changed(&files, &json!({}), |tensors| {
            let norm = tensors["model.norm.weight"].clone();
            tensors.insert(extra.into(), norm);
        });
        refused_model(&model, 1, &["not part of the model", named]);
    }
}

#[test]
fn tensors_that_are_known_to_do_no_harm_are_passed_over() {
    let files = Files::new();
    let model = changed(&files, &json!({}), |tensors| {
        let norm = tensors["model.norm.weight"].clone();
        for name in ["model.layers.0.self_attn.rotary_emb.inv_freq", "model.rotary_emb.inv_freq", "score.weight"] {
            tensors.insert(name.into(), norm.clone());
        }
    });
    let run = rerank(&["--model", &model, "--input", "testdata/candidates.jsonl"]);
    assert_eq!(run.rankings().len(), 3);
    assert!(run.stderr.contains("warning: the checkpoint has heads") && run.stderr.contains("score.weight"));
    assert!(!run.stderr.contains("inv_freq"), "{}", run.stderr);
    assert_eq!(logits(&model, &[]), logits(ODD, &[]));
}

#[test]
fn a_configuration_that_says_something_else_is_quoted() {
    for (changes, parts) in [
        (
            json!({"model_type": "gpt2", "architectures": ["GPT2ForSequenceClassification"]}),
            ["model_type gpt2", "GPT2ForSequenceClassification", "supported are the model_types qwen3"],
        ),
        (
            json!({"model_type": "modernbert", "architectures": ["ModernBertModel"]}),
            ["config.json", "ModernBertModel has no head that scores", "embedding model"],
        ),
        (json!({"model_type": null, "architectures": null}), ["neither `model_type`", "architectures", "Supported"]),
        (json!({"hidden_size": "48"}), ["hidden_size is \"48\"", "whole number", "config.json"]),
        (json!({"hidden_size": null}), ["has no hidden_size", "config.json", ""]),
        (json!({"rms_norm_eps": -1}), ["rms_norm_eps is -1", "a number above 0", ""]),
        (json!({"tie_word_embeddings": "no"}), ["tie_word_embeddings is \"no\"", "true or false", ""]),
        (json!({"rope_parameters": [1]}), ["rope_parameters is [1]", "an object", ""]),
        (json!({"architectures": 7}), ["architectures is 7", "a list of texts", ""]),
    ] {
        refused(|files| change_config(files, &changes), &parts);
    }
    for (content, named) in [("[]", "it is a list"), ("{\"a\":", "ends in the middle"), ("{\"a\" 1}", "not valid JSON")]
    {
        refused(|files| drop(files.write("model/config.json", content)), &["model/config.json", named]);
    }
}

#[test]
fn a_tokenizer_that_is_none_is_described_in_words() {
    let odd: Value = serde_json::from_str(&std::fs::read_to_string(format!("{ODD}/tokenizer.json")).unwrap()).unwrap();
    let with = |pointer: &str, value: Value| {
        let mut changed = odd.clone();
        *changed.pointer_mut(pointer).unwrap() = value;
        changed.to_string()
    };
    for (content, named) in [
        ("{}".to_owned(), "no `model`"),
        (odd.to_string()[..2000].to_owned(), "ends in the middle"),
        (with("/model/type", json!("BPE2")), "BPE2"),
        (with("/added_tokens", json!(7)), "one of its parts"),
        (with("/model/vocab", json!({"a": "b"})), "one of its parts"),
        (with("/model/vocab", json!({"a": 4_000_000_000u32})), "tokenizer.json"),
        (with("/model/merges", json!(["qq qqq"])), "tokenizer.json"),
    ] {
        refused(|files| drop(files.write("model/tokenizer.json", content)), &["tokenizer.json", named]);
    }
    refused(
        |files| {
            std::fs::rename(files.path("model/tokenizer.json"), files.path("model/vocab.json")).unwrap();
        },
        &["has no tokenizer.json, only vocab.json", "needs the merges.txt beside it"],
    );
}

#[test]
fn only_files_that_a_model_is_read_from_are_no_outputs() {
    let files = Files::new();
    let model = files.copy_model(ODD, "model");
    std::fs::create_dir(files.path("model/1_Dense")).unwrap();
    let others = ["1_Dense/config.json", "chat_template.jinja", "sentence_bert_config.json", "quantize_config.json"];
    for name in others {
        files.write(&format!("model/{name}"), "{}");
    }
    let ranks = ["--model", &model, "--input", "testdata/candidates.jsonl", "--output-format", "jsonl", "--overwrite"];
    let own = std::fs::read_dir(ODD).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    for name in own.chain(others.map(str::to_owned)) {
        let output = files.name(&format!("model/{name}"));
        rerank(&[&ranks[..], &["--output", &output]].concat()).fails(2, &[&name, "is read and would be written over"]);
    }
    for name in others {
        std::fs::remove_file(files.path(&format!("model/{name}"))).unwrap();
    }
    let output = files.write("model/ranked.jsonl", "old");
    let stats = files.write("model/stats.json", "old");
    let run = rerank(&[&ranks[..], &["--output", &output, "--stats", &stats]].concat());
    assert_eq!(run.status, 0, "{}", run.stderr);
    assert!(files.read("model/ranked.jsonl").starts_with("{\"query_id\"") && files.read("model/stats.json") != "old");
}
