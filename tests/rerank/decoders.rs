//! Decoders beyond Qwen3: the recipes by which models are known, the tokens of their prompts, and what is refused with a reason.

use rerank::checkpoint::ModelFiles;
use rerank::recipe::TextTokenizer;
use serde_json::{Value, json};

use crate::family::{Family, all};
use crate::fixture::{Files, rerank_on};

const INPUT: &str =
    r#"{"query": "who sees that bird", "candidates": [{"text": "Nobody does."}, {"text": "  All do?\n"}]}"#;

fn family(name: &str) -> Family {
    all().into_iter().find(|(other, _)| other == name).unwrap().1
}

fn logits(model: &str, arguments: &[&str]) -> (Vec<Value>, String) {
    let run = rerank_on(INPUT, &[&["--model", model, "--dtype", "f32"], arguments].concat());
    let results = run.rankings()[0]["results"].as_array().unwrap().clone();
    (results.iter().map(|result| result["logit"].clone()).collect(), run.stderr)
}

#[test]
fn published_models_are_known_by_their_names() {
    for (name, directory, recipe) in [
        ("qwen2", "Mxbai-Rerank-Base-v2", "mxbai-rerank-v2"),
        ("gemma", "models--BAAI--bge-reranker-v2-gemma", "bge-reranker-v2-gemma"),
        ("mistral", "ctxl-rerank-v2-instruct-multilingual-6b", "ctxl-rerank-v2"),
    ] {
        let files = Files::new();
        let known = family(name).write(&files, directory);
        let other = family(name).write(&files, "other");
        let (by_name, stated) = logits(&known, &[]);
        assert!(stated.contains(&format!("taken to be {recipe}, by the model's name, {directory}")), "{stated}");
        assert_eq!(by_name, logits(&other, &["--recipe", recipe]).0);
        // Nothing is guessed of a model that nobody knows.
        let parts = ["no chat template", "no prompt for this", name, "--recipe NAME|FILE", recipe];
        rerank_on(INPUT, &["--model", &other]).fails(1, &parts);
    }
}

#[test]
fn a_family_with_one_prompt_needs_no_name() {
    let files = Files::new();
    for (name, recipe) in [("nemotron", "nemotron-rerank"), ("qwen3-zerank", "zerank")] {
        let model = family(name).write(&files, name);
        let (known, stated) = logits(&model, &["--verbose"]);
        assert!(stated.contains(&format!("recipe: {recipe} (built in")), "{stated}");
        assert_eq!(known, logits(&model, &["--recipe", recipe]).0);
    }
    let language_model = family("qwen2").write(&files, "qwen2");
    let chosen = ["--model", &language_model, "--recipe", "nemotron-rerank"];
    rerank_on(INPUT, &chosen).fails(2, &["--recipe nemotron-rerank: it is for classifiers", "language model"]);
}

#[test]
fn the_tokens_around_a_text_are_added_where_a_recipe_asks_for_them() {
    let files = Files::new();
    let model = family("mistral").write(&files, "model");
    let template = "Check whether a given document contains information helpful to answer the query.\\n<Document> \
                    {document}\\n<Query> {query} ??";
    let recipe = |name: &str, more: &str| {
        let text = format!("template = \"{template}\"\nanswers = {{ true = 0 }}\nactivation = \"raw\"\n{more}");
        files.write(name, text)
    };
    let with = recipe("with.toml", "special_tokens = true\n");
    let without = recipe("without.toml", "");
    let (built_in, _) = logits(&model, &["--recipe", "ctxl-rerank-v2"]);
    assert_eq!(logits(&model, &["--recipe", &with]).0, built_in);
    let (others, stated) = logits(&model, &["--recipe", &without]);
    assert_ne!(others, built_in);
    assert!(stated.contains("special_tokens = true"), "{stated}");
}

#[test]
fn a_query_that_fills_the_prompt_is_cut_as_its_makers_do_and_reported() {
    let files = Files::new();
    let model = family("gemma").write(&files, "bge-reranker-v2-gemma");
    let words = |count: usize| (0..count).map(|number| format!("word{number} ")).collect::<String>();
    let scored = |query: &str, length: &str| {
        let line = json!({"query": query, "candidates": [{"text": "Nobody does."}]}).to_string();
        let run = rerank_on(line, &["--model", &model, "--dtype", "f32", "--max-length", length]);
        (run.rankings()[0]["results"][0].clone(), run.stderr)
    };
    // What is behind the first three quarters has no effect.
    let (long, stated) = scored(&words(300), "200");
    let (longer, _) = scored(&words(400), "200");
    assert_eq!((&long["logit"], &long["truncated"]), (&longer["logit"], &json!(true)));
    assert!(stated.contains("longer than three quarters") && stated.contains("marked as truncated"), "{stated}");
    let (short, stated) = scored(&words(3), "200");
    assert!(short["truncated"] != true && !stated.contains("three quarters"), "{short} {stated}");
}

