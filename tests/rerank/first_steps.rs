//! What people meet on their first day: slips for which the message has the place and the remedy, and the exit status the blame.

use serde_json::{Value, json};

use crate::family::{Family, all};
use crate::fixture::{Files, Run, rerank, rerank_on};

const TINY: &str = "testdata/tiny-reranker";
const ODD: &str = "testdata/odd-reranker";
const CANDIDATES: &str = "testdata/candidates.jsonl";

fn family(name: &str) -> Family {
    all().into_iter().find(|(other, _)| other == name).unwrap().1
}

/// A cross-encoder of BERT's family.
fn bert(files: &Files) -> String {
    family("bert").write(files, "model")
}

fn score(model: &str, arguments: &[&str]) -> Run {
    rerank(&[&["--model", model, "--input", CANDIDATES], arguments].concat())
}

fn read(input: &str, arguments: &[&str]) -> Run {
    rerank_on(input, &[&["--model", "fake"], arguments].concat())
}

/// Changes fields of the model's configuration; null takes one away.
fn change_config(files: &Files, changes: &Value) {
    let mut config: Value = serde_json::from_str(&files.read("model/config.json")).unwrap();
    for (name, value) in changes.as_object().unwrap() {
        match value {
            Value::Null => drop(config.as_object_mut().unwrap().remove(name)),
            value => config[name] = value.clone(),
        }
    }
    files.write("model/config.json", config.to_string());
}

#[test]
fn a_conversion_reads_the_right_class_and_writes_over_nothing() {
    let files = Files::new();
    let model = bert(&files);
    std::fs::rename(files.path("model/model.safetensors"), files.path("model/pytorch_model.bin")).unwrap();
    let command = format!(
        "AutoModelForSequenceClassification.from_pretrained({model:?}).save_pretrained(\"{model}-safetensors\") in transformers"
    );
    let run = score(&model, &[]);
    run.fails(1, &["pytorch_model.bin", "pickle", &command]);
    assert!(!run.stderr.contains("CausalLM"), "{}", run.stderr);
    change_config(&files, &json!({"architectures": null}));
    score(&model, &[]).fails(1, &["of the model's class, which no config.json states"]);
    std::fs::remove_file(files.path("model/tokenizer.json")).unwrap();
    score(&model, &[]).fails(1, &["has no tokenizer.json", "BERT's vocab.txt", "vocab.json with merges.txt"]);
    files.write("model/sentencepiece.bpe.model", "x");
    let tokenizer = format!("from_pretrained({model:?}).save_pretrained(\"{model}-tokenizer\")");
    score(&model, &[]).fails(1, &[&format!("{model} has no tokenizer.json"), &tokenizer]);
}

#[test]
fn a_query_that_comes_back_is_gathered_by_an_option_that_the_error_names() {
    let rows = "query,text\nred,red\nblue,blue\nred,planet\n";
    read(rows, &[]).fails(1, &["comes back on line 4", "add --group, which gathers them in memory", "sort the input"]);
    assert_eq!(read(rows, &["--group"]).rankings().len(), 2);
}

