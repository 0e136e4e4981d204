//! `rerank check`: known scores are compared, and what is off is named.

use console::measure_text_width;
use rerank::check::Table;
use serde_json::{Value, json};

use crate::family;
use crate::fixture::{Files, Run, rerank, rerank_by_fixed_kernels};
use crate::quantized;

const TINY: &str = "testdata/tiny-reranker";
const DTYPES: [&str; 5] = ["f32", "bf16", "f16", "int8", "int16"];

fn check(model: &str, arguments: &[&str]) -> Run {
    rerank(&[&["check", "--model", model], arguments].concat())
}

#[track_caller]
fn report(run: &Run) -> Value {
    serde_json::from_str(&run.stdout).unwrap_or_else(|error| panic!("{error}: {}{}", run.stdout, run.stderr))
}

/// What transformers gives for a query of `testdata/parity.jsonl`, as a file of known scores in these precisions.
fn reference(model: &str, dtypes: &[&str]) -> Value {
    let lines = std::fs::read_to_string("testdata/parity.jsonl").unwrap();
    let group: Value = serde_json::from_str(lines.lines().next().unwrap()).unwrap();
    let expected: Value =
        serde_json::from_str(&std::fs::read_to_string(format!("{model}.expected.json")).unwrap()).unwrap();
    let candidates = group["candidates"].as_array().unwrap();
    let logits = &expected["logits"][group["query_id"].as_str().unwrap()];
    let entry = |dtype: &&str| {
        let of_candidate = |candidate: &Value| logits[candidate["id"].as_str().unwrap()][*dtype].clone();
        json!({
            "query": group["query"],
            "documents": candidates.iter().map(|candidate| candidate["text"].clone()).collect::<Vec<_>>(),
            "dtype": dtype,
            "logits": candidates.iter().map(of_candidate).collect::<Vec<_>>(),
        })
    };
    json!({"entries": dtypes.iter().map(entry).collect::<Vec<_>>()})
}

/// Checks the model against these scores.
fn against(model: &str, golden: &Value, arguments: &[&str]) -> Run {
    let files = Files::new();
    let file = files.write("golden.json", golden.to_string());
    check(model, &[&["--golden", &file], arguments].concat())
}

#[test]
fn quantized_weights_of_a_published_model_are_compared_by_order() {
    let files = Files::new();
    let model = quantized::models().write(&files, "gptq-v2", |_| ());
    let published = files.name("Qwen3-Reranker-0.6B");
    std::fs::rename(model, &published).unwrap();
    let table = check(&published, &["--dtype", "f32"]);
    let compared =
        "compared with published scores of Qwen/Qwen3-Reranker-0.6B, by order alone, as the weights are quantized";
    assert!(table.stdout.contains(compared), "{}", table.stdout);
    let run = check(&published, &["--dtype", "f32", "--format", "json"]);
    let report = report(&run);
    assert_eq!(
        (report["run"]["by_order"].clone(), &report["entries"][0]["compared"][0]["allowed"]),
        (json!(true), &Value::Null)
    );
    // A model of random weights, whose scores tell the documents of these queries wrongly apart.
    assert_eq!(run.status, 1, "{}", run.stderr);
    assert!(run.stderr.contains("documents are in another order"), "{}", run.stderr);
    // Its own scores may be those of these weights: they are compared as any others.
    let golden = files.write("golden.json", run.stdout);
    let own = check(&published, &["--dtype", "f32", "--golden", &golden, "--format", "json"]);
    assert_eq!(own.status, 0, "{}", own.stderr);
    assert!(!own.stdout.contains("\"by_order\":true"), "{}", own.stdout);
}

