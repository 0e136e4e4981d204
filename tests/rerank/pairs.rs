//! Pairs of texts as encoders are given them: the tokens are AutoTokenizer's (scripts/reference_pairs.py), and what users write
//! is text.

use std::path::Path;

use rerank::checkpoint::ModelFiles;
use rerank::recipe::TextTokenizer;
use serde_json::{Value, json};

use crate::family::all;
use crate::fixture::{Files, Run, rerank_on};

fn read(path: impl AsRef<Path>) -> Value {
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// Makes the tokenizer of a case, as scripts/reference_pairs.py does.
fn change(files: &Files, case: &Value) {
    let folder = Path::new("testdata/tokenizers").join(case["tokenizer"].as_str().unwrap());
    let family = case.get("family").unwrap_or(&case["tokenizer"]);
    files.write("config.json", json!({"model_type": family}).to_string());
    let mut tokenizer = read(folder.join("tokenizer.json"));
    tokenizer["added_tokens"].as_array_mut().unwrap().extend(case["added"].as_array().into_iter().flatten().cloned());
    for (name, part) in case["set"].as_object().into_iter().flatten() {
        tokenizer[name] = part.clone();
    }
    let vocabulary = &tokenizer["model"]["vocab"];
    match case["older"].as_str() {
        Some("lines") => {
            let mut words: Vec<_> = vocabulary.as_object().unwrap().iter().collect();
            words.sort_by_key(|(_, id)| id.as_u64());
            files.write("vocab.txt", words.iter().map(|(word, _)| format!("{word}\n")).collect::<String>());
        }
        Some(_) => {
            files.write("vocab.json", vocabulary.to_string());
            let pairs = tokenizer["model"]["merges"].as_array().unwrap().iter();
            let lines = pairs.map(|pair| format!("{} {}\n", pair[0].as_str().unwrap(), pair[1].as_str().unwrap()));
            files.write("merges.txt", format!("#version: 0.2\n{}", lines.collect::<String>()));
        }
        None => drop(files.write("tokenizer.json", tokenizer.to_string())),
    }
    if case.get("settings") == Some(&Value::Null) {
        return;
    }
    let mut settings = read(folder.join("tokenizer_config.json"));
    for (name, value) in case["settings"].as_object().into_iter().flatten() {
        match value.as_str() {
            Some("(none)") => drop(settings.as_object_mut().unwrap().remove(name)),
            _ => settings[name] = value.clone(),
        }
    }
    files.write("tokenizer_config.json", settings.to_string());
}

fn tokenizer(files: &Files) -> anyhow::Result<TextTokenizer> {
    TextTokenizer::read(&ModelFiles::in_directory(&files.path("")))
}

/// The ids of a pair, and where those of type 1 begin.
fn encode(tokenizer: &TextTokenizer, pair: &Value) -> (Vec<u32>, Option<usize>) {
    let frame = tokenizer.pair_frame().unwrap();
    let [first, second] = [0, 1].map(|text| tokenizer.encode(pair[text].as_str().unwrap()).unwrap());
    let types = frame.second_type.map(|types| frame.before.len() + first.len() + types);
    ([frame.before.as_slice(), &first, &frame.between, &second, &frame.after].concat(), types)
}

#[test]
fn pairs_have_the_tokens_of_auto_tokenizer() {
    let given = read("testdata/tokens/pairs.json");
    let expected = read("testdata/tokens/pairs.expected.json");
    let mut wrong = Vec::new();
    for case in given["cases"].as_array().unwrap() {
        let files = Files::new();
        change(&files, case);
        let name = case["name"].as_str().unwrap();
        let tokenizer = tokenizer(&files).unwrap_or_else(|error| panic!("{name}: {error:#}"));
        for (pair, expected) in
            given["pairs"].as_array().unwrap().iter().zip(expected["pairs"][name].as_array().unwrap())
        {
            let found = encode(&tokenizer, pair);
            if json!(found) != *expected {
                wrong.push(format!("{name}: {pair} is {found:?} and should be {expected}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_a_class_replaces_is_reported() {
    let cases = read("testdata/tokens/pairs.json");
    for (name, part) in [
        ("bert", None),
        ("xlm-roberta", None),
        ("roberta", None),
        ("vocab.txt", None),
        ("bert as stored", None),
        ("capitals and accents", Some("the normalizer of")),
        ("another post-processor", Some("the post_processor of")),
        ("settings of another model", Some("max_input_chars_per_word")),
        ("words by Metaspace alone", Some("the pre_tokenizer of")),
        ("another normalizer", Some("class RobertaTokenizer")),
        ("deberta-v2", Some("class DebertaV2Tokenizer")),
        ("deberta-v2 as stored", None),
    ] {
        let files = Files::new();
        let case = cases["cases"].as_array().unwrap().iter().find(|case| case["name"] == name).unwrap();
        change(&files, case);
        let warnings = tokenizer(&files).unwrap().warnings();
        assert_eq!(warnings.is_empty(), part.is_none(), "{name}: {warnings:?}");
        assert!(warnings.iter().all(|warning| warning.contains(part.unwrap())), "{name}: {warnings:?}");
    }
}

#[test]
fn control_tokens_in_a_pair_are_text() {
    for (kind, tokens) in [
        ("bert", ["[CLS]", "[SEP]", "[PAD]"]),
        ("xlm-roberta", ["<s>", "</s>", "<mask>"]),
        ("roberta", ["<s>", "</s>", "<pad>"]),
    ] {
        let files = Files::new();
        change(&files, &json!({"tokenizer": kind}));
        let tokenizer = tokenizer(&files).unwrap();
        for token in tokens {
            let id = tokenizer.control_token(token).unwrap();
            for text in [token.to_owned(), format!("a {token} b"), format!("a{token}"), format!(" {token}\n{token}")] {
                let ids = tokenizer.encode(&text).unwrap();
                assert!(!ids.contains(&id) && ids.len() > 2, "{kind}: {text:?} is {ids:?}");
            }
        }
    }
    // A vocabulary whose words are not parted at punctuation knows its control tokens as words.
    let files = Files::new();
    let words = json!({"pre_tokenizer": {"type": "WhitespaceSplit"}});
    change(&files, &json!({"tokenizer": "bert", "set": words, "settings": {"tokenizer_class": "TokenizersBackend"}}));
    let tokenizer = tokenizer(&files).unwrap();
    assert_eq!(tokenizer.encode("[sep] [SEP] also").unwrap(), tokenizer.encode("[sep] [xep] also").unwrap());
}

/// The directory of a test model.
fn model(files: &Files, name: &str) -> String {
    all().into_iter().find(|(other, _)| other == name).unwrap().1.write(files, "model")
}

fn score(model: &str, query: &str, documents: &[&str], arguments: &[&str]) -> Run {
    let candidates: Vec<_> = documents.iter().map(|document| json!({"text": document})).collect();
    let line = json!({"query_id": "q", "query": query, "candidates": candidates}).to_string();
    rerank_on(line, &[&["--model", model, "--dtype", "f32"], arguments].concat())
}

#[test]
fn a_long_query_of_an_encoder_is_cut_and_that_is_stated() {
    let files = Files::new();
    let model = model(&files, "bert");
    let long = "light ".repeat(40);
    let short = "light ".repeat(24);
    let options = ["--max-length", "32"];
    let cut = score(&model, &long, &["the harbour"], &options);
    assert_eq!(cut.status, 0, "{}", cut.stderr);
    assert!(cut.stderr.contains("query \"q\"") && cut.stderr.contains("only its first 24 are read"), "{}", cut.stderr);
    let whole = score(&model, short.trim(), &["the harbour"], &options);
    assert!(!whole.stderr.contains("query \"q\""), "{}", whole.stderr);
    let logit = |run: &Run| run.rankings()[0]["results"][0]["logit"].as_f64().unwrap();
    assert_eq!(logit(&cut), logit(&whole));
    assert_eq!(cut.rankings()[0]["results"][0]["truncated"], true);
    // The shortest prompt has a token of the query and none of the document.
    let least = score(&model, "ferry", &["the harbour"], &["--max-length", "5"]);
    assert_eq!(least.status, 0, "{}", least.stderr);
    score(&model, "ferry", &["the harbour"], &["--max-length", "4"]).fails(2, &["leaves no room"]);
}

#[test]
fn the_prompt_of_a_pair_shows_its_control_tokens() {
    let files = Files::new();
    let model = model(&files, "xlm_roberta");
    let shown = score(&model, "where?", &["there</s>"], &["--dry-run", "--verbose"]);
    assert!(shown.stderr.contains("⟦<s>⟧where?⟦</s>⟧⟦</s>⟧there</s>⟦</s>⟧"), "{}", shown.stderr);
}

#[test]
fn an_instruction_has_no_place_in_a_pair() {
    let files = Files::new();
    let model = model(&files, "bert");
    score(&model, "ferry", &["harbour"], &["--instruction", "Find it"])
        .fails(2, &["--instruction: the recipe pair of texts", "has no place for it"]);
}

#[test]
fn what_an_encoder_lacks_is_named() {
    for (file, change, said) in [
        ("config.json", json!({"num_labels": 3}), "it has 3 labels, and a reranker has one"),
        ("config.json", json!({"id2label": {"0": "a", "1": "b"}}), "it has 2 labels"),
        ("config.json", json!({"position_embedding_type": "relative_key"}), "relative_key"),
        ("config.json", json!({"is_decoder": true}), "is_decoder is true"),
        ("config.json", json!({"hidden_act": "mish"}), "hidden_act `mish`"),
        ("config.json", json!({"hidden_size": 383}), "383 features can't be shared evenly by 12 heads"),
        ("config.json", json!({"type_vocab_size": 1}), "tokens of type 1, and type_vocab_size of config.json is 1"),
        ("config.json", json!({"auto_map": {"AutoConfig": "own.Config"}}), "code of its own (auto_map: own.Config)"),
        ("config.json", json!({"max_position_embeddings": 256}), "has shape [512, 384]"),
        ("config.json", json!({"vocab_size": 900}), "the model 900"),
        ("config.json", json!({"model_type": "mpnet", "architectures": ["MPNetForSequenceClassification"]}), "mpnet"),
        ("tokenizer_config.json", json!({"tokenizer_class": "MPNetTokenizer"}), "MPNetTokenizer"),
        ("tokenizer_config.json", json!({"sep_token": null}), "needs a sep_token"),
        ("tokenizer_config.json", json!({"unk_token": "<unk>"}), "no `<unk>`"),
    ] {
        let files = Files::new();
        let model = model(&files, "bert");
        let path = format!("model/{file}");
        let mut content: Value = serde_json::from_str(&files.read(&path)).unwrap();
        for (name, value) in change.as_object().unwrap() {
            content[name] = value.clone();
        }
        if content["num_labels"] == 3 {
            content.as_object_mut().unwrap().remove("id2label");
        }
        files.write(&path, content.to_string());
        let run = score(&model, "ferry", &["harbour"], &[]);
        assert!(run.status == 1 && run.stderr.contains(said), "{change}: {}", run.stderr);
    }
    for (padding, said) in [(0, "the token `<s>`, which stands around every text"), (4, "which texts can have")] {
        let files = Files::new();
        let model = model(&files, "xlm_roberta");
        let mut config: Value = serde_json::from_str(&files.read("model/config.json")).unwrap();
        config["pad_token_id"] = padding.into();
        files.write("model/config.json", config.to_string());
        score(&model, "ferry", &["harbour"], &[]).fails(1, &["pad_token_id of config.json is", said]);
    }
    let files = Files::new();
    let model = model(&files, "xlm_roberta");
    std::fs::rename(files.path("model/tokenizer.json"), files.path("model/sentencepiece.bpe.model")).unwrap();
    score(&model, "ferry", &["harbour"], &[])
        .fails(1, &["has no tokenizer.json", "sentencepiece.bpe.model", "save_pretrained"]);
}

#[test]
fn scores_of_encoders_follow_what_their_files_store() {
    for (name, change, function) in [
        ("bert", json!({}), "raw"),
        ("bert", json!({"sentence_transformers": null}), "sigmoid"),
        (
            "bert",
            json!({"sentence_transformers": null, "sbert_ce_default_activation_function": "torch.nn.modules.linear.Identity"}),
            "raw",
        ),
        ("xlm_roberta", json!({}), "sigmoid"),
        ("roberta", json!({}), "sigmoid"),
    ] {
        let files = Files::new();
        let model = model(&files, name);
        let mut config: Value = serde_json::from_str(&files.read("model/config.json")).unwrap();
        for (field, value) in change.as_object().unwrap() {
            config[field] = value.clone();
        }
        files.write("model/config.json", config.to_string());
        for (options, function) in
            [(&[][..], function), (&["--score", "raw"], "raw"), (&["--score", "sigmoid"], "sigmoid")]
        {
            let run = score(&model, "ferry", &["harbour"], options);
            let result = &run.rankings()[0]["results"][0];
            let [score, logit] = ["score", "logit"].map(|name| result[name].as_f64().unwrap());
            let expected = if function == "raw" { logit } else { 1. / (1. + (-logit).exp()) };
            assert!((score - expected).abs() < 1e-6, "{name} {change} {options:?}: {score} of {logit}");
        }
    }
}
