//! Workers that are killed, that are started twice, and parts that were damaged.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::fixture::{Files, command, rerank};
use crate::piped::Piped;
use crate::resume::{cut, queries};
use crate::shards::{merged, names, rank, worker};

const TEMPORARY: &str = "parts/part-00000-of-00001.jsonl.zst.tmp";
const PART: &str = "parts/part-00000-of-00001.jsonl.zst";

/// A worker of the only shard that waits for more input, when it has written something.
fn waiting(files: &Files, input: &str, temporary: &str) -> Piped {
    let directory = files.name("parts");
    let mut worker = Piped::start(&["--output", &directory, "--shard", "0/1"]);
    worker.write(input);
    let began = Instant::now();
    while files.path(temporary).metadata().map_or(0, |file| file.len()) == 0 {
        assert!(began.elapsed() < Duration::from_secs(30), "nothing is written to {temporary}");
        std::thread::sleep(Duration::from_millis(5));
    }
    worker
}

/// The part of a worker that was never broken off.
fn unbroken(files: &Files, input: &str) -> Vec<u8> {
    let input = files.write("in.jsonl", input);
    rank(&input, &files.name("unbroken"), "0/1");
    std::fs::read(files.path("unbroken/part-00000-of-00001.jsonl.zst")).unwrap()
}

#[test]
fn a_worker_that_was_killed_goes_on_in_its_next_life() {
    let files = Files::in_memory();
    let input = queries(60);
    let expected = unbroken(&files, &input);
    let half: String = input.lines().take(30).map(|line| format!("{line}\n")).collect();
    let mut first = waiting(&files, &half, TEMPORARY);
    first.signal("KILL");
    first.child.wait().unwrap();
    assert_eq!(names(&files, "parts").len(), 2);
    // The pipe has the whole input once more.
    let mut second = Piped::start(&["--output", &files.name("parts"), "--shard", "0/1"]);
    second.write(&input);
    drop(second.stdin.take());
    let (status, message) = second.end();
    assert_eq!(status, Some(0), "{message}");
    assert!(message.contains(" and goes on behind "), "{message}");
    assert!(std::fs::read(files.path(PART)).unwrap() == expected);
    assert_eq!(names(&files, "parts"), ["part-00000-of-00001.done.json", "part-00000-of-00001.jsonl.zst"]);
}

#[test]
fn a_shard_is_completed_from_any_byte_of_a_worker_that_was_broken_off() {
    let files = Files::in_memory();
    let input = files.write("in.jsonl", queries(40));
    let directory = files.name("parts");
    rank(&input, &directory, "0/1");
    let whole = std::fs::read(files.path(PART)).unwrap();
    let record = files.read("parts/part-00000-of-00001.done.json");
    for bytes in [0, 1, whole.len() / 3, whole.len() / 2, whole.len() - 1, whole.len()] {
        std::fs::remove_dir_all(&directory).unwrap();
        let single = files.name("parts.zst");
        // A worker writes what a run without shards writes, and records the run as that does.
        let whole_run = ["--model", "fake", &input, "--output", &single, "--overwrite"];
        assert_eq!(rerank(&whole_run).status, 0);
        std::fs::create_dir(&directory).unwrap();
        std::fs::rename(&single, files.path(TEMPORARY)).unwrap();
        std::fs::rename(files.path("parts.zst.run.json"), files.path(&format!("{TEMPORARY}.run.json"))).unwrap();
        cut(files.path(TEMPORARY).to_str().unwrap(), bytes);
        rank(&input, &directory, "0/1");
        assert!(std::fs::read(files.path(PART)).unwrap() == whole, "{bytes}");
        // The worker that goes on reads the whole input once more.
        for name in ["rankings", "input"] {
            let of = |record: &str| serde_json::from_str::<Value>(record).unwrap()[name].clone();
            assert_eq!(of(&files.read("parts/part-00000-of-00001.done.json")), of(&record), "{name} {bytes}");
        }
    }
}

#[test]
fn two_workers_on_one_shard_write_the_same_bytes() {
    let files = Files::in_memory();
    let input = queries(60);
    let expected = unbroken(&files, &input);
    let (half, rest) = input.split_at(input.find("{\"query_id\":\"q30\"").unwrap());
    let mut first = waiting(&files, half, TEMPORARY);
    let second_temporary = "parts/part-00000-of-00001.jsonl.zst.2.tmp";
    let mut second = waiting(&files, half, second_temporary);
    let third = waiting(&files, half, "parts/part-00000-of-00001.jsonl.zst.3.tmp");
    second.write(rest);
    drop(second.stdin.take());
    let (status, message) = second.end();
    assert_eq!(status, Some(0), "{message}");
    assert!(std::fs::read(files.path(PART)).unwrap() == expected);
    assert!(files.path(TEMPORARY).exists(), "the file of a worker that lives stays");
    first.write(rest);
    drop(first.stdin.take());
    let (status, message) = first.end();
    assert_eq!(status, Some(0), "{message}");
    assert!(
        message.contains("another worker has finished shard 0/1 in the meantime, with the same bytes"),
        "{message}"
    );
    assert!(std::fs::read(files.path(PART)).unwrap() == expected);
    // What a worker leaves that is killed is removed by the next one that finds the shard done.
    third.signal("KILL");
    let mut third = third;
    third.child.wait().unwrap();
    assert_eq!(names(&files, "parts").len(), 4);
    let mut fourth = Piped::start(&["--output", &files.name("parts"), "--shard", "0/1"]);
    fourth.write(&input);
    drop(fourth.stdin.take());
    assert_eq!(fourth.end().0, Some(0));
    assert_eq!(names(&files, "parts"), ["part-00000-of-00001.done.json", "part-00000-of-00001.jsonl.zst"]);
}

