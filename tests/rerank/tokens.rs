//! Tokenizers that a fine-tuner changed, against the ids of AutoTokenizer (scripts/reference_tokens.py).

use std::path::Path;

use candle_core::Tensor;
use rerank::checkpoint::ModelFiles;
use rerank::recipe::TextTokenizer;
use serde_json::{Value, json};

use crate::fixture::{Files, rerank};
use crate::models::changed;

const ODD: &str = "testdata/odd-reranker";

/// The files that a tokenizer of the odd model is read from, changed as a case has it.
fn change(files: &Files, case: &Value) {
    let base = case["base"].as_str().unwrap_or(ODD);
    for name in ["config.json", "tokenizer.json", "tokenizer_config.json"] {
        if let Ok(content) = std::fs::read(format!("{base}/{name}")) {
            files.write(name, content);
        }
    }
    let mut tokenizer: Value = serde_json::from_str(&files.read("tokenizer.json")).unwrap();
    let added = tokenizer["added_tokens"].as_array_mut().unwrap();
    added.extend(case["added"].as_array().into_iter().flatten().cloned());
    for (name, part) in case["set"].as_object().into_iter().flatten() {
        tokenizer[name] = part.clone();
    }
    files.write("tokenizer.json", tokenizer.to_string());
    if case["older"] == true {
        files.write("vocab.json", tokenizer["model"]["vocab"].to_string());
        let pairs = tokenizer["model"]["merges"].as_array().unwrap().iter();
        let lines = pairs.map(|pair| format!("{} {}\n", pair[0].as_str().unwrap(), pair[1].as_str().unwrap()));
        files.write("merges.txt", format!("#version: 0.2\n{}", lines.collect::<String>()));
        std::fs::remove_file(files.path("tokenizer.json")).unwrap();
    }
    for (name, content) in case["files"].as_object().into_iter().flatten() {
        match content {
            Value::Null => std::fs::remove_file(files.path(name)).unwrap(),
            content => drop(files.write(name, content.to_string())),
        }
    }
}

fn tokenizer(files: &Files) -> anyhow::Result<TextTokenizer> {
    TextTokenizer::read(&ModelFiles::in_directory(&files.path("")))
}

fn json_of(path: &str) -> Value {
    serde_json::from_str(&std::fs::read_to_string(Path::new(path)).unwrap()).unwrap()
}

