//! `rerank plan` shows into how many shards an input is to be divided: from what it has, and a speed. How fast this machine is
//! decides nothing.

use serde_json::Value;

use crate::fixture::{Files, rerank, rerank_on};
use crate::resume::queries;
use crate::shards::rank;

const FAKE: [&str; 3] = ["plan", "--model", "fake"];

/// The plan of the fake model, with these arguments, as JSON.
#[track_caller]
pub(crate) fn plan(arguments: &[&str]) -> Value {
    let run = rerank(&[&FAKE[..], arguments, &["--format", "json"]].concat());
    assert_eq!(run.status, 0, "{}", run.stderr);
    serde_json::from_str(&run.stdout).unwrap()
}

/// A number of a plan.
#[track_caller]
pub(crate) fn number(plan: &Value, name: &str) -> f64 {
    plan[name].as_f64().unwrap_or_else(|| panic!("{name} in {plan}"))
}

#[test]
fn a_short_input_is_counted_and_divided_by_minutes() {
    let files = Files::in_memory();
    let text = queries(60);
    let input = files.write("in.jsonl", text.clone());
    let stats = files.name("stats.json");
    assert_eq!(rerank(&["--model", "fake", &input, "--dry-run", "--stats", &stats]).status, 0);
    let stats: Value = serde_json::from_str(&files.read("stats.json")).unwrap();
    let plan = plan(&[&input, "--minutes", "0.5", "--pairs-per-second", "0.5", "--load-seconds", "7"]);
    let pairs = number(&stats, "pairs");
    assert_eq!([number(&plan, "pairs"), number(&plan, "queries"), number(&plan, "share_read")], [pairs, 60., 1.]);
    assert_eq!(number(&plan, "computed_tokens"), number(&stats, "computed_tokens"));
    let shards = (pairs / 0.5 / 30.).ceil();
    assert_eq!([number(&plan, "seconds"), number(&plan, "shards")], [pairs / 0.5, shards]);
    assert!((number(&plan, "shard_seconds") * shards / (pairs / 0.5) - 1.).abs() < 1e-9, "{plan}");
    assert_eq!([number(&plan, "input_bytes"), number(&plan, "shard_bytes_read")], [text.len() as f64; 2]);
    // The command line is that of a worker.
    let command = plan["command"].as_str().unwrap();
    assert_eq!(command, format!("rerank --model fake {input} --device cpu --output parts --shard I/{shards}"));
    rank(&input, &files.name("parts"), &format!("0/{shards}"));
}

#[test]
fn the_rest_of_a_long_input_is_extrapolated_but_where_its_length_is_not_known() {
    let files = Files::in_memory();
    let text = queries(24_000);
    let pairs = text.matches("\"url\"").count() as f64;
    let input = files.write("in.jsonl", text.clone());
    let fixed = ["--pairs-per-second", "100"];
    let sampled = plan(&[&[input.as_str()], &fixed[..]].concat());
    let share = number(&sampled, "share_read");
    assert!(share > 0.3 && share < 0.6, "{sampled}");
    assert!((number(&sampled, "pairs") / pairs - 1.).abs() < 0.05, "{sampled}");
    assert!((number(&sampled, "queries") / 24_000. - 1.).abs() < 0.05, "{sampled}");
    // A pipe is read to its end, and so are rows that are gathered.
    let run = rerank_on(&text, &[&FAKE[..], &fixed, &["--format", "json"]].concat());
    let piped: Value = serde_json::from_str(&run.stdout).unwrap();
    let gathered = plan(&[&[input.as_str(), "--group"], &fixed[..]].concat());
    for counted in [piped, gathered] {
        assert_eq!([number(&counted, "pairs"), number(&counted, "share_read")], [pairs, 1.]);
        assert!((number(&counted, "computed_tokens") / number(&sampled, "computed_tokens") - 1.).abs() < 0.05);
    }
}

