//! The options of the recipe: `--recipe`, `--score`, `--instruction`, and what is reported of them.

use serde_json::{Value, json};

use crate::family::all;
use crate::fixture::{Files, rerank, rerank_on};

const ODD: [&str; 6] = ["--model", "testdata/odd-reranker", "--input", "testdata/candidates.jsonl", "--dtype", "f32"];

/// The built-in recipe of Qwen3-Reranker, written as a user would.
const QWEN3: &str = r#"
template = """<|im_start|>system
Judge whether the Document meets the requirements based on the Query and the Instruct provided. Note that the answer can only be "yes" or "no".<|im_end|>
<|im_start|>user
<Instruct>: {instruction}
<Query>: {query}
<Document>: {document}<|im_end|>
<|im_start|>assistant
<think>

</think>

"""
instruction = "Given a web search query, retrieve relevant passages that answer the query"
answers = { true = "yes", false = "no" }
"#;

fn values(arguments: &[&str], name: &str) -> Vec<f64> {
    let rankings = rerank(&[&ODD[..], arguments].concat()).rankings();
    let results = rankings.iter().flat_map(|ranking| ranking["results"].as_array().unwrap());
    results.map(|result| result[name].as_f64().unwrap()).collect()
}

#[test]
fn a_recipes_file_does_what_it_says() {
    let files = Files::new();
    let plain = values(&[], "logit");
    let same = files.write("mine.toml", QWEN3);
    assert_eq!(values(&["--recipe", &same], "logit"), plain);
    assert_eq!(values(&["--recipe", "qwen3-reranker"], "logit"), plain);
    let of_windows = files.write("windows.toml", QWEN3.replace('\n', "\r\n"));
    assert_eq!(values(&["--recipe", &of_windows], "logit"), plain);
    for (from, to) in [
        ("Judge whether", "Judge if"),
        ("Given a web", "Given another web"),
        (r#"true = "yes""#, "true = 100"),
        (r#", false = "no""#, ""),
        ("{document}", "{document|trim}."),
    ] {
        assert!(QWEN3.contains(from));
        let changed = files.write("changed.toml", QWEN3.replace(from, to));
        assert_ne!(values(&["--recipe", &changed], "logit"), plain, "{from}");
    }
    let scaled =
        files.write("scaled.toml", format!("{QWEN3}activation = \"raw\"\ntemperature = 2.0\ncut = \"document\""));
    let half = |score: f64| (score * 2.) as f32;
    let doubled: Vec<f32> = values(&["--recipe", &scaled], "score").into_iter().map(half).collect();
    assert_eq!(doubled, plain.iter().map(|logit| *logit as f32).collect::<Vec<_>>());
    assert_eq!(values(&["--recipe", &scaled], "logit"), plain);
    assert_eq!(values(&["--recipe", &scaled, "--score", "raw"], "score"), plain);
}

#[test]
fn a_template_without_instruction_is_used_where_none_is_given() {
    let files = Files::new();
    let recipe = "template = \"{instruction} {query} {document}\"\ntemplate_without_instruction = \"{query} {document}\"\n\
                  answers = { true = 7 }";
    let recipe = files.write("mine.toml", recipe);
    let prompt =
        |arguments: &[&str]| rerank(&[&ODD[..], &["--recipe", &recipe, "-v", "--dry-run"], arguments].concat()).stderr;
    assert!(prompt(&[]).contains("\nWhich planet is known as the Red Planet? "), "{}", prompt(&[]));
    assert!(prompt(&["--instruction", "Do it."]).contains("\nDo it. Which planet is known as the Red Planet? "));
}

#[test]
fn a_wrong_recipe_is_refused_with_its_place() {
    let files = Files::new();
    for (content, status, parts) in [
        (format!("{QWEN3}colour = 3"), 2, vec!["line 16", "colour", "template"]),
        (QWEN3.replace("{query}", "{question}"), 2, vec!["{question}", "line 5", "{document}"]),
        (QWEN3.replace("{query}", ""), 2, vec!["no place for the query"]),
        (QWEN3.replace("\"yes\"", "\"yes or no\""), 2, vec!["`yes or no` should be one token"]),
        (QWEN3.replace("\"yes\"", "\"no\""), 2, vec!["same token", "wrong.toml"]),
        (QWEN3.replace("\"yes\"", "99999"), 2, vec!["token 99999", "420 tokens"]),
        (format!("{QWEN3}cut = \"query\""), 2, vec!["cut", "document"]),
        (format!("{QWEN3}activation = \"tanh\""), 2, vec!["tanh", "sigmoid"]),
        (format!("{QWEN3}temperature = 0"), 2, vec!["temperature"]),
        (format!("{QWEN3}head = \"classifier\""), 2, vec!["answers", "classifier"]),
        (QWEN3.replace("answers = { true = \"yes\", false = \"no\" }", ""), 2, vec!["no answers"]),
        (
            QWEN3.replace("answers = { true = \"yes\", false = \"no\" }", "head = \"classifier\""),
            2,
            vec!["needs `answers`"],
        ),
        (QWEN3.replace("instruction = \"Given", "name = \"Given"), 2, vec!["template_without_instruction"]),
        ("template = ".to_owned(), 2, vec!["line 1"]),
    ] {
        let name = files.write("wrong.toml", content);
        rerank(&[&ODD[..], &["--recipe", &name]].concat()).fails(status, &[&["wrong.toml"], &parts[..]].concat());
    }
    let wrong = files.write("wrong.toml", format!("{QWEN3}colour = 3"));
    let run = rerank(&[&ODD[..], &["--recipe", &wrong]].concat());
    assert!(
        run.stderr.contains("line 16, `colour = 3`: unknown field") && !run.stderr.contains("\\n"),
        "{}",
        run.stderr
    );
    let empty = files.write("empty.toml", "");
    let run = rerank(&[&ODD[..], &["--recipe", &empty]].concat());
    run.fails(2, &["--recipe", "empty.toml", "it is empty, and should be a recipe"]);
    assert!(!run.stderr.contains("download"), "{}", run.stderr);
    let directory = files.name("");
    rerank(&[&ODD[..], &["--recipe", &directory]].concat()).fails(2, &["--recipe", "it is a directory"]);
    rerank(&[&ODD[..], &["--recipe", "qwen2"]].concat())
        .fails(2, &["qwen2", "qwen3-reranker, mxbai-rerank-v2, zerank"]);
    let help = rerank(&["--help"]).stdout;
    for name in rerank::recipe::recipe_names().split(", ") {
        assert!(help.contains(name), "{name}");
    }
}

#[test]
fn the_score_is_what_was_asked_for_and_the_ranking_stays() {
    let [auto, sigmoid, raw] = ["auto", "sigmoid", "raw"].map(|choice| values(&["--score", choice], "score"));
    let logits = values(&["--score", "raw"], "logit");
    assert_eq!(raw, logits);
    assert_eq!(auto, sigmoid);
    for (score, logit) in sigmoid.iter().zip(&logits) {
        assert!((score - 1. / (1. + (-logit).exp())).abs() < 1e-6);
    }
    let middle = logits[2].to_string();
    let kept = values(&["--score", "raw", "--min-score", &middle], "logit");
    assert_eq!(kept, logits.iter().copied().filter(|logit| *logit >= logits[2]).collect::<Vec<_>>());
    assert_eq!(
        values(&["--score", "raw", "--min-score", "-1e3"], "logit").len(),
        logits.len(),
        "a negative number is a value in any notation"
    );
    for unreachable in ["-inf", "nan", "-"] {
        rerank(&[&ODD[..], &["--min-score", unreachable]].concat()).fails(2, &["--min-score", "a number is expected"]);
    }
    rerank(&[&ODD[..], &["--min-score", "-1.5"]].concat()).fails(2, &["--min-score -1.5", "--score raw"]);
    rerank(&[&ODD[..], &["--min-score", "2", "--score", "sigmoid"]].concat()).fails(2, &["--min-score 2"]);
    let fake =
        rerank(&["--model", "fake", "--input", "testdata/candidates.jsonl", "--score", "raw", "--min-score", "-4"]);
    assert_eq!(fake.rankings()[0]["results"][4]["score"], -4.0);
}

#[test]
fn an_instruction_without_a_place_is_refused() {
    let files = Files::new();
    let recipe = files.write("mine.toml", "template = \"{query} {document}\"\nanswers = { true = 7 }");
    rerank(&[&ODD[..], &["--recipe", &recipe, "--instruction", "x"]].concat())
        .fails(2, &["--instruction", "no place", "mine"]);
    let line = json!({"query": "q", "instruction": "x", "candidates": ["d"]}).to_string();
    let run = rerank_on(line, &["--model", "testdata/odd-reranker", "--recipe", &recipe]);
    run.fails(1, &["query \"1\"", "instruction", "no place", "mine"]);
}

#[test]
fn the_recipe_is_reported() {
    let files = Files::new();
    let (stats, recipe) = (files.name("stats.json"), files.write("mine.toml", QWEN3));
    for (arguments, name, origin) in [
        (vec![], "qwen3-reranker", "built in"),
        (vec!["--recipe", "qwen3-reranker"], "qwen3-reranker", "built in"),
        (vec!["--recipe", &recipe], "mine", &*recipe),
    ] {
        for dry in [&[][..], &["--dry-run"]] {
            let run = rerank(&[&ODD[..], &arguments, dry, &["--stats", &stats, "--verbose"]].concat());
            assert_eq!(run.status, 0, "{}", run.stderr);
            let figures: Value = serde_json::from_str(&files.read("stats.json")).unwrap();
            assert_eq!(figures["recipe"], json!({"name": name, "origin": origin, "score": "sigmoid"}));
            assert!(run.stderr.contains(&format!("recipe: {name} ({origin})")), "{}", run.stderr);
        }
    }
}

#[test]
fn a_dry_run_shows_the_prompt_of_every_recipe() {
    let shown = |recipe: &str| {
        let run = rerank(&[&ODD[..], &["--recipe", recipe, "--dry-run", "--verbose"]].concat());
        assert_eq!(run.status, 0, "{}", run.stderr);
        run.stderr
    };
    let qwen3 = shown("qwen3-reranker");
    let prompt = "⟦<|im_end|>⟧\n⟦<|im_start|>⟧user\n<Instruct>: Given a web search query, retrieve relevant passages that \
                  answer the query\n<Query>: Which planet is known as the Red Planet?\n<Document>: ";
    assert!(qwen3.contains(prompt), "{qwen3}");
    assert!(qwen3.contains("\n⟦<think>⟧\n\n⟦</think>⟧\n\n\nthe prompt's tokens: [416, "), "{qwen3}");
    // Its parts are tokenized apart.
    let mxbai = shown("mxbai-rerank-v2");
    let prompt = "user\n⟦⟧query: Which planet is known as the Red Planet?⟦⟧\n⟦⟧document: ";
    assert!(mxbai.contains(prompt), "{mxbai}");
}

#[test]
fn a_control_token_that_is_missing_is_no_lack_of_room() {
    let files = Files::new();
    let (_, family) = all().into_iter().find(|(name, _)| name == "llama").unwrap();
    let model = family.write(&files, "model");
    let run = rerank(&["--model", &model, "--input", "testdata/candidates.jsonl", "--recipe", "mxbai-rerank-v2"]);
    run.fails(2, &["--recipe mxbai-rerank-v2: ", "has no token `<|im_start|>`"]);
    assert!(!run.stderr.contains("allows"), "{}", run.stderr);
}
