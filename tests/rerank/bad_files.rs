//! Files and options that can't be used are reported before anything is lost.

use std::io::{BufRead, BufReader, Write};
use std::process::Stdio;

use crate::fixture::{Files, command, rerank, rerank_on};

const GOOD: &str = r#"{"query_id":"good","query":"red","candidates":[{"id":"d","text":"red"}]}"#;

/// A run on good data with these arguments, which are refused.
#[track_caller]
fn refused(arguments: &[&str], status: i32, parts: &[&str]) {
    let run = rerank_on(GOOD, &[&["--model", "fake"], arguments].concat());
    run.fails(status, parts);
    assert_eq!(run.stdout, "");
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// Lines that do not compress well, so that half of them are in the first half of the compressed bytes.
pub fn many_lines() -> String {
    let line = |index: u32| {
        let word = index.wrapping_mul(2_654_435_761);
        format!("{{\"query_id\":\"{index}\",\"query\":\"red\",\"candidates\":[{{\"text\":\"red {word:x}\"}}]}}\n")
    };
    (0..20_000).map(line).collect()
}

#[test]
fn a_missing_input_is_reported() {
    refused(&["--input", "missing.jsonl"], 2, &["missing.jsonl"]);
    refused(&["--input", "testdata/missing/candidates.jsonl"], 2, &["testdata/missing/candidates.jsonl"]);
}

#[test]
fn an_empty_input_is_reported() {
    for content in ["", "\n", "\r\n \n", "\u{feff}", "\u{feff}\n"] {
        rerank_on(content, &["--model", "fake"]).fails(1, &["standard input", "empty"]);
    }
    rerank_on("[]", &["--model", "fake"]).fails(1, &["standard input", "no queries"]);
    rerank_on(gzip(b""), &["--model", "fake"]).fails(1, &["standard input", "empty"]);
}

#[test]
fn an_unknown_format_is_reported_with_the_known_ones() {
    rerank_on("hello world", &["--model", "fake"]).fails(1, &["standard input", "--input-format", "jsonl", "trec"]);
    refused(&["--input-format", "xml"], 2, &["xml", "jsonl", "trec"]);
    refused(&["--output-format", "xml"], 2, &["xml", "jsonl", "trec"]);
}

#[test]
fn a_run_that_is_taken_for_json_is_reported_with_its_format() {
    for (run, format) in [("q1 Q0 d1 1 2.5 bm25", "trec"), ("301 Q0 d1 1 2.5 bm25", "trec"), ("q1\td1\t1", "msmarco")] {
        let read = rerank_on(run, &["--model", "fake", "--input-format", "jsonl"]);
        read.fails(1, &["standard input:1: is not JSON", &format!("which --input-format {format} reads")]);
    }
}

#[test]
fn utf_16_is_reported_with_the_remedy() {
    let wide: Vec<u8> = format!("\u{feff}{GOOD}").encode_utf16().flat_map(u16::to_le_bytes).collect();
    rerank_on(wide, &["--model", "fake"]).fails(1, &["UTF-16", "iconv"]);
}

#[test]
fn truncated_compressed_files_are_reported_and_what_came_before_is_ranked() {
    let files = Files::new();
    let (zipped, zstandard) = (gzip(many_lines().as_bytes()), zstd::encode_all(many_lines().as_bytes(), 1).unwrap());
    for (name, bytes) in [("a.jsonl.gz", zipped), ("a.jsonl.zst", zstandard)] {
        let input = files.write(name, &bytes[..bytes.len() / 2]);
        let run = rerank(&["--model", "fake", "--input", &input, "--on-error", "skip"]);
        run.fails(1, &[name, "truncated"]);
        assert!(run.stdout.lines().count() > 1000, "{name}");
        assert!(run.stdout.ends_with("]}\n"), "{name}");
    }
}

#[test]
fn a_truncated_list_is_reported_and_what_came_before_is_ranked() {
    let run = rerank_on(format!("[{GOOD}, {GOOD}\n"), &["--model", "fake", "--on-error", "skip"]);
    run.fails(1, &["standard input:1: ", "query \"good\"", "the closing `]` is missing"]);
    assert_eq!(run.stdout.lines().count(), 1);
}

/// A group whose text has as many bytes.
fn write_long_line(sink: &mut impl Write, bytes: usize) {
    let block = "red planet ".repeat(1 << 14);
    sink.write_all(br#"{"query_id":"long","query":"red","candidates":[{"id":"d","text":""#).unwrap();
    for _ in 0..bytes / block.len() {
        sink.write_all(block.as_bytes()).unwrap();
    }
    sink.write_all(b"\"}]}\n").unwrap();
}

#[cfg(unix)]
#[test]
fn a_link_that_points_to_nothing_yet_is_written_through() {
    let files = Files::new();
    let (target, link) = (files.path("target.jsonl"), files.path("link.jsonl"));
    std::os::unix::fs::symlink(&target, &link).unwrap();
    let link = link.to_str().unwrap();
    refused(&["--output", link, "--input", "missing.jsonl"], 2, &["missing.jsonl"]);
    rerank_on(GOOD, &["--model", "fake", "--output", link]).rankings();
    assert!(std::fs::symlink_metadata(link).unwrap().is_symlink(), "the link is gone");
    assert!(files.read("target.jsonl").starts_with("{\"query_id\""));
}

#[cfg(target_os = "linux")]
#[test]
fn a_line_of_100_megabytes_is_reported_in_little_memory_and_the_next_is_ranked() {
    let mut child = command(&["--model", "fake", "--on-error", "skip"]);
    let child = child.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = child.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    writeln!(stdin, "{}", GOOD.replace("good", "before")).unwrap();
    write_long_line(&mut stdin, 100_000_000);
    writeln!(stdin, "{GOOD}").unwrap();
    stdin.flush().unwrap();

    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    for id in ["before", "good"] {
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        assert!(line.starts_with(&format!("{{\"query_id\":\"{id}\"")), "{line}");
    }
    let peak = crate::fixture::peak_mebibytes(child.id());
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    let message = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(message.contains("standard input:2: ") && message.contains("64 MiB"), "{message}");
    assert!(peak < 300, "{peak} MiB");
}

#[test]
fn an_output_that_cannot_be_written_is_reported_before_the_run() {
    let files = Files::new();
    let missing = files.name("missing/ranked.jsonl");
    refused(&["--output", &missing], 2, &[&missing, "no such directory"]);
    refused(&["--output", "testdata"], 2, &["testdata", "directory"]);
    let below_a_file = "testdata/candidates.jsonl/ranked.jsonl";
    refused(&["--output", below_a_file], 2, &[below_a_file, "not a directory"]);
}

#[test]
fn a_stats_file_that_cannot_be_written_is_reported_before_the_run() {
    let files = Files::new();
    let (output, missing) = (files.name("ranked.jsonl"), files.name("missing/stats.json"));
    refused(&["--output", &output, "--stats", &missing], 2, &[&missing]);
    assert!(!files.path("ranked.jsonl").exists(), "the run went on to its end");
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_reported() {
    refused(&["--output", "/dev/full"], 1, &["/dev/full", "No space left"]);
    let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
    let input = ["--model", "fake", "--input", "testdata/candidates.jsonl"];
    let output = command(&input).stdout(full).stderr(Stdio::piped()).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8(output.stderr).unwrap().contains("standard output"));
}

/// `ulimit -f` limits the size of the file that is written: to the program a disk that fills up while it runs.
#[cfg(target_os = "linux")]
#[test]
fn a_disk_that_fills_up_keeps_complete_lines_only() {
    let files = Files::new();
    let (input, output) = (files.write("a.jsonl", many_lines()), files.name("ranked.jsonl"));
    let script =
        format!("ulimit -f 64; exec {} --model fake --input {input} --output {output}", env!("CARGO_BIN_EXE_rerank"));
    let run = std::process::Command::new("bash").args(["-c", &script]).output().unwrap();
    let message = String::from_utf8(run.stderr).unwrap();
    assert_eq!(run.status.code(), Some(1), "{message}");
    assert!(message.contains("ranked.jsonl") && message.contains("what is complete stays ("), "{message}");
    let ranked = files.read("ranked.jsonl");
    assert!(ranked.len() > 60_000 && ranked.len() <= 64 * 1024, "{}", ranked.len());
    assert!(ranked.ends_with("}]}\n"));
}

#[test]
fn an_output_that_is_the_input_is_refused_and_the_input_kept() {
    let files = Files::new();
    let input = files.write("a.jsonl", GOOD);
    let other_way = files.name("./a.jsonl");
    refused(&["--input", &input, "--output", &input], 2, &["a.jsonl", "another name"]);
    refused(&["--input", &input, "--output", &other_way], 2, &["a.jsonl", "another name"]);
    refused(&["--input", &input, "--stats", &input], 2, &["a.jsonl", "another name"]);
    assert_eq!(files.read("a.jsonl"), GOOD);
}

#[cfg(unix)]
#[test]
fn an_output_that_is_a_link_to_the_input_is_refused() {
    let files = Files::new();
    let (input, link) = (files.write("a.jsonl", GOOD), files.name("link"));
    std::os::unix::fs::symlink(&input, &link).unwrap();
    refused(&["--input", &input, "--output", &link], 2, &["link", "another name"]);
    refused(&["--input", &link, "--output", &input], 2, &["a.jsonl", "another name"]);
    assert_eq!(files.read("a.jsonl"), GOOD);
}

#[cfg(unix)]
#[test]
fn an_output_that_is_another_name_of_the_inputs_file_is_refused() {
    let files = Files::new();
    let (input, link) = (files.write("a.jsonl", GOOD), files.name("link"));
    std::fs::hard_link(&input, &link).unwrap();
    refused(&["--input", &input, "--output", &link], 2, &["another name"]);
    assert_eq!(files.read("a.jsonl"), GOOD);
}

#[test]
fn an_output_that_is_the_redirected_input_is_refused() {
    let files = Files::new();
    let input = files.write("a.jsonl", GOOD);
    let stdin = std::fs::File::open(&input).unwrap();
    let run = command(&["--model", "fake", "--output", &input]).stdin(stdin).output().unwrap();
    assert_eq!(files.read("a.jsonl"), GOOD, "the input was written over");
    assert_eq!(run.status.code(), Some(2));
}

#[test]
fn stats_that_are_the_output_are_refused() {
    let files = Files::new();
    let (output, other_way) = (files.name("a.json"), files.name("./a.json"));
    refused(&["--output", &output, "--stats", &output], 2, &["same file", "a.json"]);
    refused(&["--output", &output, "--stats", &other_way], 2, &["same file", "a.json"]);
}

#[test]
fn wrong_options_are_reported() {
    for (arguments, named) in [
        (vec!["--nonsense"], "--nonsense"),
        (vec!["candidates.jsonl"], "candidates.jsonl"),
        (vec!["--top-k", "0"], "--top-k"),
        (vec!["--top-k", "many"], "--top-k"),
        (vec!["--min-score", "2", "--score", "sigmoid"], "--min-score"),
        (vec!["--batch-size", "0"], "--batch-size"),
        (vec!["--threads", "0"], "--threads"),
        (vec!["--device", "abacus"], "abacus"),
        (vec!["--dtype", "f8"], "f8"),
        (vec!["--model", "missing/model/directory"], "missing/model/directory"),
        (vec!["--model", "Cargo.toml"], "Cargo.toml"),
        (vec!["--columns", "query"], "FIELD=NAME"),
        (vec!["--instruction", "@missing.txt"], "missing.txt"),
    ] {
        // The options under test come last, but `--model` may stand only once.
        let run = rerank_on(GOOD, &arguments);
        run.fails(2, &[named]);
        assert_eq!(run.stdout, "", "{arguments:?}");
    }
}

#[test]
fn a_failed_run_takes_nothing_away() {
    let files = Files::new();
    let (old, new) = (files.write("old.jsonl", "yesterday\n"), files.name("new.jsonl"));
    for arguments in [["--model", "testdata"], ["--input-format", "csv"]] {
        for output in [&old, &new] {
            let run = rerank_on(GOOD, &[&["--output", output, "--overwrite"], &arguments[..]].concat());
            assert_eq!(run.status, 1, "{}", run.stderr);
        }
    }
    assert_eq!(files.read("old.jsonl"), "yesterday\n");
    assert!(!files.path("new.jsonl").exists());
}
