//! Every shape of the input gives the same rankings.

use std::io::Write;

use serde_json::Value;

use crate::fixture::{Files, Run, rerank, rerank_on};

/// What the shapes below say, ranked: query id, query, and for each result its rank, id, logit, original rank and score.
const EXPECTED: [&str; 2] = [
    r#"["q1","red planet",[[1,"d2",4.0,2,1.5],[2,"d1",0.0,1,2.5],[3,"d3",-4.0,3,0.5]]]"#,
    r#"["q2","ice",[[1,"d4",4.0,1,9.0]]]"#,
];

const GROUPS: &str = r#"{"query_id":"q1","query":"red planet","candidates":[{"id":"d1","text":"Blue planet","score":2.5},{"id":"d2","text":"Mars, the red planet","score":1.5},{"id":"d3","text":"","score":0.5}]}
{"query_id":"q2","query":"ice","candidates":[{"id":"d4","text":"ice","score":9}]}
"#;
const PAIRS: &str = r#"{"query_id":"q1","query":"red planet","id":"d1","text":"Blue planet","score":2.5}
{"query_id":"q1","query":"red planet","id":"d2","text":"Mars, the red planet","score":1.5}
{"query_id":"q1","query":"red planet","id":"d3","text":"","score":0.5}
{"query_id":"q2","query":"ice","id":"d4","text":"ice","score":9}
"#;
const HITS: &str = r#"[{"query":"red planet","hits":[{"content":"Blue planet","qid":"q1","docid":"d1","rank":1,"score":2.5},{"content":"Mars, the red planet","qid":"q1","docid":"d2","rank":2,"score":1.5},{"content":"","qid":"q1","docid":"d3","rank":3,"score":0.5}]},{"query":"ice","hits":[{"content":"ice","qid":"q2","docid":"d4","rank":1,"score":9}]}]"#;
const REQUESTS: &str = r#"{"query":{"text":"red planet","qid":"q1"},"candidates":[{"docid":"d1","score":2.5,"doc":{"contents":"Blue planet"}},{"docid":"d2","score":1.5,"doc":{"segment":"Mars, the red planet"}},{"docid":"d3","score":0.5,"doc":{"text":""}}]}
{"query":{"text":"ice","qid":"q2"},"candidates":[{"docid":"d4","score":9.0,"doc":{"body":"ice"}}]}
"#;
const CSV: &str = "query_id,query,id,text,score\nq1,red planet,d1,Blue planet,2.5\nq1,red planet,d2,\"Mars, the red planet\",1.5\nq1,red planet,d3,,0.5\nq2,ice,d4,ice,9\n";
const RUN: &str = "q1 Q0 d1 1 2.5 bm25\nq1 Q0 d2 2 1.5 bm25\nq1 Q0 d3 3 0.5 bm25\nq2 Q0 d4 1 9 bm25\n";

fn summary(ranking: &Value) -> String {
    let results: Vec<Value> = ranking["results"].as_array().unwrap().iter().map(summary_of_result).collect();
    serde_json::json!([ranking["query_id"], ranking["query"], results]).to_string()
}

fn summary_of_result(result: &Value) -> Value {
    serde_json::json!([
        result["rank"],
        result["id"],
        result["logit"],
        result["original_rank"],
        result["original_score"]
    ])
}

#[track_caller]
fn ranked_as_expected(run: &Run) {
    assert_eq!(run.rankings().iter().map(summary).collect::<Vec<_>>(), EXPECTED);
}

/// Checks a shape on a pipe, where only its content shows what it is.
#[track_caller]
fn check_piped(content: impl AsRef<[u8]>, arguments: &[&str]) {
    ranked_as_expected(&rerank_on(content, &[&["--model", "fake"], arguments].concat()));
}

/// Checks a shape in a file of this name.
#[track_caller]
fn check_file(name: &str, content: impl AsRef<[u8]>, arguments: &[&str]) {
    let files = Files::new();
    let input = files.write(name, content);
    ranked_as_expected(&rerank(&[&["--model", "fake", "--input", &input], arguments].concat()));
}

fn pretty(json: &str) -> String {
    serde_json::to_string_pretty(&serde_json::from_str::<Value>(json).unwrap()).unwrap()
}

fn list(jsonl: &str) -> String {
    format!("[{}]", jsonl.trim_end().replace('\n', ","))
}

fn gzip(bytes: impl AsRef<[u8]>) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes.as_ref()).unwrap();
    encoder.finish().unwrap()
}

