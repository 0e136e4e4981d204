//! What holds for all bodies.

use proptest::prelude::*;
use serde_json::json;

use super::*;

/// Paths of all endpoints.
const PATHS: [&str; 18] = [
    "/",
    "/deepinfra/v1/inference/model",
    "/rerank",
    "/v2/rerank",
    "/cohere/v1/rerank",
    "/jina/v1/rerank",
    "/vllm/rerank",
    "/score",
    "/tei/rerank",
    "/predict",
    "/reranking",
    "/infinity/rerank",
    "/voyage/rerank",
    "/v1/ranking",
    "/weaviate/rerank",
    "/sglang/rerank",
    "/elastic/rerank",
    "/invocations",
];

const NAMES: [&str; 34] = [
    "query",
    "documents",
    "texts",
    "passages",
    "inputs",
    "queries",
    "items",
    "text_1",
    "text_2",
    "data_1",
    "data_2",
    "property",
    "model",
    "top_n",
    "top_k",
    "min_score",
    "threshold",
    "instruction",
    "chat_template_kwargs",
    "truncate",
    "truncation",
    "truncation_side",
    "truncate_prompt_tokens",
    "max_tokens_per_doc",
    "rank_fields",
    "return_documents",
    "raw_scores",
    "use_activation",
    "metadata",
    "priority",
    "request_id",
    "cache_salt",
    "score_threshold",
    "relevant_spans",
];

fn values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,8}".prop_map(Value::from),
        Just(json!("END")),
        Just(json!("left")),
        "x{100,200}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        let name =
            prop_oneof![Just("text".to_owned()), Just("content".to_owned()), Just("type".to_owned()), "[a-z]{1,3}"];
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::vec((name, inner), 0..4)
                .prop_map(|entries| Value::Object(entries.into_iter().collect())),
        ]
    })
}

/// Reads and, if it can be read, writes the response.
fn try_out(path: &str, body: &[u8], default: Option<Dialect>) {
    match read_as(path, body, default) {
        Ok((dialect, request)) => {
            assert!(!request.documents.is_empty());
            assert!(request.queries.len() == 1 || request.queries.len() == request.documents.len());
            let facts = facts();
            let id = request.id.as_deref().unwrap_or("42");
            let rendered = dialect.render(&request, &answer(&request), &Context { facts: &facts, id, created: 9 });
            serde_json::from_str::<Value>(&rendered.body).expect("the response is JSON");
            // A character may be written with six, and the results stand twice where two clients read them.
            let texts: usize = request.queries.iter().chain(&request.documents).map(String::len).sum();
            let property = request.echo.property.as_ref().map_or(0, String::len);
            let most = 12 * (texts + property) + 1000 * (request.documents.len() + 1);
            assert!(rendered.body.len() < most, "{}", rendered.body);
        }
        Err((dialect, problem)) => {
            assert!((400..500).contains(&problem.status()), "{}", problem.message);
            assert!(problem.message.len() < 600, "{}", problem.message);
            serde_json::from_str::<Value>(&dialect.render_problem(&problem)).expect("the error is JSON");
        }
    }
}

proptest! {
    #[test]
    fn no_bytes_end_the_service(bytes in proptest::collection::vec(any::<u8>(), 0..64), path in 0..PATHS.len()) {
        try_out(PATHS[path], &bytes, None);
    }

    #[test]
    fn no_values_end_the_service(
        fields in proptest::collection::vec((0..NAMES.len(), values()), 0..6),
        path in 0..PATHS.len(),
        default in 0..=Dialect::names().count(),
    ) {
        let default = Dialect::names().nth(default).and_then(Dialect::from_name);
        let body: serde_json::Map<_, _> = fields.into_iter().map(|(name, value)| (NAMES[name].to_owned(), value)).collect();
        try_out(PATHS[path], Value::Object(body).to_string().as_bytes(), default);
    }

    #[test]
    fn documents_and_their_indices_come_back_in_order(
        documents in proptest::collection::vec((".{0,20}", -9f32..9.), 1..8),
        query in "[a-z].{0,10}",
    ) {
        let documents: Vec<String> = documents.iter().map(|(text, score)| format!("{text} {score}")).collect();
        let in_objects: Vec<Value> = documents.iter().map(|text| json!({ "text": text })).collect();
        let bodies = [
            ("/rerank", json!({ "query": query, "documents": documents })),
            ("/v2/rerank", json!({ "query": query, "documents": documents, "model": "m", "return_documents": true })),
            ("/vllm/rerank", json!({ "query": query, "documents": in_objects })),
            ("/tei/rerank", json!({ "query": query, "texts": documents, "return_text": true })),
            ("/score", json!({ "text_1": query, "text_2": documents })),
            ("/v1/ranking", json!({ "query": { "text": query }, "passages": in_objects })),
            ("/weaviate/rerank", json!({ "query": query, "documents": documents, "property": "p" })),
            ("/sglang/v1/rerank", json!({ "query": query, "documents": documents })),
        ];
        for (path, body) in bodies {
            let (_, request) = read(path, &body.to_string());
            prop_assert_eq!(&request.documents, &documents);
            prop_assert_eq!(&request.queries, std::slice::from_ref(&query));
            let reply = exchange(path, &body.to_string());
            let list = ["results", "data", "rankings", "scores"].into_iter().find_map(|name| reply.get(name)).unwrap_or(&reply);
            let list = list.as_array().unwrap();
            prop_assert_eq!(list.len(), documents.len());
            let mut seen = vec![false; documents.len()];
            for (place, entry) in list.iter().enumerate() {
                let index = entry.get("index").map_or(place, |index| index.as_u64().unwrap() as usize);
                seen[index] = true;
                let score = ["relevance_score", "score", "logit"].into_iter().find_map(|name| entry.get(name)).unwrap();
                let factor = if path == "/v1/ranking" { 2. } else { 1. };
                prop_assert_eq!(score.as_f64().unwrap() as f32, factor * score_of(&documents[index]));
                let document = entry.get("document").or(entry.get("text"));
                if let Some(text) = document.map(|document| document.get("text").unwrap_or(document)) {
                    prop_assert_eq!(text, &json!(documents[index]));
                }
            }
            prop_assert!(seen.iter().all(|seen| *seen));
        }
    }
}
