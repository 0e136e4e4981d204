//! What people see: messages, summaries, figures, costs.

use serde_json::Value;

use crate::fixture::{Files, Run, rerank, rerank_on};

const FAKE: [&str; 4] = ["--model", "fake", "--input", "testdata/candidates.jsonl"];

/// How many pairs the example holds.
fn pairs() -> usize {
    let text = std::fs::read_to_string("testdata/candidates.jsonl").unwrap();
    crate::fixture::rankings(&text).iter().map(|group| group["candidates"].as_array().unwrap().len()).sum()
}

fn fake(arguments: &[&str]) -> Run {
    rerank(&[&FAKE[..], arguments].concat())
}

#[test]
fn data_goes_to_standard_output_and_two_lines_to_standard_error() {
    let run = fake(&[]);
    assert_eq!(run.rankings().len(), 3);
    let lines: Vec<&str> = run.stderr.lines().collect();
    assert_eq!(lines.len(), 2, "{}", run.stderr);
    let beginning = format!("3 queries, {} pairs (0 truncated), 0 skipped, in ", pairs());
    assert!(lines[0].starts_with(&beginning), "{}", lines[0]);
    for part in ["pairs/s", "tokens/s", "p50", "p95", "p99", "shared prefixes saved"] {
        assert!(lines[1].contains(part), "{part}: {}", lines[1]);
    }
}

#[test]
fn with_an_output_file_nothing_goes_to_standard_output() {
    let files = Files::new();
    let run = fake(&["--output", &files.name("ranked.jsonl")]);
    assert_eq!((run.status, run.stdout.as_str()), (0, ""));
    assert_eq!(files.read("ranked.jsonl"), fake(&[]).stdout);
    assert_eq!(fake(&["--output", "-"]).stdout, fake(&[]).stdout);
}

#[test]
fn jsonl_in_a_file_that_is_named_json_is_said_once() {
    let files = Files::new();
    let run = fake(&["--output", &files.name("ranked.json")]);
    assert_eq!((run.status, files.read("ranked.json")), (0, fake(&[]).stdout));
    assert_eq!(run.stderr.matches("ranked.json is written as JSONL").count(), 1, "{}", run.stderr);
    let run = fake(&["--output", &files.name("other.json"), "--output-format", "jsonl"]);
    assert_eq!(run.stderr.lines().count(), 2, "{}", run.stderr);
}

#[test]
fn quiet_says_nothing_but_errors() {
    let run = fake(&["--quiet"]);
    assert_eq!((run.status, run.stderr.as_str()), (0, ""));
    let run = rerank_on("{}", &["--model", "fake", "--quiet"]);
    run.fails(1, &["standard input:1: "]);
    assert_eq!(run.stderr.lines().count(), 1, "{}", run.stderr);
    assert_eq!(rerank(&["--quiet", "--dry-run", "--model", "fake", "--input", "testdata/candidates.jsonl"]).stderr, "");
}

#[test]
fn verbose_says_what_was_chosen() {
    let run = rerank(&["--verbose", "--model", "testdata/odd-reranker", "--input", "testdata/candidates.jsonl"]);
    assert_eq!(run.status, 0);
    assert!(run.stderr.lines().count() > 2);
    for part in ["testdata/odd-reranker", "device: ", "threads", "8192"] {
        assert!(run.stderr.to_lowercase().contains(part), "{part}: {}", run.stderr);
    }
    fake(&["--verbose", "--quiet"]).fails(2, &["--quiet", "--verbose"]);
}

#[test]
fn progress_is_a_bar_log_lines_or_nothing() {
    for progress in ["none", "log", "auto", "bar"] {
        let run = fake(&["--progress", progress]);
        assert_eq!(run.rankings().len(), 3);
        assert!(run.stderr.ends_with("tokens\n"), "{progress}: {}", run.stderr);
        assert!(!run.stderr.contains('\u{1b}'), "no control sequences where there is no terminal: {}", run.stderr);
    }
}