#[test]
fn a_changed_tokenizer_gives_the_tokens_of_auto_tokenizer() {
    let given = json_of("testdata/tokens/cases.json");
    let expected = json_of("testdata/tokens/expected.json");
    let mut wrong = Vec::new();
    for case in given["cases"].as_array().unwrap() {
        let files = Files::new();
        change(&files, case);
        let name = case["name"].as_str().unwrap();
        let tokenizer = tokenizer(&files).unwrap_or_else(|error| panic!("{name}: {error:#}"));
        for (text, ids) in given["texts"].as_array().unwrap().iter().zip(expected["ids"][name].as_array().unwrap()) {
            let text = text.as_str().unwrap();
            let found = tokenizer.encode(text).unwrap();
            if json!(found) != *ids {
                wrong.push(format!("{name}: {text:?} is {found:?} and should be {ids}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

const INPUT: [&str; 2] = ["--input", "testdata/candidates.jsonl"];

#[test]
fn added_tokens_reach_the_scores() {
    let given = json_of("testdata/tokens/cases.json");
    let (scored, expected) = (&given["scored"], json_of("testdata/tokens/expected.json"));
    let case = given["cases"].as_array().unwrap().iter().find(|case| case["name"] == scored["case"]).unwrap();
    let rows = 420 + case["added"].as_array().unwrap().len();
    let files = Files::new();
    let model = changed(&files, &json!({"vocab_size": rows}), |tensors| {
        for name in ["model.embed_tokens.weight", "lm_head.weight"] {
            let tensor = &tensors[name];
            let wider = Tensor::cat(&[tensor, &tensor.narrow(0, 0, rows - 420).unwrap()], 0).unwrap();
            tensors.insert(name.to_owned(), wider);
        }
    });
    let mut tokenizer: Value = serde_json::from_str(&files.read("model/tokenizer.json")).unwrap();
    tokenizer["added_tokens"].as_array_mut().unwrap().extend(case["added"].as_array().unwrap().iter().cloned());
    files.write("model/tokenizer.json", tokenizer.to_string());
    let documents = scored["documents"].as_array().unwrap().iter().enumerate();
    let candidates: Vec<_> = documents.map(|(id, text)| json!({"id": id.to_string(), "text": text})).collect();
    let input = json!({"query_id": "q", "query": scored["query"], "candidates": candidates});
    let input = files.write("pairs.jsonl", format!("{input}\n"));
    let run = rerank(&["--model", &model, "--dtype", "f32", "--input", &input]);
    let rankings = run.rankings();
    for result in rankings[0]["results"].as_array().unwrap() {
        let id: usize = result["id"].as_str().unwrap().parse().unwrap();
        let difference = result["logit"].as_f64().unwrap() - expected["logits"][id].as_f64().unwrap();
        assert!(difference.abs() < 1e-4, "document {id} is off by {difference}");
    }
    assert!(run.stderr.contains("special tokens that are not the base model's: `[ENT]`"), "{}", run.stderr);
}

/// The odd model in a directory, with other fields in `tokenizer_config.json` and other parts of `tokenizer.json`.
fn model(files: &Files, config: &Value, parts: &Value) -> String {
    let model = files.copy_model(ODD, "model");
    for (name, changes) in [("tokenizer_config.json", config), ("tokenizer.json", parts)] {
        let name = format!("model/{name}");
        let mut value: Value = serde_json::from_str(&files.read(&name)).unwrap();
        for (field, change) in changes.as_object().unwrap() {
            match field.split_once('/') {
                Some((outer, inner)) => value[outer][inner] = change.clone(),
                None => value[field] = change.clone(),
            }
        }
        files.write(&name, value.to_string());
    }
    model
}

#[test]
fn what_would_give_other_tokens_is_refused_by_name() {
    let nothing = json!({});
    for (config, parts, named) in [
        (json!({"tokenizer_class": "GPT2TokenizerFast"}), &nothing, &["GPT2TokenizerFast", "TokenizersBackend"][..]),
        (json!({"fast_tokenizer_files": ["tokenizer.4.0.json"]}), &nothing, &["fast_tokenizer_files"]),
        (json!({"split_special_tokens": true}), &nothing, &["split_special_tokens", "tokenizer_config.json", "<|im_"]),
        (
            nothing.clone(),
            &json!({"model/continuing_subword_prefix": "##"}),
            &["tokenizer.json", "continuing_subword_prefix", "`##`"],
        ),
        (nothing.clone(), &json!({"model/dropout": 0.1}), &["tokenizer.json", "dropout of 0.1", "null"]),
        (json!({"added_tokens_decoder": {"x": "y"}}), &nothing, &["added_tokens_decoder", "\"x\"", "not a number"]),
        (json!({"added_tokens_decoder": {"7": {"lstrip": true}}}), &nothing, &["tokenizer_config.json", "no content"]),
        (json!({"additional_special_tokens": [7]}), &nothing, &["additional_special_tokens", "[7]"]),
        (json!({"additional_special_tokens": ["[ENT]"]}), &nothing, &["tokenizer.json has 421 tokens", "model 420"]),
    ] {
        let files = Files::new();
        let model = model(&files, &config, parts);
        rerank(&[&["--model", &model], &INPUT[..]].concat()).fails(1, named);
    }
}

#[test]
fn what_transformers_does_against_a_file_is_reported() {
    let qwen = json!({"tokenizer_class": "Qwen2Tokenizer"});
    let template = json!({"type": "TemplateProcessing", "single": [{"Sequence": {"id": "A", "type_id": 0}},
        {"SpecialToken": {"id": "<|endoftext|>", "type_id": 0}}], "pair": [{"Sequence": {"id": "A", "type_id": 0}},
        {"Sequence": {"id": "B", "type_id": 0}}],
        "special_tokens": {"<|endoftext|>": {"id": "<|endoftext|>", "ids": [415], "tokens": ["<|endoftext|>"]}}});
    let end = json!({"415": {"content": "<|endoftext|>", "special": true}, "416": {"content": "<|im_start|>"},
        "417": {"content": "<|im_end|>"}, "418": {"content": "<think>"}, "419": {"content": "</think>"}});
    let mut more: Value = json_of(&format!("{ODD}/tokenizer.json"))["added_tokens"].clone();
    let token = json!({"id": 420, "content": "<drug>", "single_word": false, "lstrip": false, "rstrip": false,
        "normalized": false, "special": false});
    more.as_array_mut().unwrap().push(token);
    let mut decoder = end.clone();
    decoder["900"] = json!({"content": "yes"});
    for (config, parts, named) in [
        (qwen.clone(), json!({"normalizer": {"type": "NFKC"}}), &["the normalizer of", "Qwen2Tokenizer"][..]),
        (qwen.clone(), json!({"model/byte_fallback": true}), &["the model's settings", "byte_fallback"]),
        (json!({}), json!({"post_processor": template}), &["adds tokens around every text", "left out"]),
        (qwen.clone(), json!({"post_processor": template}), &["adds tokens around every text", "left out"]),
        (json!({"auto_map": {"AutoTokenizer": ["a.B", null]}}), json!({}), &["auto_map"]),
        (
            json!({"tokenizer_class": "Qwen2Tokenizer", "added_tokens_decoder": end}),
            json!({"added_tokens": more}),
            &["added_tokens_decoder", "lacks: `<drug>`"],
        ),
        (json!({"added_tokens_decoder": decoder}), json!({}), &["`yes` (900, used as "]),
    ] {
        let files = Files::new();
        let model = model(&files, &config, &parts);
        let run = rerank(&[&["--model", &model], &INPUT[..]].concat());
        assert_eq!(run.rankings().len(), 3);
        for part in named {
            assert!(run.stderr.contains(part), "{part} is not in {}", run.stderr);
        }
    }
}

#[test]
fn an_older_tokenizer_scores_like_its_newer_form() {
    let files = Files::new();
    let newer = rerank(&[&["--model", ODD], &INPUT[..]].concat());
    let model = files.copy_model(ODD, "model");
    let tokenizer = json_of(&format!("{ODD}/tokenizer.json"));
    files.write("model/vocab.json", tokenizer["model"]["vocab"].to_string());
    let pairs = tokenizer["model"]["merges"].as_array().unwrap().iter();
    let lines = pairs.map(|pair| format!("{} {}\n", pair[0].as_str().unwrap(), pair[1].as_str().unwrap()));
    files.write("model/merges.txt", lines.collect::<String>());
    std::fs::remove_file(files.path("model/tokenizer.json")).unwrap();
    let tokens = tokenizer["added_tokens"].as_array().unwrap().iter();
    let numbers: Value =
        tokens.map(|token| (token["content"].as_str().unwrap().to_owned(), token["id"].clone())).collect();
    files.write("model/added_tokens.json", numbers.to_string());
    let arguments = [&["--model", &model], &INPUT[..]].concat();
    rerank(&arguments)
        .fails(1, &["vocab.json", "for the classes Qwen2Tokenizer and RobertaTokenizer", "save_pretrained"]);
    files.write("model/tokenizer_config.json", json!({"tokenizer_class": "Qwen2Tokenizer"}).to_string());
    let older = rerank(&arguments);
    assert_eq!((older.stdout, older.status), (newer.stdout, 0), "{}", older.stderr);
    std::fs::remove_file(files.path("model/merges.txt")).unwrap();
    rerank(&arguments).fails(1, &["has no tokenizer.json, only vocab.json"]);
}

#[test]
fn prompts_are_cut_where_the_tokenizers_settings_have_it() {
    for (length, longest) in [(json!(90), 90), (json!(1e30), 8192), (Value::Null, 8192)] {
        let files = Files::new();
        let model = model(&files, &json!({"model_max_length": length}), &json!({}));
        let run = rerank(&[&["--model", &model, "--dry-run"], &INPUT[..]].concat());
        assert!(run.stdout.contains(&format!("(longer than {longest} tokens)")), "{}", run.stdout);
    }
    let files = Files::new();
    let model = model(&files, &json!({"model_max_length": 9}), &json!({}));
    rerank(&[&["--model", &model], &INPUT[..]].concat()).fails(1, &["model_max_length", "leaves no room"]);
    let longer = rerank(&[&["--model", &model, "--max-length", "300", "--dry-run"], &INPUT[..]].concat());
    assert!(longer.stdout.contains("(longer than 300 tokens)"), "{}", longer.stdout);
}
