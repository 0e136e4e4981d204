//! Long documents in passages: whole runs against runs of the passages by hand.

use std::sync::Arc;

use rerank::checkpoint::{AdapterChoice, Downloads, ModelSource};
use rerank::passages::{Aggregation, Splitting};
use rerank::recipe::RecipeChoice;
use rerank::record::{Candidate, Query};
use rerank::reranker::{Reranker, RerankerOptions};
use serde_json::{Value, json};

use crate::family::Family;
use crate::fixture::{Files, Run, rerank, rerank_on};

const TINY: [&str; 4] = ["--model", "testdata/tiny-reranker", "--dtype", "f32"];

/// A document of many sentences, the last of which has the answer.
fn document() -> String {
    let filler = "Penguins breed in large colonies on the ice. The train to the airport leaves every twenty minutes. ";
    format!("{}Mars is called the Red Planet, because iron oxide colors its dust.", filler.repeat(12))
}

fn input(documents: &Value) -> String {
    json!({"query_id": "q1", "query": "Which planet is known as the Red Planet?", "candidates": documents}).to_string()
}

fn long() -> String {
    input(&json!([
        {"id": "long", "text": document(), "title": "Notes"},
        {"id": "short", "text": "Jupiter is the largest planet of the solar system and has more than ninety moons."},
    ]))
}

fn tiny(input: &str, arguments: &[&str]) -> Run {
    let run = rerank_on(input, &[&TINY[..], &["--max-length", "160"], arguments].concat());
    assert_eq!(run.status, 0, "{}", run.stderr);
    run
}

/// The results of the only query, by id.
fn result(run: &Run, id: &str) -> Value {
    let rankings = run.rankings();
    let results = rankings[0]["results"].as_array().unwrap();
    results.iter().find(|result| result["id"] == id).unwrap().clone()
}

fn characters(text: &str, passage: &Value) -> String {
    let place = |name: &str| passage[name].as_u64().unwrap() as usize;
    text.chars().skip(place("start")).take(place("end") - place("start")).collect()
}

#[test]
fn the_answer_in_the_last_passage_is_found_and_its_score_is_that_of_the_passage_alone() {
    let cut = tiny(&long(), &[]);
    assert_eq!(cut.rankings()[0]["results"][0]["id"], "short", "the beginning does not answer");
    assert!(cut.stderr.contains("(1 truncated)") && cut.stderr.contains("--long max"), "{}", cut.stderr);
    let run = tiny(&long(), &["--long", "max"]);
    assert_eq!(run.rankings()[0]["results"][0]["id"], "long");
    let best = result(&run, "long");
    assert_eq!(best["truncated"], Value::Null);
    let passage = characters(&document(), &best["best_passage"]);
    assert!(passage.ends_with("colors its dust."), "{passage}");
    assert!(passage.starts_with(best["best_passage"]["text"].as_str().unwrap()));
    let by_hand = tiny(&input(&json!([{"id": "long", "text": passage, "title": "Notes"}])), &[]);
    assert_eq!(result(&by_hand, "long")["logit"], best["logit"]);
    let dry = tiny(&long(), &["--long", "max", "--dry-run"]);
    let passages = best["best_passage"]["passages"].as_u64().unwrap();
    assert!(dry.stdout.contains(&format!("(1 long document in {passages} passages)")), "{}", dry.stdout);
    // What fits is scored as ever, whatever else there is.
    let short = result(&run, "short");
    assert_eq!(short["logit"], result(&cut, "short")["logit"]);
    assert_eq!(short["best_passage"]["passages"], 1);
}

#[test]
fn all_passages_together_are_what_the_library_cuts() {
    let options = RerankerOptions {
        source: ModelSource::Directory("testdata/tiny-reranker".into()),
        adapter: AdapterChoice::default(),
        recipe: RecipeChoice { max_length: Some(160), ..RecipeChoice::default() },
        weights: false,
        on_gpu: false,
        downloads: Downloads::Silent,
    };
    let prompts = Arc::clone(&Reranker::find(&options).unwrap().recipe().prompts);
    let splitting = Splitting { aggregation: Aggregation::Mean, tokens: Some(40), stride: Some(30) };
    let query = Query { text: "Which planet is known as the Red Planet?".into(), ..Query::default() };
    let candidate = Candidate { text: document(), ..Candidate::default() };
    let (_, passages) = splitting.prompts(&query, &candidate, prompts.as_ref()).unwrap();
    assert!(passages.ranges.len() > 10, "{passages:?}");
    let alone: Vec<Value> = (0..)
        .zip(&passages.ranges)
        .map(|(id, range)| json!({"id": id.to_string(), "text": document()[range.clone()]}))
        .collect();
    let by_hand = tiny(&input(&json!(alone)), &[]);
    let logits: Vec<f32> = (0..passages.ranges.len())
        .map(|id| result(&by_hand, &id.to_string())["logit"].as_f64().unwrap() as f32)
        .collect();
    let one = input(&json!([{"id": "long", "text": document()}]));
    for aggregation in [Aggregation::Max, Aggregation::Mean, Aggregation::First] {
        let name = aggregation.name();
        let stride: &[&str] = if aggregation == Aggregation::First { &[] } else { &["--stride", "30"] };
        let run = tiny(&one, &[&["--long", name, "--passage-tokens", "40"], stride].concat());
        let found = result(&run, "long");
        let (logit, best) = aggregation.logit(&logits);
        assert_eq!(found["logit"].as_f64().unwrap() as f32, logit, "{name}");
        assert_eq!(characters(&document(), &found["best_passage"]), document()[passages.ranges[best].clone()]);
        let expected = if aggregation == Aggregation::First { 1 } else { passages.ranges.len() };
        assert_eq!(found["best_passage"]["passages"], expected);
        assert_eq!(found["truncated"] == true, aggregation == Aggregation::First);
    }
}