#[test]
fn fields_of_other_names_are_listed_with_the_option_that_names_them() {
    for (line, arguments, remedy) in [
        (
            r#"{"search_query":"red","docs":["red"],"n":1}"#,
            &[][..],
            "the record has `search_query`, `docs`, `n`; name it with --columns query=search_query",
        ),
        (r#"{"search_query":"red","docs":["red"]}"#, &["--columns", "query=foo"], "--columns query=search_query"),
        (r#"{"a":"red","b":"blue","docs":["red"]}"#, &[], "`a`, `b`, `docs`; name it with --columns query=NAME"),
        (r#"{"query":"red","stuff":["red"],"n":1}"#, &[], "--columns candidates=stuff (a list), or text=NAME"),
        (
            r#"{"q":"red","cands":["red"],"n":1}"#,
            &[],
            "the record has `q`, `cands`, `n`; name them with --columns query=q,candidates=cands (a list), or query=NAME,text=NAME",
        ),
        (r#"{"q":"red","cands":["red"],"n":1}"#, &[], "no query (`query`, `question`,"),
        (r#"{"query":"red","docs":[{"id":"d","body_text":"red","url":"u"}]}"#, &[], "--columns text=body_text"),
        (r#"{"query":{"value":"red"},"docs":["red"]}"#, &[], "the record has `value` under it"),
        (r#"{"query":"red","docs":[{"id":"d"}]}"#, &[], "has a value; name the file of the texts with --collection\n"),
    ] {
        read(line, arguments).fails(1, &["standard input:1: ", remedy]);
    }
    // What the message proposes works.
    let named = read(r#"{"q":"red","cands":["red"]}"#, &["--columns", "query=q,candidates=cands"]);
    assert_eq!(named.rankings()[0]["results"][0]["text"], "red");
    read("query,page\nred,red\n", &["--columns", "text=body"]).fails(2, &["--columns text=body", "`query`, `page`"]);
}

#[test]
fn shapes_of_more_tools_are_read() {
    for (line, ids) in [
        (r#"{"user_input":"red","retrieved_contexts":["blue","red"],"retrieved_context_ids":["a","b"]}"#, ["b", "a"]),
        (r#"{"user_input":"red","retrieved_contexts":["blue","red"],"response":"r","reference":"t"}"#, ["2", "1"]),
        (
            r#"{"query":"red","result":[{"id":7,"score":1,"payload":{"text":"blue"}},{"id":8,"payload":{"text":"red"}}],"time":1}"#,
            ["8", "7"],
        ),
        (
            r#"{"query":"red","points":[{"id":7,"payload":{"text":"blue"}},{"id":8,"payload":{"text":"red"}}]}"#,
            ["8", "7"],
        ),
        (r#"{"model":"m","text_1":"red","text_2":["blue","red"]}"#, ["2", "1"]),
        (r#"{"queries":"red","documents":["blue","red"]}"#, ["2", "1"]),
    ] {
        let ranking = read(line, &[]).rankings().remove(0);
        assert_eq!([0, 1].map(|rank| ranking["results"][rank]["id"].as_str().unwrap()), ids, "{line}");
    }
    let pair = read(r#"{"text_1":"red","text_2":"red","result":["kept"]}"#, &[]).rankings().remove(0);
    assert_eq!(pair["results"][0]["result"], json!(["kept"]));
    read(r#"{"queries":["red","blue"],"documents":["red","blue"]}"#, &[])
        .fails(1, &["`queries` is a list", "a record for each"]);
}

#[test]
fn options_that_do_not_fit_the_files_have_a_status_of_their_own() {
    let files = Files::new();
    let model = bert(&files);
    let run = score(&model, &["--recipe", "qwen3-reranker"]);
    run.fails(2, &["error: --recipe qwen3-reranker: ", "has no token `<|im_start|>`", "leave --recipe out"]);
    assert!(!run.stderr.contains("allows"), "{}", run.stderr);
    let recipe = files.write("r.toml", "template = \"{query} {document}\"\nanswers = { true = \"yes\" }");
    score(&model, &["--recipe", &recipe]).fails(2, &["r.toml: it has answers", "the model is a classifier"]);
    score(ODD, &["--recipe", "nemotron-rerank"]).fails(2, &["--recipe nemotron-rerank", "for classifiers"]);
    score(ODD, &["--recipe", "bge-reranker-v2-gemma"]).fails(2, &["--recipe bge-reranker-v2-gemma: ", "one token"]);
    score(ODD, &["--max-length", "20"]).fails(2, &["--max-length 20: ", "leaves no room", "raise --max-length"]);
    let deberta = family("deberta").write(&files, "deberta");
    for arguments in [&["--dtype", "bf16"][..], &["--dtype", "int8"], &["--dtype", "f16", "--dry-run"]] {
        score(&deberta, arguments).fails(2, &["--dtype", "deberta-v2 models are computed in f32 only"]);
    }
}

#[test]
fn a_dry_run_estimates_in_the_precision_that_a_run_would_take() {
    let time = |model: &str| {
        let run = score(model, &["--dry-run"]);
        assert_eq!(run.status, 0, "{}", run.stderr);
        let line = run.stdout.lines().find(|line| line.starts_with("time")).unwrap();
        (line.contains("(f32 on"), run.stderr)
    };
    // The shards of this model are in f32.
    assert!(time(ODD).0);
    let files = Files::new();
    let model = bert(&files);
    std::fs::remove_file(files.path("model/model.safetensors")).unwrap();
    change_config(&files, &json!({"dtype": "float32", "torch_dtype": null}));
    let (is_f32, notes) = time(&model);
    assert!(is_f32 && !notes.contains("is assumed"), "{notes}");
    change_config(&files, &json!({"dtype": null, "torch_dtype": null}));
    assert!(time(&model).1.contains("bf16 is assumed"));
}

#[test]
fn what_a_model_is_and_rerank_does_not_run_is_said_of_the_right_thing() {
    let files = Files::new();
    let model = bert(&files);
    for (changes, parts) in [
        (
            json!({"architectures": ["BertForMaskedLM"]}),
            &[
                "BertForMaskedLM is a masked language model, which has no head that scores pairs",
                "BertForSequenceClassification",
            ][..],
        ),
        (json!({"architectures": ["JinaBertForSequenceClassification"]}), &["is none that rerank knows"]),
        (
            json!({"model_type": "albert", "architectures": ["AlbertForMaskedLM"]}),
            &["family is not supported", "qwen3, qwen2"],
        ),
    ] {
        change_config(&files, &changes);
        let run = score(&model, &[]);
        run.fails(1, &[&["model/config.json"], parts].concat());
        assert!(run.stderr.len() < 600, "{}", run.stderr);
    }
}

#[test]
fn labels_that_only_the_weights_have_are_counted() {
    use std::collections::HashMap;

    use candle_core::{Device, Tensor, safetensors};
    let files = Files::new();
    let model = bert(&files);
    change_config(&files, &json!({"id2label": null, "label2id": null, "num_labels": null}));
    let path = files.path("model/model.safetensors");
    let mut tensors: HashMap<String, Tensor> = safetensors::load(&path, &Device::Cpu).unwrap();
    for name in ["classifier.weight", "classifier.bias"] {
        let tensor = &tensors[name];
        tensors.insert(name.to_owned(), Tensor::cat(&[tensor, tensor], 0).unwrap());
    }
    safetensors::save(&tensors, &path).unwrap();
    let run = score(&model, &[]);
    run.fails(1, &["the model has 2 labels (the shape of classifier.weight), and a reranker has one"]);
    assert!(!run.stderr.contains("demands"), "{}", run.stderr);
}

#[test]
fn a_model_is_named_with_its_option_or_as_what_is_checked() {
    for arguments in [&[TINY][..], &[TINY, CANDIDATES], &[CANDIDATES, TINY], &["--input", TINY]] {
        rerank(arguments).fails(2, &[&format!("{TINY} is a model's directory"), &format!("--model {TINY}")]);
    }
    rerank(&["owner/name", CANDIDATES]).fails(2, &["no file owner/name", "--model owner/name"]);
    let report = |arguments: &[&str]| rerank(&[&["check", "--dtype", "f32", "--format", "json"], arguments].concat());
    let [named, by_option] = [&[TINY][..], &["--model", TINY]].map(|arguments| report(arguments).stdout);
    assert!(!named.is_empty() && named == by_option, "{named}");
    report(&[TINY, "--model", TINY]).fails(2, &["cannot be used with"]);
    rerank(&["bench", "nowhere/at/all"]).fails(2, &["nowhere/at/all"]);
}

#[test]
fn a_check_against_a_file_speaks_of_that_file() {
    let files = Files::new();
    let golden = rerank(&["check", TINY, "--dtype", "f32", "--format", "json"]).stdout;
    let golden = files.write("golden.json", golden);
    rerank(&["check", TINY, "--golden", &golden, "--as", "bge-reranker-base"])
        .fails(2, &["--as bge-reranker-base: ", "golden.json has no scores of this model", "leave --as out"]);
    let run = rerank(&["check", TINY, "--golden", CANDIDATES]);
    run.fails(2, &["it should be a report of rerank check --format json"]);
    let run = rerank(&["check", TINY, "--golden", "README.md"]);
    run.fails(2, &["README.md", "it should be a report of rerank check --format json"]);
    assert!(!run.stderr.contains("download"), "{}", run.stderr);
}

#[test]
fn errors_of_a_model_begin_with_its_place() {
    let files = Files::new();
    let model = family("qwen2").write(&files, "model");
    let run = score(&model, &[]);
    run.fails(1, &[&format!("error: {model}: "), "no chat template", "--recipe NAME|FILE"]);
}

#[test]
fn a_summary_counts_as_people_do_and_nothing_is_summed_up_after_an_early_error() {
    let run = read(r#"{"query":"red","docs":["red"]}"#, &[]);
    assert!(run.stderr.contains("1 query, 1 pair ("), "{}", run.stderr);
    let run = read("{\"query\":\"red\",\"docs\":[\"red\"]}\n{\"query\":\"\",\"docs\":[\"red\"]}\n", &[]);
    assert!(run.status == 1 && run.stderr.contains("1 query, 1 pair ("), "{}", run.stderr);
    let long = format!("{{\"query\":\"{}\",\"docs\":[\"red\"]}}", "red ".repeat(50));
    let run = read(&long, &["--max-length", "9"]);
    assert!(run.status == 1 && !run.stderr.contains("pairs/s"), "{}", run.stderr);
    assert_eq!(run.stderr.lines().count(), 1, "{}", run.stderr);
}

#[test]
fn a_query_that_loses_its_end_as_in_sentence_transformers_is_reported() {
    let files = Files::new();
    let model = bert(&files);
    files.write("model/sentence_bert_config.json", json!({"max_seq_length": 24}).to_string());
    let line =
        |words: usize| json!({"query": "ferry ".repeat(words), "candidates": ["the harbour ".repeat(40)]}).to_string();
    let run = rerank_on(line(40), &["--model", &model]);
    let ranking = run.rankings().remove(0);
    assert_eq!(ranking["results"][0]["truncated"], true);
    assert!(run.stderr.contains("the query is longer than half of the 24 tokens"), "{}", run.stderr);
    let run = rerank_on(line(1), &["--model", &model]);
    assert!(run.status == 0 && !run.stderr.contains("the query is longer"), "{}", run.stderr);
}

#[test]
fn a_check_prints_as_much_as_it_is_asked_to() {
    let lines = |arguments: &[&str]| {
        let run = rerank(&[&["check", TINY, "--dtype", "auto"], arguments].concat());
        assert_eq!(run.status, 0, "{}", run.stderr);
        run.stderr
    };
    assert_eq!(lines(&["--quiet"]), "");
    assert!(lines(&["--verbose"]).contains("model: qwen3: "));
    rerank(&["check", TINY, "--quiet", "--verbose"]).fails(2, &["cannot be used with"]);
    read("", &["--no-header"]).fails(2, &["--no-header", "as in --columns query_id,id,query,text"]);
}
