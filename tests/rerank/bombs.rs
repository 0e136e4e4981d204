//! Small files that would take much memory or never end, in an address space of bounded size.

use std::io::Write;
use std::os::unix::process::CommandExt;

use crate::fixture::{Files, Run, command, run};

const MEBIBYTE: usize = 1 << 20;

/// Ranks in so much address space.
fn ranked_in(mebibytes: usize, arguments: &[&str]) -> Run {
    let mut command = command(&[&["--model", "fake", "--threads", "1"], arguments].concat());
    let bytes = (mebibytes * MEBIBYTE) as libc::rlim_t;
    let limit = move || {
        let limit = libc::rlimit { rlim_cur: bytes, rlim_max: bytes };
        // SAFETY: the limit is read during the call, which is safe in a process that was forked.
        match unsafe { libc::setrlimit(libc::RLIMIT_AS, &raw const limit) } {
            0 => Ok(()),
            _ => Err(std::io::Error::last_os_error()),
        }
    };
    // SAFETY: the limit allocates nothing.
    unsafe { command.pre_exec(limit) };
    run(command, "")
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn what_unpacks_to_a_line_of_a_gibibyte_is_refused_in_little_memory() {
    let files = Files::new();
    let run_line = files.write("run.trec", "q1 Q0 d1 1 2.5 x\n");
    let queries = files.write("queries.tsv", "q1\ta query\n");
    let letters = vec![b'a'; 64 * MEBIBYTE];
    let zstd = |bytes: &[u8]| zstd::encode_all(bytes, 1).unwrap();
    for pack in [&zstd as &dyn Fn(&[u8]) -> Vec<u8>, &gzip] {
        let line = pack(&letters).repeat(16);
        let after = |start: &str| [&pack(start.as_bytes())[..], &line].concat();
        let lines = files.write("lines", after("{\"query\":\"q\",\"text\":\"t\"}\n"));
        ranked_in(600, &["--input", &lines]).fails(1, &["lines:2", "longer than 64 MiB"]);
        ranked_in(600, &["--input", &lines, "--input-format", "json"]).fails(1, &["lines:2", "longer than 64 MiB"]);
        let table = files.write("table", after("query,text\nq,t\n"));
        ranked_in(600, &["--input", &table]).fails(1, &["table:3", "longer than 64 MiB"]);
        let documents = files.write("documents", after("d1\ta text\n"));
        let texts = ["--queries", &queries, "--collection", &documents];
        ranked_in(600, &[&["--input", &run_line], &texts[..]].concat())
            .fails(1, &["documents:2", "longer than 64 MiB"]);
    }
}

#[test]
fn what_never_ends_is_refused() {
    let files = Files::new();
    let run_line = files.write("run.trec", "q1 Q0 d1 1 2.5 x\n");
    let queries = files.write("queries.tsv", "q1\ta query\n");
    ranked_in(900, &["--input", "/dev/zero"]).fails(1, &["/dev/zero"]);
    for format in ["jsonl", "json", "csv", "tsv"] {
        ranked_in(900, &["--input", "/dev/zero", "--input-format", format]).fails(1, &["/dev/zero"]);
    }
    let texts = ["--queries", &queries, "--collection", "/dev/zero"];
    ranked_in(900, &[&["--input", &run_line], &texts[..]].concat()).fails(1, &["/dev/zero", "longer than 64 MiB"]);
    for option in ["--recipe", "--queries"] {
        let run = ranked_in(900, &["--input", &run_line, option, "/dev/zero", "--collection", &queries]);
        assert!([1, 2].contains(&run.status) && run.stderr.contains("/dev/zero"), "{option}: {}", run.stderr);
    }
}

#[test]
fn records_of_very_many_parts_are_refused_in_little_memory() {
    let files = Files::new();
    let list = |count: usize, part: &str| vec![part; count].join(",");
    let members: Vec<String> = (0..100_001).map(|index| format!("\"a{index}\":1")).collect();
    let columns: Vec<String> = (0..100_001).map(|index| format!("c{index}")).collect();
    for (name, content, part) in [
        (
            "depth.jsonl",
            format!("{{\"query\":\"q\",\"candidates\":{}\n", "[".repeat(3_000_000)),
            "it ends inside a list",
        ),
        (
            "objects.jsonl",
            format!("{{\"query\":\"q\",\"text\":\"t\",\"x\":{}\n", "{\"a\":".repeat(3_000_000)),
            "is not JSON",
        ),
        (
            "rank.jsonl",
            format!("{{\"query\":\"q\",\"text\":\"t\",\"rank\":{}}}\n", "9".repeat(100_000)),
            "not an integer",
        ),
        ("score.jsonl", "{\"query\":\"q\",\"text\":\"t\",\"score\":1e999}\n".to_owned(), "not a finite number"),
        (
            "members.jsonl",
            format!("{{\"query\":\"q\",\"text\":\"t\",{}}}\n", members.join(",")),
            "more than 100,000 fields",
        ),
        (
            "candidates.jsonl",
            format!("{{\"query\":\"q\",\"candidates\":[{}]}}\n", list(8_000_000, "{}")),
            "`candidates` has 8000000 values",
        ),
        (
            "cells.csv",
            format!("query,text\n{}\n", list(10_000_000, "a")),
            "the row has 10,000,000 fields, the header has 2",
        ),
        ("quoted.csv", format!("query,text\n\"q\",{}\n", list(3_000_000, "a")), "the row has 3,000,001 fields"),
        ("columns.csv", format!("query,text,{}\n", columns.join(",")), "it has 100003 columns"),
    ] {
        let path = files.write(name, content);
        ranked_in(700, &["--input", &path]).fails(1, &[name, part]);
    }
}

#[test]
fn a_message_of_megabytes_is_shortened() {
    let long = "x".repeat(3 * MEBIBYTE);
    let files = Files::new();
    let path = files.write("in.jsonl", format!("{{\"query_id\":\"{long}\",\"query\":\"q\",\"candidates\":[7]}}\n"));
    let run = ranked_in(700, &["--input", &path]);
    run.fails(1, &["in.jsonl:1: query \"xxx", "x […] x", "candidate \"1\""]);
    assert!(run.stderr.len() < 20_000, "{}", run.stderr.len());
}
