//! Whole responses, field by field.

use serde_json::{Value, json};

use super::super::{Context, Dialect, get, misplaced};
use super::*;

const DOCUMENTS: &str = r#"{"query": "q", "documents": ["a 0.25", "b 0.75"]}"#;

fn usage(tokens: usize) -> Value {
    json!({ "prompt_tokens": tokens, "total_tokens": tokens })
}

fn meta(version: &str) -> Value {
    json!({
        "api_version": { "version": version }, "billed_units": { "search_units": 1 },
        "tokens": { "input_tokens": 20, "output_tokens": 0 },
    })
}

#[test]
fn the_common_response_has_what_all_clients_read() {
    let expected = json!({
        "id": "rerank-42", "object": "rerank", "model": "tiny",
        "results": [
            { "index": 1, "relevance_score": 0.75, "logit": 1.5, "document": { "text": "b 0.75" } },
            { "index": 0, "relevance_score": 0.25, "logit": 0.5, "document": { "text": "a 0.25" } },
        ],
        "usage": usage(20), "meta": meta("1"),
    });
    for path in ["/rerank", "/v1/rerank", "/rerank/", "/invocations"] {
        assert_eq!(exchange(path, DOCUMENTS), expected, "{path}");
    }
    let bare = exchange("/rerank", r#"{"query": "q", "documents": ["cut 0.25"], "return_documents": false}"#);
    assert_eq!(bare["results"], json!([{ "index": 0, "relevance_score": 0.25, "logit": 0.5, "truncated": true }]));
}

#[test]
fn cohere_repeats_documents_where_asked() {
    let expected = |version| {
        json!({
            "id": "42", "meta": meta(version),
            "results": [{ "index": 1, "relevance_score": 0.75 }, { "index": 0, "relevance_score": 0.25 }],
        })
    };
    assert_eq!(exchange("/v2/rerank", DOCUMENTS), expected("2"));
    assert_eq!(exchange("/cohere/v2/rerank", DOCUMENTS), expected("2"));
    assert_eq!(exchange("/cohere/v1/rerank", DOCUMENTS), expected("1"));
    let asked = r#"{"query": "q", "documents": [{"text": "a 0.5"}], "return_documents": true, "model": "m"}"#;
    let results = json!([{ "index": 0, "relevance_score": 0.5, "document": { "text": "a 0.5" } }]);
    assert_eq!(exchange("/cohere/v1/rerank", asked)["results"], results);
}

#[test]
fn cohere_is_warned_of_documents_that_were_cut() {
    let reply = exchange("/v2/rerank", r#"{"query": "q", "documents": ["cut 0.5", "b 0.75"]}"#);
    assert_eq!(reply["meta"]["warnings"], json!(["1 of 2 documents were cut, as their prompts would be too long"]));
}

#[test]
fn vllm_has_documents_with_both_fields() {
    let expected = json!({
        "id": "rerank-42", "model": "tiny", "usage": usage(20),
        "results": [
            { "index": 1, "relevance_score": 0.75, "document": { "text": "b 0.75", "multi_modal": null } },
            { "index": 0, "relevance_score": 0.25, "document": { "text": "a 0.25", "multi_modal": null } },
        ],
    });
    assert_eq!(exchange("/vllm/v1/rerank", DOCUMENTS), expected);
}

#[test]
fn vllm_scores_pairs_in_their_order() {
    let expected = |scores: &[f32]| {
        let entry = |(index, score)| json!({ "index": index, "object": "score", "score": score });
        json!({
            "id": "score-42", "object": "list", "created": 9, "model": "tiny", "usage": usage(10 * scores.len()),
            "data": scores.iter().enumerate().map(entry).collect::<Vec<_>>(),
        })
    };
    for (left, right) in [("text_1", "text_2"), ("queries", "documents"), ("queries", "items"), ("data_1", "data_2")] {
        let body = |queries: &str| format!(r#"{{"{left}": {queries}, "{right}": ["a 0.25", "b 0.75"]}}"#);
        assert_eq!(exchange("/score", &body(r#""q""#)), expected(&[0.25, 0.75]));
        assert_eq!(exchange("/v1/score", &body(r#"["q"]"#)), expected(&[0.25, 0.75]));
        assert_eq!(exchange("/invocations", &body(r#"["q", "r"]"#)), expected(&[0.25, 0.75]));
        assert_eq!(read("/score", &body(r#"["q", "r"]"#)).1.queries, ["q", "r"]);
        let one = format!(r#"{{"{left}": "q", "{right}": "a 0.5"}}"#);
        assert_eq!(exchange("/vllm/score", &one), expected(&[0.5]));
    }
}

#[test]
fn text_embeddings_inference_returns_an_array_and_its_headers() {
    let body = r#"{"query": "qé", "texts": ["a 0.25", "b 0.75"]}"#;
    let expected = json!([{ "index": 1, "score": 0.75 }, { "index": 0, "score": 0.25 }]);
    for path in ["/rerank", "/tei/rerank", "/", "", "/tei", "/tei/", "/invocations", "/llama/rerank", "/reranking"] {
        assert_eq!(exchange(path, body), expected, "{path}");
    }
    // But its errors are those of llama.cpp.
    assert_eq!(read("/reranking", body).0, Dialect::Llama);
    let with_text = r#"{"query": "q", "texts": ["a 0.25"], "return_text": true, "raw_scores": true}"#;
    assert_eq!(exchange("/rerank", with_text), json!([{ "index": 0, "score": 0.5, "text": "a 0.25" }]));

    let (dialect, request) = read("/rerank", body);
    let facts = facts();
    let rendered = dialect.render(&request, &answer(&request), &Context { facts: &facts, id: "42", created: 9 });
    let expected = [
        ("x-compute-type", "cpu"),
        ("x-compute-time", "250"),
        ("x-compute-characters", "16"),
        ("x-compute-tokens", "20"),
        ("x-total-time", "250"),
        ("x-tokenization-time", "1"),
        ("x-queue-time", "49"),
        ("x-inference-time", "200"),
    ];
    assert_eq!(rendered.headers, expected.map(|(name, value)| (name, value.to_owned())));
}

#[test]
fn predict_labels_a_pair_or_each_of_a_list() {
    let label = |score: f32| json!({ "score": score, "label": "LABEL_0" });
    assert_eq!(exchange("/predict", r#"{"inputs": ["q", "a 0.25"]}"#), json!([label(0.25)]));
    let pairs = r#"{"inputs": [["q", "a 0.25"], ["r", "b 0.75"]], "raw_scores": true}"#;
    for path in ["/predict", "/tei/predict", "/invocations", "/"] {
        assert_eq!(exchange(path, pairs), json!([[label(0.5)], [label(1.5)]]));
    }
    assert_eq!(read("/predict", pairs).1.queries, ["q", "r"]);
}

#[test]
fn llama_jina_and_infinity_have_their_own_envelopes() {
    let results = |document: fn(&str) -> Option<Value>| {
        let entry = |index: usize, score: f32, text: &str| {
            let mut entry = json!({ "index": index, "relevance_score": score });
            if let Some(document) = document(text) {
                entry["document"] = document;
            }
            entry
        };
        json!([entry(1, 0.75, "b 0.75"), entry(0, 0.25, "a 0.25")])
    };
    let list = json!({ "object": "list", "model": "tiny", "usage": usage(20), "results": results(|_| None) });
    for path in ["/reranking", "/v1/reranking", "/llama/rerank", "/llama/v1/reranking"] {
        assert_eq!(exchange(path, DOCUMENTS), list, "{path}");
    }
    let jina = json!({
        "object": "list", "model": "tiny", "usage": usage(20), "results": results(|text| Some(json!(text))),
    });
    assert_eq!(exchange("/jina/v1/rerank", DOCUMENTS), jina);
    let infinity = json!({
        "id": "infinity-42", "object": "rerank", "created": 9, "model": "tiny", "usage": usage(20), "results": results(|_| None),
    });
    assert_eq!(exchange("/infinity/rerank", DOCUMENTS), infinity);
    let asked = exchange("/infinity/rerank", r#"{"query": "q", "documents": ["a 0.5"], "return_documents": true}"#);
    assert_eq!(asked["results"], json!([{ "index": 0, "relevance_score": 0.5, "document": "a 0.5" }]));
}

#[test]
fn voyage_is_known_by_its_truncation_and_has_data() {
    let body = r#"{"query": "q", "documents": ["a 0.25", "b 0.75"], "model": "m", "top_k": null, "truncation": true}"#;
    let expected = json!({
        "object": "list", "model": "tiny", "usage": usage(20),
        "data": [{ "index": 1, "relevance_score": 0.75 }, { "index": 0, "relevance_score": 0.25 }],
    });
    assert_eq!(exchange("/v1/rerank", body), expected);
    let prefixed = r#"{"query": "q", "documents": ["a 0.25", "b 0.75"], "top_k": 1, "return_documents": true}"#;
    let data = json!([{ "index": 1, "relevance_score": 0.75, "document": "b 0.75" }]);
    assert_eq!(exchange("/voyage/v1/rerank", prefixed)["data"], data);
    // The clients of litellm and rerankers have no more than the name of the number of results.
    let common = exchange("/v1/rerank", prefixed);
    assert_eq!(common["data"], data);
    let results = json!([{ "index": 1, "relevance_score": 0.75, "logit": 1.5, "document": { "text": "b 0.75" } }]);
    assert_eq!(common["results"], results);
}

#[test]
fn nvidia_returns_logits() {
    let body = r#"{"model": "m", "query": {"text": "q"}, "passages": [{"text": "a 0.25"}, {"text": "b 0.75"}], "truncate": "END"}"#;
    let expected =
        json!({ "rankings": [{ "index": 1, "logit": 1.5 }, { "index": 0, "logit": 0.5 }], "usage": usage(20) });
    for path in [
        "/v1/ranking",
        "/nvidia/v1/ranking",
        "/v1/retrieval/nvidia/reranking",
        "/v1/retrieval/tiny-reranker/reranking",
        "/v1/retrieval/nvidia/llama-3_2-nv-rerankqa-1b-v2/reranking",
        "/rerank",
    ] {
        assert_eq!(exchange(path, body), expected, "{path}");
    }
}

#[test]
fn sglang_returns_documents_in_an_array() {
    let expected = json!([
        { "score": 0.75, "document": "b 0.75", "index": 1, "meta_info": { "id": "42", "prompt_tokens": 10 } },
        { "score": 0.25, "document": "a 0.25", "index": 0, "meta_info": { "id": "42", "prompt_tokens": 10 } },
    ]);
    assert_eq!(exchange("/sglang/v1/rerank", DOCUMENTS), expected);
    assert_eq!(exchange_as("/v1/rerank", DOCUMENTS, Some(Dialect::Sglang)).1, expected);
}

#[test]
fn deepinfra_returns_scores() {
    let expected = json!({
        "scores": [0.25, 0.75], "input_tokens": 20, "request_id": "42",
        "inference_status": { "status": "succeeded", "runtime_ms": 250, "cost": 0.0, "tokens_generated": 0, "tokens_input": 20 },
    });
    let body = r#"{"queries": ["q"], "documents": ["a 0.25", "b 0.75"]}"#;
    for path in ["/rerank", "/deepinfra/v1/inference/Qwen/Qwen3-Reranker-0.6B", "/deepinfra/rerank"] {
        assert_eq!(exchange(path, body), expected, "{path}");
    }
}

#[test]
fn scores_are_printed_with_the_fewest_digits_that_read_back_the_same() {
    let facts = facts();
    for path in ["/rerank", "/tei/rerank", "/nvidia/v1/ranking", "/sglang/v1/rerank", "/weaviate/rerank"] {
        let (dialect, request) = read(path, r#"{"query": "q", "documents": ["0.1"]}"#);
        let response = answer(&request);
        let rendered = dialect.render(&request, &response, &Context { facts: &facts, id: "", created: 0 });
        let printed = format!(":{}", response.pairs[0].score);
        assert!(
            rendered.body.contains(&format!("{printed},")) || rendered.body.contains(&format!("{printed}}}")),
            "{}",
            rendered.body
        );
    }
}

#[test]
fn facts_are_there_for_each_kind_of_client() {
    let read = |path| serde_json::from_str::<Value>(&get(path, &facts()).expect(path)).unwrap();
    let info = read("/info");
    assert_eq!(read("/tei/info"), info);
    assert_eq!(info["model_id"], "tiny");
    assert_eq!(info["model_type"]["reranker"]["id2label"]["0"], "LABEL_0");
    assert_eq!((&info["max_client_batch_size"], &info["max_input_length"]), (&json!(100), &json!(512)));
    let models = read("/v1/models");
    assert_eq!(models["object"], "list");
    assert_eq!((&models["data"][0]["id"], &models["data"][1]["id"]), (&json!("tiny"), &json!("default")));
    assert_eq!(models["data"][0]["max_model_len"], 512);
    assert_eq!(read("/infinity/models")["data"][0]["stats"], json!({}));
    assert_eq!(read("/weaviate/meta")["model"], "tiny");
    assert_eq!(get("/nothing", &facts()), None);
}

#[test]
fn other_services_paths_have_a_sentence_with_the_right_one() {
    for path in
        ["/v1/embeddings", "/embed", "/v1/chat/completions", "/v1/completions", "/tokenize", "/classify", "/rank"]
    {
        assert!(endpoint(path).is_none(), "{path}");
        assert!(misplaced(path).expect(path).contains("POST /v1/rerank"), "{path}");
    }
    assert_eq!(misplaced("/favicon.ico"), None);
}