#[test]
fn a_printed_prompt_has_the_tokens_around_it_and_shows_its_parts() {
    let files = Files::new();
    for (name, recipe, start) in [
        ("mistral", "ctxl-rerank-v2", "⟦<s>⟧Check whether a given"),
        ("gemma", "bge-reranker-v2-gemma", "⟦<bos>⟧⟦⟧A: who sees that bird⟦⟧\n⟦⟧B: "),
        ("nemotron", "nemotron-rerank", "⟦<|begin_of_text|>⟧question:who sees that bird \n \n passage:"),
    ] {
        let model = family(name).write(&files, name);
        let run = rerank_on(INPUT, &["--model", &model, "--recipe", recipe, "--dry-run", "--verbose"]);
        assert!(run.stderr.contains(start), "{start} is not in: {}", run.stderr);
    }
}

fn tokenizer(files: &Files, name: &str) -> TextTokenizer {
    let directory = files.path(name);
    std::fs::create_dir(&directory).unwrap();
    for entry in std::fs::read_dir(format!("testdata/tokenizers/{name}")).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), directory.join(entry.file_name())).unwrap();
    }
    files.write(&format!("{name}/config.json"), json!({"model_type": name}).to_string());
    TextTokenizer::read(&ModelFiles::in_directory(&directory)).unwrap()
}

#[test]
fn control_tokens_of_base_models_stay_text_in_texts() {
    let files = Files::new();
    for name in ["qwen2", "gemma", "llama", "mistral"] {
        let tokenizer = tokenizer(&files, name);
        let control: Vec<(String, u32)> =
            tokenizer.control_tokens().map(|(token, id)| (token.to_owned(), id)).collect();
        assert!(control.len() >= 3, "{name}: {control:?}");
        for (token, id) in &control {
            let found = tokenizer.encode(&format!("an {token} and{token}")).unwrap();
            assert!(!found.contains(id), "{name}: {token} in {found:?}");
        }
        assert!(tokenizer.warnings().iter().all(|warning| !warning.contains("special tokens")), "{name}");
    }
    // A word that was added to Gemma's vocabulary is no control token.
    let gemma = tokenizer(&Files::new(), "gemma");
    assert_eq!(gemma.encode("<table>").unwrap().len(), 1);
}

#[test]
fn only_a_whole_text_begins_with_a_space_of_its_own() {
    let files = Files::new();
    let mistral = tokenizer(&files, "mistral");
    // AutoTokenizer gives "Yes" and "<s>Yes" these tokens, the control token left out.
    let begins = mistral.at(false).encode("Yes").unwrap();
    assert_eq!((begins.len(), mistral.single_token("Yes").unwrap()), (1, begins[0]));
    assert_ne!(mistral.at(true).encode("Yes").unwrap(), begins);
    assert_eq!(mistral.at(true).encode(" Yes").unwrap(), begins);
    let gemma = tokenizer(&files, "gemma");
    assert_eq!(gemma.at(true).encode("Yes").unwrap(), gemma.at(false).encode("Yes").unwrap());
}