#[test]
fn encoders_read_past_their_last_position() {
    let files = Files::new();
    for name in ["xlm_roberta", "bert", "modules-on-bert", "deberta"] {
        let model = Family::read(name).write(&files, name);
        let text = "Penguins breed on the ice. The red planet is Mars. ".repeat(30);
        let given = input(&json!([{"id": "long", "text": text}]));
        let options = ["--model", &model, "--dtype", "f32", "--max-length", "48", "--long", "max"];
        let run = rerank_on(&given, &options);
        assert_eq!(run.status, 0, "{name}: {}", run.stderr);
        let found = result(&run, "long");
        assert!(found["best_passage"]["passages"].as_u64().unwrap() > 10, "{name}: {found}");
        assert_eq!(found["truncated"], Value::Null, "{name}");
        let passage = characters(&text, &found["best_passage"]);
        let by_hand = rerank_on(input(&json!([{"id": "long", "text": passage}])), &options[..6]);
        assert_eq!(result(&by_hand, "long")["logit"], found["logit"], "{name}");
    }
}

#[test]
fn every_format_has_the_best_passage_or_no_place_for_it() {
    let table = tiny(&long(), &["--long", "max", "--output-format", "csv", "--no-text"]);
    let header = table.stdout.lines().next().unwrap();
    assert!(header.ends_with(",best_passage"), "{header}");
    assert!(table.stdout.contains(r#""{""start"":"#) && !table.stdout.contains("iron oxide"), "{}", table.stdout);
    let run = tiny(&long(), &["--long", "max", "--output-format", "trec"]);
    assert!(run.stdout.starts_with("q1 Q0 long 1 "), "{}", run.stdout);
}

#[test]
fn a_run_in_passages_is_resumed_and_cached_as_any() {
    let files = Files::new();
    let queries: String = (0..4).map(|query| long().replace("q1", &format!("q{query}")) + "\n").collect();
    let (input, output, cache) = (files.write("in.jsonl", queries), files.name("out.jsonl"), files.name("cache"));
    let arguments =
        [&TINY[..], &["--max-length", "160", "--long", "max", "-o", &output, "--cache", &cache, &input]].concat();
    assert_eq!(rerank(&arguments).status, 0);
    let whole = files.read("out.jsonl");
    let end = whole.match_indices('\n').nth(1).unwrap().0 + 1;
    std::fs::write(&output, &whole[..end + 30]).unwrap();
    let run = rerank(&[&arguments[..], &["--resume"]].concat());
    assert_eq!(run.status, 0, "{}", run.stderr);
    assert_eq!(files.read("out.jsonl"), whole);
    assert!(run.stderr.contains("from the cache"), "{}", run.stderr);
    let again = rerank(&[&TINY[..], &[&output]].concat());
    assert!(again.status == 0 && !again.stdout.contains("best_passage"), "{}", again.stderr);
    let other = [&TINY[..], &["--max-length", "160", "--long", "mean", "-o", &output, &input, "--resume"]].concat();
    rerank(&other).fails(2, &["--long was \"max\", and is \"mean\""]);
}

#[test]
fn nothing_is_lost_of_white_space_and_passages_help_no_query() {
    let blank = input(&json!([{"id": "blank", "text": " \n".repeat(2000)}]));
    assert!(tiny(&blank, &["--long", "max"]).stderr.contains("(0 truncated"));
    let query = "Which planet is known as the Red Planet? ".repeat(40);
    let long = json!({"query_id": "q1", "query": query, "candidates": [{"id": "a", "text": "Mars"}]}).to_string();
    let files = Files::new();
    let encoder = Family::read("xlm_roberta").write(&files, "xlm_roberta");
    let cut = rerank_on(long, &["--model", &encoder, "--dtype", "f32", "--max-length", "40"]);
    assert!(cut.stderr.contains("(1 truncated)") && !cut.stderr.contains("--long max"), "{}", cut.stderr);
}

#[test]
fn options_of_passages_that_do_not_fit_are_refused() {
    let given = "testdata/candidates.jsonl";
    for (arguments, parts) in [
        (vec!["--passage-tokens", "9"], vec!["--passage-tokens", "--long max"]),
        (vec!["--stride", "9"], vec!["--stride", "--long max"]),
        (vec!["--long", "first", "--stride", "9"], vec!["--stride", "--long first"]),
        (vec!["--long", "max", "--passage-tokens", "9", "--stride", "10"], vec!["--stride 10", "--passage-tokens 9"]),
        (vec!["--long", "max", "--passage-tokens", "8192"], vec!["--passage-tokens 8192", "8192 tokens"]),
        (vec!["--long", "max", "--passage-tokens", "0"], vec!["--passage-tokens", "whole number"]),
        (vec!["--long", "best"], vec!["--long", "max"]),
        (vec!["--long", "max", "--stride", "9000"], vec!["--stride 9000", "8192"]),
    ] {
        rerank(&[&["--model", "fake", given], &arguments[..]].concat()).fails(2, &parts);
    }
}