#[test]
fn stats_are_json_with_the_figures_of_the_run() {
    let files = Files::new();
    let run = rerank(&[
        "--model",
        "testdata/odd-reranker",
        "--input",
        "testdata/candidates.jsonl",
        "--max-length",
        "100",
        "--threads",
        "2",
        "--stats",
        &files.name("stats.json"),
    ]);
    assert_eq!(run.status, 0, "{}", run.stderr);
    let stats: Value = serde_json::from_str(&files.read("stats.json")).unwrap();
    let number = |name: &str| stats[name].as_f64().unwrap_or_else(|| panic!("{name}: {stats}"));
    assert_eq!(
        [number("queries"), number("pairs"), number("skipped"), number("threads")],
        [3., pairs() as f64, 0., 2.]
    );
    assert_eq!([&stats["device"], &stats["dtype"]], ["cpu", "f32"]);
    let shares = stats["time_shares"].as_object().unwrap();
    let sum: f64 = shares.values().map(|share| share.as_f64().unwrap()).sum();
    assert!((sum - 1.).abs() < 1e-9 && shares.contains_key("gate and up products"), "{stats}");
    assert!(stats["tera_operations_per_second"].as_f64().unwrap() > 0. && stats.get("gpus").is_none(), "{stats}");
    assert_eq!(stats["interrupted"], false);
    assert!(number("truncated") <= number("pairs") && number("batches") >= 1.);
    assert!(number("computed_tokens") < number("prompt_tokens"), "{stats}");
    assert!((1. - number("computed_tokens") / number("prompt_tokens") - number("saved_share")).abs() < 1e-9);
    assert!(number("seconds") >= number("load_seconds") + number("ranking_seconds"));
    assert!(number("pairs_per_second") > 0. && number("tokens_per_second") > 0.);
    let percentiles: Vec<f64> =
        ["p50", "p95", "p99"].iter().map(|name| stats["query_seconds"][name].as_f64().unwrap()).collect();
    assert!(percentiles.is_sorted() && percentiles[2] <= number("seconds"), "{stats}");
}

#[test]
fn stats_of_a_failed_run_tell_what_was_done() {
    let files = Files::new();
    let lines = "{\"query\":\"red\",\"documents\":[\"red\"]}\nbad\n";
    rerank_on(lines, &["--model", "fake", "--on-error", "skip", "--stats", &files.name("stats.json")]).fails(1, &[]);
    let stats: Value = serde_json::from_str(&files.read("stats.json")).unwrap();
    assert_eq!([&stats["queries"], &stats["skipped"]], [&Value::from(1), &Value::from(1)]);
}

/// The line of a dry run on the example.
fn pairs_line() -> String {
    format!("pairs            {}\n", pairs())
}

/// The odd model without these files.
fn model_without(files: &Files, is_left_out: impl Fn(&str) -> bool) -> String {
    let model = files.copy_model("testdata/odd-reranker", "model");
    for entry in std::fs::read_dir(&model).unwrap() {
        let entry = entry.unwrap();
        if is_left_out(entry.file_name().to_str().unwrap()) {
            std::fs::remove_file(entry.path()).unwrap();
        }
    }
    model
}

#[test]
fn a_dry_run_tells_the_cost_without_weights() {
    let files = Files::new();
    let model = model_without(&files, |name| name.contains("safetensors"));
    let arguments = ["--model", &model, "--input", "testdata/candidates.jsonl"];
    rerank(&arguments).fails(1, &["model.safetensors"]);
    let output = files.name("ranked.jsonl");
    let run = rerank(&[&arguments[..], &["--dry-run", "--output", &output]].concat());
    assert_eq!(run.status, 0, "{}", run.stderr);
    let cost = [&run.stdout[..], &run.stderr].concat();
    for part in ["queries          3\n", &pairs_line(), "truncated        0 ", "p50", "p99", "% saved by"] {
        assert!(cost.contains(part), "{part}: {cost}");
    }
    assert!(!files.path("ranked.jsonl").exists());
}

#[test]
fn a_dry_run_needs_no_more_than_a_tokenizer() {
    let files = Files::new();
    let model = model_without(&files, |name| name != "tokenizer.json");
    let run = rerank(&["--model", &model, "--input", "testdata/candidates.jsonl", "--dry-run"]);
    assert_eq!(run.status, 0, "{}", run.stderr);
    assert!(run.stdout.contains(&pairs_line()), "{}", run.stdout);
}

#[test]
fn a_dry_run_counts_what_would_be_cut_and_reports_bad_records() {
    let run = fake(&["--dry-run", "--max-length", "20"]);
    assert!(
        run.stdout.contains("(longer than 20 tokens)") && !run.stdout.contains("truncated        0"),
        "{}",
        run.stdout
    );
    let lines = "{\"query\":\"red\",\"documents\":[\"red\"]}\nbad\n{\"query\":\"ice\",\"documents\":[\"red\"]}\n";
    let run = rerank_on(lines, &["--model", "fake", "--dry-run", "--on-error", "skip"]);
    run.fails(1, &["standard input:2: "]);
    assert!(run.stdout.contains("queries          2\n"), "{}", run.stdout);
}

