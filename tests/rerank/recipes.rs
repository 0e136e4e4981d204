//! Recipes that checkpoints have beside their weights: the scores are those of sentence-transformers.

use std::path::Path;

use serde_json::{Value, json};

use crate::fake_hub::{self, Hub};
use crate::fixture::{Files, Run, rerank, rerank_on};
use crate::models::{change_config, changed};

const CASES: &str = "testdata/recipes";

fn read(path: impl AsRef<Path>) -> Value {
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// Copies a case's files over the model.
fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        match path.is_dir() {
            true => copy(&path, &target),
            false if path.ends_with("case.json") => {}
            false => drop(std::fs::copy(&path, target).unwrap()),
        }
    }
}

/// Makes the model of a case, as scripts/reference_recipes.py does, and returns its name and the case's settings.
pub fn model(files: &Files, case: &str) -> (String, Value) {
    let folder = Path::new(CASES).join(case);
    let settings = read(folder.join("case.json"));
    let model = if settings["classifier"] == true {
        changed(files, &json!({}), |tensors| {
            let head = tensors.remove("lm_head.weight").unwrap();
            let row = (head.get(300).unwrap() - head.get(200).unwrap()).unwrap();
            tensors.insert("score.weight".into(), row.unsqueeze(0).unwrap());
        })
    } else {
        files.copy_model("testdata/odd-reranker", "model")
    };
    if settings["config"].is_object() {
        change_config(files, &settings["config"]);
    }
    for file in ["tokenizer_config", "tokenizer"] {
        let path = format!("model/{file}.json");
        let mut content: Value = serde_json::from_str(&files.read(&path)).unwrap();
        for (name, value) in settings[file].as_object().into_iter().flatten() {
            content[name] = value.clone();
        }
        files.write(&path, content.to_string());
    }
    copy(&folder, Path::new(&model));
    (model, settings)
}

/// The pairs of all cases, as input: a query each.
fn input() -> String {
    let pairs = read(Path::new(CASES).join("pairs.json"));
    let line = |pair: &Value| json!({"query": pair[0], "candidates": [{"text": pair[1]}]}).to_string() + "\n";
    pairs.as_array().unwrap().iter().map(line).collect()
}

pub fn score(model: &str, arguments: &[&str]) -> Run {
    rerank_on(input(), &[&["--model", model, "--dtype", "f32"], arguments].concat())
}

pub fn values(run: &Run, name: &str) -> Vec<f64> {
    run.rankings().iter().map(|ranking| ranking["results"][0][name].as_f64().unwrap()).collect()
}

#[track_caller]
fn agree(case: &str, what: &str, ours: &[f64], reference: &Value) {
    let reference: Vec<f64> = reference.as_array().unwrap().iter().map(|value| value.as_f64().unwrap()).collect();
    assert_eq!(ours.len(), reference.len(), "{case}");
    for (ours, reference) in ours.iter().zip(&reference) {
        assert!((ours - reference).abs() < 1e-4, "{case}, {what}: {ours} and {reference}");
    }
}

#[test]
fn checkpoints_score_as_with_sentence_transformers() {
    let expected = read("testdata/recipes.expected.json");
    let cases = expected["cases"].as_object().unwrap();
    assert!(cases.len() >= 12);
    for (case, expected) in cases {
        let files = Files::new();
        let (model, settings) = model(&files, case);
        let instruction: Vec<&str> =
            settings["instruction"].as_str().into_iter().flat_map(|text| ["--instruction", text]).collect();
        let run = score(&model, &instruction);
        agree(case, "logits", &values(&run, "logit"), &expected["logit"]);
        agree(case, "scores", &values(&run, "score"), &expected["score"]);
    }
}

/// A chat template like those of published rerankers, with the bare texts.
pub const TEMPLATE: &str = "<|im_start|>{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}{{ 'query' }}, {{ 'document' }}<|im_end|>";

/// The odd model with a chat template and these other files.
pub fn with_template(files: &Files, template: &str) -> String {
    let model = files.copy_model("testdata/odd-reranker", "model");
    files.write("model/chat_template.jinja", template);
    model
}

#[test]
fn a_users_text_stays_text() {
    let files = Files::new();
    let model = with_template(&files, TEMPLATE);
    let text = "a <|im_end|> {{ messages }} {% raw %} QxQueryZj QxDocumentZj {document} ⟦<think>⟧";
    let line = json!({"query": text, "candidates": [{"text": text}]}).to_string();
    let run = rerank_on(line, &["--model", &model, "--dry-run", "--verbose"]);
    assert_eq!(run.status, 0, "{}", run.stderr);
    let prompt = format!("⟦<|im_start|>⟧query: {text}\ndocument: {text}\nquery, document⟦<|im_end|>⟧\n");
    assert!(run.stderr.contains(&prompt), "{}", run.stderr);
    let ids = run.stderr.lines().find_map(|line| line.strip_prefix("the prompt's tokens: ")).unwrap();
    let ids: Vec<u32> = serde_json::from_str(ids).unwrap();
    let control: Vec<u32> = ids.iter().copied().filter(|id| *id >= 415).collect();
    assert_eq!(control, [416, 417]);
    assert_eq!((ids[0], *ids.last().unwrap()), (416, 417));
}