#[test]
fn scores_of_transformers_agree_in_every_precision() {
    for model in [TINY, "testdata/odd-reranker"] {
        let run = against(model, &reference(model, &["f32"]), &["--dtype", "all", "--format", "json"]);
        assert_eq!(run.status, 0, "{}", run.stderr);
        let report = report(&run);
        assert_eq!(report["agrees"], true);
        let entries = report["entries"].as_array().unwrap();
        assert_eq!(entries.iter().map(|entry| entry["dtype"].as_str().unwrap()).collect::<Vec<_>>(), DTYPES);
        for entry in entries {
            let compared = &entry["compared"][0];
            assert_eq!((&compared["values"], &compared["dtype"]), (&"logits".into(), &"f32".into()));
            assert_eq!(entry["alone"]["difference"], 0.);
            let allowed = if entry["dtype"] == "f32" { 2e-4 } else { 1. };
            assert!(compared["allowed"].as_array().unwrap().iter().all(|value| value.as_f64().unwrap() <= allowed));
            for (name, other) in [("got", "logits"), ("expected", "logits")] {
                let pairs = compared[name].as_array().unwrap().iter().zip(entry[other].as_array().unwrap());
                for (one, other) in pairs {
                    assert!((one.as_f64().unwrap() - other.as_f64().unwrap()).abs() < 0.2, "{report}");
                }
            }
        }
    }
}

#[test]
fn every_family_is_checked() {
    for (name, family) in family::all() {
        let files = Files::new();
        let model = family.write(&files, &name);
        let options: Vec<&str> = family.arguments.iter().map(String::as_str).collect();
        let run = check(&model, &[&options[..], &["--dtype", "all"]].concat());
        assert_eq!(run.status, 0, "{name}: {}", run.stderr);
        let entry = |pair: &family::Pair| {
            let texts = json!({"query": pair.query.text(), "documents": [pair.document.text()], "dtype": "f32"});
            let mut entry = texts.as_object().unwrap().clone();
            entry.insert("logits".into(), json!([pair.f32]));
            entry
        };
        let golden = json!({"entries": family.pairs.iter().map(entry).collect::<Vec<_>>()});
        let run = against(&model, &golden, &[&options[..], &["--dtype", "f32"]].concat());
        assert_eq!(run.status, 0, "{name}: {}", run.stderr);
    }
}

#[test]
fn scores_are_compared_with_those_of_their_own_precision() {
    let run = against(TINY, &reference(TINY, &["f32", "bf16"]), &["--dtype", "f32,bf16,f16", "--format", "json"]);
    let entries = report(&run)["entries"].as_array().unwrap().clone();
    let compared: Vec<_> = entries.iter().map(|entry| [&entry["dtype"], &entry["compared"][0]["dtype"]]).collect();
    assert_eq!(compared, [["f32", "f32"], ["bf16", "bf16"], ["f16", "f32"]]);
}

#[test]
fn a_pair_that_is_off_is_named() {
    let mut golden = reference(TINY, &["f32"]);
    let logit = golden["entries"][0]["logits"][1].as_f64().unwrap();
    golden["entries"][0]["logits"][1] = json!(logit + 0.01);
    let run = against(TINY, &golden, &["--dtype", "f32,bf16"]);
    run.fails(1, &["1 of 12 scores are off", "golden.json", "1.2 in f32"]);
    assert_eq!(run.stdout.lines().filter(|line| line.ends_with("OFF")).count(), 1, "{}", run.stdout);
    assert!(!run.stdout.contains("agree"), "{}", run.stdout);
    let run = against(TINY, &golden, &["--format", "json", "--dtype", "f32"]);
    run.fails(1, &["1.2 in f32"]);
    assert_eq!(report(&run)["agrees"], false);
    assert_eq!(report(&run)["entries"][0]["compared"][0]["agrees"], json!([true, false, true, true, true, true]));
    // A tolerance of the file's own.
    golden["entries"][0]["tolerance"] = json!(0.02);
    assert_eq!(against(TINY, &golden, &["--dtype", "f32"]).status, 0);
}