#[test]
fn a_dry_run_and_a_real_one_count_the_same() {
    let files = Files::new();
    let arguments = ["--model", "testdata/odd-reranker", "--input", "testdata/candidates.jsonl"];
    let cost = rerank(&[&arguments[..], &["--dry-run"]].concat()).stdout.replace(',', "");
    rerank(&[&arguments[..], &["--stats", &files.name("stats.json")]].concat());
    let stats: Value = serde_json::from_str(&files.read("stats.json")).unwrap();
    assert!(cost.contains(&format!("prompt tokens    {}\n", stats["prompt_tokens"])), "{cost}");
    assert!(cost.contains(&format!("computed tokens  {} ", stats["computed_tokens"])), "{cost}");
}

#[test]
fn help_is_a_manual_with_examples() {
    for option in ["--help", "-h"] {
        let run = rerank(&[option]);
        assert_eq!((run.status, run.stderr.as_str()), (0, ""));
        for part in ["Examples:", "rerank candidates.jsonl --output ranked.jsonl", "Exit status", "--on-error"] {
            assert!(run.stdout.contains(part), "{part}");
        }
    }
    assert!(rerank(&["--version"]).stdout.starts_with("rerank "));
}

#[test]
fn completions_know_devices_and_no_hidden_options() {
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let run = rerank(&["completions", shell]);
        assert_eq!((run.status, run.stderr.as_str()), (0, ""));
        assert!(run.stdout.contains("max-batch-tokens") && run.stdout.contains("bench"), "{shell}");
        assert!(!run.stdout.contains("no-prefix-sharing"), "{shell}");
    }
    let bash = rerank(&["completions", "bash"]).stdout;
    assert!(bash.contains("auto cpu cuda cuda:all"), "{bash}");
}

#[test]
fn the_man_page_keeps_its_examples_and_every_command_has_one() {
    let page = rerank(&["man"]);
    assert_eq!(page.status, 0);
    for part in [
        ".TH",
        "max\\-batch\\-tokens",
        ".nh",
        ".SH ENVIRONMENT",
        "HF_HUB_OFFLINE",
        "RERANK_INSTRUCTIONS",
        ".SH EXAMPLES",
    ] {
        assert!(page.stdout.contains(part), "{part}");
    }
    assert!(page.stdout.contains(".nf\nrerank candidates.jsonl \\-\\-output ranked.jsonl\n.fi"), "{}", page.stdout);
    assert!(!page.stdout.contains("prefix\\-sharing") && !page.stdout.contains("metal"));
    let bench = rerank(&["man", "bench"]);
    assert!(bench.status == 0 && bench.stdout.contains("rerank\\-bench") && bench.stdout.contains("\\-\\-workload"));
    rerank(&["man", "nothing"]).fails(2, &["nothing", "bench"]);
    let help = rerank(&["--help"]).stdout;
    assert!(help.contains("HF_HUB_OFFLINE") && help.contains("143 terminated") && !help.contains("metal"));
}

#[test]
fn a_dry_run_estimates_the_time_and_writes_its_figures() {
    let files = Files::new();
    let stats = files.name("cost.json");
    for (dtype, expected) in [("auto", ""), ("f32", "f32 on cpu"), ("bf16", "bf16 on cpu")] {
        let arguments = ["--model", "testdata/odd-reranker", "--input", "testdata/candidates.jsonl", "--dtype", dtype];
        let run = rerank(&[&arguments[..], &["--dry-run", "--stats", &stats]].concat());
        assert!(run.stdout.contains(&format!("time             less than a second ({expected}")), "{}", run.stdout);
        assert!(run.stdout.contains("measured on 2 of the 4 layers, with random weights"), "{}", run.stdout);
        let cost: Value = serde_json::from_str(&files.read("cost.json")).unwrap();
        assert_eq!([&cost["dry_run"], &cost["pairs"]], [&Value::from(true), &Value::from(pairs())]);
        let seconds = cost["estimated_seconds"].as_f64().unwrap();
        assert!(seconds > 0. && seconds < 60., "{cost}");
    }
    let run = fake(&["--dry-run", "--stats", &stats]);
    assert!(run.stdout.contains("time             not estimated: the fake model"), "{}", run.stdout);
    let cost: Value = serde_json::from_str(&files.read("cost.json")).unwrap();
    assert_eq!(cost["estimated_seconds"], Value::Null);
}

#[test]
fn a_device_that_is_not_there_is_reported() {
    for device in ["cuda", "cuda:1"] {
        let run = fake(&["--device", device]);
        run.fails(if cfg!(feature = "cuda") { 1 } else { 2 }, &["--device", "cuda"]);
        assert_eq!(run.stdout, "");
    }
    fake(&["--device", "metal"]).fails(2, &["--device", "Metal", "use cpu"]);
}