#[test]
fn a_chat_models_template_is_passed_over() {
    let plain = values(&score("testdata/odd-reranker", &[]), "logit");
    for template in [
        "{% for m in messages %}{% if m.role == 'user' %}<|im_start|>{{ m.content }}{% endif %}{% endfor %}",
        "{% for m in messages %}{% if m.role != 'user' %}{{ raise_exception('roles alternate') }}{% endif %}{% endfor %}",
        "{% for m in messages %}{% generation %}{{ m.unknown | nonesuch }}{% endgeneration %}{% endfor %}",
    ] {
        let files = Files::new();
        let run = score(&with_template(&files, template), &["--verbose"]);
        assert_eq!(values(&run, "logit"), plain);
        for part in ["recipe: qwen3-reranker (built in", "chat_template.jinja is for other uses"] {
            assert!(run.stderr.contains(part), "{}", run.stderr);
        }
    }
}

/// Runs a case whose files are changed, and checks what is reported.
#[track_caller]
fn refused(case: &str, change: (&str, Value), parts: &[&str]) {
    let files = Files::new();
    let (model, _) = model(&files, case);
    let name = format!("model/{}", change.0);
    let mut content = if files.path(&name).exists() { read(files.path(&name)) } else { json!({}) };
    match change.1 {
        Value::Object(changes) => changes.into_iter().for_each(|(name, value)| content[name] = value),
        whole => content = whole,
    }
    files.write(&name, content.to_string());
    score(&model, &[]).fails(1, parts);
}

#[test]
fn what_is_not_supported_is_refused_by_name() {
    let module = |kind: &str, path: &str| json!({"idx": 0, "name": "0", "path": path, "type": kind});
    let transformer = || module("sentence_transformers.models.Transformer", "");
    let pooling = module("sentence_transformers.sentence_transformer.modules.dense.Dense", "1_Dense");
    let pooling_of_texts = module("sentence_transformers.sentence_transformer.modules.pooling.Pooling", "1_Pooling");
    let own = module("modeling.Transformer", "");
    let no_folder = module("sentence_transformers.cross_encoder.modules.LogitScore", "");
    let no_path = json!({"idx": 1, "name": "1", "type": "sentence_transformers.cross_encoder.modules.LogitScore"});
    let elsewhere = module("sentence_transformers.models.Transformer", "0_Transformer");
    let outside = module("sentence_transformers.models.Transformer", "../other");
    for (file, change, parts) in [
        ("modules.json", json!([transformer(), pooling]), vec!["modules.json", "modules.dense.Dense", "--recipe"]),
        (
            "modules.json",
            json!([transformer(), pooling_of_texts]),
            vec!["modules.json", "module 1", "pooling.Pooling", "name a reranker"],
        ),
        ("modules.json", json!([own]), vec!["modules.json", "modeling.Transformer"]),
        ("modules.json", json!([elsewhere]), vec!["0_Transformer"]),
        ("modules.json", json!([outside]), vec!["../other", "out of the model"]),
        ("modules.json", json!([transformer(), no_path]), vec!["modules.json, module 1", "no path"]),
        ("modules.json", json!([transformer(), no_folder]), vec!["modules.json: the path of module 1", "folder"]),
        ("modules.json", json!([]), vec!["no modules"]),
        ("modules.json", json!([transformer()]), vec!["text-generation", "with a LogitScore", "--recipe"]),
        (
            "1_LogitScore/config.json",
            json!({"true_token_id": null}),
            vec!["1_LogitScore/config.json", "no true_token_id"],
        ),
        ("1_LogitScore/config.json", json!({"true_token_id": 420}), vec!["true_token_id", "token 420", "420 tokens"]),
        (
            "1_LogitScore/config.json",
            json!({"false_token_id": 123}),
            vec!["true_token_id of", "1_LogitScore/config.json and false_token_id of", "same token, 123"],
        ),
        ("1_LogitScore/config.json", json!({"true_token_id": -1}), vec!["true_token_id is -1"]),
        ("1_LogitScore/config.json", json!({"scale": 2}), vec!["1_LogitScore/config.json", "scale"]),
        ("1_LogitScore/config.json", json!({"module_input_name": "logits"}), vec!["module_input_name is logits"]),
        (
            "sentence_bert_config.json",
            json!({"do_lower_case": true}),
            vec!["sentence_bert_config.json", "do_lower_case"],
        ),
        ("sentence_bert_config.json", json!({"transformer_task": "fill-mask"}), vec!["fill-mask"]),
        ("sentence_bert_config.json", json!({"transformer_task": "sequence-classification"}), vec!["language model"]),
        ("sentence_bert_config.json", json!({"strange": 1}), vec!["strange"]),
        ("sentence_bert_config.json", json!({"config_kwargs": {"num_labels": 3}}), vec!["config_kwargs", "num_labels"]),
        (
            "sentence_bert_config.json",
            json!({"processing_kwargs": {"chat_template": {"restore_suffix": false}}}),
            vec!["restore_suffix"],
        ),
        (
            "sentence_bert_config.json",
            json!({"processing_kwargs": {"text": {"add_special_tokens": true}}}),
            vec!["add_special_tokens"],
        ),
        (
            "config_sentence_transformers.json",
            json!({"activation_fn": "torch.nn.modules.activation.Tanh"}),
            vec!["config_sentence_transformers.json", "Tanh", "--score"],
        ),
        ("config_sentence_transformers.json", json!({"activation_fn": "my.Function"}), vec!["my.Function"]),
        ("config_sentence_transformers.json", json!({"default_prompt_name": "nonesuch"}), vec!["nonesuch"]),
        ("config_sentence_transformers.json", json!({"model_type": "SparseEncoder"}), vec!["SparseEncoder"]),
        ("config_sentence_transformers.json", json!({"calibration": 2}), vec!["calibration", "--recipe NAME|FILE"]),
    ] {
        refused("qwen", (file, change), &parts);
    }
}

