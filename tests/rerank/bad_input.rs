//! Records that can't be used, in JSON: each is reported with its file, line and id, and the rest is ranked.

use serde_json::Value;

use crate::fixture::{Files, rerank, rerank_on};

const FIRST: &str = r#"{"query_id":"first","query":"red","candidates":[{"id":"d","text":"red"}]}"#;
const LAST: &str = r#"{"query_id":"last","query":"red","candidates":[{"id":"d","text":"red"}]}"#;

/// The query ids of ranked JSONL.
fn query_ids(jsonl: &str) -> Vec<String> {
    let id = |line| serde_json::from_str::<Value>(line).unwrap()["query_id"].as_str().unwrap().to_owned();
    jsonl.lines().map(id).collect()
}

/// Puts lines between two good ones and runs them both ways. The first of the lines is bad: its message must have these
/// parts. Where a bad record is skipped, these queries are left between the good ones.
#[track_caller]
fn bad(lines: impl AsRef<[u8]>, parts: &[&str], left: &[&str]) {
    let files = Files::new();
    let content = [FIRST.as_bytes(), lines.as_ref(), LAST.as_bytes()].join(&b'\n');
    let input = files.write("candidates.jsonl", content);
    let place = format!("{input}:");
    let parts: Vec<&str> = parts.iter().copied().chain([place.as_str()]).collect();

    let run = rerank(&["--model", "fake", "--input", &input]);
    run.fails(1, &parts);
    assert_eq!(query_ids(&run.stdout), ["first"], "what stands before the bad record is ranked, and nothing after");
    let reported = run.stderr.lines().filter(|line| line.starts_with("error: ")).count();
    assert_eq!(reported, 1, "{}", run.stderr);

    let run = rerank(&["--model", "fake", "--input", &input, "--on-error", "skip"]);
    run.fails(1, &parts);
    run.fails(1, &["1 skipped"]);
    let expected: Vec<&str> = ["first"].iter().chain(left).chain(&["last"]).copied().collect();
    assert_eq!(query_ids(&run.stdout), expected);
}