#[test]
fn what_is_printed_can_be_compared_elsewhere() {
    let files = Files::new();
    let check =
        |model: &str, arguments: &[&str]| rerank_by_fixed_kernels(&[&["check", "--model", model], arguments].concat());
    let first = check(TINY, &["--dtype", "all", "--format", "json"]);
    assert_eq!((first.status, report(&first)["agrees"].clone()), (0, Value::Null), "{}", first.stderr);
    let file = files.write("scores.json", &first.stdout);
    let second = check(TINY, &["--dtype", "all", "--golden", &file, "--format", "json"]);
    assert_eq!((second.status, report(&second)["agrees"].clone()), (0, true.into()), "{}", second.stderr);
    let same = report(&second)["entries"].as_array().unwrap().iter().all(|entry| {
        entry["compared"][0]["dtype"] == entry["dtype"]
            && entry["compared"][0]["difference"].as_array().unwrap().iter().all(|value| *value == 0.)
    });
    assert!(same, "{}", second.stdout);
    check("testdata/odd-reranker", &["--golden", &file, "--dtype", "f32"])
        .fails(1, &["scores are off", "scores.json", "1.1 in f32"]);
}

#[test]
fn logits_are_those_of_a_run() {
    let files = Files::new();
    for entry in report(&check(TINY, &["--dtype", "f32", "--format", "json"]))["entries"].as_array().unwrap() {
        let input =
            files.write("a.jsonl", json!({"query": entry["query"], "documents": entry["documents"]}).to_string());
        let rankings = rerank(&["--model", TINY, "--input", &input, "--dtype", "f32"]).rankings();
        let mut results = rankings[0]["results"].as_array().unwrap().clone();
        results.sort_by_key(|result| result["original_rank"].as_u64());
        for (name, of_run) in [("logits", "logit"), ("scores", "score")] {
            let run: Vec<Value> = results.iter().map(|result| result[of_run].clone()).collect();
            assert_eq!(entry[name], Value::Array(run));
        }
    }
}

#[test]
fn scores_and_probabilities_are_compared_too() {
    let mut golden = reference(TINY, &["f32"]);
    let logits = golden["entries"][0]["logits"].take();
    let logits: Vec<f64> = logits.as_array().unwrap().iter().map(|logit| logit.as_f64().unwrap()).collect();
    let probabilities = |temperature: f64| -> Value {
        logits.iter().map(|logit| 1. / (1. + (-logit / temperature).exp())).collect::<Vec<_>>().into()
    };
    golden["entries"][0].as_object_mut().unwrap().remove("logits");
    for (name, temperature) in [("scores", 1.), ("probabilities", 1.), ("probabilities", 5.)] {
        let mut golden = golden.clone();
        golden["entries"][0][name] = probabilities(temperature);
        if temperature != 1. {
            golden["entries"][0]["temperature"] = json!(temperature);
        }
        let run = against(TINY, &golden, &["--format", "json", "--dtype", "f32"]);
        assert_eq!(run.status, 0, "{}", run.stderr);
        assert_eq!(report(&run)["entries"][0]["compared"][0]["values"], name);
        golden["entries"][0][name] = probabilities(2. * temperature);
        against(TINY, &golden, &["--dtype", "f32"]).fails(1, &["scores are off"]);
    }
}

#[test]
fn a_model_is_compared_as_what_its_name_states() {
    let files = Files::new();
    let model = files.copy_model(TINY, "Qwen3-Reranker-0.6B");
    let run = check(&model, &["--dtype", "f32"]);
    run.fails(1, &["compared as Qwen/Qwen3-Reranker-0.6B", "--as none", "scores are off", "1.1 in f32"]);
    for part in ["Red Planet?", "logits in f32 [1]", "\n[1] https://github.com/", "instruction: Given a web", "OFF"] {
        assert!(run.stdout.contains(part), "{part} is not in: {}", run.stdout);
    }
    let none = check(&model, &["--dtype", "f32", "--as", "none"]);
    assert!(none.status == 0 && !none.stderr.contains("compared as"), "{}", none.stderr);
    check(TINY, &["--dtype", "f32", "--as", "qwen3-reranker-4b"]).fails(1, &["of Qwen/Qwen3-Reranker-4B"]);
    check(TINY, &["--as", "Qwen/Qwen3-Reranker-5B"]).fails(2, &["--as", "no known scores", "Qwen/Qwen3-Reranker-4B"]);
    let named = files.copy_model(TINY, "named");
    let mut config: Value = serde_json::from_str(&files.read("named/config.json")).unwrap();
    config["_name_or_path"] = "BAAI/bge-reranker-base".into();
    files.write("named/config.json", config.to_string());
    let run = check(&named, &["--dtype", "f32"]);
    assert_eq!(run.status, 0, "{}", run.stderr);
    assert!(run.stderr.contains("_name_or_path") && run.stdout.contains("Nothing was compared"), "{}", run.stderr);
}

