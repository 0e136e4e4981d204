//! A score depends on its pair alone: to the bit, whatever is computed with it.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use proptest::prelude::*;
use rerank::engine::cpu::{Arithmetic, Level};
use rerank::precision::Precision;
use serde_json::{Value, json};

use crate::fixture::{Files, rerank, rerank_by, rerank_on};

const MODEL: &str = "testdata/odd-reranker";

/// The bits of every pair's logit, by query and candidate.
fn bits(rankings: &[Value]) -> BTreeMap<(String, String), u64> {
    let pairs = rankings.iter().flat_map(|ranking| {
        let query = ranking["query_id"].as_str().unwrap();
        ranking["results"].as_array().unwrap().iter().map(move |result| {
            ((query.to_owned(), result["id"].as_str().unwrap().to_owned()), result["logit"].as_f64().unwrap().to_bits())
        })
    });
    pairs.collect()
}

fn groups() -> Vec<Value> {
    let text = std::fs::read_to_string("testdata/parity.jsonl").unwrap();
    let mut groups: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    // The longest documents are for parity; here every run is done many times.
    for group in &mut groups {
        group["candidates"]
            .as_array_mut()
            .unwrap()
            .retain(|candidate| candidate["text"].as_str().unwrap().len() < 2000);
    }
    groups
}

fn jsonl(groups: &[Value]) -> String {
    groups.iter().map(|group| format!("{group}\n")).collect()
}

#[test]
fn batch_sizes_threads_precision_and_prefix_sharing_change_no_bit() {
    let files = Files::new();
    let input = files.write("groups.jsonl", jsonl(&groups()));
    let precisions = [Precision::F32, Precision::Bf16, Precision::Int8, Precision::Int16].into_iter();
    for arithmetic in precisions.flat_map(|precision| Arithmetic::all(Level::available(), precision)) {
        let run = |arguments: &[&str]| {
            let fixed = ["--model", MODEL, "--input", &input, "--no-text", "--quiet"];
            rerank_by(arithmetic, &[&fixed, arguments].concat()).rankings()
        };
        let expected = run(&[]);
        for arguments in [
            &["--batch-size", "1", "--threads", "1"][..],
            &["--batch-size", "1", "--threads", "2"],
            &["--batch-size", "64", "--threads", "1"],
            &["--batch-size", "64", "--threads", "2", "--max-batch-tokens", "100000"],
            &["--batch-size", "3", "--max-batch-tokens", "700"],
            &["--no-prefix-sharing", "--threads", "1"],
            &["--device", "cpu,cpu,cpu", "--batch-size", "2"],
            &["--no-prefix-sharing", "--batch-size", "64", "--threads", "2"],
        ] {
            assert_eq!(run(arguments), expected, "{arithmetic:?} {arguments:?}");
        }
    }
}

/// A shuffle of the groups and of their candidates, and which candidates are left out.
fn rearranged() -> impl Strategy<Value = Vec<Value>> {
    Just(groups()).prop_shuffle().prop_perturb(|mut groups, mut random| {
        groups.truncate(6);
        for group in &mut groups {
            let candidates = group["candidates"].as_array_mut().unwrap();
            candidates.sort_by_cached_key(|_| random.next_u64());
            let kept = candidates.len().min(1 + (random.next_u64() % 8) as usize);
            candidates.truncate(kept);
        }
        groups
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]
    #[test]
    fn order_and_neighbours_change_no_bit(some in rearranged(), batch_size in 1u32..70, threads in 1u32..3, share: bool) {
        let files = Files::new();
        let input = files.write("all.jsonl", jsonl(&groups()));
        static ALL: OnceLock<BTreeMap<(String, String), u64>> = OnceLock::new();
        let all = ALL.get_or_init(|| bits(&rerank(&["--model", MODEL, "--input", &input, "--quiet"]).rankings()));
        let (batch_size, threads) = (batch_size.to_string(), threads.to_string());
        let mut arguments = vec!["--model", MODEL, "--quiet", "--batch-size", &batch_size, "--threads", &threads];
        if !share {
            arguments.push("--no-prefix-sharing");
        }
        let some = bits(&rerank_on(jsonl(&some), &arguments).rankings());
        prop_assert!(!some.is_empty());
        for (pair, logit) in &some {
            prop_assert_eq!(logit, &all[pair], "{:?}", pair);
        }
    }
}

#[test]
fn equal_documents_tie_and_keep_their_order() {
    let candidates: Vec<Value> = (0..7).map(|id| json!({"id": format!("d{id}"), "text": "the same"})).collect();
    let input = json!({"query_id": "q", "query": "same", "candidates": candidates}).to_string();
    let ranking = &rerank_on(input, &["--model", MODEL, "--batch-size", "3"]).rankings()[0];
    let results = ranking["results"].as_array().unwrap();
    let ids: Vec<&str> = results.iter().map(|result| result["id"].as_str().unwrap()).collect();
    assert_eq!(ids, ["d0", "d1", "d2", "d3", "d4", "d5", "d6"]);
    assert!(results.iter().all(|result| result["logit"] == results[0]["logit"]));
}