fn zstandard(bytes: impl AsRef<[u8]>) -> Vec<u8> {
    zstd::encode_all(bytes.as_ref(), 1).unwrap()
}

#[test]
fn json_lines() {
    for content in [GROUPS, PAIRS, REQUESTS] {
        check_piped(content, &[]);
        check_piped(content.trim_end(), &[]);
        check_file("a.jsonl", content, &[]);
        check_file("a.txt", content, &[]);
    }
}

#[test]
fn windows_line_ends_and_blank_lines() {
    for content in [GROUPS, PAIRS, REQUESTS, CSV] {
        check_piped(content.replace('\n', "\r\n"), &[]);
        check_piped(content.replace('\n', "\n\n"), &[]);
        check_piped(format!("\n{content}\r\n\n"), &[]);
    }
}

#[test]
fn json_lists_on_one_line_and_pretty_printed() {
    for content in [list(GROUPS), list(PAIRS), list(REQUESTS), HITS.to_owned()] {
        check_piped(&content, &[]);
        check_piped(pretty(&content), &[]);
        check_file("a.json", pretty(&content), &[]);
        check_file("a.jsonl", &content, &[]);
        check_file("a.jsonl", pretty(&content), &[]);
    }
}

#[test]
fn pretty_printed_objects_one_after_another() {
    let content: Vec<String> = GROUPS.lines().map(pretty).collect();
    check_piped(content.join("\n"), &[]);
    check_file("a.json", content.join("\n"), &[]);
    check_file("a.json", GROUPS, &[]);
}

#[test]
fn hits_in_json_lines() {
    let lines: Vec<Value> = serde_json::from_str(HITS).unwrap();
    check_piped(lines.iter().map(|line| format!("{line}\n")).collect::<String>(), &[]);
}

#[test]
fn names_of_the_field() {
    for (ours, theirs) in [
        ("query_id", "qid"),
        ("query", "question"),
        ("candidates", "documents"),
        ("candidates", "passages"),
        ("candidates", "hits"),
        ("id", "docid"),
        ("id", "_id"),
        ("text", "contents"),
        ("text", "content"),
        ("text", "passage"),
    ] {
        check_piped(GROUPS.replace(&format!("\"{ours}\":"), &format!("\"{theirs}\":")), &[]);
    }
}

#[test]
fn columns_rename_the_fields_of_json_too() {
    let content = GROUPS.replace("\"query\":", "\"Frage\":").replace("\"text\":", "\"Absatz\":");
    check_piped(content, &["--columns", "query=Frage,text=Absatz"]);
}

#[test]
fn comma_and_tab_separated_values() {
    let tabs = CSV.replace("\"Mars, the red planet\"", "Mars; the red planet").replace(',', "\t").replace(';', ",");
    check_piped(CSV, &[]);
    check_file("a.csv", CSV, &[]);
    check_piped(&tabs, &[]);
    check_file("a.tsv", &tabs, &[]);
    check_file("a.txt", &tabs, &["--input-format", "tsv"]);
}

#[test]
fn columns_of_other_names() {
    let header = "query_id,query,id,text,score";
    let content = CSV.replace(header, "Thema,Frage,Nummer,Absatz,BM25");
    check_piped(content, &["--columns", "query_id=Thema,query=Frage,id=Nummer,text=Absatz,score=BM25"]);
    let content = CSV.replace(header, "title,text,number,query,score");
    check_piped(content, &["--columns", "query_id=title, query=text, id=number, text=query"]);
    check_piped(CSV.replace(header, "qid,question,docid,contents,bm25_score"), &[]);
}

#[test]
fn a_field_with_line_breaks_and_quotes() {
    let rows = "query,id,text\nred planet,a,\"the \"\"red\"\"\nplanet\"\nred planet,b,blue\n";
    let rankings = rerank_on(rows, &["--model", "fake", "--input-format", "csv"]).rankings();
    assert_eq!(rankings[0]["results"][0]["text"], "the \"red\"\nplanet");
    assert_eq!(rankings[0]["results"].as_array().unwrap().len(), 2);
}

#[test]
fn a_byte_order_mark_in_front() {
    for content in [GROUPS, PAIRS, HITS, CSV] {
        check_piped(format!("\u{feff}{content}"), &[]);
        check_piped(gzip(format!("\u{feff}{content}")), &[]);
    }
}