/// A query `bad` with the good candidate `good` and this one.
#[track_caller]
fn bad_candidate(candidate: &str, parts: &[&str]) {
    let good = r#"{"id":"good","text":"red"}"#;
    let line = format!(r#"{{"query_id":"bad","query":"red","candidates":[{good},{candidate}]}}"#);
    let parts: Vec<&str> = parts.iter().copied().chain([":2: ", "query \"bad\""]).collect();
    bad(line, &parts, &["bad"]);
}

/// A query without a usable text.
#[track_caller]
fn bad_query(members: &str, parts: &[&str]) {
    let line = format!(r#"{{{members},"candidates":[{{"id":"d","text":"red"}}]}}"#);
    let parts: Vec<&str> = parts.iter().copied().chain([":2: "]).collect();
    bad(line, &parts, &[]);
}

#[test]
fn what_is_not_json_is_reported() {
    for line in ["{\"query_id\":\"bad\",", "query red", "{'query': 'red'}", "{\"query\":\"red\"} x", "}", "[1, 2"] {
        bad(line, &[":2: ", "not JSON"], &[]);
    }
    for line in ["17", "null", "\"red\"", "[]"] {
        bad(line, &[":2: ", "an object is expected"], &[]);
    }
}

#[test]
fn a_trailing_comma_is_reported() {
    bad(
        r#"{"query_id":"bad","query":"red","candidates":[{"id":"d","text":"red"},]}"#,
        &[":2: ", "not JSON", "column 71"],
        &[],
    );
}

#[test]
fn pythons_nan_and_infinity_are_reported_with_the_remedy() {
    for score in ["NaN", "Infinity", "-Infinity"] {
        let line =
            format!(r#"{{"query_id":"bad","query":"red","candidates":[{{"id":"x","text":"red","score":{score}}}]}}"#);
        bad(line, &[":2: ", "not JSON", "NaN and Infinity", "write null or leave the field out"], &[]);
    }
}

#[test]
fn what_is_not_utf_8_is_reported() {
    let mut line = br#"{"query_id":"bad","query":"caf"#.to_vec();
    line.extend(b"\xe9\",\"candidates\":[]}");
    bad(line, &[":2: ", "not UTF-8", "iconv"], &[]);
    let mut line = br#"{"query_id":"bad","query":"red","candidates":[{"id":"x","text":""#.to_vec();
    line.extend(b"\xff\xfe\"}]}");
    bad(line, &[":2: ", "not UTF-8"], &[]);
}

#[test]
fn half_a_surrogate_pair_is_reported() {
    for (text, place) in
        [("\\ud83d", "character 1"), ("a \\ud83d b", "character 3"), ("\\ud83d\\ude00\\udc00", "character 2")]
    {
        bad_candidate(
            &format!(r#"{{"id":"x","text":"{text}"}}"#),
            &["candidate \"x\"", "`text` holds a lone surrogate", place, "\\ufffd"],
        );
    }
    bad_query(r#""query_id":"bad","query":"\udc00""#, &["query \"bad\"", "`query` holds a lone surrogate, `\\udc00`"]);
    bad(
        "{\"query_id\":\"bad\",\"query\":\"half \\ud83d\",\"candidates\":[]}",
        &["query \"bad\"", "lone surrogate", "character 6"],
        &[],
    );
}

#[test]
fn a_missing_query_is_reported_with_the_names_that_were_looked_for() {
    bad_query(r#""query_id":"bad""#, &["query \"bad\"", "there is no query", "`question`"]);
    bad_query(r#""query_id":"bad","query":null"#, &["query \"bad\"", "there is no query"]);
    bad_query(r#""query":{"qid":"bad"}"#, &["query \"bad\"", "there is no query", "no `text`"]);
}

#[test]
fn an_empty_query_is_reported() {
    for query in ["", " ", "\\t\\n ", "\\u3000"] {
        bad_query(&format!(r#""query_id":"bad","query":"{query}""#), &["query \"bad\"", "the query is empty"]);
    }
}

#[test]
fn a_query_of_a_wrong_type_is_reported() {
    bad_query(r#""query_id":"bad","query":{}"#, &["query \"bad\"", "there is no query"]);
    bad_query(r#""query_id":"bad","query":["red","blue"]"#, &["query \"bad\"", "`query`", "a list"]);
    bad_query(r#""query_id":"bad","query":true"#, &["query \"bad\"", "`query`", "true or false"]);
}

#[test]
fn ids_of_a_wrong_type_are_reported() {
    bad_query(r#""query_id":["bad"],"query":"red""#, &["`query_id`", "a list", "a string or an integer"]);
    bad_query(r#""query_id":1.5,"query":"red""#, &["`query_id`", "a number", "a string or an integer"]);
    bad_candidate(r#"{"id":{"a":1},"text":"red"}"#, &["`id`", "an object", "a string or an integer"]);
    bad_candidate(r#"{"id":true,"text":"red"}"#, &["`id`", "a string or an integer"]);
}

#[test]
fn candidates_of_a_wrong_type_are_reported() {
    for candidates in ["\"red\"", "{\"id\":\"d\",\"text\":\"red\"}", "3"] {
        let line = format!(r#"{{"query_id":"bad","query":"red","candidates":{candidates}}}"#);
        bad(line, &[":2: ", "`candidates`", "a list is expected"], &[]);
    }
    bad_candidate("7", &["the candidate is a number", "candidate \"2\""]);
    bad_candidate("[\"red\"]", &["the candidate is a list"]);
    bad_candidate("null", &["the candidate is null"]);
}

#[test]
fn a_record_with_neither_candidates_nor_text_is_reported() {
    bad(r#"{"query_id":"bad","query":"red"}"#, &[":2: ", "neither a list of candidates", "`hits`"], &[]);
    bad("{}", &[":2: ", "neither a list of candidates"], &[]);
}

#[test]
fn a_missing_text_is_reported_with_its_candidate() {
    for candidate in [r#"{"id":"x"}"#, r#"{"id":"x","text":null}"#, r#"{"id":"x","url":"http://red"}"#] {
        bad_candidate(candidate, &["candidate \"x\"", "no text"]);
    }
    bad_candidate(r#"{"url":"http://red"}"#, &["candidate \"2\"", "no text"]);
    bad_candidate(r#"{"docid":"x","doc":{"url":"http://red"}}"#, &["candidate \"x\"", "no text"]);
}

#[test]
fn a_text_of_a_wrong_type_is_reported() {
    for (text, found) in
        [("{}", "there is no text"), ("[\"red\",\"blue\"]", "a list, a string is expected"), ("false", "true or false")]
    {
        bad_candidate(&format!(r#"{{"id":"x","text":{text}}}"#), &["candidate \"x\"", "`text`", found]);
    }
}

#[test]
fn scores_and_ranks_of_a_wrong_type_are_reported() {
    bad_candidate(r#"{"id":"x","text":"red","score":"seven"}"#, &["candidate \"x\"", "\"seven\"", "not a number"]);
    bad_candidate(r#"{"id":"x","text":"red","score":[7]}"#, &["candidate \"x\"", "`score`", "a list"]);
    bad_candidate(r#"{"id":"x","text":"red","rank":"first"}"#, &["candidate \"x\"", "\"first\"", "not an integer"]);
    bad_candidate(r#"{"id":"x","text":"red","rank":1.5}"#, &["candidate \"x\"", "rank", "not an integer"]);
}

#[test]
fn a_score_that_is_not_finite_is_reported() {
    for score in ["1e999", "-1e999"] {
        let candidate = format!(r#"{{"id":"x","text":"red","score":{score}}}"#);
        bad_candidate(&candidate, &["candidate \"x\"", score, "not a finite number"]);
    }
}

#[test]
fn a_duplicate_candidate_id_is_reported() {
    bad_candidate(r#"{"id":"good","text":"other"}"#, &["candidate \"good\"", "twice"]);
    let rows = r#"{"query_id":"bad","query":"red","id":"x","text":"red"}
{"query_id":"bad","query":"red","id":"x","text":"other"}"#;
    bad(rows, &[":3: ", "query \"bad\"", "candidate \"x\"", "line 2"], &["bad"]);
}

#[test]
fn a_query_id_that_comes_back_names_both_lines() {
    bad(FIRST, &[":2: ", "query \"first\"", "line 2", "line 1"], &[]);
    let rows = r#"{"query_id":"a","query":"red","id":"x","text":"red"}
{"query_id":"b","query":"blue","id":"x","text":"red"}
{"query_id":"a","query":"red","id":"y","text":"red"}"#;
    let run = rerank_on(rows, &["--model", "fake", "--on-error", "skip"]);
    run.fails(1, &["standard input:3: ", "query \"a\"", "line 3", "line 1", "sort the input by query", "1 skipped"]);
    assert_eq!(query_ids(&run.stdout), ["a", "b"]);
}

#[test]
fn rows_of_one_query_must_agree_on_its_text() {
    let rows = r#"{"query_id":"bad","query":"red","id":"x","text":"red"}
{"query_id":"bad","query":"blue","id":"y","text":"other"}"#;
    bad(rows, &[":3: ", "query \"bad\"", "candidate \"y\"", "line 3", "line 2"], &["bad"]);
}

#[test]
fn an_id_that_meets_a_generated_one_says_so() {
    bad_candidate(
        r#"{"text":"other"},{"id":"2","text":"blue"}"#,
        &["candidate \"2\"", "generated", "at position 2", "none of them"],
    );
    bad_candidate(
        r#"{"id":"3","text":"other"},"blue""#,
        &["candidate \"3\"", "has no id", "generated from its position 3"],
    );
    let rows = r#"{"query_id":"bad","query":"red","text":"red"}
{"query_id":"bad","query":"red","id":"1","text":"other"}"#;
    bad(rows, &[":3: ", "candidate \"1\"", "generated for the candidate on line 2 at position 1"], &["bad"]);
    let queries = format!("{FIRST}\n{}\n{}", FIRST.replace("first", "3"), r#"{"query":"red","candidates":[]}"#);
    let run = rerank_on(queries, &["--model", "fake", "--on-error", "skip"]);
    run.fails(1, &["input:3: ", "query \"3\"", "has no id", "generated from its number in the input, 3", "line 2"]);
    let table = "query_id,query,id,text\nq,red,,a\nq,red,1,b\n";
    let run = rerank_on(table, &["--model", "fake", "--input-format", "csv"]);
    run.fails(1, &["standard input:3: ", "candidate \"1\"", "generated for the candidate on line 2 at position 1"]);
    let table = "query_id,query,id,text\n2,red,x,a\n,blue,x,b\n";
    let run = rerank_on(table, &["--model", "fake", "--input-format", "csv"]);
    run.fails(1, &["standard input:3: ", "the row has no query id", "give every row of the file the id of its query"]);
}

#[test]
fn no_candidates_are_an_empty_ranking() {
    let line = r#"{"query_id":"none","query":"red","candidates":[]}"#;
    let run = rerank_on(format!("{FIRST}\n{line}\n{LAST}\n"), &["--model", "fake"]);
    let rankings = run.rankings();
    assert_eq!(query_ids(&run.stdout), ["first", "none", "last"]);
    assert_eq!(rankings[1]["results"], Value::Array(Vec::new()));
    let alone = rerank_on(line, &["--model", "fake"]);
    assert_eq!(alone.status, 0);
    assert_eq!(alone.stdout, "{\"query_id\":\"none\",\"query\":\"red\",\"results\":[]}\n");
}

#[test]
fn every_skipped_record_is_reported_and_the_rest_is_ranked() {
    let lines = [
        FIRST,
        "not JSON",
        r#"{"query_id":"q","query":"","candidates":[]}"#,
        r#"{"query_id":"half","query":"red","candidates":[{"id":"a","text":true},{"id":"b","text":"red"},{"id":"c"}]}"#,
        FIRST,
        LAST,
    ];
    let run = rerank_on(lines.join("\n"), &["--model", "fake", "--on-error", "skip"]);
    run.fails(1, &["input:2: ", "input:3: ", "input:4: ", "\"a\"", "\"c\"", "input:5: ", "5 skipped"]);
    assert_eq!(run.stderr.matches("; skipped").count(), 5, "{}", run.stderr);
    assert_eq!(query_ids(&run.stdout), ["first", "half", "last"]);
}

#[test]
fn a_bad_first_record_leaves_nothing_behind() {
    let files = Files::new();
    let input = files.write("a.jsonl", format!("not JSON\n{FIRST}\n"));
    let output = files.write("old.jsonl", "yesterday\n");
    rerank(&["--model", "fake", "--input", &input, "--output", &output, "--overwrite"]).fails(1, &["a.jsonl:1: "]);
    assert_eq!(files.read("old.jsonl"), "yesterday\n");
    rerank(&["--model", "fake", "--input", &input, "--output", &files.name("new.jsonl")]).fails(1, &["a.jsonl:1: "]);
    assert!(!files.path("new.jsonl").exists());
}