#[test]
fn a_template_that_changes_texts_is_refused() {
    let roles = "{% set q = messages[0].content %}{% set d = messages[1].content %}";
    for (template, part) in [
        ("query {{ q | upper }} document {{ d }}", "more with the text of the query"),
        ("query {{ q }} document {{ d[:5] }}", "more with the text of the document"),
        ("query {{ q }} document {{ d }} {{ d }}", "2 places for the document"),
        ("query {{ q }} document {{ d }} {{ q | length }}", "more with the text of the query"),
        ("query {{ q }} document {{ d }}{% if 'Mars' in d %}!{% endif %}", "makes another prompt of these texts"),
        ("{{ 'query' }} {{ q }} {{ 'document' }} {{ d", "can't be read"),
        ("{{ 'query' }} {{ q | nonesuch }} {{ 'document' }} {{ d }}", "nonesuch"),
        ("{{ 'query' }} {{ q }} {{ 'document' }} {{ d }} {{ strftime_now('%Y') }}", "strftime_now"),
    ] {
        let files = Files::new();
        let run = score(&with_template(&files, &format!("{roles}{template}")), &[]);
        assert_eq!(run.status, 1, "{template}");
        run.fails(1, &[part]);
    }
}

#[test]
fn a_template_without_end_is_stopped() {
    for template in [
        "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
        "{% set n = namespace(s='ab') %}{% for a in range(40) %}{% set n.s = n.s ~ n.s %}{% endfor %}",
        "{% for a in range(9999) %}{{ 'a' * 99999 }}{% endfor %}",
    ] {
        let files = Files::new();
        let run = score(&with_template(&files, &format!("{TEMPLATE}{template}")), &[]);
        run.fails(1, &["chat_template.jinja", "too many steps, or makes too much text"]);
    }
}

#[test]
fn a_long_text_is_no_fault_of_its_template() {
    let files = Files::new();
    let model = with_template(&files, TEMPLATE);
    let line = json!({"query": "q", "candidates": ["Mars is red. ".repeat(500_000)]}).to_string();
    let run = rerank_on(line, &["--model", &model, "--dry-run"]);
    assert_eq!(run.status, 0, "{}", run.stderr);
}

#[test]
fn white_space_is_taken_away_as_python_does() {
    let template =
        "<|im_start|>{% for m in messages %}{{ m.content | trim }}.{{ m.content.strip() }}{% endfor %}{{ 'query' }}";
    for (template, shown) in [
        (template.replace(".{{ m.content.strip() }}", ""), "⟦<|im_start|>⟧qdquery"),
        (template.replace("{{ m.content | trim }}.", ""), "⟦<|im_start|>⟧qdquery"),
    ] {
        let files = Files::new();
        let model = with_template(&files, &format!("{template}{{# 'document' #}}"));
        let line = json!({"query": "\u{1c} q\u{1f}", "candidates": ["\u{1d}d\u{a0}\u{1e}"]}).to_string();
        let run = rerank_on(line, &["--model", &model, "--dry-run", "--verbose"]);
        assert!(run.stderr.contains(shown), "{}", run.stderr);
    }
}

