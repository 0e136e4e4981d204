use crate::input::testing::events;

fn described(lines: &[&str]) -> Vec<String> {
    events("x.jsonl", lines.join("\n").as_bytes())
}

#[test]
fn adjacent_rows_of_one_query_are_one_group() {
    let rows = [
        r#"{"qid":"a","query":"q","id":"d1","text":"t"}"#,
        r#"{"qid":"a","query":"q","id":"d2","text":"t"}"#,
        r#"{"qid":"b","query":"q","id":"d1","text":"t"}"#,
    ];
    assert_eq!(described(&rows), ["a: d1 d2", "b: d1"]);
    let rows = [r#"{"query":"q","text":"t"}"#, r#"{"query":"q","text":"t"}"#, r#"{"query":"r","text":"t"}"#];
    assert_eq!(described(&rows), ["1: 1 2", "2: 1"]);
}

#[test]
fn a_row_that_lacks_its_query_s_id_is_no_query_of_its_own() {
    let (with, without) = (r#"{"qid":"a","query":"q","text":"t"}"#, r#"{"query":"q","text":"t"}"#);
    // The rows around those that can't be read are of one query.
    let described = described(&[with, without, without, with]);
    let problem = "the row has no query id, and rows before it have one: give every row of the file the id of its query, or none of \
                   them";
    assert_eq!(described, [&format!("x.jsonl:2: {problem}"), &format!("x.jsonl:3: {problem}"), "a: 1 2"]);
    let described = self::described(&[without, with, without]);
    assert_eq!(described[0], "1: 1");
    assert!(described[1].contains("the row has a query id, and rows before it have none"), "{described:?}");
}

#[test]
fn rows_that_come_back_are_reported_once_with_both_lines() {
    let rows = [
        r#"{"qid":"a","query":"q","id":"d1","text":"t"}"#,
        r#"{"qid":"b","query":"r","id":"d1","text":"t"}"#,
        r#"{"qid":"a","query":"q","id":"d2","text":"t"}"#,
        r#"{"qid":"a","query":"q","id":"d3"}"#,
        r#"{"qid":"c","query":"s","id":"d1","text":"t"}"#,
    ];
    let described = described(&rows);
    assert_eq!((described[0].as_str(), described[1].as_str(), described[3].as_str()), ("a: d1", "b: d1", "c: d1"));
    assert!(
        described[2].starts_with("x.jsonl:3: query \"a\": this query id comes back on line 3 after line 1; the rows")
    );
    assert_eq!(described.len(), 4);
}

#[test]
fn rows_without_ids_come_back_by_their_text() {
    let row = |query: &str| format!("{{\"query\":\"{query}\",\"text\":\"t\"}}");
    let described = described(&[&row("q"), &row("r"), &row("q")]);
    assert!(
        described[2].starts_with("x.jsonl:3: query \"q\": this query comes back on line 3 after line 1"),
        "{described:?}"
    );
}

#[test]
fn a_group_s_id_may_not_be_used_twice_even_on_one_line() {
    let record = r#"{"qid":"a","query":"q","candidates":[]}"#;
    let described = events("x.json", format!("[{record},{record}]").as_bytes());
    assert_eq!(described[0], "a: ");
    assert!(
        described[1].contains("this query id comes back on line 1 after line 1; give every query its own id"),
        "{described:?}"
    );
    // A query without an id takes its ordinal, which is an id like any other.
    let described =
        self::described(&[r#"{"qid":"2","query":"q","candidates":[]}"#, r#"{"query":"r","candidates":[]}"#]);
    let problem =
        "this query has no id, and the one generated from its number in the input, 2, stands on line 1 already";
    assert!(described[1].starts_with(&format!("x.jsonl:2: query \"2\": {problem}")), "{described:?}");
    let described =
        self::described(&[r#"{"query":"r","candidates":[]}"#, r#"{"qid":"1","query":"q","candidates":[]}"#]);
    let problem = "this query id was generated for the query on line 1, which has none and is number 1 in the input";
    assert!(described[1].starts_with(&format!("x.jsonl:2: query \"1\": {problem}")), "{described:?}");
}

#[test]
fn a_row_that_repeats_the_query_differently_is_bad() {
    let rows = [
        r#"{"qid":"a","query":"q","id":"d1","text":"t"}"#,
        r#"{"qid":"a","query":"r","id":"d2","text":"t"}"#,
        r#"{"qid":"a","query":"q","instruction":"i","id":"d3","text":"t"}"#,
        r#"{"qid":"a","id":"d4","text":"t"}"#,
        r#"{"qid":"a","query":"q","id":"d5","text":"t"}"#,
    ];
    let described = described(&rows);
    for (message, start) in described.iter().zip([
        "x.jsonl:2: query \"a\", candidate \"d2\": the query's text on line 2 differs from that on line 1",
        "x.jsonl:3: query \"a\", candidate \"d3\": the instruction on line 3 differs from that on line 1",
        "x.jsonl:4: query \"a\", candidate \"d4\": there is no query",
        "a: d1 d5",
    ]) {
        assert!(message.starts_with(start), "{message}");
    }
}

#[test]
fn a_duplicate_candidate_names_both_lines() {
    let row = r#"{"qid":"a","query":"q","id":"d1","text":"t"}"#;
    let described = described(&[row, "", row]);
    assert!(
        described[0]
            .starts_with("x.jsonl:3: query \"a\", candidate \"d1\": this candidate id stands on line 1 already")
    );
    assert_eq!(described[1], "a: d1");
    let list = r#"{"qid":"a","query":"q","candidates":[{"id":1,"text":"t"},{"id":"1","text":"u"}]}"#;
    let described = self::described(&[list]);
    assert!(
        described[0].starts_with("x.jsonl:1: query \"a\", candidate \"1\": this candidate id stands twice"),
        "{described:?}"
    );
}

#[test]
fn a_query_that_can_not_be_used_is_reported_once_for_all_its_rows() {
    let rows = [
        r#"{"qid":"a","query":"","id":"d1","text":"t"}"#,
        r#"{"qid":"a","query":"q","id":"d2","text":"t"}"#,
        r#"{"query":"q","candidates":["t"]}"#,
    ];
    assert_eq!(described(&rows), ["x.jsonl:1: query \"a\": the query is empty", "2: 1"]);
}

#[test]
fn a_broken_line_counts_as_a_query_among_groups_and_as_a_row_among_rows() {
    let group = r#"{"query":"q","candidates":[]}"#;
    assert_eq!(described(&[group, "{", group]).last().unwrap(), "3: ");
    let row = |query: &str| format!("{{\"query\":\"{query}\",\"text\":\"t\"}}");
    let described = described(&[&row("q"), "{", &row("q"), &row("r")]);
    assert_eq!(described[1..], ["1: 1 2", "2: 1"]);
}

#[test]
fn an_input_without_queries_is_an_error() {
    for text in ["", " \n\n", "\u{feff}"] {
        assert_eq!(described(&[text]), ["fatal x.jsonl is empty: it holds no queries"]);
    }
    assert_eq!(described(&["[ ]"]), ["fatal x.jsonl holds no queries"]);
}

#[test]
fn nothing_comes_after_a_fatal_error() {
    let described = events("x.json", br#"[{"query":"q","candidates":[]} {"query":"r","candidates":[]}]"#);
    assert_eq!((described.len(), described[0].as_str()), (2, "1: "));
    assert!(described[1].starts_with("fatal x.json:1: `{` stands between"), "{described:?}");
}
