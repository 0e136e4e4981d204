//! Rankings by the first stage and the reranker together.

use serde_json::Value;

use crate::fixture::{Files, Run, rerank, rerank_on};

/// The fake model's logits fall from d1 to d3, and the first stage's scores rise.
const INPUT: &str = concat!(
    r#"{"query_id":"q1","query":"red planet mars","candidates":["#,
    r#"{"id":"d3","text":"blue","score":5.0},"#,
    r#"{"id":"d2","text":"red planet","score":4.5},"#,
    r#"{"id":"d1","text":"red planet mars","score":1.0,"fused":9}]}"#,
    "\n"
);

fn fused(arguments: &[&str]) -> Run {
    let run = rerank_on(INPUT, &[&["--model", "fake"], arguments].concat());
    assert_eq!(run.status, 0, "{}", run.stderr);
    run
}

fn ids(run: &Run) -> Vec<String> {
    let rankings = run.rankings();
    let results = rankings[0]["results"].as_array().unwrap();
    results.iter().map(|result| result["id"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn the_weight_moves_the_ranking_from_the_reranker_to_the_first_stage() {
    assert_eq!(ids(&fused(&[])), ["d1", "d2", "d3"]);
    assert_eq!(ids(&fused(&["--fuse", "alpha=0"])), ["d1", "d2", "d3"]);
    assert_eq!(ids(&fused(&["--fuse", "alpha=0.5"])), ["d2", "d1", "d3"]);
    assert_eq!(ids(&fused(&["--fuse", "alpha=1"])), ["d3", "d2", "d1"]);
    assert_eq!(ids(&fused(&["--fuse", "alpha=0.5,z-score"])), ["d2", "d1", "d3"]);
    // Ranks 1 and 3 give more than 2 and 2.
    let run = fused(&["--fuse", "rrf", "--top-k", "2"]);
    let results = run.rankings()[0]["results"].clone();
    assert_eq!(ids(&run), ["d1", "d3"]);
    let close = |value: &Value| (value.as_f64().unwrap() - (1. / 61. + 1. / 63.)).abs() < 1e-15;
    assert!(close(&results[0]["fused"]) && close(&results[1]["fused"]), "{results}");
}

#[test]
fn the_model_s_scores_stay_beside_the_fused_one() {
    let (plain, run) = (fused(&[]).rankings(), fused(&["--fuse", "alpha=0.5", "--min-score", "0.5"]).rankings());
    let results = run[0]["results"].as_array().unwrap();
    assert_eq!(results.len(), 2, "the least score is that of the model");
    for result in results {
        let before =
            plain[0]["results"].as_array().unwrap().iter().find(|before| before["id"] == result["id"]).unwrap();
        assert_eq!((&before["logit"], &before["score"]), (&result["logit"], &result["score"]));
        assert_eq!(before["fused"], Value::Null, "that of another run is not carried");
    }
    let run = fused(&["--fuse", "alpha=0.5", "--output-format", "trec"]);
    let scores: Vec<f64> = run.stdout.lines().map(|line| line.split(' ').nth(4).unwrap().parse().unwrap()).collect();
    assert!((scores[0] - f64::from(results[0]["fused"].as_f64().unwrap() as f32)).abs() < 1e-6, "{scores:?}");
    assert!(scores.is_sorted_by(|one, other| one > other));
    let table = fused(&["--fuse", "alpha=0.5", "--output-format", "csv"]).stdout;
    assert!(table.lines().next().unwrap().ends_with(",text,fused"), "{table}");
}

#[test]
fn a_first_stage_without_scores_is_refused_before_anything_is_scored() {
    let input = INPUT.replace(r#","score":4.5"#, "");
    let run = rerank_on(&input, &["--model", "fake", "--fuse", "alpha=0.5"]);
    run.fails(1, &["standard input:1", "\"d2\" has no score", "--fuse alpha=0.5", "rrf"]);
    assert_eq!(run.stdout, "");
    assert_eq!(rerank_on(&input, &["--model", "fake", "--fuse", "rrf"]).status, 0);
    rerank(&["--model", "fake", "--fuse", "best", "testdata/candidates.jsonl"]).fails(2, &["--fuse", "alpha=0.3"]);
}

#[test]
fn another_fusion_is_another_run() {
    let files = Files::new();
    let (input, output) = (files.write("in.jsonl", INPUT), files.name("out.jsonl"));
    let run = |fuse: &str| rerank(&["--model", "fake", "--fuse", fuse, &input, "-o", &output, "--resume"]);
    assert_eq!(run("rrf").status, 0);
    assert_eq!(run("rrf=60").status, 0);
    run("alpha=0.3").fails(2, &["--fuse was \"rrf=60\", and is \"alpha=0.3\""]);
}
