//! Content that is no JSON, no table and no run, or only almost: called what it is, with what to do.

use crate::fixture::{Files, rerank, rerank_on};

const GOOD: &str = r#"{"query_id":"good","query":"red","candidates":[{"id":"d","text":"red"}]}"#;

/// Runs on these bytes, named and unnamed; both are refused with these words, without a ranking.
#[track_caller]
fn refused(bytes: impl AsRef<[u8]>, parts: &[&str]) {
    let files = Files::new();
    let input = files.write("input.jsonl", &bytes);
    for run in [rerank(&["--model", "fake", "--input", &input]), rerank_on(&bytes, &["--model", "fake"])] {
        run.fails(1, parts);
        assert_eq!(run.stdout, "");
        for jargon in ["struct", "enum", "EOF", "Raw", "invalid type", "expected value"] {
            assert!(!run.stderr.contains(jargon), "{jargon:?} is in: {}", run.stderr);
        }
    }
}

#[test]
fn binary_files_are_called_what_they_are_with_the_remedy() {
    refused(b"PK\x03\x04\x14\0\0\0\x08\0in.jsonl", &["is a ZIP archive", "unzip -p"]);
    refused(b"PK\x03\x04\x14\0\0\0\x08\0[Content_Types].xml", &["Excel", "CSV"]);
    #[cfg(not(feature = "parquet"))]
    refused(b"PAR1\x15\x04\x15\x80", &["is a Parquet file", "read_parquet"]);
    #[cfg(feature = "parquet")]
    refused(b"PAR1\x15\x04\x15\x80", &["begins as a Parquet file", "truncated or damaged; fetch or write it again"]);
    refused(b"SQLite format 3\0\x10\0", &["is an SQLite database", "sqlite3"]);
    refused(b"\x80\x04\x95\x10\0\0\0\0\0\0\0}", &["is a Python pickle", "json.dumps"]);
    refused(b"%PDF-1.7\n%\xe2\xe3", &["is a PDF document", "pdftotext"]);
    refused(b"\0\x01\xfe\xff\0\x80 whatever", &["is binary data, no text"]);
    refused(b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", &["Git LFS", "git lfs pull"]);
    refused(b"<!DOCTYPE html>\n<html>", &["is a web page", "fetch the file again"]);
}

#[test]
fn binary_queries_and_collections_are_called_what_they_are() {
    let files = Files::new();
    let (input, good) = (files.write("a.trec", "q Q0 d 1 2.5 t\n"), files.write("good.tsv", "q\tred\n"));
    let bad = files.write("bad", b"SQLite format 3\0\x10\0");
    for (queries, collection) in [(&bad, &good), (&good, &bad)] {
        let arguments = ["--model", "fake", "--input", &input, "--queries", queries, "--collection", collection];
        rerank(&arguments).fails(1, &["bad is an SQLite database"]);
    }
}

#[test]
fn other_encodings_are_named_with_the_command_that_converts_them() {
    let units = |text: &str| text.encode_utf16().collect::<Vec<_>>();
    let little: Vec<u8> = units(GOOD).into_iter().flat_map(u16::to_le_bytes).collect();
    let big: Vec<u8> = units(GOOD).into_iter().flat_map(u16::to_be_bytes).collect();
    let marked: Vec<u8> = units(&format!("\u{feff}{GOOD}")).into_iter().flat_map(u16::to_be_bytes).collect();
    let wide: Vec<u8> = GOOD.chars().flat_map(|character| u32::from(character).to_le_bytes()).collect();
    refused(little, &["is UTF-16LE", "`iconv -f UTF-16LE -t UTF-8 FILE > NEW`"]);
    refused(big, &["is UTF-16BE", "`iconv -f UTF-16BE -t UTF-8 FILE > NEW`"]);
    refused(marked, &["is UTF-16,", "`iconv -f UTF-16 -t UTF-8 FILE > NEW`"]);
    refused(wide, &["is UTF-32LE", "`iconv -f UTF-32LE -t UTF-8 FILE > NEW`"]);
    let latin = b"{\"query\":\"caf\xe9 cr\xe8me\",\"candidates\":[]}";
    refused(latin, &[":1: is not UTF-8 at byte 14", "`iconv -f WINDOWS-1252 -t UTF-8 FILE > NEW`"]);
    let japanese = b"{\"query\":\"\x93\xfa\x96\x7b\x8c\xea\",\"candidates\":[]}";
    refused(japanese, &[":1: is not UTF-8 at byte 11", "`iconv -f ENCODING -t UTF-8 FILE > NEW`", "SHIFT_JIS"]);
    refused(
        b"{\"query\":\"\xed\xa0\xbd\",\"candidates\":[]}",
        &["is not UTF-8 at byte 11", "half of a surrogate pair"],
    );
}

#[test]
fn what_is_almost_json_is_refused_with_what_to_do() {
    refused("{'query': 'red', 'candidates': []}", &[":1: is not JSON", "json.dumps"]);
    refused("{\"query\": \"red\", \"candidates\": None}", &[":1: is not JSON", "json.dumps"]);
    refused(format!("{GOOD} {GOOD}\n"), &["several values stand on one line", "--input-format json"]);
    refused(format!("{GOOD}{GOOD}\n"), &["several values stand on one line", "--input-format json"]);
    refused(format!("{GOOD}, {GOOD}\n"), &["put `[` and `]` around them"]);
    refused("{\"query\": \"red\", // why\n\"candidates\": []}", &["JSON has no comments"]);
    refused("{\"query\": \"red\", \"candidates\": [],}", &["remove the comma"]);
    refused("{\"query\": \"red\", \"candidates\": [{\"text\": \"a\tb\"}]}", &["control character", "\\t"]);
    let twice = format!("{GOOD}{}", GOOD.replace("good", "other"));
    let run = rerank_on(twice, &["--model", "fake", "--input-format", "json"]);
    assert_eq!(run.rankings().len(), 2);
}

#[test]
fn truncated_json_is_called_truncated_and_what_came_before_is_ranked() {
    let cut = &GOOD.replace("good", "cut")[..50];
    let run = rerank_on(format!("{GOOD}\n{cut}"), &["--model", "fake"]);
    run.fails(1, &["standard input:2: ", "the input ends in the middle of this record: it is truncated"]);
    assert_eq!(run.stdout.lines().count(), 1);
    let run = rerank_on(format!("[{GOOD},\n{cut}"), &["--model", "fake"]);
    run.fails(1, &["standard input:2: ", "the input ends in the middle of this record: it is truncated"]);
    assert_eq!(run.stdout.lines().count(), 1);
    let run = rerank_on(format!("{cut}\n{GOOD}\n"), &["--model", "fake", "--input-format", "jsonl"]);
    run.fails(1, &["standard input:1: ", "pretty-printed JSON needs --input-format json"]);
}

#[test]
fn any_number_of_blank_lines_is_passed_by_and_counted() {
    let blank = "\n \r\n\t\n".repeat(500_000);
    let other = GOOD.replace("good", "other");
    let run = rerank_on(format!("{blank}{GOOD}\n{blank}{other}\n{blank}"), &["--model", "fake"]);
    assert_eq!(run.rankings().len(), 2);
    let run = rerank_on(format!("{blank}{GOOD}\n{blank}{{}}\n"), &["--model", "fake"]);
    run.fails(1, &["standard input:3000002: "]);
    let run = rerank_on(format!("{blank}[{GOOD},\n{blank}{{}}]\n"), &["--model", "fake"]);
    run.fails(1, &["standard input:3000002: "]);
    let run =
        rerank_on(format!("{blank}query,text\nred,red\n\n\nred\n"), &["--model", "fake", "--input-format", "csv"]);
    run.fails(1, &["standard input:1500005: "]);
    rerank_on(&blank, &["--model", "fake"]).fails(1, &["standard input is empty"]);
}
