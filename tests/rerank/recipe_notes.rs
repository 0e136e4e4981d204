//! What is reported of a checkpoint's own recipe, beside the scores.

use serde_json::Value;

use crate::fixture::{Files, rerank};
use crate::recipes::{TEMPLATE, model, score, values, with_template};

/// Takes fields out of a file of the model.
fn without(files: &Files, name: &str, field: &str) {
    let mut value: Value = serde_json::from_str(&files.read(name)).unwrap();
    value.as_object_mut().unwrap().remove(field);
    files.write(name, value.to_string());
}

#[test]
fn files_that_sentence_transformers_would_not_obey_are_noted() {
    let remove = |files: &Files, name: &str| std::fs::remove_file(files.path(name)).unwrap();
    let (own, transformer) = ("model/config_sentence_transformers.json", "model/sentence_bert_config.json");
    type Change<'a> = &'a dyn Fn(&Files);
    let changes: [(Change, &str, &str); 4] = [
        (&|files| without(files, own, "model_type"), "modules.json and the files beside it", "CrossEncoder"),
        (&|files| remove(files, own), "modules.json and the files beside it", "CrossEncoder"),
        (&|files| without(files, transformer, "modality_config"), "no modality_config", "without a template"),
        (
            &|files| {
                remove(files, "model/modules.json");
                remove(files, transformer);
            },
            "config_sentence_transformers.json is obeyed",
            "without modules.json",
        ),
    ];
    let notes = |change: Change| {
        let files = Files::new();
        let (model, _) = model(&files, "qwen");
        change(&files);
        let run = score(&model, &[]);
        assert_eq!(run.status, 0, "{}", run.stderr);
        run.stderr
    };
    assert!(!notes(&|_| {}).contains("sentence-transformers"));
    for (change, place, what) in changes {
        let notes = notes(change);
        let count = notes.lines().filter(|line| line.contains("; sentence-transformers")).count();
        assert!(count == 1 && notes.contains(place) && notes.contains(what), "{notes}");
    }
}

#[test]
fn the_parts_of_a_recipe_are_named() {
    let files = Files::new();
    let (classifier, _) = model(&files, "classifier");
    let run = score(&classifier, &["--verbose"]);
    assert!(run.stderr.contains(", head of config.json, activation of "), "{}", run.stderr);
}

#[test]
fn a_template_among_the_additional_ones_is_found() {
    let files = Files::new();
    let (found, _) = model(&files, "qwen");
    let expected = score(&found, &[]).stdout;
    std::fs::create_dir(files.path("model/additional_chat_templates")).unwrap();
    let from = files.path("model/chat_template.jinja");
    std::fs::rename(from, files.path("model/additional_chat_templates/default.jinja")).unwrap();
    assert_eq!(score(&found, &[]).stdout, expected);
}

#[test]
fn a_template_prints_as_python_does() {
    let files = Files::new();
    let model = with_template(&files, &format!("{{{{ 1e20 }}}} {{{{ {{'a': '<'}}|tojson }}}}{TEMPLATE}"));
    let run = rerank(&["--model", &model, "--input", "testdata/candidates.jsonl", "--dry-run", "--verbose"]);
    assert!(run.stderr.contains("1e+20 {\"a\": \"<\"}⟦<|im_start|>⟧"), "{}", run.stderr);
}

#[test]
fn a_default_prompt_that_takes_the_querys_place_is_refused() {
    let files = Files::new();
    let (model, _) = model(&files, "qwen");
    files.write(
        "model/chat_template.jinja",
        "{{ 'query' }} {{ messages[0].content }} {{ 'document' }} {{ messages[1].content }}",
    );
    score(&model, &[]).fails(1, &["default prompt of", "config_sentence_transformers.json", "--recipe"]);
}

#[test]
fn what_only_looks_like_a_token_is_noted() {
    let files = Files::new();
    let run = score(&with_template(&files, &format!("<|im_strat|>{TEMPLATE}")), &[]);
    assert_eq!(run.status, 0, "{}", run.stderr);
    assert!(run.stderr.contains("chat_template.jinja has <|im_strat|>, which is no token"), "{}", run.stderr);
}

#[test]
fn the_recipe_of_a_classifier_without_one_is_stated() {
    let files = Files::new();
    let (model, _) = model(&files, "classifier");
    for name in ["modules.json", "sentence_bert_config.json", "chat_template.jinja"] {
        std::fs::remove_file(files.path("model").join(name)).unwrap();
    }
    let run = score(&model, &[]);
    assert!(run.stderr.contains("the recipe is taken to be qwen3-reranker"), "{}", run.stderr);
    let named = score(&model, &["--recipe", "qwen3-reranker"]);
    assert!(!named.stderr.contains("taken to be"), "{}", named.stderr);
    assert_eq!(values(&run, "logit"), values(&named, "logit"));
    // The stored function is the checkpoint's, and a chosen recipe has its own.
    assert_eq!(values(&run, "score"), values(&run, "logit"));
    assert_ne!(values(&named, "score"), values(&named, "logit"));
}
