use crate::input::testing::{events, events_with, groups};

fn one(text: &str) -> String {
    events("x.jsonl", text.as_bytes()).join(" | ")
}

#[test]
fn a_query_with_its_candidates_is_read_and_unknown_fields_stay_with_the_query() {
    let text =
        r#"{"id":7,"question":" Q? ","instruct":"I","docs":["a",{"_id":"b","text":"t"}],"lang":"en","query_id":null}"#;
    let group = groups("x.jsonl", text.as_bytes()).remove(0);
    assert_eq!((group.query.id.as_str(), group.query.text.as_str()), ("7", " Q? "));
    assert_eq!(group.query.instruction.as_deref(), Some("I"));
    let fields: Vec<_> = group.query.fields.iter().map(|(name, value)| (name.as_str(), value.get())).collect();
    assert_eq!(fields, [("lang", "\"en\"")]);
    assert_eq!(group.candidates[0].id, "1");
    assert_eq!((group.candidates[1].id.as_str(), group.candidates[1].original_rank), ("b", 2));
}

#[test]
fn the_shapes_of_rank_llm_are_read() {
    let hits = r#"[{"query":"q","hits":[{"content":"t","qid":3,"docid":"d","rank":4,"score":2}]}]"#;
    let nested =
        r#"{"query":{"text":"q","qid":3},"candidates":[{"docid":"d","score":2.0,"rank":4,"doc":{"contents":"t"}}]}"#;
    let described = |text: &str| {
        let group = groups("x.jsonl", text.as_bytes()).remove(0);
        (format!("{:?}", group.query), format!("{:?}", group.candidates))
    };
    assert_eq!(described(hits), described(nested));
    assert!(described(hits).0.contains("id: \"3\""));
}

#[test]
fn the_query_ids_in_the_hits_must_agree() {
    let text = r#"{"query":"q","hits":[{"content":"t","qid":3},{"content":"u"},{"content":"v","qid":"4"}]}"#;
    assert!(one(text).starts_with("x.jsonl:1: query \"3\": its candidates repeat another query id, \"4\""));
    let own = r#"{"qid":"9","query":"q","hits":[{"content":"t","qid":3}]}"#;
    let group = groups("x.jsonl", own.as_bytes()).remove(0);
    assert_eq!((group.query.id.as_str(), group.candidates[0].fields.len()), ("9", 1));
}

#[test]
fn pairs_carry_what_is_not_known_with_the_candidate() {
    let text = "{\"query\":\"q\",\"id\":\"d\",\"text\":\"t\",\"lang\":\"en\"}\n\n{\"query\":\"q\",\"docid\":2,\"passage\":\"u\"}";
    let group = groups("x.jsonl", text.as_bytes()).remove(0);
    assert_eq!((group.query.id.as_str(), group.candidates.len()), ("1", 2));
    assert_eq!(group.candidates[0].fields[0].0, "lang");
}

#[test]
fn a_record_that_is_no_query_is_bad_and_the_next_one_is_read() {
    for (record, problem) in [
        ("{\"query\": NaN}", "x.jsonl:1: is not JSON: a value is expected (column 11); NaN and Infinity"),
        ("{\"query\": \"q\"", "pretty-printed JSON needs --input-format json"),
        ("\"text\"", "x.jsonl:1: the record is a string: an object is expected"),
        (
            "{\"query\":\"q\",\"id\":\"1\"}",
            "x.jsonl:1: there is neither a list of candidates (`candidates`, `documents`",
        ),
        ("{\"query\":\"q\",\"candidates\":{}}", "`candidates` has the wrong type: it is an object, a list is expected"),
        ("{\"qid\":1.5,\"query\":\"q\",\"candidates\":[]}", "`qid` has the wrong type: it is a number"),
        ("{\"qid\":\"a\",\"candidates\":[]}", "query \"a\": there is no query: none of `query`, `question`"),
        ("{\"qid\":\"a\",\"query\":\" \\n\",\"candidates\":[]}", "query \"a\": the query is empty"),
        ("{\"query\":[],\"candidates\":[]}", "query \"1\": `query` has the wrong type: it is a list"),
        ("{\"query\":{\"qid\":\"a\"},\"candidates\":[]}", "query \"a\": there is no query"),
        ("{\"query\":\"q\",\"instruction\":{},\"candidates\":[]}", "query \"1\": `instruction` has the wrong type"),
        ("{\"id\":\"d\",\"text\":\"t\"}", "x.jsonl:1: candidate \"d\": there is no query"),
    ] {
        let described = events("x.jsonl", format!("{record}\n{{\"query\":\"q\",\"candidates\":[]}}").as_bytes());
        assert_eq!(described.len(), 2, "{described:?}");
        assert!(described[0].contains(problem), "{}", described[0]);
        assert!(described[1].ends_with(": "), "{}", described[1]);
    }
}

#[test]
fn bytes_that_are_not_utf_8_are_reported_with_their_position() {
    let described = events("x.jsonl", b"{\"query\":\"\xff\",\"candidates\":[]}");
    assert!(described[0].contains("x.jsonl:1: is not UTF-8 at byte 11"), "{described:?}");
}

#[test]
fn a_bad_candidate_is_reported_before_the_group_without_it() {
    let text = r#"{"qid":"a","query":"q","candidates":["t",7,{"id":"d"},{"id":"1","text":""},"u"]}"#;
    assert_eq!(
        events("x.jsonl", text.as_bytes())
            .iter()
            .map(|event| event.split(": ").take(2).collect::<Vec<_>>().join(": "))
            .collect::<Vec<_>>(),
        [
            "x.jsonl:1: query \"a\", candidate \"2\"",
            "x.jsonl:1: query \"a\", candidate \"d\"",
            "x.jsonl:1: query \"a\", candidate \"1\"",
            "a: 1 5"
        ]
    );
}

#[test]
fn ids_alone_tell_a_pair_without_a_text_from_a_query_without_candidates() {
    let described = one(r#"{"qid":"a","query":"q","id":"d"}"#);
    assert!(described.starts_with("x.jsonl:1: query \"a\", candidate \"d\": there is no text"), "{described}");
    assert!(described.ends_with(" | a: "), "{described}");
}

#[test]
fn columns_rename_the_fields_of_json_too() {
    let text = br#"{"q":"x","docs":[{"page":"t","text":"other"}]}"#;
    assert_eq!(events_with("x.jsonl", text, "query=q,text=page", 1000), ["1: 1"]);
}

#[test]
fn a_record_beyond_the_limit_is_bad_and_the_next_one_is_read() {
    let record = r#"{"query":"q","candidates":[]}"#;
    let long = r#"{"query":"a query that is long","candidates":[]}"#;
    for (name, text, what) in
        [("x.jsonl", format!("{long}\n{record}"), "line"), ("x.json", format!("[{long},\n{record}]"), "JSON value")]
    {
        let described = events_with(name, text.as_bytes(), "", 40);
        assert!(described[0].starts_with(&format!("{name}:1: the {what} is longer than 40 bytes")), "{described:?}");
        assert_eq!(described[1], "2: ");
    }
}
