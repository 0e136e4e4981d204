//! Directories in BEIR's layout as the Hugging Face hub exports them.

use std::fs;

use crate::fixture::{Files, Run, rankings, rerank};

const PART: &str = "beir/corpus/corpus-00001-of-00002.parquet";

/// A copy of the export, in which files may be changed.
fn export() -> Files {
    let files = Files::new();
    for name in [
        "corpus/corpus-00000-of-00002.parquet",
        "corpus/corpus-00001-of-00002.parquet",
        "queries/queries-00000-of-00001.parquet",
        "data/test-00000-of-00001.parquet",
    ] {
        let path = files.path(&format!("beir/{name}"));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::copy(format!("testdata/parquet/beir/{name}"), path).unwrap();
    }
    files
}

fn ranked(files: &Files, arguments: &[&str]) -> Run {
    let run = ["--model", "fake", "--input", "testdata/parquet/run.parquet"];
    rerank(&[&run[..], &["--beir", &files.name("beir")], arguments].concat())
}

#[test]
fn an_export_is_ranked_and_evaluated_as_its_files_are() {
    let files = export();
    let texts = ["--queries", "testdata/parquet/queries.parquet", "--collection", "testdata/parquet/corpus.parquet"];
    let expected = rerank(&[&["--model", "fake", "--input", "testdata/parquet/run.parquet"], &texts[..]].concat());
    let run = ranked(&files, &[]);
    assert_eq!(run.status, 0, "{}", run.stderr);
    assert_eq!(run.stdout, expected.stdout);
    assert!(run.stderr.contains("over 3 judged queries"), "{}", run.stderr);
    // Text and Parquet may stand side by side.
    fs::remove_dir_all(files.path("beir/queries")).unwrap();
    files.write("beir/queries.jsonl", "{\"_id\":\"q1\",\"text\":\"which planet is red\"}\n");
    let mixed = ranked(&files, &["--on-error", "skip"]);
    assert_eq!(rankings(&mixed.stdout), expected.rankings()[..1], "{}", mixed.stderr);
}

#[test]
fn a_run_of_a_corpus_in_parts_is_resumed_and_notices_another_part() {
    let files = export();
    let output = files.name("out.jsonl");
    assert_eq!(ranked(&files, &["--output", &output]).status, 0);
    let whole = files.read("out.jsonl");
    let first = whole.lines().next().unwrap().len() + 1;
    fs::OpenOptions::new().write(true).open(&output).unwrap().set_len(first as u64).unwrap();
    assert_eq!(ranked(&files, &["--output", &output, "--resume"]).status, 0);
    assert_eq!(files.read("out.jsonl"), whole);
    fs::copy(files.path("beir/corpus/corpus-00000-of-00002.parquet"), files.path(PART)).unwrap();
    ranked(&files, &["--output", &output, "--resume"]).fails(2, &["--collection, part 2"]);
}

#[test]
fn what_is_missing_or_there_twice_is_named() {
    let files = export();
    files.write("beir/corpus.jsonl", "{\"_id\":\"d1\",\"text\":\"x\"}\n");
    ranked(&files, &[]).fails(2, &["there are both", "corpus.jsonl and ", "beir/corpus;", "--collection"]);
    fs::remove_file(files.path("beir/corpus.jsonl")).unwrap();
    fs::create_dir(files.path("beir/qrels")).unwrap();
    files.write("beir/qrels/test.tsv", "query-id\tcorpus-id\tscore\nq1\td1\t1\n");
    ranked(&files, &[]).fails(2, &["qrels/test.tsv and ", "name one with --qrels"]);
    fs::remove_dir_all(files.path("beir/qrels")).unwrap();
    fs::copy(files.path(PART), files.path("beir/corpus/dev.parquet")).unwrap();
    ranked(&files, &[]).fails(2, &["are not parts of one (corpus-00000-of-00002.parquet, ", "dev.parquet)"]);
    fs::remove_file(files.path("beir/corpus/dev.parquet")).unwrap();
    fs::remove_file(files.path(PART)).unwrap();
    ranked(&files, &[]).fails(2, &["has 1 of 2 parts: corpus-00001-of-00002.parquet is missing"]);
    fs::remove_dir_all(files.path("beir/corpus")).unwrap();
    ranked(&files, &[]).fails(2, &["/corpus.jsonl nor ", "/corpus.parquet nor a Parquet file in "]);
}
