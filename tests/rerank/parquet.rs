//! Parquet and Arrow files as input: each layout is ranked as the same pairs in JSONL are, and what can't be used is refused by name.

use serde_json::Value;

use crate::fixture::{Files, Run, rankings as parsed, rerank, rerank_on};

fn testdata(name: &str) -> String {
    format!("testdata/parquet/{name}")
}

/// Fails unless the run succeeded, and its messages contain this.
#[track_caller]
fn notes(run: &Run, note: &str) {
    assert_eq!(run.status, 0, "{}", run.stderr);
    assert!(run.stderr.contains(note), "{note:?} is not in: {}", run.stderr);
}

#[track_caller]
fn ranked(name: &str, arguments: &[&str]) -> Run {
    rerank(&[&["--model", "fake", "--input", &testdata(name)], arguments].concat())
}

/// The query and, best first, the text and the score of each result, by query.
#[track_caller]
fn rankings(run: &Run) -> Vec<(String, Vec<(String, String)>)> {
    let result = |result: &Value| (result["text"].as_str().unwrap().to_owned(), result["logit"].to_string());
    let of = |ranking: &Value| {
        let results = ranking["results"].as_array().unwrap().iter().map(result).collect();
        (ranking["query"].as_str().unwrap().to_owned(), results)
    };
    run.rankings().iter().map(of).collect()
}

#[test]
fn pairs_of_every_codec_type_and_container_are_ranked_as_their_lines() {
    let expected = ranked("pairs.jsonl", &[]);
    for name in [
        "none.parquet",
        "snappy.parquet",
        "gzip.parquet",
        "brotli.parquet",
        "lz4.parquet",
        "zstd.parquet",
        "view.parquet",
        "large.parquet",
        "dictionary.parquet",
        "feather",
        "stream.arrow",
    ] {
        let run = ranked(&format!("pairs.{name}"), &[]);
        assert_eq!(run.stdout, expected.stdout, "{name}");
    }
}

