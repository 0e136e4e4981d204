//! What requests ask for, in whatever words.

use super::*;
use crate::serve::request::Truncation;

/// A request to `/rerank` with more fields.
fn with(fields: &str) -> String {
    format!(r#"{{"query": "q", "documents": ["a 0.25", "b 0.75"], {fields}}}"#)
}

fn request(fields: &str) -> RerankRequest {
    read("/rerank", &with(fields)).1
}

#[test]
fn a_request_without_options_asks_for_nothing() {
    let (dialect, request) =
        read("/rerank", r#"{"query": "q", "documents": ["d"], "top_n": null, "instruction": null}"#);
    assert_eq!(dialect, Dialect::Rerank);
    let expected = RerankRequest { queries: vec!["q".into()], documents: vec!["d".into()], ..RerankRequest::default() };
    assert_eq!(request, expected);
}

#[test]
fn the_number_of_results_has_two_names_and_0_stands_for_all_in_vllm() {
    for fields in [r#""top_n": 1"#, r#""top_k": 1"#, r#""top_n": 1.0"#, r#""top_n": "1""#, r#""top_n": 1, "top_k": 1"#]
    {
        assert_eq!(request(fields).top_n, Some(1), "{fields}");
    }
    assert_eq!(request(r#""top_n": 0"#).top_n, None);
    assert_eq!(request(r#""top_n": 1e300"#).top_n, Some(i64::MAX as usize));
    assert_eq!(read("/vllm/rerank", &with(r#""top_n": 0"#)).1.top_n, None);
}

#[test]
fn raw_scores_have_many_words() {
    for fields in
        [r#""raw_scores": true"#, r#""use_activation": false"#, r#""raw_scores": "true""#, r#""activation": false"#]
    {
        assert!(request(fields).raw_scores, "{fields}");
    }
    for fields in
        [r#""raw_scores": false"#, r#""use_activation": true"#, r#""raw_scores": "False""#, r#""raw_scores": null"#]
    {
        assert!(!request(fields).raw_scores, "{fields}");
    }
    let probabilities = r#"{"query": {"text": "q"}, "passages": ["a"], "raw_scores": false}"#;
    assert!(!read("/v1/ranking", probabilities).1.raw_scores);
}

#[test]
fn the_least_score_has_three_names() {
    for name in ["min_score", "score_threshold", "threshold"] {
        assert_eq!(request(&format!(r#""{name}": 0.5"#)).min_score, Some(0.5));
        assert_eq!(exchange("/rerank", &with(&format!(r#""{name}": 0.5"#)))["results"].as_array().unwrap().len(), 1);
    }
}

#[test]
fn the_arguments_of_the_chat_template_count_before_the_instruction() {
    let both = r#""instruction": "i", "chat_template_kwargs": {"instruction": "k"}"#;
    let cases = [
        (r#""instruction": "i""#, Some("i")),
        (r#""instruct": "i""#, Some("i")),
        (r#""instruction": """#, None),
        (both, Some("k")),
        (r#""instruction": "i", "chat_template_kwargs": {}"#, Some("i")),
        (r#""instruction": "i", "chat_template_kwargs": {"instruction": null}"#, Some("i")),
    ];
    for (fields, expected) in cases {
        assert_eq!(request(fields).instruction.as_deref(), expected, "{fields}");
    }
}

#[test]
fn truncation_has_the_words_of_all_dialects() {
    let refuse = Truncation { refuse: true, ..Truncation::default() };
    let left = Truncation { from_start: true, ..Truncation::default() };
    let cases = [
        (r#""truncate": true"#, Truncation::default()),
        (r#""truncate": false"#, refuse),
        (r#""truncate": "NONE""#, refuse),
        (r#""truncate": "END""#, Truncation::default()),
        (r#""truncate": "START""#, left),
        (r#""truncation": false"#, refuse),
        (r#""truncation_direction": "Left""#, left),
        (r#""truncation_direction": "right""#, Truncation::default()),
        (r#""truncation_side": "left""#, left),
        (r#""truncate_prompt_tokens": -1"#, Truncation::default()),
        (r#""truncate_prompt_tokens": 64"#, Truncation { prompt: Some(64), ..Truncation::default() }),
        (r#""max_tokens_per_doc": 0, "max_tokens_per_query": 0"#, Truncation::default()),
        (
            r#""max_tokens_per_doc": 4096, "max_tokens_per_query": 32"#,
            Truncation { query: Some(32), document: Some(4096), ..Truncation::default() },
        ),
    ];
    for (fields, expected) in cases {
        assert_eq!(request(fields).truncation, expected, "{fields}");
    }
}

#[test]
fn nvidia_cuts_nothing_unless_it_is_asked_to() {
    let refuses = |fields: &str| {
        let body = format!(r#"{{"query": {{"text": "q"}}, "passages": ["a"]{fields}}}"#);
        let refuses = read("/v1/ranking", &body).1.truncation.refuse;
        assert_eq!(read("/rerank", &body).1.truncation.refuse, refuses);
        refuses
    };
    assert!(refuses("") && refuses(r#", "truncate": "NONE""#));
    for asked in [r#""truncate": "END""#, r#""truncation": true"#, r#""truncate_prompt_tokens": 9"#] {
        assert!(!refuses(&format!(", {asked}")), "{asked}");
    }
}

#[test]
fn what_was_cut_is_counted_in_a_header_of_all_dialects() {
    let facts = facts();
    for path in
        ["/rerank", "/v2/rerank", "/vllm/rerank", "/tei/rerank", "/v1/ranking", "/weaviate/rerank", "/elastic/rerank"]
    {
        for (documents, expected) in [(r#"["a cut 1", "b", "c cut 2"]"#, Some("2")), (r#"["a"]"#, None)] {
            let (dialect, request) = read(path, &format!(r#"{{"query": "q", "documents": {documents}}}"#));
            let context = Context { facts: &facts, id: "42", created: 9 };
            let headers = dialect.render(&request, &answer(&request), &context).headers;
            let found = headers.iter().find(|(name, _)| *name == "x-truncated-documents");
            assert_eq!(found.map(|(_, value)| value.as_str()), expected, "{path}");
        }
    }
}

#[test]
fn the_common_dialect_has_a_path_that_no_option_changes() {
    for default in [None, Some(Dialect::Nvidia), Some(Dialect::Weaviate)] {
        let (dialect, reply) = exchange_as("/rerank/v1/rerank", &with(r#""top_n": 1"#), default);
        assert_eq!(dialect, Dialect::Rerank);
        assert_eq!(reply["results"][0]["logit"], 1.5);
    }
}

#[test]
fn the_client_of_infinity_names_no_model_in_its_own_way() {
    let body = with(r#""model": "default/not-specified""#);
    assert_eq!(read("/infinity/rerank", &body).1.model, None);
    assert_eq!(read("/rerank", &body).1.model.as_deref(), Some("default/not-specified"));
}

#[test]
fn what_changes_no_score_is_taken() {
    let fields = r#""user": "u", "priority": 0, "padding": "max_length", "mm_processor_kwargs": {},
        "metadata": [], "max_chunks_per_doc": 10, "overlap_tokens": 0, "return_embeddings": false, "anything": [1],
        "relevant_spans": {"mode": "disabled"}, "model": """#;
    let plain = read("/rerank", r#"{"query": "q", "documents": ["a 0.25", "b 0.75"]}"#).1;
    assert_eq!(request(fields), plain);
}

#[test]
fn a_salt_is_kept_for_services_with_a_cache() {
    assert!(request(r#""cache_salt": "s""#).salted);
    assert!(!request(r#""cache_salt": null"#).salted);
}

#[test]
fn a_request_can_name_itself() {
    assert_eq!(exchange("/rerank", &with(r#""request_id": "mine""#))["id"], "rerank-mine");
}

#[test]
fn documents_are_texts_or_objects_around_texts() {
    let documents = r#"["a", {"text": "b"}, {"text": "c", "id": 3}, {"content": [{"type": "text", "text": "d"}]}, {"content": "e"}, ""]"#;
    let body = format!(r#"{{"query": {{"text": "q"}}, "documents": {documents}}}"#);
    for path in ["/rerank", "/v2/rerank", "/vllm/rerank", "/sglang/v1/rerank"] {
        let (_, request) = read(path, &body);
        assert_eq!(request.documents, ["a", "b", "c", "d", "e", ""]);
        assert_eq!(request.queries, ["q"]);
    }
    assert_eq!(read("/rerank", r#"{"query": "q", "documents": "alone"}"#).1.documents, ["alone"]);
}

#[test]
fn the_fields_that_are_ranked_stand_in_the_order_of_their_names() {
    let body = r#"{"query": "q", "rank_fields": ["title", "year", "text"],
        "documents": [{"text": "body", "title": "head", "year": 1999, "other": "x"}]}"#;
    assert_eq!(read("/cohere/v1/rerank", body).1.documents, ["head\n1999\nbody"]);
}

#[test]
fn the_body_shows_the_dialect() {
    let cases = [
        (r#""texts": ["d"]"#, Dialect::Tei),
        (r#""texts": ["d"], "model": "m""#, Dialect::Rerank),
        (r#""texts": ["d"], "top_n": 1"#, Dialect::Rerank),
        (r#""texts": ["d"], "top_n": 1, "raw_scores": false, "truncation_direction": "Right""#, Dialect::Tei),
        (r#""texts": ["d"], "model": "m", "top_n": 1, "return_text": true"#, Dialect::Tei),
        (r#""texts": ["d"], "top_n": 1, "truncate": true"#, Dialect::Tei),
        (r#""documents": ["d"], "property": """#, Dialect::Weaviate),
        (r#""documents": ["d"], "model": "m""#, Dialect::Rerank),
        (r#""documents": ["d"], "top_k": 1"#, Dialect::Rerank),
        (r#""documents": ["d"], "truncation": false"#, Dialect::Voyage),
        (r#""documents": ["d"], "truncation": true, "top_n": 1"#, Dialect::Rerank),
        (r#""passages": ["d"]"#, Dialect::Nvidia),
    ];
    for (fields, expected) in cases {
        let body = format!(r#"{{"query": "q", {fields}}}"#);
        assert_eq!(read("/rerank", &body).0, expected, "{fields}");
        assert_eq!(read("/v1/rerank", &body).0, expected, "{fields}");
        let elastic = read_as("/rerank", body.as_bytes(), Some(Dialect::Elastic)).unwrap().0;
        assert_eq!(elastic, if expected == Dialect::Rerank { Dialect::Elastic } else { expected }, "{fields}");
    }
}

#[test]
fn each_name_of_a_dialect_is_its_own() {
    for name in Dialect::names() {
        assert_eq!(Dialect::from_name(name).map(Dialect::name), Some(name));
    }
    assert_eq!(Dialect::names().count(), 13);
    assert_eq!(Dialect::from_name("tei-predict"), None);
    assert_eq!(Dialect::from_name("openai"), None);
}
