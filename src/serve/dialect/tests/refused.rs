//! Requests that are refused: with which status, in whose shape, and in which words.

use serde_json::json;

use super::super::of_error;
use super::*;
use crate::serve::request::ProblemKind;

#[test]
fn a_body_that_is_no_request_is_refused_with_400() {
    let cases = [
        ("", "the body is empty"),
        ("  \n", "the body is empty"),
        ("not json", "the body is not JSON: expected ident at line 1 column 2"),
        ("[]", "the body is a list: an object is expected"),
        ("3", "the body is a number: an object is expected"),
        (r#"{"query": "q""#, "the body can't be read: EOF while parsing an object"),
        (
            r#"{"query": "q", "query": "r", "documents": ["d"]}"#,
            "the body has `query` twice, with different values: remove one of them",
        ),
        (r#"{"documents": ["d"]}"#, "`query` is missing: a text is expected"),
        (r#"{"query": "q"}"#, "`documents` is missing: a list of texts is expected"),
        (r#"{"query": "q", "documents": []}"#, "`documents` is empty: at least one text is needed"),
        (r#"{"query": "q", "documents": {}}"#, "`documents` is an object: a list of texts is expected"),
        (r#"{"query": "q", "documents": ["a", 3]}"#, "`documents[1]` is 3: a text is expected"),
        (r#"{"query": "q", "documents": [null]}"#, "`documents[0]` is null: a text is expected"),
        (r#"{"query": "q", "documents": [{"title": "t"}]}"#, "`documents[0]` is an object without `text`"),
        (r#"{"query": true, "documents": ["d"]}"#, "`query` is true: a text is expected"),
        (r#"{"query": ["q"], "documents": ["d"]}"#, "`query` is a list: a text is expected"),
        (
            r#"{"query": "q", "documents": ["d"], "texts": ["d"], "model": "m"}"#,
            "`documents` and `texts` are both there",
        ),
        (
            r#"{"query": "q", "documents": ["d", {"text": "a", "text": "b"}]}"#,
            "`documents[1]` has `text` twice, with different values: remove one of them",
        ),
        (
            r#"{"query": "q", "documents": ["d"], "chat_template_kwargs": {"instruction": "a", "instruction": "b"}}"#,
            "`chat_template_kwargs` has `instruction` twice",
        ),
        (r#"{"query": "q", "documents": ["d"], "passages": ["d"]}"#, "`documents` and `passages` are both there"),
        (r#"{"query": "q", "documents": ["d"], "top_n": "many"}"#, "`top_n` is \"many\": a whole number is expected"),
        (r#"{"query": "q", "documents": ["d"], "top_n": true}"#, "`top_n` is true: a whole number is expected"),
        (
            r#"{"query": "q", "documents": ["d"], "raw_scores": "yes"}"#,
            "`raw_scores` is \"yes\": true or false is expected",
        ),
        (r#"{"query": "q", "documents": ["d"], "model": 3}"#, "`model` is 3: a text is expected"),
        (r#"{"query": "q", "documents": ["d"], "rank_fields": "text"}"#, "`rank_fields` is a text: a list is expected"),
    ];
    for (body, expected) in cases {
        let (dialect, problem) = refused("/rerank", body);
        assert_eq!((dialect, problem.kind), (Dialect::Rerank, ProblemKind::Malformed), "{body}");
        assert!(problem.message.starts_with(expected), "{body}: {}", problem.message);
    }
    for bytes in [&b"{\"query\": \"\xff\", \"documents\": [\"d\"]}"[..], b"\xff\xfe{\x00}\x00", b"\x00"] {
        assert_eq!(read_as("/rerank", bytes, None).unwrap_err().1.kind, ProblemKind::Malformed);
    }
    // A field that stands often is as many, though it is always the same.
    let (_, often) = refused("/rerank", &format!("{{{}}}", vec![r#""f": 0"#; 1001].join(",")));
    assert!(often.message.starts_with("the body has more than 1000 fields"));
    let fields: Vec<String> = (0..1001).map(|number| format!(r#""f{number}": 0"#)).collect();
    let (_, many) = refused("/rerank", &format!("{{{}}}", fields.join(",")));
    assert!(many.message.starts_with("the body has more than 1000 fields"));
    let deep = format!(r#"{{"query": "q", "documents": {}1{}}}"#, "[".repeat(100_000), "]".repeat(100_000));
    assert_eq!(refused("/rerank", &deep).1.message, "`documents[0]` is a list: a text is expected");
    let (open, close) = (r#"{"content": ["#.repeat(20_000), "]}".repeat(20_000));
    let (_, problem) = refused("/rerank", &format!(r#"{{"query": "q", "documents": [{open}"d"{close}]}}"#));
    assert!(
        problem.message.starts_with("`documents[0]` has `content` with other than one part"),
        "{}",
        problem.message
    );
}

#[test]
fn values_that_can_not_be_used_are_refused_with_422() {
    let cases = [
        (r#""top_n": -1"#, "`top_n` is -1: a whole number from 0 on is expected"),
        (r#""top_n": 1.5"#, "`top_n` is 1.5: a whole number from 0 on is expected"),
        (r#""top_n": 1, "top_k": 2"#, "`top_n` and `top_k` contradict each other: leave one of them out"),
        (r#""min_score": 1e300"#, "`min_score` is 1e300: a number from -3.4e38 to 3.4e38 is expected"),
        (r#""min_score": 0.5, "threshold": 0.6"#, "`min_score` and `threshold` contradict each other"),
        (r#""raw_scores": true, "use_activation": true"#, "`raw_scores` and `use_activation` contradict each other"),
        (r#""normalize": true"#, "`normalize` is not known: use `use_activation`"),
        (r#""priority": 5"#, "`priority` is 5, and requests are served in turn: leave it out"),
        (r#""priority": 1e308"#, "`priority` is 1e308, and requests are served in turn: leave it out"),
        (r#""priority": 1.5"#, "`priority` is 1.5: a whole number is expected"),
        (r#""max_chunks_per_doc": 3"#, "`max_chunks_per_doc` is 3"),
        (r#""overlap_tokens": 80"#, "`overlap_tokens` is 80"),
        (r#""return_embeddings": true"#, "`return_embeddings` is true"),
        (r#""relevant_spans": {"mode": "enabled"}"#, "`relevant_spans` is not known"),
        (r#""metadata": ["m"]"#, "`metadata` has no place in the prompt"),
        (r#""metadata": {"year": 1999}"#, "`metadata` has no place in the prompt"),
        (r#""metadata": "m""#, "`metadata` has no place in the prompt"),
        (r#""raw_scores": true, "activation": true"#, "`raw_scores` and `activation` contradict each other"),
        (
            r#""truncate": "START", "truncation_side": "right""#,
            "`truncate` and `truncation_side` contradict each other",
        ),
        (r#""chat_template": "{{ x }}""#, "`chat_template` can't be set by a request"),
        (r#""chat_template_kwargs": {"enable_thinking": false}"#, "`chat_template_kwargs` has `enable_thinking`"),
        (r#""mm_processor_kwargs": {"fps": 1}"#, "`mm_processor_kwargs` is for images and sounds"),
        (r#""truncate_prompt_tokens": 0"#, "`truncate_prompt_tokens` is 0"),
        (r#""truncate_prompt_tokens": -2"#, "`truncate_prompt_tokens` is -2: a whole number from -1 on"),
        (r#""max_tokens_per_doc": -1"#, "`max_tokens_per_doc` is -1: a whole number from 0 on"),
        (r#""truncate": "MIDDLE""#, "`truncate` is \"MIDDLE\": true, false, \"END\" or \"NONE\" is expected"),
        (r#""truncate": true, "truncation": false"#, "`truncate` and `truncation` contradict each other"),
        (r#""truncation_side": "both""#, "`truncation_side` is neither \"left\" nor \"right\""),
        (r#""request_id": "ü""#, "`request_id` is to have 1 to 128 visible characters of ASCII"),
        (r#""rank_fields": ["text", "title", "text"]"#, "`rank_fields` names `text` twice: remove one of them"),
        (r#""rank_fields": ["author"]"#, "`documents[0]` has no `author`, which `rank_fields` names"),
    ];
    for (fields, expected) in cases {
        let (_, problem) =
            refused("/rerank", &format!(r#"{{"query": "q", "documents": [{{"text": "d"}}], {fields}}}"#));
        assert_eq!(problem.kind, ProblemKind::Invalid, "{fields}: {}", problem.message);
        assert!(problem.message.starts_with(expected), "{fields}: {}", problem.message);
    }
    for path in ["/v2/rerank", "/infinity/rerank", "/jina/v1/rerank", "/voyage/v1/rerank", "/elastic/rerank"] {
        let (_, problem) = refused(path, r#"{"query": "q", "documents": ["d"], "top_n": 0}"#);
        assert_eq!(problem.message, "`top_n` is 0: a whole number from 1 on is expected", "{path}");
        assert_eq!(problem.status(), 422);
    }
}

#[test]
fn an_identifier_is_no_longer_than_a_line() {
    let body =
        |length: usize| format!(r#"{{"query": "q", "documents": ["d"], "request_id": "{}"}}"#, "x".repeat(length));
    for path in ["/rerank", "/sglang/v1/rerank", "/tei/rerank"] {
        assert_eq!(read(path, &body(128)).1.id.map(|id| id.len()), Some(128));
        assert_eq!(refused(path, &body(129)).1.kind, ProblemKind::Invalid, "{path}");
    }
}

#[test]
fn half_of_a_surrogate_pair_is_named_with_its_place() {
    let half = |place: &str, half: &str| {
        format!(
            "{place} has {half}, one half of a surrogate pair, which is no character: remove it, or write both halves"
        )
    };
    let cases = [
        (r#"{"query": "\ud83d\ude00 \ud800", "documents": ["d"]}"#, half("`query`", r"\ud800")),
        (r#"{"query": "q", "documents": ["\\ud800", "a\udc00b"]}"#, half("`documents[1]`", r"\udc00")),
        (r#"{"query": "q", "documents": [{"text": "\uD800\u0041"}]}"#, half("`documents[0]`", r"\uD800")),
        (
            r#"{"query": "q", "documents": ["d"], "instruction": "\ud800\ud800\udc00"}"#,
            half("`instruction`", r"\ud800"),
        ),
        (r#"{"query": "q", "documents": [{"\udfff": 1}]}"#, half("`documents[0]`", r"\udfff")),
        (r#"{"query": "q", "\udfff": 1}"#, half("the body", r"\udfff")),
        (r#"{"query": "q", "documents": ["d"], "rank_fields": ["\ud800"]}"#, half("`rank_fields`", r"\ud800")),
    ];
    for (body, expected) in cases {
        let (_, problem) = refused("/rerank", body);
        assert_eq!((problem.message, problem.kind), (expected, ProblemKind::Malformed), "{body}");
    }
}

#[test]
fn texts_have_no_fields_to_be_ranked_by() {
    let body = |fields: &str| format!(r#"{{"query": "q", "documents": [{{"t": "a"}}, "b"], "rank_fields": {fields}}}"#);
    let (_, problem) = refused("/rerank", &body(r#"["t"]"#));
    assert!(problem.message.starts_with("`documents[1]` is a text, which has no fields"), "{}", problem.message);
    // A text is as good as an object with the field `text`.
    let (_, request) = read("/rerank", r#"{"query": "q", "documents": [{"text": "a"}, "b"], "rank_fields": ["text"]}"#);
    assert_eq!(request.documents, ["a", "b"]);
}

#[test]
fn what_is_no_text_is_refused_by_its_name() {
    let cases = [
        (r#"[{"image": "https://example.org/a.png"}]"#, "`documents[0]` has `image`, and this service scores texts"),
        (r#"["a", {"text": "b", "image_url": {}}]"#, "`documents[1]` has `image_url`"),
        (r#"[{"content": [{"type": "image_url", "image_url": {}}]}]"#, "`documents[0]` has `image_url`"),
    ];
    for (documents, expected) in cases {
        let (_, problem) = refused("/rerank", &format!(r#"{{"query": "q", "documents": {documents}}}"#));
        assert!(problem.message.starts_with(expected), "{}", problem.message);
    }
}

#[test]
fn limits_are_named() {
    let many = vec!["\"d\""; 101].join(",");
    for (path, body) in [
        ("/rerank", format!(r#"{{"query": "q", "documents": [{many}]}}"#)),
        ("/tei/rerank", format!(r#"{{"query": "q", "texts": [{many}]}}"#)),
        ("/score", format!(r#"{{"text_1": "q", "text_2": [{many}]}}"#)),
        ("/predict", format!(r#"{{"inputs": [{}]}}"#, vec![r#"["q", "d"]"#; 101].join(","))),
    ] {
        let (_, problem) = refused(path, &body);
        assert_eq!(problem.status(), 413);
        assert!(problem.message.contains("and a request can have at most 100: send several requests"));
        assert!(problem.message.contains(if path == "/predict" { "has 101 pairs" } else { "has 101 texts" }));
    }
    let (_, problem) = refused("/rerank", &format!(r#"{{"query": "q", "documents": ["{}"]}}"#, "é".repeat(201)));
    assert_eq!(problem.message, "`documents[0]` has 201 characters, and at most 200 are taken: shorten it");
    assert_eq!(problem.status(), 422);
    read("/rerank", &format!(r#"{{"query": "q", "documents": ["{}"]}}"#, "é".repeat(200)));
    for name in ["instruction", "instruct", "model", "property"] {
        let (_, problem) =
            refused("/rerank", &format!(r#"{{"query": "q", "documents": ["d"], "{name}": "{}"}}"#, "é".repeat(201)));
        assert_eq!(problem.message, format!("`{name}` has 201 characters, and at most 200 are taken: shorten it"));
    }
}

#[test]
fn pairs_have_to_fit_together() {
    let cases = [
        ("/score", r#"{"text_1": ["a", "b"], "text_2": ["c"]}"#, "`text_1` has 2 texts and `text_2` has 1", 422),
        ("/score", r#"{"query": "q", "documents": ["d"]}"#, "the pairs are missing: `queries` with `documents`", 400),
        (
            "/score",
            r#"{"text_1": "a", "text_2": "b", "data_1": "a", "data_2": "b"}"#,
            "`text_2` and `data_2` are both there",
            400,
        ),
        (
            "/score",
            r#"{"text_1": "a", "text_2": "b", "top_n": 1}"#,
            "`top_n` has no meaning here, where all scores",
            422,
        ),
        (
            "/score",
            r#"{"queries": "a", "documents": "b", "text_1": "c"}"#,
            "`documents` and `text_1` are both there: leave one of them out",
            400,
        ),
        ("/rerank", r#"{"text_1": "a", "text_2": "b"}"#, "`query` is missing: POST /score returns the scores", 400),
        (
            "/score",
            r#"{"text_1": "a", "text_2": "b", "return_documents": true}"#,
            "`return_documents` is true, and the response has no place",
            422,
        ),
        (
            "/v1/ranking",
            r#"{"query": "a", "passages": ["b"], "return_text": true}"#,
            "`return_text` is true, and the response has no place",
            422,
        ),
        ("/predict", r#"{"inputs": "alone"}"#, "`inputs` is a text: a pair, [", 400),
        ("/predict", r#"{"inputs": []}"#, "`inputs` is empty", 400),
        ("/predict", r#"{"inputs": ["q"]}"#, "`inputs` has 1 entries: a query and a document are expected", 400),
        ("/predict", r#"{"inputs": [["q", "d"], ["q"]]}"#, "`inputs[1]` has 1 entries", 400),
        ("/predict", r#"{"inputs": [["q", "d"], "x"]}"#, "`inputs[1]` is a text: a pair, [", 400),
        (
            "/weaviate/rerank",
            r#"{"query": "q", "documents": ["d"], "threshold": 1}"#,
            "`threshold` has no meaning here",
            422,
        ),
    ];
    for (path, body, expected, status) in cases {
        let (_, problem) = refused(path, body);
        assert!(problem.message.starts_with(expected), "{body}: {}", problem.message);
        assert_eq!(problem.status(), status, "{body}");
    }
}

#[test]
fn errors_are_written_in_the_shape_of_their_dialect() {
    let problem = Problem::new(ProblemKind::Busy, "later");
    let error = json!({ "message": "later", "type": "RateLimitError", "param": null, "code": 429 });
    let mut sglang = error.clone();
    sglang["object"] = "error".into();
    let cases = [
        ("/rerank", json!({ "error": error, "message": "later", "detail": "later" })),
        ("/v2/rerank", json!({ "message": "later" })),
        ("/cohere/v1/rerank", json!({ "message": "later" })),
        ("/jina/v1/rerank", json!({ "detail": "later" })),
        ("/voyage/v1/rerank", json!({ "detail": "later" })),
        ("/vllm/rerank", json!({ "error": error })),
        ("/score", json!({ "error": error })),
        ("/infinity/rerank", json!({ "error": error })),
        ("/tei/rerank", json!({ "error": "later", "error_type": "Overloaded" })),
        ("/predict", json!({ "error": "later", "error_type": "Overloaded" })),
        ("/info", json!({ "error": "later", "error_type": "Overloaded" })),
        ("/elastic/rerank", json!({ "error": "later", "error_type": "Overloaded" })),
        ("/rerank/v1/rerank", json!({ "error": error, "message": "later", "detail": "later" })),
        ("/reranking", json!({ "error": { "code": 429, "message": "later", "type": "unavailable_error" } })),
        (
            "/v1/ranking",
            json!({ "object": "error", "message": "later", "detail": "later", "type": "unavailable_error" }),
        ),
        ("/weaviate/rerank", json!({ "error": "later" })),
        ("/sglang/anything", sglang),
        ("/anything", json!({ "error": error, "message": "later", "detail": "later" })),
    ];
    for (path, expected) in cases {
        let body = of_error(path, None).render_problem(&problem);
        assert_eq!(serde_json::from_str::<Value>(&body).unwrap(), expected, "{path}");
    }
    assert_eq!(of_error("/rerank", Some(Dialect::Tei)), Dialect::Tei);
    assert_eq!(of_error("/v2/rerank", Some(Dialect::Tei)), Dialect::Cohere);
}