#[test]
fn lists_of_candidates_are_ranked_as_pairs_are() {
    let expected = ranked("pairs.jsonl", &[]);
    for name in ["groups.parquet", "parallel.parquet"] {
        assert_eq!(ranked(name, &[]).stdout, expected.stdout, "{name}");
    }
    let labelled = ranked("labelled.parquet", &[]);
    assert_eq!(rankings(&labelled), rankings(&expected));
    assert!(labelled.stdout.contains(r#""list":"positive""#), "{}", labelled.stdout);
}

#[test]
fn columns_come_from_a_pipe_and_compressed_too() {
    let expected = ranked("pairs.jsonl", &[]);
    let files = Files::new();
    for name in ["pairs.snappy.parquet", "pairs.feather", "pairs.stream.arrow"] {
        let bytes = std::fs::read(testdata(name)).unwrap();
        assert_eq!(rerank_on(&bytes, &["--model", "fake"]).stdout, expected.stdout, "{name}");
        let packed = files.write(&format!("{name}.zst"), zstd::encode_all(&bytes[..], 1).unwrap());
        assert_eq!(rerank(&["--model", "fake", &packed]).stdout, expected.stdout, "{name}");
        let renamed = files.write("named.csv", &bytes);
        assert_eq!(rerank(&["--model", "fake", &renamed]).stdout, expected.stdout, "{name}");
    }
}

#[test]
fn runs_queries_and_collections_are_read_from_columns() {
    let expected = rankings(&ranked("pairs.jsonl", &[]));
    let (queries, corpus) = (testdata("queries.parquet"), testdata("corpus.parquet"));
    let texts = ["--queries", &queries, "--collection", &corpus];
    for name in ["run.parquet", "top_ranked.parquet"] {
        assert_eq!(rankings(&ranked(name, &texts)), expected, "{name}");
    }
    let files = Files::new();
    let lines = "q1 Q0 d1 1 3 x\nq1 Q0 d2 2 2 x\nq1 Q0 d3 3 1 x\n";
    let run = rerank(&[&["--model", "fake", "--input", &files.write("a.trec", lines)], &texts[..]].concat());
    assert_eq!(rankings(&run), expected[..1]);
    ranked("run.parquet", &[]).fails(2, &["run.parquet is a run in columns, which holds no text", "--queries"]);
    ranked("run.parquet", &[&texts[..], &["--columns", "id=score"]].concat()).fails(1, &["`score` has the wrong type"]);
    ranked("pairs.zstd.parquet", &texts).fails(2, &["the candidate has a text", "leave --collection (or --beir) out"]);
}

#[test]
fn candidates_in_columns_may_be_ids_alone() {
    let expected = ranked("pairs.jsonl", &["--fuse", "rrf=1", "--output-format", "trec"]).stdout;
    let corpus = testdata("corpus.parquet");
    // What else they have is obeyed and carried as from JSONL.
    let texts = ["--collection", &corpus, "--queries", &testdata("queries.parquet")];
    let [columns, lines] = ["more.parquet", "more.jsonl"].map(|name| ranked(name, &texts));
    assert!(
        lines.stdout.contains(r#""source":{"of":"d1"}"#) && lines.stdout.contains("title of d2"),
        "{}",
        lines.stderr
    );
    assert_eq!(columns.stdout, lines.stdout, "{}", columns.stderr);
    // The queries of these files have no ids.
    let without_query =
        |run: &str| run.lines().map(|line| line.split_once(' ').unwrap().1.to_owned()).collect::<Vec<_>>();
    for name in ["ids.parquet", "hits.parquet"] {
        let run = ranked(name, &["--collection", &corpus, "--fuse", "rrf=1", "--output-format", "trec"]);
        assert_eq!(without_query(&run.stdout), without_query(&expected), "{name}: {}", run.stderr);
    }
}

#[test]
fn columns_have_the_names_that_the_options_give() {
    let run = ranked("renamed.parquet", &["--columns", "query=frage,text=absatz"]);
    assert_eq!(rankings(&run)[0].0, "red");
    ranked("renamed.parquet", &[]).fails(1, &["renamed.parquet:1: ", "`frage`"]);
    ranked("pairs.zstd.parquet", &["--columns", "title=headline"])
        .fails(2, &["--columns title=headline names no column; the columns are `"]);
}

#[test]
fn carried_columns_become_fields_of_json() {
    let rankings = ranked("types.parquet", &[]).rankings();
    let results = rankings[0]["results"].as_array().unwrap();
    let first = results.iter().find(|result| result["id"] == "10").unwrap();
    assert_eq!(rankings[0]["query_id"], "1");
    assert_eq!(first["original_score"], 0.1);
    let carried = serde_json::json!({
        "flag": true, "small": -7, "half": 0.5, "when": "2026-01-02T03:04:05.678Z", "day": "2026-01-02", "price": 12.5,
        "tags": ["a", "b"], "nested": {"a": 1, "b": {"c": "x"}}, "map": {"k": 1}, "vector": [0.5, 1.5],
    });
    for (name, value) in carried.as_object().unwrap() {
        assert_eq!(&first[name], value, "{name}");
    }
    let second = results.iter().find(|result| result["id"] == "11").unwrap();
    assert_eq!(second.get("flag"), None);
    notes(&ranked("types.parquet", &["--output-format", "trec"]), "");
}

#[test]
fn what_can_t_be_used_is_refused_by_name() {
    ranked("bytes.parquet", &[])
        .fails(2, &["bytes.parquet: the column `text` holds bytes of the type Binary", "cast("]);
    notes(&ranked("picture.parquet", &[]), "left out: `picture` (bytes of the type Binary)");
    ranked("infinite.parquet", &[]).fails(1, &["infinite.parquet:1: ", "is not a finite number"]);
    ranked("empty.parquet", &[]).fails(1, &["empty.parquet holds no queries"]);
    ranked("pairs.zstd.parquet", &["--input-format", "csv"])
        .fails(2, &["is a Parquet file", "leave --input-format out"]);
    ranked("pairs.jsonl", &["--input-format", "parquet"]).fails(2, &["is neither a Parquet nor an Arrow file"]);
    ranked("pairs.zstd.parquet", &["--no-header", "--columns", "query,text"]).fails(2, &["--no-header belongs to CSV"]);
}

#[test]
fn a_row_that_can_t_be_used_is_named_and_can_be_skipped() {
    let run = ranked("bad.parquet", &[]);
    run.fails(1, &["bad.parquet:2: ", "no text"]);
    let run = ranked("bad.parquet", &["--on-error", "skip"]);
    assert_eq!((run.status, parsed(&run.stdout).len()), (1, 2));
}

#[test]
fn a_run_from_columns_is_resumed_and_planned() {
    let files = Files::new();
    let (whole, output) = (ranked("pairs.zstd.parquet", &[]).stdout, files.name("out.jsonl"));
    notes(&ranked("pairs.zstd.parquet", &["--output", &output]), "");
    let first = whole.lines().next().unwrap().len() + 1;
    std::fs::OpenOptions::new().write(true).open(&output).unwrap().set_len(first as u64 + 9).unwrap();
    notes(&ranked("pairs.zstd.parquet", &["--output", &output, "--resume"]), "");
    assert_eq!(std::fs::read_to_string(&output).unwrap(), whole);
    let planned = ranked("pairs.zstd.parquet", &["--dry-run"]).stdout;
    assert!(planned.contains("\npairs            7\n"), "{planned}");
}

#[test]
fn damaged_and_truncated_files_are_errors() {
    let files = Files::new();
    for name in ["pairs.snappy.parquet", "groups.parquet", "pairs.feather", "pairs.stream.arrow"] {
        let bytes = std::fs::read(testdata(name)).unwrap();
        let part = files.write(name, &bytes[..bytes.len() * 2 / 3]);
        let run = rerank(&["--model", "fake", &part]);
        assert_eq!(run.status, 1, "{name}: {}", run.stderr);
        assert!(run.stderr.contains("truncated") && !run.stderr.contains("panicked"), "{name}: {}", run.stderr);
    }
}

#[test]
fn qrels_in_columns_judge_as_their_lines_do() {
    let files = Files::new();
    let run = files.name("run.trec");
    notes(&ranked("pairs.jsonl", &["--output", &run]), "");
    let eval = |qrels: &str, run: &str| rerank(&["eval", "--qrels", &testdata(qrels), run]);
    let lines = eval("qrels.tsv", &run);
    notes(&lines, "");
    assert_eq!(eval("qrels.parquet", &run).stdout, lines.stdout);
    // The first stage has the relevant document of each query first.
    let first_stage = eval("qrels.parquet", &testdata("run.parquet"));
    assert!(first_stage.stdout.contains("1.0000"), "{}", first_stage.stdout);
    notes(&first_stage, "");
}