#[test]
fn compressed_input() {
    for (name, content) in [("a.jsonl", GROUPS), ("a.json", HITS), ("a.csv", CSV)] {
        check_piped(gzip(content), &[]);
        check_piped(zstandard(content), &[]);
        check_file(&format!("{name}.gz"), gzip(content), &[]);
        check_file(&format!("{name}.zst"), zstandard(content), &[]);
        // The content counts, not the name.
        check_file(&format!("{name}.gz"), content, &[]);
        check_file(name, zstandard(content), &[]);
    }
    let (one, other) = GROUPS.split_once('\n').unwrap();
    check_piped([gzip(format!("{one}\n")), gzip(other)].concat(), &[]);
    check_piped([zstandard(format!("{one}\n")), zstandard(other)].concat(), &[]);
}

/// A run with these files for its texts.
#[track_caller]
fn check_run(queries: (&str, &[u8]), collection: (&str, &[u8])) {
    let files = Files::new();
    let (queries, collection) = (files.write(queries.0, queries.1), files.write(collection.0, collection.1));
    let texts = ["--queries", &queries, "--collection", &collection];
    check_piped(RUN, &texts);
    check_piped(RUN.replace(' ', "\t").replace('\n', "\r\n"), &texts);
    check_file("a.trec", RUN, &texts);
    check_file("bm25.run.gz", gzip(RUN), &texts);
    check_file("bm25.txt", RUN, &texts);
}

const QUERIES_TSV: &str = "q2\tice\nq1\tred planet\n";
const QUERIES_JSONL: &str =
    "{\"_id\":\"q1\",\"text\":\"red planet\",\"metadata\":{}}\n{\"_id\":\"q2\",\"text\":\"ice\"}\n";
const COLLECTION_JSONL: &str = "{\"_id\":\"d4\",\"title\":\"\",\"text\":\"ice\"}\n{\"_id\":\"d3\",\"title\":\"\",\"text\":\"\"}\n{\"_id\":\"d2\",\"text\":\"Mars, the red planet\"}\n{\"_id\":\"d1\",\"text\":\"Blue planet\",\"metadata\":{}}";
const COLLECTION_TSV: &str = "d1\tBlue planet\nd2\tMars, the red planet\nd3\t\nd4\tice\n";

#[test]
fn a_run_with_queries_and_collection() {
    for queries in [("queries.tsv", QUERIES_TSV), ("queries.jsonl", QUERIES_JSONL), ("queries", QUERIES_JSONL)] {
        for collection in [("corpus.jsonl", COLLECTION_JSONL), ("corpus.tsv", COLLECTION_TSV)] {
            check_run((queries.0, queries.1.as_bytes()), (collection.0, collection.1.as_bytes()));
        }
    }
    let windows = COLLECTION_TSV.replace('\n', "\r\n");
    check_run(("queries.tsv", b"\xef\xbb\xbfq1\tred planet\r\nq2\tice\r\n"), ("corpus.tsv", windows.as_bytes()));
}

#[test]
fn a_run_with_compressed_queries_and_collection() {
    for content in [COLLECTION_JSONL, COLLECTION_TSV] {
        check_run(("queries.tsv.gz", &gzip(QUERIES_TSV)), ("corpus.gz", &gzip(content)));
        check_run(("queries.jsonl.zst", &zstandard(QUERIES_JSONL)), ("corpus.zst", &zstandard(content)));
    }
}

#[test]
fn our_own_output_can_be_read_again() {
    let first = rerank_on(GROUPS, &["--model", "fake"]);
    let again = rerank_on(&first.stdout, &["--model", "fake"]).rankings();
    let ids = |ranking: &Value| -> Vec<String> {
        ranking["results"].as_array().unwrap().iter().map(|result| result["id"].to_string()).collect()
    };
    assert_eq!(again.iter().map(ids).collect::<Vec<_>>(), first.rankings().iter().map(ids).collect::<Vec<_>>());
    let csv = rerank_on(GROUPS, &["--model", "fake", "--output-format", "csv"]);
    let again = rerank_on(&csv.stdout, &["--model", "fake"]).rankings();
    assert_eq!(again.iter().map(ids).collect::<Vec<_>>(), first.rankings().iter().map(ids).collect::<Vec<_>>());
}

#[test]
fn an_input_name_beyond_ascii() {
    check_file("Kandidaten für 東京 🗼.jsonl", GROUPS, &[]);
}