#[test]
fn workers_that_race_all_end_well() {
    let files = Files::in_memory();
    let input = files.write("in.jsonl", queries(200));
    let directory = files.name("parts");
    let workers: Vec<Piped> = (0..4).map(|_| Piped::spawn(command(&worker(&input, &directory, "0/1")))).collect();
    for worker in workers {
        let (status, message) = worker.end();
        assert_eq!(status, Some(0), "{message}");
    }
    rank(&input, &directory, "0/1");
    assert_eq!(names(&files, "parts"), ["part-00000-of-00001.done.json", "part-00000-of-00001.jsonl.zst"]);
    assert_eq!(merged(&files, &directory, &[], "out.jsonl").iter().filter(|byte| **byte == b'\n').count(), 200);
}

#[test]
fn what_was_damaged_is_found_and_ranked_again() {
    let files = Files::in_memory();
    let input = files.write("in.jsonl", queries(80));
    let (directory, output) = (files.name("parts"), files.name("out.jsonl"));
    for shard in ["0/2", "1/2"] {
        rank(&input, &directory, shard);
    }
    let (part, done) = ("parts/part-00001-of-00002.jsonl.zst", "parts/part-00001-of-00002.done.json");
    let whole = std::fs::read(files.path(part)).unwrap();
    let merge = ["merge", &directory, "--output", &output];
    let middle = whole.len() / 2;
    let changed: Vec<u8> = [&whole[..middle], &[whole[middle] ^ 1], &whole[middle + 1..]].concat();
    let last = [&whole[..whole.len() - 1], &[whole[whole.len() - 1] ^ 1]].concat();
    for damaged in [changed, last] {
        std::fs::write(files.path(part), damaged).unwrap();
        rerank(&merge).fails(1, &["part-00001-of-00002.jsonl.zst: ", "run shard 1/2 again with --overwrite"]);
        assert!(!files.path("out.jsonl").exists());
    }
    std::fs::write(files.path(part), &whole[..middle]).unwrap();
    rerank(&merge).fails(1, &["these are not done: 1; run each of them again, as with --shard 1/2"]);
    rank(&input, &directory, "1/2");
    assert!(std::fs::read(files.path(part)).unwrap() == whole);
    let record: Value = serde_json::from_str(&files.read(done)).unwrap();
    for (name, value, part) in [
        ("rankings", Value::from(""), "it goes on behind its last ranking"),
        ("rankings", Value::from("/////////////w=="), "the list of its rankings"),
        ("blake3", Value::from("00"), "its bytes are not those that were written"),
        (
            "counts",
            json!({"queries":1,"skipped":0,"last_worker":{"resumed":0,"pairs":0,"truncated":0,"tokens":0}}),
            "and 1 were written",
        ),
    ] {
        let mut changed = record.clone();
        changed[name] = value;
        files.write(done, changed.to_string());
        rerank(&merge).fails(1, &[part, "run shard 1/2 again with --overwrite"]);
        assert!(!files.path("out.jsonl").exists());
    }
    std::fs::remove_file(files.path(done)).unwrap();
    rank(&input, &directory, "1/2");
    assert_eq!(rerank(&merge).status, 0);
    rerank(&merge).fails(2, &["out.jsonl exists already"]);
}

#[test]
fn a_part_whose_size_has_changed_is_named_with_both_sizes() {
    let files = Files::in_memory();
    let input = files.write("in.jsonl", queries(10));
    let directory = files.name("parts");
    rank(&input, &directory, "0/1");
    let part = std::fs::read(files.path(PART)).unwrap();
    files.write(PART, [&part[..], b"x"].concat());
    let sizes = format!("has {} bytes, and had {} when its worker", part.len() + 1, part.len());
    let status = rerank(&["status", &directory]);
    assert_eq!(status.status, 1);
    for part in [sizes.as_str(), "part-00000-of-00001.jsonl.zst", "run shard 0/1 again"] {
        assert!(status.stdout.contains(part), "{}", status.stdout);
    }
    rerank(&["merge", &directory, "--output", &files.name("out.jsonl")]).fails(1, &["not done: 0", &sizes]);
    let again = rank(&input, &directory, "0/1");
    assert!(again.stderr.contains(&sizes), "{}", again.stderr);
    assert_eq!(std::fs::read(files.path(PART)).unwrap(), part);
}
