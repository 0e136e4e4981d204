//! The JSON that people's tools write: what it says is read, and what has two readings is refused by name.

use serde_json::{Value, json};

use crate::fixture::{Files, Run, rerank, rerank_on};

/// A run on one JSON text, with the candidates in the order of the input.
fn run(text: &str) -> Run {
    rerank_on(text, &["--model", "fake"])
}

/// The first ranking with its results sorted by `original_rank`, then by id.
#[track_caller]
fn read(text: &str) -> Value {
    let run = run(text);
    let mut ranking = run.rankings().remove(0);
    let results = ranking["results"].as_array_mut().unwrap();
    results.sort_by_key(|result| (result["original_rank"].as_i64(), result["id"].to_string()));
    ranking
}

/// Checks these members of the results, in the order of the input.
#[track_caller]
fn results(text: &str, expected: &[Value]) {
    let ranking = read(text);
    let results = ranking["results"].as_array().unwrap();
    assert_eq!(results.len(), expected.len(), "{ranking}");
    for (result, expected) in results.iter().zip(expected) {
        for (name, value) in expected.as_object().unwrap() {
            assert_eq!(&result[name], value, "`{name}` of {result}");
        }
    }
}

#[test]
fn numbers_as_strings_and_strings_as_numbers_are_read() {
    results(
        r#"[{"question":"when","answers":["1932"],"ctxs":[
            {"id":"wiki:17","title":"Bridge","text":"In 1932.","score":"81.27","has_answer":true},
            {"id":17,"title":1984,"text":2001,"score":" 8e1 ","rank":"7"},{"id":"x","text":1.50,"score":"","rank":" "}]}]"#,
        &[
            json!({"id":"wiki:17","original_score":81.27,"has_answer":true}),
            json!({"id":"x","text":"1.50"}),
            json!({"id":"17","title":"1984","text":"2001","original_score":80.0,"original_rank":7}),
        ],
    );
    let rank_llm =
        r#"{"query":{"text":"a b","qid":7},"candidates":[{"docid":7,"score":"2.5","doc":{"contents":"a b"}}]}"#;
    assert_eq!(read(rank_llm)["query_id"], "7");
    results(rank_llm, &[json!({"id":"7","original_score":2.5,"text":"a b"})]);
    assert_eq!(read(r#"{"query":1984,"texts":["a"]}"#)["query"], "1984");
    results(r#"{"query":"q","text":7,"id":1}"#, &[json!({"id":"1","text":"7"})]);
}

#[test]
fn a_frame_of_pyterrier_uses_docno_and_says_so_once() {
    let files = Files::new();
    let lines = r#"{"qid":"1","docid":17,"docno":"FT911-3","rank":0,"score":12.5,"query":"a b","text":"a b"}
{"qid":"1","docid":18,"docno":"FT911-4","rank":1,"score":11.5,"query":"a b","text":"c"}
"#;
    let input = files.write("pt.jsonl", lines);
    let run = rerank(&["--model", "fake", "--input", &input, "--output-format", "trec"]);
    assert_eq!(run.status, 0, "{}", run.stderr);
    assert!(run.stdout.starts_with("1 Q0 FT911-3 1 "), "{}", run.stdout);
    let note = format!(
        "note: {input}:1: `docno` (FT911-3) is used as the id and `docid` (17) is only carried; --columns id=docid takes that \
         one\n"
    );
    assert_eq!(run.stderr.matches("note: ").count(), 1, "{}", run.stderr);
    assert!(run.stderr.contains(&note), "{}", run.stderr);
    let other = rerank(&["--model", "fake", "--input", &input, "--columns", "id=docid"]);
    assert!(!other.stderr.contains("note: "), "{}", other.stderr);
    assert_eq!(other.rankings()[0]["results"][0]["id"], "17");
    // Two names that agree need no word.
    let same = run_note(r#"{"query":"q","candidates":[{"docno":"7","docid":7,"text":"t"}]}"#);
    assert_eq!(same, "");
}

fn run_note(text: &str) -> String {
    let run = run(text);
    assert_eq!(run.status, 0, "{}", run.stderr);
    run.stderr.lines().filter(|line| line.starts_with("note: ")).collect::<Vec<_>>().join("\n")
}

#[test]
fn which_of_two_names_is_used_is_said_for_every_field() {
    for (text, used, other) in [
        (r#"{"qid":"1","query_id":"2","query":"q","texts":["t"]}"#, "`query_id` (2)", "`qid` (1)"),
        (r#"{"query":"q","question":"r","texts":["t"]}"#, "`query` (q)", "`question` (r)"),
        (r#"{"query":"q","docs":[{"text":"t","contents":"c"}]}"#, "`text` (t)", "`contents` (c)"),
        (r#"{"query":"q","docs":[{"text":"t","score":1,"bm25_score":2}]}"#, "`score` (1)", "`bm25_score` (2)"),
        (r#"{"query":"q","docs":[{"_id":"a","_source":{"id":"b","text":"t"}}]}"#, "`_id` (a)", "`id` (b)"),
    ] {
        let note = run_note(text);
        assert!(note.contains(&format!("{used} is used as the ")), "{text}: {note}");
        let fate = if other == "`id` (b)" { "left out, as rerank writes its own" } else { "only carried" };
        assert!(note.contains(&format!(" and {other} is {fate}; --columns ")), "{text}: {note}");
    }
}

#[test]
fn requests_of_rerank_services_are_read() {
    for text in [
        r#"{"query":"red planet","texts":["Mars is red","Venus is not"]}"#,
        r#"{"query":"red planet","documents":["Mars is red",{"text":"Venus is not"}],"top_n":1}"#,
        r#"{"query":{"text":"red planet"},"passages":[{"text":"Mars is red"},{"text":"Venus is not"}]}"#,
        r#"{"query":"red planet","records":[{"content":"Mars is red"},{"content":"Venus is not"}]}"#,
        r#"{"question":"red planet","contexts":["Mars is red","Venus is not"],"answer":"Mars"}"#,
    ] {
        let expected = [json!({"id":"1","text":"Mars is red"}), json!({"id":"2","text":"Venus is not"})];
        results(text, &expected);
    }
}

#[test]
fn documents_of_langchain_llama_index_and_haystack_are_read_with_their_metadata() {
    let document = r#"{"id":null,"page_content":"Mars","metadata":{"source":"a.pdf","page":3},"type":"Document"}"#;
    results(
        &format!(r#"{{"query":"q","documents":[{document}]}}"#),
        &[json!({"id":"1","text":"Mars","metadata":{"source":"a.pdf","page":3},"type":"Document"})],
    );
    results(
        r#"{"query":"q","documents":[{"lc":1,"type":"constructor","id":["langchain","Document"],"kwargs":{"id":"d","page_content":"Mars","metadata":{"a":1}}}]}"#,
        &[json!({"id":"d","text":"Mars","kwargs":{"metadata":{"a":1}}})],
    );
    results(
        r#"{"query":"q","nodes":[{"node":{"id_":"n1","text":"Mars","metadata":{"page":1}},"score":0.7},{"node":{"id_":"n2","text_resource":{"text":"Venus"}},"score":null}]}"#,
        &[
            json!({"id":"n1","text":"Mars","original_score":0.7,"node":{"metadata":{"page":1}}}),
            json!({"id":"n2","text":"Venus"}),
        ],
    );
    results(
        r#"{"query":"q","documents":[{"id":"h","content":"Mars","meta":{"page":1},"score":0.5}]}"#,
        &[json!({"id":"h","text":"Mars","meta":{"page":1},"original_score":0.5})],
    );
}

#[test]
fn answers_of_search_engines_and_vector_databases_are_read() {
    let hit = r#"{"_index":"i","_id":"d1","_score":2.5,"_source":{"title":"T","text":"a b","url":"u"}}"#;
    let elastic = format!(r#"{{"query":"a b","took":3,"hits":{{"total":{{"value":1}},"hits":[{hit}]}}}}"#);
    results(
        &elastic,
        &[json!({"id":"d1","title":"T","text":"a b","original_score":2.5,"_index":"i","_source":{"url":"u"}})],
    );
    for text in [
        r#"{"query":"q","response":{"numFound":1,"docs":[{"id":"d","title":["T"],"text":["Mars"]}]}}"#,
        r#"{"query":"q","root":{"children":[{"id":"d","relevance":1.0,"fields":{"title":"T","body":"Mars"}}]}}"#,
        r#"{"query":"q","result":{"points":[{"id":"d","score":1,"payload":{"title":"T","text":"Mars"}}]}}"#,
        r#"{"query":"q","matches":[{"id":"d","score":1,"metadata":{"title":"T","text":"Mars"}}]}"#,
        r#"{"query":"q","hits":[{"document":{"id":"d","title":"T","text":"Mars"}}]}"#,
    ] {
        results(text, &[json!({"id":"d","title":"T","text":"Mars"})]);
    }
    let renamed = r#"{"query":"q","hits":{"hits":[{"_id":"d","_source":{"abstract":"Mars"}}]}}"#;
    let run = rerank_on(renamed, &["--model", "fake", "--columns", "text=abstract"]);
    assert_eq!(run.rankings()[0]["results"][0]["text"], "Mars");
    self::run(renamed).fails(1, &["candidate \"d\"", "there is no text"]);
}

#[test]
fn lists_of_good_and_bad_passages_are_read_and_each_says_its_list() {
    let expected = [json!({"id":"1","text":"a","list":"pos"}), json!({"id":"2","text":"b","list":"neg"})];
    results(r#"{"query":"q","pos":["a"],"neg":["b"]}"#, &expected);
    let scored = r#"{"query":"q","pos":["a"],"neg":["b","c"],"pos_scores":[0.9],"neg_scores":["0.1",0.2],"pos_id":["x"],"neg_id":[4,5]}"#;
    results(
        scored,
        &[
            json!({"id":"x","original_score":0.9,"list":"pos"}),
            json!({"id":"5","original_score":0.2,"list":"neg"}),
            json!({"id":"4","original_score":0.1,"list":"neg"}),
        ],
    );
    let prompted = run_note(r#"{"query":"q","pos":["a"],"neg":[],"prompt":"Judge."}"#);
    assert!(
        prompted.contains("`prompt` is carried") && prompted.contains("--columns instruction=prompt"),
        "{prompted}"
    );
    run(r#"{"query":"q","pos":["a"],"neg":["b","c"],"neg_scores":[1]}"#)
        .fails(1, &["`neg_scores` has 1 value", "`neg` has 2"]);
    results(
        r#"{"query_id":"1","query":"q","positive_passages":[{"docid":"a","title":"T","text":"t"}],"negative_passages":[{"docid":"b","text":"u"}]}"#,
        &[json!({"id":"a","list":"positive_passages"}), json!({"id":"b","list":"negative_passages"})],
    );
    results(
        r#"{"query":"q","positive":"a","negative":["b"]}"#,
        &[json!({"list":"positive"}), json!({"list":"negative"})],
    );
}

#[test]
fn lists_beside_plain_texts_name_and_score_them() {
    results(
        r#"{"query":"q","documents":["a","b"],"ids":["x",7],"scores":[1,"2.5"]}"#,
        &[json!({"id":"7","original_score":2.5}), json!({"id":"x","original_score":1.0})],
    );
    run(r#"{"query":"q","documents":["a","b"],"ids":["x"]}"#).fails(1, &["`ids` has 1 value", "`documents` has 2"]);
}

#[test]
fn what_has_two_readings_is_refused_by_name() {
    let both = r#"{"query":"q","documents":["a"],"ctxs":[{"text":"b"}]}"#;
    run(both).fails(1, &["`documents` and `ctxs` are both lists of candidates", "--columns candidates=documents"]);
    let chosen = rerank_on(both, &["--model", "fake", "--columns", "candidates=ctxs"]);
    assert_eq!(chosen.rankings()[0]["results"][0]["text"], "b");
    run(r#"{"query":"q","documents":[["a","b"]]}"#).fails(1, &["the candidate is a list"]);
    run(r#"{"query":"q","documents":[7]}"#).fails(1, &["the candidate is a number"]);
    run(r#"{"query":"q","documents":[{"id":17.0,"text":"a"}]}"#).fails(1, &["`id`", "a string or an integer"]);
    run(r#"{"query":"q","hits":{"total":0}}"#).fails(1, &["`hits` has the wrong type", "a list is expected"]);
}

#[test]
fn collections_and_queries_are_read_under_the_same_names() {
    let files = Files::new();
    let input = files.write("a.trec", "7 Q0 d1 1 2.5 t\n7 Q0 d2 2 1.5 t\n7 Q0 d3 3 0.5 t\n7 Q0 17 4 0.1 t\n");
    let queries = files.write("q.jsonl", "\n\n{\"qid\":7,\"query\":1984}\n");
    let collection = files.write(
        "c.jsonl",
        r#"
{"docid":5,"docno":"d1","title":1984,"page_content":"by Orwell"}

{"_id":"d2","_source":{"title":["T"],"body":"a body"}}
{"node":{"id_":"d3","text":"a node"}}
{"id":17,"text":2001}
"#,
    );
    let arguments = ["--model", "fake", "--input", &input, "--queries", &queries, "--collection", &collection];
    let ranking = rerank(&arguments).rankings().remove(0);
    assert_eq!(ranking["query"], "1984");
    let mut results: Vec<_> = ranking["results"].as_array().unwrap().iter().collect();
    results.sort_by_key(|result| result["original_rank"].as_i64());
    let texts: Vec<_> =
        results.iter().map(|result| (result["id"].as_str().unwrap(), result["text"].as_str().unwrap())).collect();
    assert_eq!(texts, [("d1", "by Orwell"), ("d2", "a body"), ("d3", "a node"), ("17", "2001")]);
    assert_eq!((&results[0]["title"], &results[1]["title"]), (&json!("1984"), &json!("T")));
    let cut = files.write("cut.jsonl", "{\"_id\":\"d1\",\"text\":\"a \\ud83d\"}\n");
    let arguments = ["--model", "fake", "--input", &input, "--queries", &queries, "--collection", &cut];
    rerank(&arguments).fails(1, &["cut.jsonl", "`text` holds a lone surrogate", "character 3"]);
}
