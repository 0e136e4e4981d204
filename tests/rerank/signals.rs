//! Signals: what is complete is written, and the status says which one it was.
#![cfg(unix)]

use std::io::{Read, Write};
use std::process::Command;
use std::time::Duration;

use crate::fixture::{Files, command};
use crate::piped::{Piped, RED, waiting_bytes};

#[test]
fn an_interrupt_ends_a_run_that_waits_and_keeps_what_is_complete() {
    let files = Files::new();
    let mut piped = Piped::start(&["--stats", &files.name("stats.json")]);
    piped.write(RED);
    assert!(piped.read_line().starts_with("{\"query_id\":\"red\""));
    piped.signal("INT");
    assert_eq!(piped.read_line(), "");
    let (status, message) = piped.end();
    assert_eq!(status, Some(130), "{message}");
    assert!(message.contains("finishing the batch at hand") && message.contains("interrupted: 1 query, 1 pair"));
    assert!(files.read("stats.json").contains("\"interrupted\": true"));
}

#[test]
fn an_interrupt_ends_a_run_whose_input_has_not_begun() {
    let piped = Piped::start(&[]);
    std::thread::sleep(Duration::from_millis(200));
    piped.signal("INT");
    assert_eq!(piped.end().0, Some(130));
}

#[test]
fn an_interrupt_ends_a_dry_run() {
    let mut piped = Piped::start(&["--dry-run"]);
    piped.write(RED);
    std::thread::sleep(Duration::from_millis(200));
    piped.signal("INT");
    assert_eq!(piped.end().0, Some(130));
}

#[test]
fn an_interrupt_in_the_middle_leaves_complete_lines() {
    let mut piped = Piped::start(&["--batch-size", "1"]);
    let mut stdin = piped.stdin.take().unwrap();
    let feeding = std::thread::spawn(move || {
        for index in 0.. {
            let line = format!("{{\"query_id\":\"{index}\",\"query\":\"red\",\"documents\":[\"red\",\"blue\"]}}\n");
            if stdin.write_all(line.as_bytes()).is_err() {
                return;
            }
        }
    });
    for _ in 0..100 {
        piped.read_line();
    }
    piped.signal("INT");
    let mut rest = String::new();
    piped.stdout.as_mut().unwrap().read_to_string(&mut rest).unwrap();
    let (status, message) = piped.end();
    feeding.join().unwrap();
    assert_eq!(status, Some(130), "{message}");
    assert!(rest.is_empty() || rest.ends_with("]}\n"));
}

/// A run that has ranked a query and waits for more.
fn waiting(arguments: &[&str]) -> Piped {
    let mut piped = Piped::start(arguments);
    piped.write(RED);
    assert!(piped.read_line().starts_with("{\"query_id\":\"red\""));
    piped
}

#[test]
fn every_signal_has_its_status_and_lets_the_run_finish() {
    for (name, status, reason) in
        [("INT", 130, "interrupted: "), ("TERM", 143, "terminated: "), ("HUP", 129, "hung up: ")]
    {
        let piped = waiting(&[]);
        piped.signal(name);
        let (ended, message) = piped.end();
        assert_eq!(ended, Some(status), "{message}");
        assert!(message.contains(reason) && message.contains("1 query, 1 pair"), "{message}");
    }
}

#[test]
fn a_signal_before_the_first_batch_leaves_no_file_behind() {
    let files = Files::new();
    for name in ["INT", "TERM", "HUP"] {
        let piped = Piped::start(&["--output", &files.name("new.jsonl"), "--stats", &files.name("new.json")]);
        while !files.path("new.jsonl").exists() {
            std::thread::sleep(Duration::from_millis(5));
        }
        piped.signal(name);
        assert!(piped.end().0 > Some(128));
        assert!(!files.path("new.jsonl").exists() && !files.path("new.json").exists());
    }
}

/// The program under a shell that ignores signals, as `nohup` and `&` do.
fn ignoring(signals: &str) -> Piped {
    let program = command(&["--model", "fake"]);
    let mut shell = Command::new("sh");
    shell
        .args(["-c", &format!("trap '' {signals}; exec \"$0\" \"$@\"")])
        .arg(program.get_program())
        .args(program.get_args());
    Piped::spawn(shell)
}

#[test]
fn what_is_ignored_at_the_start_stays_ignored() {
    let mut piped = ignoring("HUP INT");
    for (query, name) in [("a", "HUP"), ("b", "INT"), ("c", "HUP")] {
        piped.write(&RED.replace("red", query));
        piped.read_line();
        piped.signal(name);
    }
    piped.write(RED);
    assert!(piped.read_line().starts_with("{\"query_id\":\"red\""), "it goes on");
    piped.stdin = None;
    let (status, message) = piped.end();
    assert_eq!(status, Some(0), "{message}");
    assert!(message.contains("4 queries"), "{message}");
}

#[test]
fn what_is_not_ignored_still_ends_such_a_run() {
    let mut piped = ignoring("HUP INT");
    piped.write(RED);
    piped.read_line();
    piped.signal("TERM");
    assert_eq!(piped.end().0, Some(143));
}

#[test]
fn two_signals_end_a_run_behind_the_ranking_that_is_written() {
    let files = Files::in_memory();
    let long = format!("\"{}\"", "red ".repeat(5000));
    let query = |id: usize, count: usize| {
        let documents = vec![long.as_str(); count].join(",");
        format!("{{\"query_id\":\"{id}\",\"query\":\"red\",\"documents\":[{documents}]}}\n")
    };
    // The second ranking has 20 MB.
    let input = files.write("in.jsonl", query(1, 1) + &query(2, 1000) + &query(3, 1));
    for name in ["a", "b", "c"] {
        let output = files.path(name);
        let piped = Piped::start(&["--input", &input, "--output", output.to_str().unwrap()]);
        while std::fs::metadata(&output).map_or(0, |file| file.len()) < 100_000 {
            std::thread::sleep(Duration::from_micros(100));
        }
        piped.signal("INT");
        piped.signal("TERM");
        assert!(matches!(piped.end().0, Some(0 | 130 | 143)));
        assert!(std::fs::read(&output).unwrap().ends_with(b"}]}\n"));
    }
}

#[test]
fn a_signal_ends_a_run_whose_output_nobody_reads() {
    let files = Files::in_memory();
    // Either has more than a pipe holds.
    let long = "red ".repeat(50_000);
    let line = format!("{{\"query_id\":\"long\",\"query\":\"red\",\"documents\":[\"{long}\"]}}\n");
    let input = files.write("in.jsonl", &line);
    let bad = files.write("bad.jsonl", RED.to_owned() + &"no JSON\n".repeat(5_000));
    let piped = Piped::start(&["--input", &input]);
    while waiting_bytes(piped.stdout.as_ref().unwrap().get_ref()) < 1 << 15 {
        std::thread::sleep(Duration::from_millis(2));
    }
    piped.signal("TERM");
    let (status, message) = piped.end();
    assert_eq!(status, Some(143), "{message}");
    assert!(message.contains("terminated: ") && message.contains("the output is not read any more"), "{message}");

    let piped = Piped::start(&["--input", &bad, "--on-error", "skip"]);
    while waiting_bytes(piped.child.stderr.as_ref().unwrap()) < 1 << 15 {
        std::thread::sleep(Duration::from_millis(2));
    }
    piped.signal("INT");
    assert_eq!(piped.end().0, Some(130));
}