#[test]
fn models_that_are_no_text_pair_rerankers_are_refused_with_the_reason() {
    for (config, named) in [
        (
            json!({"model_type": "qwen3", "architectures": ["JinaForRanking"],
                "auto_map": {"AutoModel": "modeling.JinaForRanking"}}),
            &["listwise", "JinaForRanking"][..],
        ),
        (json!({"model_type": "qwen2_vl", "architectures": ["JinaVLForRanking"]}), &["multimodal", "JinaVLForRanking"]),
        (
            json!({"model_type": "qwen3_vl", "architectures": ["Qwen3VLForConditionalGeneration"], "vision_config": {}}),
            &["multimodal", "reads images"],
        ),
        (
            json!({"model_type": "llama_nemotron_vl", "architectures": ["LlamaNemotronVLForSequenceClassification"]}),
            &["multimodal"],
        ),
        (
            json!({"model_type": "any", "architectures": ["AnyForScoring"], "vision_config": {"depth": 2}}),
            &["multimodal"],
        ),
        (
            json!({"model_type": "minicpm", "architectures": ["LayerWiseMiniCPMForCausalLM"]}),
            &["layerwise", "bge-reranker-v2-m3"],
        ),
        (json!({"model_type": "cost_wise_gemma", "architectures": ["CostWiseGemmaForCausalLM"]}), &["layerwise"]),
        (
            json!({"model_type": "t5", "architectures": ["T5ForConditionalGeneration"]}),
            &["encoder and a decoder", "T5"],
        ),
        (
            json!({"model_type": "bart", "architectures": ["AnyForSequenceClassification"], "is_encoder_decoder": true}),
            &["encoder and a decoder"],
        ),
        (
            json!({"model_type": "qwen3_5", "architectures": ["Qwen3_5ForConditionalGeneration"], "text_config": {}}),
            &["multimodal", "Qwen3_5ForConditionalGeneration"],
        ),
        (json!({"model_type": "qwen3", "architectures": ["Qwen3Model"]}), &["embedding model", "Qwen3Model"]),
        (json!({"model_type": "llama_bidirec", "architectures": ["LlamaBidirectionalModel"]}), &["embedding model"]),
        (json!({"model_type": "bert", "architectures": ["HF_ColBERT"]}), &["late-interaction", "ColBERT"]),
        (json!({"model_type": "gpt2", "architectures": ["GPT2LMHeadModel"]}), &["family is not supported", "gpt2"]),
        (
            json!({"model_type": "llama", "architectures": ["LlamaForSequenceClassification"], "hidden_size": 64,
                "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64, "vocab_size": 420,
                "id2label": {"0": "contradiction", "1": "entailment", "2": "neutral"}}),
            &["3 labels (contradiction, entailment, neutral)", "natural language inference"],
        ),
    ] {
        let files = Files::new();
        let model = files.copy_model("testdata/odd-reranker", "model");
        files.write("model/config.json", config.to_string());
        rerank_on(INPUT, &["--model", &model]).fails(1, &[&["config.json"], named].concat());
    }
}

#[test]
fn fields_of_decoders_are_obeyed_or_refused() {
    for (name, changes, named) in [
        (
            "mistral",
            json!({"layer_types": ["full_attention", "sliding_attention"]}),
            "layer_types has `sliding_attention`",
        ),
        ("mistral", json!({"attention_bias": true}), "mistral models have no such biases"),
        ("mistral", json!({"rope_scaling": {"type": "yarn", "factor": 4.0}}), "`yarn` is not supported"),
        ("mistral", json!({"rope_scaling": {"type": "dynamic", "factor": 4.0}}), "`dynamic` is not supported"),
        ("mistral", json!({"rope_scaling": {"type": "longrope", "short_factor": []}}), "`longrope` is not supported"),
        ("mistral", json!({"rope_scaling": {"type": "linear"}}), "`linear` needs factor"),
        ("mistral", json!({"rope_scaling": {"type": "linear", "factor": 0.5}}), "factor is 0.5"),
        ("llama", json!({"rope_scaling": {"rope_type": "llama3", "factor": 8.0}}), "`llama3` needs low_freq_factor"),
        ("llama", json!({"is_causal": false}), "looks both ways"),
        ("gemma", json!({"use_bidirectional_attention": true}), "looks both ways"),
        ("gemma", json!({"hidden_activation": "silu"}), "hidden_activation is silu"),
        ("gemma", json!({"query_pre_attn_scalar": 144}), "query_pre_attn_scalar"),
        ("nemotron", json!({"pooling": "weighted_avg"}), "pooling is weighted_avg"),
        ("nemotron", json!({"temperature": 0}), "temperature is 0"),
        ("qwen2", json!({"layer_types": ["full_attention", "sliding_attention"]}), "no use_sliding_window"),
    ] {
        let files = Files::new();
        let model = family(name).write(&files, "model");
        let mut config: Value = serde_json::from_str(&files.read("model/config.json")).unwrap();
        for (field, value) in changes.as_object().unwrap() {
            config[field] = value.clone();
        }
        files.write("model/config.json", config.to_string());
        rerank_on(INPUT, &["--model", &model]).fails(1, &["config.json", named]);
    }
}
