//! Runs that are evaluated while they rank, and directories in BEIR's layout.

use serde_json::{Value, json};

use crate::fixture::{Files, Run, rerank, rerank_on};

const CORPUS: &str = concat!(
    "{\"_id\":\"d1\",\"title\":\"\",\"text\":\"ice\"}\n",
    "{\"_id\":\"d2\",\"title\":\"red\",\"text\":\"planet\"}\n",
    "{\"_id\":\"d3\",\"title\":\"\",\"text\":\"red\"}\n"
);
const QUERIES: &str = "{\"_id\":\"q1\",\"text\":\"red planet\"}\n{\"_id\":\"q2\",\"text\":\"ice\"}\n";
const RUN: &str = "q1 Q0 d1 1 9 t\nq1 Q0 d3 2 8 t\nq1 Q0 d2 3 7 t\nq2 Q0 d1 1 9 t\n";
const QRELS: &str = "query-id\tcorpus-id\tscore\nq1\td2\t1\nq1\td1\t0\nq9\td1\t1\n";

/// A directory in BEIR's layout, and a run of it.
fn beir(files: &Files) -> (String, String) {
    std::fs::create_dir_all(files.path("beir/qrels")).unwrap();
    files.write("beir/corpus.jsonl", CORPUS);
    files.write("beir/queries.jsonl", QUERIES);
    files.write("beir/qrels/test.tsv", QRELS);
    (files.name("beir"), files.write("bm25.trec", RUN))
}

fn fake(arguments: &[&str]) -> Run {
    rerank(&[&["--model", "fake"], arguments].concat())
}

#[test]
fn a_directory_of_beir_is_ranked_and_evaluated_as_it_is() {
    let files = Files::new();
    let (folder, run) = beir(&files);
    let stats = files.name("stats.json");
    let ranked = fake(&["--beir", &folder, "--run", &run, "--stats", &stats]);
    let rankings = ranked.rankings();
    assert_eq!(rankings[0]["query"], "red planet");
    assert_eq!(rankings[0]["results"][0]["id"], "d2");
    let line = "nDCG@10 0.5000 → 1.0000, RR@10 0.3333 → 1.0000, Judged@10 0.6667 → 0.6667, over 1 judged query";
    assert!(ranked.stderr.contains(line), "{}", ranked.stderr);
    assert!(ranked.stderr.contains("1 query without judgements, and 1 more were judged"), "{}", ranked.stderr);
    let figures: Value = serde_json::from_str(&files.read("stats.json")).unwrap();
    assert_eq!(figures["evaluation"]["after"]["nDCG@10"], 1.0);
    assert_eq!(figures["evaluation"]["before"]["nDCG@10"], 0.5);
    assert_eq!(figures["evaluation"]["lacking"], 1);
    // What is written is evaluated, and other judgements and measures count where they are named.
    let other = files.write("other.txt", "q1 0 d3 1\n");
    let cut = fake(&["--beir", &folder, &run, "--qrels", &other, "--measures", "RR,R@3", "--top-k", "1"]);
    assert!(cut.stderr.contains("RR 0.5000 → 0.0000, R@3 1.0000 → 0.0000, over 1"), "{}", cut.stderr);
    std::fs::remove_dir_all(files.path("beir/qrels")).unwrap();
    assert!(!fake(&["--beir", &folder, &run]).stderr.contains("→"));
    std::fs::remove_file(files.path("beir/corpus.jsonl")).unwrap();
    fake(&["--beir", &folder, &run]).fails(2, &["--beir", "corpus.jsonl"]);
}

