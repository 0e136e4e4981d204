//! Outputs that are there as a whole or not at all: what merge and Parquet write, and what is left of runs that were killed.
#![cfg(unix)]

use std::time::{Duration, Instant};

use crate::fixture::{Files, command, rerank};
use crate::piped::Piped;
use crate::resume::queries;
use crate::shards::{names, rank};

/// Waits until a file is there, or one of some bytes.
fn wait_for(files: &Files, name: &str, bytes: u64) -> bool {
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(30) {
        if files.path(name).metadata().is_ok_and(|file| file.len() >= bytes) {
            return true;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    false
}

#[test]
#[cfg(feature = "parquet")]
fn a_parquet_file_is_not_there_before_it_is_whole_and_what_a_killed_run_left_is_replaced() {
    let files = Files::in_memory();
    std::fs::create_dir(files.path("out")).unwrap();
    let output = files.name("out/o.parquet");
    let start = || {
        let mut run = Piped::start(&["--output", &output]);
        run.write(&queries(3));
        assert!(wait_for(&files, "out/.o.parquet.tmp", 0));
        run
    };
    let mut killed = start();
    assert!(!files.path("out/o.parquet").exists());
    rerank(&["--model", "fake", "testdata/candidates.jsonl", "--output", &output])
        .fails(1, &["o.parquet is being written by another run"]);
    killed.signal("KILL");
    killed.child.wait().unwrap();
    std::fs::write(files.path("out/.o.parquet.tmp"), "what was written").unwrap();
    assert_eq!(names(&files, "out"), [".o.parquet.tmp"]);
    let mut next = start();
    drop(next.stdin.take());
    assert_eq!(next.end().0, Some(0));
    assert_eq!(names(&files, "out"), ["o.parquet"]);
    let again = rerank(&["--model", "fake", "testdata/candidates.jsonl", "--output", &output]);
    again.fails(2, &["o.parquet exists already", "add --overwrite"]);
    assert!(!again.stderr.contains("--resume"), "{}", again.stderr);
}

/// Shards whose merge takes a while, as it is compressed.
fn long_shards(files: &Files) -> String {
    let text: String = (0..40_000u32).map(|number| format!("{} ", number.wrapping_mul(2_654_435_761))).collect();
    let line = |number: usize| format!("{{\"query_id\":\"{number}\",\"query\":\"red\",\"documents\":[\"{text}\"]}}\n");
    let input = files.write("in.jsonl", (0..60).map(line).collect::<String>());
    let directory = files.name("parts");
    ["0/2", "1/2"].iter().for_each(|shard| drop(rank(&input, &directory, shard)));
    directory
}

#[test]
fn a_merge_that_is_ended_leaves_nothing_and_one_that_is_killed_what_the_next_one_replaces() {
    let files = Files::in_memory();
    let directory = long_shards(&files);
    std::fs::create_dir(files.path("out")).unwrap();
    let output = files.name("out/o.jsonl.gz");
    let begun = |name: &str| {
        let merge = Piped::spawn(command(&["merge", &directory, "--output", &output, "--overwrite"]));
        assert!(wait_for(&files, "out/.o.jsonl.gz.tmp", 1));
        merge.signal(name);
        merge
    };
    for (name, expected) in [("INT", 130), ("TERM", 143)] {
        // A merge may be faster than the signal.
        let ended = (0..5).any(|_| {
            let (status, message) = begun(name).end();
            if status == Some(0) {
                std::fs::remove_file(&output).unwrap();
                return false;
            }
            assert_eq!(status, Some(expected), "{message}");
            assert!(message.contains("o.jsonl.gz is not written"), "{message}");
            true
        });
        assert!(ended, "{name}: every merge was faster than the signal");
        assert!(names(&files, "out").is_empty(), "{:?}", names(&files, "out"));
    }
    begun("KILL").child.wait().unwrap();
    let merge = rerank(&["merge", &directory, "--output", &output, "--overwrite"]);
    assert_eq!(merge.status, 0, "{}", merge.stderr);
    assert_eq!(names(&files, "out"), ["o.jsonl.gz"]);
}

#[test]
fn the_remedies_of_a_merge_and_a_worker_exist() {
    let files = Files::in_memory();
    let input = files.write("in.jsonl", queries(400));
    let directory = files.name("parts");
    let limited = |arguments: &[&str], kibibytes: usize| {
        let program = command(arguments);
        let mut shell = std::process::Command::new("bash");
        shell.args(["-c", &format!("trap '' XFSZ; ulimit -f {kibibytes}; exec \"$0\" \"$@\"")]);
        shell.arg(program.get_program()).args(program.get_args());
        crate::fixture::run(shell, "")
    };
    let worker = crate::shards::worker(&input, &directory, "0/1");
    let full = limited(&worker, 8);
    full.fails(1, &["what is complete stays (", "make room, and start the worker again with the same options"]);
    assert!(!full.stderr.contains("--resume"), "{}", full.stderr);
    let run = rank(&input, &directory, "0/1");
    assert!(run.stderr.contains("goes on behind"), "{}", run.stderr);
    let record: serde_json::Value = serde_json::from_str(&files.read("parts/part-00000-of-00001.done.json")).unwrap();
    let counts = &record["counts"];
    assert_eq!((&counts["queries"], &record["input"]["queries"]), (&400.into(), &400.into()));
    assert!(counts["last_worker"]["resumed"].as_u64().is_some_and(|resumed| resumed > 0), "{counts}");
    let output = files.name("o.jsonl");
    let full = limited(&["merge", &directory, "--output", &output], 8);
    full.fails(1, &["cannot write ", "o.jsonl: ", "nothing is kept: make room, and start anew"]);
    assert!(!files.path("o.jsonl").exists() && !files.path(".o.jsonl.tmp").exists());
    files.write("o.jsonl", "mine");
    let refused = rerank(&["merge", &directory, "--output", &output]);
    refused.fails(2, &["o.jsonl exists already", "add --overwrite to replace it"]);
    assert!(!refused.stderr.contains("--resume"), "{}", refused.stderr);
    let named = rerank(&["merge", &directory, "--output", &files.name("o.foo")]);
    assert!(named.status == 0 && named.stderr.contains("o.foo is written as JSONL"), "{}", named.stderr);
}
