//! Records that can't be used, in CSV, TSV and TREC runs.

use crate::fixture::{Files, Run, rerank};

/// The lines of the input on which the queries of an output stand, as `query:candidates`.
fn counts(run: &Run) -> Vec<String> {
    let count = |line: &str| {
        let ranking: serde_json::Value = serde_json::from_str(line).unwrap();
        let candidates = ranking["results"].as_array().unwrap().len();
        format!("{}:{candidates}", ranking["query_id"].as_str().unwrap())
    };
    run.stdout.lines().map(count).collect()
}

const HEADER: &str = "query_id,query,id,text,score\n";

/// Runs rows between those of good queries, both ways; `left` is what is left between them when skipping.
#[track_caller]
fn bad(rows: &str, parts: &[&str], left: &[&str]) {
    bad_behind(&["zero:1", "first:2"], rows, parts, left);
}

/// As [`bad`], for a row that does not show whose it is: it may be the last of the query before it, which is therefore
/// not complete.
#[track_caller]
fn bad_without_query(rows: &str, parts: &[&str], left: &[&str]) {
    bad_behind(&["zero:1"], rows, parts, left);
}

#[track_caller]
fn bad_behind(before: &[&str], rows: &str, parts: &[&str], left: &[&str]) {
    let files = Files::new();
    let good = "zero,red,a,red,2\nfirst,red,a,red,2\nfirst,red,b,blue,1";
    let input = files.write("pairs.csv", format!("{HEADER}{good}\n{rows}\nlast,red,c,red,\n"));
    let run = rerank(&["--model", "fake", "--input", &input]);
    run.fails(1, parts);
    run.fails(1, &["pairs.csv:"]);
    assert_eq!(counts(&run), before);
    let run = rerank(&["--model", "fake", "--input", &input, "--on-error", "skip"]);
    run.fails(1, parts);
    let expected: Vec<&str> = ["zero:1", "first:2"].iter().chain(left).chain(&["last:1"]).copied().collect();
    assert_eq!(counts(&run), expected);
}

/// Whole files that can't be used at all.
#[track_caller]
fn unusable(name: &str, content: &str, arguments: &[&str], status: i32, parts: &[&str]) {
    let files = Files::new();
    let input = files.write(name, content);
    let output = files.name("ranked.jsonl");
    let run = rerank(&[&["--model", "fake", "--input", &input, "--output", &output], arguments].concat());
    run.fails(status, parts);
    run.fails(status, &[name]);
    assert!(!files.path("ranked.jsonl").exists(), "an output was left behind");
}

#[test]
fn a_ragged_row_is_reported() {
    bad_without_query("bad,red,x", &[":5: ", "3 fields", "5"], &[]);
    bad_without_query("bad,red,x,red,green,1", &[":5: ", "6 fields", "5", "quotes"], &[]);
}

#[test]
fn a_ragged_row_between_good_ones_costs_only_itself() {
    bad("bad,red,x,red,1\nbad,red,y\nbad,red,z,red,1", &[":6: ", "3 fields"], &["bad:2"]);
}

#[test]
fn a_quote_that_is_never_closed_is_reported_with_its_line() {
    let files = Files::new();
    let rows = "p,red,a,red,1\nq,red,a,red,1\nq,red,b,\"blue,1\ns,red,c,red,1\n";
    let input = files.write("pairs.csv", format!("{HEADER}{rows}"));
    for on_error in ["fail", "skip"] {
        let run = rerank(&["--model", "fake", "--input", &input, "--on-error", on_error]);
        run.fails(1, &["pairs.csv:4: ", "quote"]);
        assert_eq!(counts(&run), ["p:1"], "the row may be one of q's, which is not complete then");
    }
}

#[test]
fn scores_that_are_no_finite_numbers_are_reported() {
    for score in ["NaN", "nan", "inf", "-inf", "Infinity", "1e999"] {
        bad(
            &format!("bad,red,x,red,{score}\nbad,red,y,red,1"),
            &[":5: ", "query \"bad\"", "candidate \"x\"", score, "not a finite number"],
            &["bad:1"],
        );
    }
    bad("bad,red,x,red,high", &[":5: ", "candidate \"x\"", "high", "not a number"], &["bad:0"]);
}

#[test]
fn an_empty_query_is_reported() {
    bad("bad,,x,red,1", &[":5: ", "query \"bad\"", "the query is empty"], &[]);
    bad("bad,  ,x,red,1\nbad,  ,y,red,1", &[":5: ", "query \"bad\"", "the query is empty"], &[]);
}

#[test]
fn a_duplicate_candidate_id_is_reported_with_both_lines() {
    bad("bad,red,x,red,1\nbad,red,x,blue,1", &[":6: ", "query \"bad\"", "candidate \"x\"", "line 5"], &["bad:1"]);
}

#[test]
fn a_query_id_that_comes_back_names_both_lines() {
    bad_behind(
        &["zero:1", "first:2", "bad:1"],
        "bad,red,x,red,1\nfirst,red,y,blue,1\nfirst,red,z,blue,1",
        &[":6: ", "query \"first\"", "line 6", "line 3", "sort the input by query"],
        &["bad:1"],
    );
}

#[test]
fn what_is_not_utf_8_is_reported() {
    let files = Files::new();
    let mut content = format!("{HEADER}first,red,a,red,2\nbad,red,x,caf").into_bytes();
    content.extend(b"\xe9,1\nlast,red,c,red,\n");
    let input = files.write("pairs.csv", content);
    let run = rerank(&["--model", "fake", "--input", &input, "--on-error", "skip"]);
    run.fails(1, &["pairs.csv:3: ", "\"bad\"", "not UTF-8"]);
    assert_eq!(counts(&run).first().unwrap(), "first:1");
    assert_eq!(counts(&run).last().unwrap(), "last:1");
}