#[test]
fn scores_of_named_models_are_for_these() {
    let mut golden = reference(TINY, &["f32"]);
    golden["entries"][0]["models"] = json!(["owner/tiny", "owner/other"]);
    against(TINY, &golden, &[]).fails(2, &["golden.json", "owner/tiny, owner/other", "--as"]);
    assert_eq!(against(TINY, &golden, &["--as", "owner/tiny", "--dtype", "f32"]).status, 0);
    against(TINY, &golden, &["--as", "third"]).fails(2, &["--as third"]);
}

#[test]
fn files_that_are_none_are_refused() {
    let files = Files::new();
    let entry = |changes: Value| {
        let mut entry = json!({"query": "q", "documents": ["a", "b"], "dtype": "f32", "logits": [1, 2]});
        changes.as_object().unwrap().iter().for_each(|(name, value)| entry[name] = value.clone());
        json!({"entries": [entry]}).to_string()
    };
    for (content, named) in [
        ("query,text\n".to_owned(), "it should be a report of rerank check --format json"),
        ("[]".to_owned(), "--format json"),
        ("{\"entries\":[]}".to_owned(), "nothing to compare"),
        ("{\"entries\":[{\"query\":\"q\"".to_owned(), "EOF"),
        (entry(json!({"logit": [1, 2]})), "`logit`"),
        (entry(json!({"logits": [1]})), "entry 1: it has 1 values for 2 documents"),
        (entry(json!({"logits": [1, null]})), "null"),
        (entry(json!({"logits": null})), "neither logits nor scores"),
        (entry(json!({"dtype": "fp4"})), "\"fp4\", and should be f32, bf16, f16, int8, int16 or fp8"),
        (entry(json!({"dtype": null})), "null"),
        (entry(json!({"tolerance": 0})), "tolerance"),
        (entry(json!({"temperature": 5})), "temperature"),
        (entry(json!({"probabilities": [1, 0]})), "beside"),
        (entry(json!({"logits": null, "probabilities": [1, 2]})), "a probability is 2"),
        (entry(json!({"documents": [], "logits": []})), "no documents"),
        (entry(json!({"relevant": 2})), "relevant is 2"),
        (entry(json!({"query": " "})), "query is empty"),
    ] {
        let file = files.write("golden.json", &content);
        check(TINY, &["--golden", &file]).fails(2, &["--golden", "golden.json", named]);
    }
    let file = files.write("golden.json", entry(json!({"logits": null, "scores": [0.5, 1.5]})));
    check(TINY, &["--golden", &file]).fails(2, &["--golden", "is 1.5", "probabilities (sigmoid)"]);
    check(TINY, &["--golden", "nowhere.json"]).fails(2, &["--golden", "nowhere.json"]);
    check(TINY, &["--golden", "testdata"]).fails(2, &["--golden", "testdata"]);
}

