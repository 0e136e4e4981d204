//! Requests of databases and applications as they send them, and what each of them accepts as a response: the rules are
//! those of the callers' own parsers.

use serde_json::{Map, json};

use super::*;

/// Reads the scores of the documents in the order of the request, as a caller does, or finds out that it can't.
type Rule = fn(&Value, &[String]) -> Option<Vec<f32>>;

/// Lists that have each document once, under two names.
fn by_index(list: &Value, score: &str, documents: &[String]) -> Option<Vec<f32>> {
    let list = list.as_array()?;
    let mut scores = vec![None; documents.len()];
    for entry in list {
        let place = scores.get_mut(usize::try_from(entry.get("index")?.as_u64()?).ok()?)?;
        if place.replace(entry.get(score)?.as_f64()? as f32).is_some() {
            return None;
        }
    }
    scores.into_iter().collect()
}

fn results(reply: &Value, documents: &[String]) -> Option<Vec<f32>> {
    by_index(reply.get("results")?, "relevance_score", documents)
}

fn array(reply: &Value, documents: &[String]) -> Option<Vec<f32>> {
    by_index(reply, "score", documents)
}

fn rankings(reply: &Value, documents: &[String]) -> Option<Vec<f32>> {
    Some(by_index(reply.get("rankings")?, "logit", documents)?.iter().map(|logit| logit / 2.).collect())
}

/// Weaviate takes the scores by position, and an error of its inference container from the same object.
fn weaviate(reply: &Value, documents: &[String]) -> Option<Vec<f32>> {
    let scores = reply.get("scores")?.as_array()?;
    if reply.get("error").is_some() || scores.len() != documents.len() {
        return None;
    }
    let score = |(entry, document): (&Value, &String)| {
        (entry.get("document")?.as_str()? == document).then_some(entry.get("score")?.as_f64()? as f32)
    };
    scores.iter().zip(documents).map(score).collect()
}

/// Elasticsearch fails at any key that it does not know.
fn elasticsearch(reply: &Value, documents: &[String]) -> Option<Vec<f32>> {
    let is_known = |entry: &Value| {
        let known = |(name, value): (&String, &Value)| match name.as_str() {
            "index" => value.is_u64(),
            "score" => value.is_number(),
            "text" => value.is_string(),
            _ => false,
        };
        entry.as_object().is_some_and(|object: &Map<_, _>| object.iter().all(known))
    };
    if !reply.as_array()?.iter().all(is_known) {
        return None;
    }
    array(reply, documents)
}

/// Dify takes the text of a result from its document, which is an object.
fn dify(reply: &Value, documents: &[String]) -> Option<Vec<f32>> {
    for result in reply.get("results")?.as_array()? {
        let text = documents.get(result.get("index")?.as_u64()? as usize)?;
        if result.get("document").is_some_and(|document| document.get("text") != Some(&json!(text))) {
            return None;
        }
    }
    results(reply, documents)
}

/// RAGFlow counts tokens by the usage.
fn ragflow(reply: &Value, documents: &[String]) -> Option<Vec<f32>> {
    reply.get("usage")?.get("total_tokens")?.as_u64()?;
    reply.get("results")?.as_array()?.iter().try_for_each(|result| result.get("document").map(|_| ()))?;
    results(reply, documents)
}

const CALLERS: [(&str, &str, Dialect, Rule); 15] = [
    ("milvus-vllm", include_str!("../../../../testdata/requests/milvus-vllm.json"), Dialect::Rerank, results),
    ("milvus-tei", include_str!("../../../../testdata/requests/milvus-tei.json"), Dialect::Tei, array),
    ("milvus-sglang", include_str!("../../../../testdata/requests/milvus-sglang.json"), Dialect::Sglang, array),
    (
        "weaviate-transformers",
        include_str!("../../../../testdata/requests/weaviate-transformers.json"),
        Dialect::Weaviate,
        weaviate,
    ),
    ("weaviate-cohere", include_str!("../../../../testdata/requests/weaviate-cohere.json"), Dialect::Cohere, results),
    ("weaviate-nvidia", include_str!("../../../../testdata/requests/weaviate-nvidia.json"), Dialect::Nvidia, rankings),
    (
        "elasticsearch",
        include_str!("../../../../testdata/requests/elasticsearch.json"),
        Dialect::Elastic,
        elasticsearch,
    ),
    (
        "elasticsearch-minimal",
        include_str!("../../../../testdata/requests/elasticsearch-minimal.json"),
        Dialect::Elastic,
        elasticsearch,
    ),
    (
        "opensearch-cohere",
        include_str!("../../../../testdata/requests/opensearch-cohere.json"),
        Dialect::Rerank,
        results,
    ),
    (
        "opensearch-sagemaker",
        include_str!("../../../../testdata/requests/opensearch-sagemaker.json"),
        Dialect::Tei,
        array,
    ),
    ("dify", include_str!("../../../../testdata/requests/dify.json"), Dialect::Rerank, dify),
    ("dify-texts", include_str!("../../../../testdata/requests/dify-texts.json"), Dialect::Rerank, dify),
    ("open-webui", include_str!("../../../../testdata/requests/open-webui.json"), Dialect::Rerank, results),
    (
        "ragflow-xinference",
        include_str!("../../../../testdata/requests/ragflow-xinference.json"),
        Dialect::Rerank,
        ragflow,
    ),
    (
        "litellm-huggingface",
        include_str!("../../../../testdata/requests/litellm-huggingface.json"),
        Dialect::Tei,
        array,
    ),
];

#[test]
fn each_caller_can_read_the_scores_of_its_documents() {
    for (caller, recorded, dialect, rule) in CALLERS {
        let recorded: Value = serde_json::from_str(recorded).unwrap();
        let (path, body) = (recorded["path"].as_str().unwrap(), recorded["body"].to_string());
        let (found, request) = read(path, &body);
        assert_eq!(found, dialect, "{caller}");
        let reply = exchange(path, &body);
        assert_eq!(rule(&reply, &request.documents), Some(vec![0.75, 0.25, 0.5]), "{caller}: {reply}");
    }
}

/// The address can be the bare one where the service is started for one caller.
#[test]
fn elasticsearch_and_sglang_can_be_the_default() {
    for (caller, dialect) in [("elasticsearch", Dialect::Elastic), ("milvus-sglang", Dialect::Sglang)] {
        let (_, recorded, _, rule) = CALLERS.into_iter().find(|(name, ..)| *name == caller).unwrap();
        let recorded: Value = serde_json::from_str(recorded).unwrap();
        let (found, reply) = exchange_as("/v1/rerank", &recorded["body"].to_string(), Some(dialect));
        assert_eq!(found, dialect);
        let documents: Vec<String> = serde_json::from_value(recorded["body"]["documents"].clone()).unwrap();
        assert!(rule(&reply, &documents).is_some(), "{caller}: {reply}");
    }
}

#[test]
fn the_rule_of_elasticsearch_refuses_the_response_of_others() {
    let documents = ["a 0.5".to_owned()];
    let body = r#"{"query": "q", "documents": ["a 0.5"]}"#;
    for path in ["/rerank", "/v2/rerank", "/sglang/v1/rerank", "/weaviate/rerank", "/v1/ranking"] {
        assert_eq!(elasticsearch(&exchange(path, body), &documents), None, "{path}");
    }
}