#[test]
fn the_speed_of_a_bench_or_a_run_is_taken_from_its_file() {
    let files = Files::in_memory();
    let input = files.write("in.jsonl", queries(30));
    let run = r#"{"model":"fake","tokens_per_second":10.0,"pairs_per_second":1.0,"load_seconds":4.5}"#;
    let bench = r#"{"model":"other","computed_tokens_per_second":10.0,"load_seconds":4.5}"#;
    let [run, bench] = [("run", run), ("bench", bench)].map(|(name, text)| files.write(name, text));
    let plans = [&run, &bench].map(|file| plan(&[&input, "--speed", file, "--shards", "4"]));
    for plan in &plans {
        assert!((number(plan, "seconds") * 10. / number(plan, "computed_tokens") - 1.).abs() < 1e-9, "{plan}");
        assert_eq!([number(plan, "load_seconds"), number(plan, "shards")], [4.5, 4.]);
    }
    let note = |plan: &Value| plan["notes"].to_string().contains("was measured with other, and the model is fake");
    assert_eq!(plans.each_ref().map(note), [false, true]);
    // What is no such file is refused by name.
    let several = files.write("several", "{\"tokens_per_second\":1}\n{\"tokens_per_second\":2}\n");
    for (file, problem) in [
        (&several, "it has several workloads"),
        (&files.write("none", "{\"tokens_per_second\":0}"), "it has no tokens_per_second above 0"),
        (&input, "it is neither what"),
        (&files.write("text", "fast"), "it is neither what"),
        (&files.name("missing"), "cannot read the file"),
    ] {
        let arguments = [&FAKE[..], &[input.as_str(), "--speed", file]].concat();
        rerank(&arguments).fails(2, &["--speed ", problem]);
    }
}

#[test]
fn the_speed_is_measured_here_unless_it_is_given() {
    let arguments = ["plan", "testdata/candidates.jsonl", "--model", "testdata/tiny-reranker", "--device", "cpu"];
    let run = rerank(&arguments);
    assert_eq!(run.status, 0, "{}", run.stderr);
    for part in ["input       3 queries, 16 pairs; all of it was read", "speed ", "this machine: ", "--shard I/1"] {
        assert!(run.stdout.contains(part), "{part}: {}", run.stdout);
    }
    rerank(&[&FAKE[..], &["testdata/candidates.jsonl"]].concat())
        .fails(2, &["the fake model takes next to no time; name it with --pairs-per-second"]);
}

#[test]
fn what_would_go_wrong_is_noted() {
    let files = Files::in_memory();
    let inputs =
        ["a.jsonl", "b.jsonl"].map(|name| files.write(name, queries(9).replace(":\"q", &format!(":\"{name}"))));
    let [first, second] = inputs.each_ref().map(String::as_str);
    let fixed = ["--pairs-per-second", "1", "--load-seconds", "100"];
    for (arguments, note) in [
        (&[first, second, "--shards", "3"][..], "there are 2 for 3 shards: some would have none; take --shards 2"),
        (&[first, "--shards", "20"], "there are more shards than queries (9)"),
        (&[first, "--shards", "2"], "every worker reads the whole input"),
        (&[first, "--shards", "2"], "of a worker's time; take fewer shards"),
    ] {
        let plan = plan(&[arguments, &fixed].concat());
        assert!(plan["notes"].to_string().contains(note), "{note}: {plan}");
    }
    let whole = plan(&[&[first, "--shards", "1"], &fixed[..]].concat());
    assert!(!whole["notes"].to_string().contains("take fewer"), "{whole}");
    let divided = plan(&[&[first, second, "--shards", "2"], &fixed[..]].concat());
    assert_eq!(number(&divided, "shard_bytes_read") * 2., number(&divided, "input_bytes"));
    let empty = files.write("empty.jsonl", "");
    rerank(&[&FAKE[..], &[empty.as_str()], &fixed].concat()).fails(1, &["no queries"]);
    let bad = files.write("bad.jsonl", queries(2) + "not JSON\n");
    rerank(&[&FAKE[..], &[bad.as_str()], &fixed].concat()).fails(1, &["bad.jsonl:3", "--on-error skip"]);
    rerank(&[&FAKE[..], &[first, "--shards", "2", "--minutes", "2"]].concat()).fails(2, &["--minutes"]);
}