#[test]
fn the_values_are_those_of_eval_on_what_was_written() {
    let files = Files::new();
    let qrels = files.write("qrels", "q1 0 d3 2\nq1 0 d4 1\nq2 0 d4 1\nq2 0 d1 0\nq3 0 d2 1\n");
    let (output, stats) = (files.name("out.jsonl"), files.name("stats.json"));
    let measures = "nDCG@10,AP,Bpref,RR(rel=2)";
    let input = "testdata/candidates.jsonl";
    let run = fake(&[input, "-o", &output, "--qrels", &qrels, "--measures", measures, "--stats", &stats]);
    assert_eq!(run.status, 0, "{}", run.stderr);
    let figures: Value = serde_json::from_str(&files.read("stats.json")).unwrap();
    let eval = rerank(&["eval", "--qrels", &qrels, &output, "--measures", measures, "--format", "jsonl"]);
    let evaluated: Value = serde_json::from_str(&eval.stdout).unwrap();
    for measure in ["nDCG@10", "AP", "Bpref", "RR(rel=2)"] {
        assert_eq!(figures["evaluation"]["after"][measure], evaluated[measure], "{measure}: {evaluated}");
        assert!(figures["evaluation"]["after"][measure].is_number(), "{measure}");
    }
}

#[test]
fn the_order_before_is_that_of_the_first_stage_s_scores_as_eval_takes_it() {
    let files = Files::new();
    let input = concat!(
        r#"{"query_id":"1","query":"red","candidates":[{"id":"a","text":"x","score":1},{"id":"b","text":"red","score":3},"#,
        r#"{"id":"c","text":"y","score":2}]}"#,
        "\n"
    );
    let (input, output) = (files.write("in.jsonl", input), files.name("out.jsonl"));
    let qrels = files.write("qrels", "1 0 c 1\n");
    let run = fake(&[&input, "-o", &output, "--qrels", &qrels, "--measures", "RR", "--min-score", "0.9"]);
    assert!(run.stderr.contains("RR 0.5000 → 0.0000, over 1"), "{}", run.stderr);
    assert!(!run.stderr.contains("no candidate"), "{}", run.stderr);
    let eval = rerank(&["eval", "--qrels", &qrels, &input, "--measures", "RR", "--format", "csv"]);
    assert!(eval.stdout.contains(",0.5"), "{}", eval.stdout);
    let again = fake(&[&input, "-o", &output, "--qrels", &qrels, "--min-score", "0.9", "--resume"]);
    assert!(again.stderr.contains("rerank eval evaluates it"), "{}", again.stderr);
    let piped = rerank_on("1 0 c 1\n", &["--model", "fake", &input, "--qrels", "-", "--measures", "RR"]);
    assert!(piped.stderr.contains("RR 0.5000 →"), "{}", piped.stderr);
}

#[test]
fn judgements_that_do_not_fit_are_reported() {
    let files = Files::new();
    let input = "testdata/candidates.jsonl";
    let foreign = files.write("foreign", "x 0 d1 1\n");
    assert!(
        fake(&[input, "--qrels", &foreign])
            .stderr
            .contains(&format!("warning: {foreign}: no ranked query has judgements there"))
    );
    let other = files.write("other", "q1 0 x 1\n");
    assert!(fake(&[input, "--qrels", &other]).stderr.contains("no candidate has a judgement"));
    let bad = files.write("bad", "q1 0 d1 1\nq1 0 d2 good\n");
    fake(&[input, "--qrels", &bad]).fails(1, &["bad:2", "good"]);
    fake(&[input, "--qrels", "missing"]).fails(2, &["--qrels", "no file missing"]);
    fake(&[input, "--measures", "AP"]).fails(2, &["--measures", "--qrels"]);
    fake(&[input, "--qrels", &other, "--measures", "MRR@ten"]).fails(2, &["MRR@ten"]);
    fake(&[input, "--qrels", &other, "--dry-run"]).fails(2, &["--qrels", "--dry-run"]);
    fake(&[input, "--qrels", &other, "-o", &other, "--overwrite"]).fails(2, &[&other, "another name"]);
}