#[test]
fn what_can_not_be_checked_is_refused() {
    check("nowhere/at/all", &[]).fails(2, &["nowhere/at/all"]);
    check("fake", &[]).fails(2, &["--model fake", "nothing to check"]);
    check(TINY, &["--device", "cpu,cpu"]).fails(2, &["--device", "one device"]);
    check(TINY, &["--dtype", "fp4"]).fails(2, &["fp4"]);
    check(TINY, &["--recipe", "nonesuch"]).fails(2, &["nonesuch"]);
    let golden = reference(TINY, &["f32"]);
    against(TINY, &golden, &["--instruction", "Judge"]).fails(2, &["--instruction", "leave the option out"]);
    against(TINY, &golden, &["--as", "none"]).fails(2, &["--as none", "--golden"]);
    let mut long = golden;
    long["entries"][0]["documents"][0] = "word ".repeat(20_000).into();
    against(TINY, &long, &["--dtype", "f32"]).fails(1, &["1.1 in f32", "are cut", "flea"]);
}

#[test]
fn an_instruction_and_a_recipe_are_those_of_the_user() {
    let run = check(TINY, &["--dtype", "f32", "--format", "json", "--instruction", "Find the capital"]);
    let changed = report(&run);
    assert_eq!(changed["entries"][0]["instruction"], "Find the capital");
    let plain = report(&check(TINY, &["--dtype", "f32", "--format", "json"]));
    assert!(changed["entries"][0]["logits"] != plain["entries"][0]["logits"]);
    // The report has the instruction, so that it can be compared.
    assert_eq!(against(TINY, &changed, &["--dtype", "f32"]).status, 0);
    let files = Files::new();
    let recipe =
        files.write("own.toml", "template = \"{query} {document}\"\nanswers = { true = \"yes\", false = \"no\" }\n");
    let run = against(TINY, &plain, &["--dtype", "f32", "--recipe", &recipe]);
    run.fails(1, &["scores are off"]);
    assert!(run.stdout.contains("own.toml"), "{}", run.stdout);
}

#[test]
fn a_table_fits_80_columns() {
    let wide = json!({"entries": [{"query": "中国的首都在哪儿".repeat(20), "documents": ["北京".repeat(40), "a\nb\u{1b}[31m"],
        "dtype": "bf16", "logits": [-123.456, 1e-5], "source": "a note"}]});
    let known = check(TINY, &["--dtype", "all", "--as", "Qwen/Qwen3-Reranker-8B"]);
    for run in [check(TINY, &["--dtype", "all"]), known, against(TINY, &wide, &["--dtype", "all"])] {
        for line in run.stdout.lines().filter(|line| !line.starts_with('[') && !line.contains("golden.json")) {
            assert!(measure_text_width(line) <= 80 && !line.contains('\u{1b}'), "{line:?}");
        }
        assert!(run.stdout.lines().count() > 10, "{}", run.stdout);
    }
}

#[test]
fn published_scores_are_whole() {
    let table = Table::published().unwrap();
    let names = table.models();
    assert_eq!(rerank(&["check", "--list"]).stdout.lines().collect::<Vec<_>>(), names);
    rerank(&["check", "--list", "--golden", "known.json"]).fails(2, &["--list", "--golden"]);
    let mut lower: Vec<String> = names.iter().map(|name| name.to_lowercase()).collect();
    lower.sort_unstable();
    lower.dedup();
    assert_eq!(lower.len(), names.len());
    for name in names {
        assert_eq!(name.split('/').filter(|part| !part.is_empty()).count(), 2, "{name}");
        for golden in table.golden(Some(name)) {
            assert!(!golden.texts.query.is_empty() && !golden.known.is_empty(), "{name}");
            for known in &golden.known {
                assert_eq!(known.values.len(), golden.texts.documents.len());
                assert!(known.source.as_ref().is_some_and(|source| source.starts_with("https://")), "{name}");
                assert!(known.values.iter().all(|value| value.abs() < 20.));
            }
            let mut dtypes: Vec<_> = golden.known.iter().map(|known| known.dtype.name()).collect();
            dtypes.dedup();
            assert_eq!(dtypes.len(), golden.known.len(), "{name} has the scores of a query twice");
        }
    }
}