#[test]
fn a_column_that_is_not_there_is_reported_with_those_that_are() {
    let rows = "question,passage,id\nred,red,a\n";
    unusable(
        "a.csv",
        rows,
        &["--columns", "query=question,text=body"],
        2,
        &["text=body", "`question`, `passage`, `id`"],
    );
    unusable("a.csv", "query,page\nred,red\n", &[], 1, &["text", "--columns text=NAME", "`query`, `page`"]);
    unusable("a.tsv", "page\ttext\nred\tred\n", &[], 1, &["query", "--columns query=NAME", "`page`, `text`"]);
    let run = rerank(&["--model", "fake", "--columns", "passage=text"]);
    run.fails(2, &["`passage` is not a field", "query_id, query"]);
}

#[test]
fn tables_without_rows_are_reported() {
    unusable("a.csv", HEADER, &[], 1, &["no rows"]);
    unusable("a.tsv", "query\ttext", &[], 1, &["no rows"]);
    for content in ["", "\n", " \n\n"] {
        unusable("a.csv", content, &[], 1, &["empty"]);
    }
}

/// A run's files, of which one is replaced by other content.
fn run_files(name: &str, content: &str) -> (Files, Run, Run) {
    let files = Files::new();
    let run = "q1 Q0 d1 1 2.5 bm25\nq1 Q0 d2 2 1.5 bm25\nq2 Q0 d1 1 2.5 bm25\n";
    files.write("run.trec", run);
    files.write("queries.tsv", "q1\tred planet\nq2\tblue planet\n");
    files.write("collection.tsv", "d1\tMars, the red planet\nd2\tVenus\n");
    files.write(name, content);
    let (input, queries, collection) =
        (files.name("run.trec"), files.name("queries.tsv"), files.name("collection.tsv"));
    let arguments =
        ["--model", "fake", "--input", &input, "--queries", &queries, "--collection", &collection, "--on-error"];
    let strict = rerank(&[&arguments[..], &["fail"]].concat());
    let lenient = rerank(&[&arguments[..], &["skip"]].concat());
    (files, strict, lenient)
}

#[track_caller]
fn bad_run(name: &str, content: &str, parts: &[&str], before: &[&str], left: &[&str]) {
    let (_files, strict, lenient) = run_files(name, content);
    strict.fails(1, parts);
    assert_eq!(counts(&strict), before);
    lenient.fails(1, parts);
    assert_eq!(counts(&lenient), left);
}

#[test]
fn a_run_without_its_texts_is_reported() {
    let files = Files::new();
    let input = files.write("run.trec", "q1 Q0 d1 1 2.5 bm25\n");
    let queries = files.write("queries.tsv", "q1\tred planet\n");
    rerank(&["--model", "fake", "--input", &input]).fails(2, &["run.trec", "--queries", "--collection", "needed"]);
    rerank(&["--model", "fake", "--input", &input, "--queries", &queries]).fails(2, &["run.trec", "--collection"]);
    rerank(&["--model", "fake", "--input", &input, "--queries", &queries, "--collection", "missing.jsonl"])
        .fails(2, &["missing.jsonl"]);
}

#[test]
fn a_run_line_of_five_fields_is_reported() {
    let run = "q1 Q0 d1 1 2.5 bm25\nq2 Q0 d1 1 bm25\nq2 Q0 d2 2 1.5 bm25\n";
    bad_run("run.trec", run, &["run.trec:2: ", "5 fields", "six"], &[], &["q1:1", "q2:1"]);
}

#[test]
fn a_query_without_a_text_is_reported_once() {
    let parts = ["run.trec:3: ", "query \"q2\"", "queries.tsv"];
    bad_run("queries.tsv", "q1\tred planet\n", &parts, &["q1:2"], &["q1:2"]);
    let parts = ["run.trec:1: ", "query \"q1\"", "queries.tsv"];
    let (_files, _, lenient) = run_files("queries.tsv", "q2\tblue planet\n");
    lenient.fails(1, &parts);
    lenient.fails(1, &["1 skipped"]);
    assert_eq!(counts(&lenient), ["q2:1"]);
}

#[test]
fn a_document_that_is_not_in_the_collection_is_reported() {
    let parts = ["run.trec:2: ", "query \"q1\"", "candidate \"d2\"", "collection.tsv"];
    bad_run("collection.tsv", "d1\tMars, the red planet\n", &parts, &[], &["q1:1", "q2:1"]);
}

#[test]
fn scores_of_a_run_that_are_not_finite_are_reported() {
    for score in ["NaN", "inf", "1e999"] {
        let run = format!("q1 Q0 d1 1 2.5 bm25\nq2 Q0 d1 1 {score} bm25\nq2 Q0 d2 2 1.5 bm25\n");
        let parts = ["run.trec:2: ", "query \"q2\"", "candidate \"d1\"", score, "not a finite number"];
        bad_run("run.trec", &run, &parts, &["q1:1"], &["q1:1", "q2:1"]);
    }
}

#[test]
fn broken_queries_and_collections_are_reported_with_their_lines() {
    bad_run("queries.tsv", "q1\tred planet\nq2\n", &["queries.tsv:2: "], &[], &[]);
    bad_run("collection.tsv", "{\"_id\":\"d1\",\"text\":\"red\"}\n{\"_id\":\n", &["collection.tsv:2: "], &[], &[]);
    bad_run("collection.tsv", "", &["collection.tsv", "empty"], &[], &[]);
}
