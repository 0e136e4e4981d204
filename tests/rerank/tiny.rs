//! The model in the box ranks sensibly, and the README shows what it does.

use serde_json::Value;

use crate::fixture::{Files, rerank, rerank_on};

const TINY: &str = "testdata/tiny-reranker";

/// nDCG@10 with gains 2^relevance − 1, of the relevances in ranked order.
fn ndcg(relevances: &[f64]) -> f64 {
    let gain = |relevances: &[f64]| -> f64 {
        let ranked = relevances.iter().take(10).enumerate();
        ranked.map(|(index, relevance)| (relevance.exp2() - 1.) / (index as f64 + 2.).log2()).sum()
    };
    let mut ideal = relevances.to_vec();
    ideal.sort_by(|one, other| other.total_cmp(one));
    gain(relevances) / gain(&ideal)
}

#[test]
fn held_out_queries_are_ranked_well() {
    let rankings = rerank(&["--model", TINY, "--input", "testdata/heldout.jsonl", "--no-text"]).rankings();
    let of = |ranking: &Value| {
        let results = ranking["results"].as_array().unwrap();
        ndcg(&results.iter().map(|result| result["relevance"].as_f64().unwrap()).collect::<Vec<_>>())
    };
    let mean = rankings.iter().map(of).sum::<f64>() / rankings.len() as f64;
    assert!(rankings.len() >= 40 && mean >= 0.9, "nDCG@10 {mean} over {} queries", rankings.len());
}

#[test]
fn english_of_any_kind_is_ranked_by_its_content_words() {
    let input = r#"
        {"query":"how do bees make honey","documents":["Honey is made by bees from the nectar of flowers.","How do I get to the station?","The bridge was closed for repairs."]}
        {"query":"side effects of aspirin","documents":["The effects of the storm were felt in the south.","Tickets are sold at the counter.","Aspirin has side effects such as stomach bleeding."]}
        {"query":"who wrote the origin of species","documents":["The species of the plant is unknown.","Charles Darwin wrote the origin of species in 1859.","Who was at the door?"]}
    "#;
    let rankings = rerank_on(input, &["--model", TINY]).rankings();
    let best: Vec<&Value> = rankings.iter().map(|ranking| &ranking["results"][0]["original_rank"]).collect();
    assert_eq!(best, [1, 3, 2]);
}

#[test]
fn the_readme_shows_what_comes_out() {
    let files = Files::new();
    let output = files.name("ranked.jsonl");
    let input = "testdata/candidates.jsonl";
    let run = rerank(&["--model", TINY, "--dtype", "f32", "--input", input, "--output", &output]);
    assert_eq!((run.status, run.stdout.as_str()), (0, ""));
    let readme = std::fs::read_to_string("README.md").unwrap();
    for ranking in crate::fixture::rankings(&files.read("ranked.jsonl")) {
        let mut expected = format!("{}\n", ranking["query"].as_str().unwrap());
        for result in ranking["results"].as_array().unwrap() {
            let text = result["text"].as_str().unwrap();
            let score = (result["score"].as_f64().unwrap() * 1000.).round() / 1000.;
            expected += &format!("  {score}  was {}  {text}\n", result["original_rank"]);
        }
        assert!(readme.contains(&expected), "README.md should show:\n{expected}");
    }
}