#[test]
fn the_best_fusion_is_found_from_one_file_or_from_two_runs() {
    let files = Files::new();
    // Each stage alone puts a wrong document first.
    let query = |query: usize| {
        let candidates = [("x", "nothing", 10.), ("y", "red planet", 9.5), ("z", "red planet mars", 0.)]
            .map(|(id, text, score)| json!({"id": format!("{id}{query}"), "text": text, "score": score}));
        json!({"query_id": query.to_string(), "query": "red planet mars", "candidates": candidates}).to_string() + "\n"
    };
    let input = files.write("in.jsonl", (0..8).map(query).collect::<String>());
    let qrels = files.write("qrels", (0..8).map(|query| format!("{query} 0 y{query} 1\n")).collect::<String>());
    let (ranked, trec) = (files.name("ranked.jsonl"), files.name("ranked.trec"));
    let first = (0..8).map(|query| {
        let lines =
            [("x", 10.), ("y", 9.5), ("z", 0.)].map(|(id, score)| format!("{query} Q0 {id}{query} 1 {score} t\n"));
        lines.concat()
    });
    let first = files.write("first.trec", first.collect::<String>());
    for output in [&ranked, &trec] {
        assert_eq!(fake(&[&input, "-o", output]).status, 0);
    }
    let tune = |runs: &[&str]| {
        let arguments = ["eval", "--tune-fusion", "--qrels", &qrels, "--measures", "RR"];
        rerank(&[&arguments[..], runs].concat())
    };
    let printed = tune(&[&ranked]);
    assert_eq!(printed.status, 0, "{}", printed.stderr);
    let one: Value = serde_json::from_str(&tune(&[&ranked, "--format", "jsonl"]).stdout).unwrap();
    let two: Value = serde_json::from_str(&tune(&[&first, &trec, "--format", "jsonl"]).stdout).unwrap();
    assert_eq!(one, two);
    assert_eq!((&one["first_stage"], &one["reranker"], &one["fused"]), (&json!(0.5), &json!(0.5), &json!(1.0)));
    assert_eq!((&one["queries"], &one["folds"]), (&json!(8), &json!(5)));
    // What it names does what it promises.
    let best = one["best"].as_str().unwrap();
    assert!(printed.stdout.contains(&format!("--fuse {best} is best")), "{}", printed.stdout);
    let run = fake(&[&input, "--fuse", best, "--qrels", &qrels, "--measures", "RR"]);
    assert!(run.stderr.contains("RR 0.5000 → 1.0000"), "{}", run.stderr);
    tune(&[&first]).fails(1, &["first.trec:1", "both stages", "two"]);
    let (cut, csv) = (files.name("cut.jsonl"), files.name("ranked.csv"));
    assert_eq!(fake(&[&input, "-o", &cut, "--min-score", "0.1"]).status, 0);
    tune(&[&cut]).fails(1, &["cut.jsonl:1: query \"0\" has", "--min-score", "rank without these options"]);
    assert_eq!(fake(&[&input, "-o", &csv]).status, 0);
    tune(&[&csv]).fails(1, &["ranked.csv:1", "the JSONL", "name two"]);
    let ranks = (0..8).map(|query| format!("{query}\tx{query}\t1\n{query}\ty{query}\t2\n{query}\tz{query}\t3\n"));
    let ranks = files.write("first.msmarco", ranks.collect::<String>());
    let unscored = files.write("unscored.jsonl", files.read("ranked.jsonl").replace("\"original_score\"", "\"bm25\""));
    for runs in [&[ranks.as_str(), &trec][..], &[&unscored]] {
        let by_rank = tune(&[runs, &["--format", "jsonl"]].concat());
        assert!(by_rank.stderr.contains("ranks alone are fused by rrf"), "{}", by_rank.stderr);
        let figures: Value = serde_json::from_str(&by_rank.stdout).unwrap();
        assert_eq!((&figures["best"], &figures["reranker"]), (&json!("rrf=60"), &json!(0.5)));
    }
    tune(&[&first, &trec, &ranked]).fails(2, &["3 runs"]);
    tune(&[&ranked, "--format", "latex"]).fails(2, &["--format table"]);
    tune(&[&ranked, "--per-query"]).fails(2, &["--per-query"]);
    let few = files.write("few", "0 0 y0 1\n");
    rerank(&["eval", "--tune-fusion", "--qrels", &few, &ranked]).fails(1, &["1 query", "two are needed"]);
}
