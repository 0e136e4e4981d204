use crate::input::testing::events;

fn told(lines: &[&str]) -> Vec<String> {
    events("x.jsonl", lines.join("\n").as_bytes())
}

#[test]
fn adjacent_rows_of_one_query_are_one_group() {
    let rows = [
        r#"{"qid":"a","query":"q","id":"d1","text":"t"}"#,
        r#"{"qid":"a","query":"q","id":"d2","text":"t"}"#,
        r#"{"qid":"b","query":"q","text":"t"}"#,
        r#"{"query":"q","text":"t"}"#,
        r#"{"query":"q","text":"t"}"#,
        r#"{"query":"r","text":"t"}"#,
    ];
    assert_eq!(told(&rows), ["a: d1 d2", "b: 1", "3: 1 2", "4: 1"]);
}

#[test]
fn rows_that_come_back_are_told_once_with_both_lines() {
    let rows = [
        r#"{"qid":"a","query":"q","id":"d1","text":"t"}"#,
        r#"{"qid":"b","query":"r","id":"d1","text":"t"}"#,
        r#"{"qid":"a","query":"q","id":"d2","text":"t"}"#,
        r#"{"qid":"a","query":"q","id":"d3"}"#,
        r#"{"qid":"c","query":"s","id":"d1","text":"t"}"#,
    ];
    let told = told(&rows);
    assert_eq!((told[0].as_str(), told[1].as_str(), told[3].as_str()), ("a: d1", "b: d1", "c: d1"));
    assert!(told[2].starts_with("x.jsonl:3: query \"a\": this query id comes back on line 3 after line 1; the rows"));
    assert_eq!(told.len(), 4);
}

#[test]
fn rows_without_ids_come_back_by_their_text() {
    let row = |query: &str| format!("{{\"query\":\"{query}\",\"text\":\"t\"}}");
    let told = told(&[&row("q"), &row("r"), &row("q")]);
    assert!(told[2].starts_with("x.jsonl:3: query \"q\": this query comes back on line 3 after line 1"), "{told:?}");
}

#[test]
fn a_group_s_id_may_not_be_used_twice_even_on_one_line() {
    let record = r#"{"qid":"a","query":"q","candidates":[]}"#;
    let told = events("x.json", format!("[{record},{record}]").as_bytes());
    assert_eq!(told[0], "a: ");
    assert!(
        told[1].contains("this query id comes back on line 1 after line 1; give every query its own id"),
        "{told:?}"
    );
    // A query without an id takes its ordinal, which is an id like any other.
    let told = self::told(&[r#"{"qid":"2","query":"q","candidates":[]}"#, r#"{"query":"r","candidates":[]}"#]);
    let problem =
        "this query has no id, and the one generated from its number in the input, 2, stands on line 1 already";
    assert!(told[1].starts_with(&format!("x.jsonl:2: query \"2\": {problem}")), "{told:?}");
    let told = self::told(&[r#"{"query":"r","candidates":[]}"#, r#"{"qid":"1","query":"q","candidates":[]}"#]);
    let problem = "this query id was generated for the query on line 1, which has none and is number 1 in the input";
    assert!(told[1].starts_with(&format!("x.jsonl:2: query \"1\": {problem}")), "{told:?}");
}

#[test]
fn a_row_that_tells_the_query_differently_is_bad() {
    let rows = [
        r#"{"qid":"a","query":"q","id":"d1","text":"t"}"#,
        r#"{"qid":"a","query":"r","id":"d2","text":"t"}"#,
        r#"{"qid":"a","query":"q","instruction":"i","id":"d3","text":"t"}"#,
        r#"{"qid":"a","id":"d4","text":"t"}"#,
        r#"{"qid":"a","query":"q","text":"t"}"#,
    ];
    let told = told(&rows);
    for (message, start) in told.iter().zip([
        "x.jsonl:2: query \"a\", candidate \"d2\": the query's text on line 2 differs from that on line 1",
        "x.jsonl:3: query \"a\", candidate \"d3\": the instruction on line 3 differs from that on line 1",
        "x.jsonl:4: query \"a\", candidate \"d4\": there is no query",
        "a: d1 5",
    ]) {
        assert!(message.starts_with(start), "{message}");
    }
}

#[test]
fn a_duplicate_candidate_names_both_lines() {
    let row = r#"{"qid":"a","query":"q","id":"d1","text":"t"}"#;
    let told = told(&[row, "", row]);
    assert!(
        told[0].starts_with("x.jsonl:3: query \"a\", candidate \"d1\": this candidate id stands on line 1 already")
    );
    assert_eq!(told[1], "a: d1");
    let list = r#"{"qid":"a","query":"q","candidates":[{"id":1,"text":"t"},{"id":"1","text":"u"}]}"#;
    let told = self::told(&[list]);
    assert!(told[0].starts_with("x.jsonl:1: query \"a\", candidate \"1\": this candidate id stands twice"), "{told:?}");
}

#[test]
fn a_query_that_can_not_be_used_is_told_once_for_all_its_rows() {
    let rows = [
        r#"{"qid":"a","query":"","id":"d1","text":"t"}"#,
        r#"{"qid":"a","query":"q","id":"d2","text":"t"}"#,
        r#"{"query":"q","candidates":["t"]}"#,
    ];
    assert_eq!(told(&rows), ["x.jsonl:1: query \"a\": the query is empty", "2: 1"]);
}

#[test]
fn a_broken_line_counts_as_a_query_among_groups_and_as_a_row_among_rows() {
    let group = r#"{"query":"q","candidates":[]}"#;
    assert_eq!(told(&[group, "{", group]).last().unwrap(), "3: ");
    let row = |query: &str| format!("{{\"query\":\"{query}\",\"text\":\"t\"}}");
    let told = told(&[&row("q"), "{", &row("q"), &row("r")]);
    assert_eq!(told[1..], ["1: 1 2", "2: 1"]);
}

#[test]
fn an_input_without_queries_is_an_error() {
    for text in ["", " \n\n", "\u{feff}"] {
        assert_eq!(told(&[text]), ["fatal x.jsonl is empty: it holds no queries"]);
    }
    assert_eq!(told(&["[ ]"]), ["fatal x.jsonl holds no queries"]);
}

#[test]
fn nothing_comes_after_a_fatal_error() {
    let told = events("x.json", br#"[{"query":"q","candidates":[]} {"query":"r","candidates":[]}]"#);
    assert_eq!((told.len(), told[0].as_str()), (2, "1: "));
    assert!(told[1].starts_with("fatal x.json:1: `{` stands between"), "{told:?}");
}