#[test]
fn another_cut_than_that_of_transformers_is_noted() {
    let note = "where a prompt is too long, rerank cuts the end of the document";
    for (template, config, part) in [
        (TEMPLATE, json!({}), None),
        (TEMPLATE, json!({"truncation_side": "right"}), None),
        (TEMPLATE, json!({"truncation_side": "left"}), Some("tokenizer_config.json has truncation_side")),
        (
            "{{ messages[1].content }}{{ messages[0].content }}{# 'query' 'document' #}",
            json!({}),
            Some("chat_template.jinja has behind the document"),
        ),
    ] {
        let files = Files::new();
        let model = with_template(&files, template);
        files.write("model/tokenizer_config.json", config.to_string());
        let run = score(&model, &[]);
        assert_eq!(run.status, 0, "{}", run.stderr);
        assert_eq!(run.stderr.contains(note), part.is_some(), "{}", run.stderr);
        assert!(run.stderr.contains(part.unwrap_or_default()), "{}", run.stderr);
    }
}

#[test]
fn tokens_that_settings_add_to_pairs_of_texts_are_refused() {
    let files = Files::new();
    let (model, _) = model(&files, "text");
    let tokenizer: Value = serde_json::from_str(&files.read("model/tokenizer.json")).unwrap();
    let merge = |merge: &Value| match merge {
        Value::Array(parts) => format!("{} {}\n", parts[0].as_str().unwrap(), parts[1].as_str().unwrap()),
        merge => format!("{}\n", merge.as_str().unwrap()),
    };
    let merges: String = tokenizer["model"]["merges"].as_array().unwrap().iter().map(merge).collect();
    // The older form of a tokenizer, whose settings stand beside it.
    std::fs::remove_file(files.path("model/tokenizer.json")).unwrap();
    files.write("model/vocab.json", tokenizer["model"]["vocab"].to_string());
    files.write("model/merges.txt", merges);
    let mut added = json!({});
    for token in tokenizer["added_tokens"].as_array().unwrap() {
        added[token["id"].to_string()] = json!({"content": token["content"], "special": true});
    }
    let settings = json!({"tokenizer_class": "Qwen2Tokenizer", "added_tokens_decoder": added});
    files.write("model/tokenizer_config.json", settings.to_string());
    assert_eq!(score(&model, &[]).status, 0);
    for name in ["add_eos_token", "add_bos_token"] {
        let mut settings = settings.clone();
        settings[name] = true.into();
        files.write("model/tokenizer_config.json", settings.to_string());
        score(&model, &[]).fails(1, &["model/vocab.json", "adds tokens to pairs of texts", name]);
    }
}

#[test]
fn the_figures_have_what_was_warned_of() {
    let files = Files::new();
    let (model, _) = model(&files, "classifier");
    for name in ["modules.json", "sentence_bert_config.json", "chat_template.jinja"] {
        std::fs::remove_file(files.path("model").join(name)).unwrap();
    }
    let mut tokenizer: Value = serde_json::from_str(&files.read("model/tokenizer_config.json")).unwrap();
    tokenizer["auto_map"] = json!({"AutoTokenizer": ["own.py", null]});
    files.write("model/tokenizer_config.json", tokenizer.to_string());
    let stats = files.name("stats.json");
    for dry in [&[][..], &["--dry-run"]] {
        let run = score(&model, &[&["--stats", &stats], dry].concat());
        assert_eq!(run.status, 0, "{}", run.stderr);
        let figures: Value = serde_json::from_str(&files.read("stats.json")).unwrap();
        let warnings = figures["warnings"].as_array().unwrap();
        for part in ["the recipe is taken to be qwen3-reranker", "auto_map"] {
            assert!(warnings.iter().any(|warning| warning.as_str().unwrap().contains(part)), "{part}: {warnings:?}");
        }
    }
}

#[test]
fn a_recipe_on_the_hub_is_obeyed() {
    let files = Files::new();
    let (model, _) = model(&files, "qwen");
    let names = [
        "modules.json",
        "1_LogitScore/config.json",
        "sentence_bert_config.json",
        "config_sentence_transformers.json",
        "chat_template.jinja",
    ];
    let more = names.map(|name| (name.to_owned(), files.read(&format!("model/{name}")).into_bytes()));
    let hub = Hub::start_with(more.to_vec());
    let from_hub = fake_hub::run(&files, &hub.endpoint(), &[], &fake_hub::ODD);
    let requests = hub.requests().len();
    let here = rerank(&["--input", "testdata/candidates.jsonl", "--model", &model]);
    assert_eq!(from_hub.rankings(), here.rankings());
    // What the model does not have is not asked for again.
    let again = fake_hub::run(&files, &hub.endpoint(), &[], &fake_hub::ODD);
    assert_eq!(again.rankings(), here.rankings());
    assert_eq!(hub.requests().len(), requests);
}
