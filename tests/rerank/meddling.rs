//! Other programs that change an output, its name or its record: a run notices that, and never reports success over it.
#![cfg(unix)]

use std::io::Write;
use std::path::Path;
use std::time::Duration;

use crate::fixture::{Files, Run, rerank};
use crate::piped::{Piped, RED};
use crate::resume::{cut, queries};

/// Writes a ranking, lets `meddle` change the files, and writes one more. Returns the status and the messages.
fn meddled(files: &Files, meddle: impl FnOnce(&Path)) -> (Option<i32>, String) {
    let output = files.path("out.jsonl");
    let mut piped = Piped::start(&["--output", output.to_str().unwrap()]);
    piped.write(RED);
    while std::fs::metadata(&output).map_or(0, |file| file.len()) == 0 {
        std::thread::sleep(Duration::from_millis(2));
    }
    meddle(&output);
    piped.write(&RED.replace("\"red\",\"query\"", "\"blue\",\"query\""));
    piped.stdin = None;
    piped.end()
}

#[test]
fn an_output_that_another_program_takes_away_or_changes_is_no_success() {
    let gone = "another program has removed, renamed or replaced it";
    let changed = "another program has written to it or cut it off";
    type Meddle = fn(&Path);
    let cases: [(Meddle, &str); 5] = [
        (|path| std::fs::remove_file(path).unwrap(), gone),
        (|path| std::fs::rename(path, path.with_extension("old")).unwrap(), gone),
        (
            |path| {
                std::fs::rename(path, path.with_extension("old")).unwrap();
                std::fs::write(path, "another's\n").unwrap();
            },
            gone,
        ),
        (|path| cut(path.to_str().unwrap(), 7), changed),
        (
            |path| {
                let mut file = std::fs::OpenOptions::new().append(true).open(path).unwrap();
                file.write_all("another's\n".repeat(100).as_bytes()).unwrap();
            },
            changed,
        ),
    ];
    for (meddle, problem) in cases {
        let files = Files::in_memory();
        let (status, message) = meddled(&files, meddle);
        assert_eq!(status, Some(1), "{message}");
        assert!(
            message.contains(problem) && message.contains("out.jsonl") && message.contains("--resume"),
            "{message}"
        );
    }
    let files = Files::in_memory();
    let (status, message) =
        meddled(&files, |path| std::fs::remove_file(format!("{}.run.json", path.display())).unwrap());
    assert_eq!(status, Some(0), "the record is written once more at the end: {message}");
    assert!(files.read("out.jsonl.run.json").contains("complete"));
}

fn run(input: &str, output: &str, options: &[&str]) -> Run {
    rerank(&[&["--model", "fake", "--quiet", input, "--output", output, "--resume"], options].concat())
}

#[test]
fn a_record_does_not_stand_for_the_output_of_another_run() {
    let files = Files::in_memory();
    let input = files.write("in.jsonl", queries(40));
    for name in ["out.jsonl", "out.csv", "out.trec.gz", "out.jsonl.zst"] {
        let (output, other) = (files.name(name), files.name(&format!("other.{name}")));
        let score = ["--score", "raw"];
        assert_eq!(run(&input, &output, &[]).status, 0);
        // TREC's runs have the logits in any case.
        let differs = if name.contains("trec") { &["--tag", "x"][..] } else { &score };
        assert_eq!(run(&input, &other, differs).status, 0);
        let bytes = std::fs::read(&other).unwrap();
        std::fs::write(&output, &bytes[..bytes.len() / 2]).unwrap();
        run(&input, &output, &[]).fails(1, &["its first ranking is not that of the run", name, "--overwrite"]);
        assert!(std::fs::read(&output).unwrap() == bytes[..bytes.len() / 2]);
        std::fs::rename(format!("{other}.run.json"), format!("{output}.run.json")).unwrap();
        assert_eq!(run(&input, &output, differs).status, 0);
        assert!(std::fs::read(&output).unwrap() == bytes, "{name}");
    }
}

#[test]
fn a_file_has_one_record_and_one_run_by_whatever_name() {
    let files = Files::in_memory();
    let input = files.write("in.jsonl", queries(40));
    let (output, link, hard) = (files.name("out.jsonl"), files.name("link.jsonl"), files.name("hard.jsonl"));
    std::os::unix::fs::symlink("out.jsonl", &link).unwrap();
    assert_eq!(run(&input, &link, &[]).status, 0);
    let whole = files.read("out.jsonl");
    assert!(!files.path("link.jsonl.run.json").exists());
    cut(&output, whole.len() / 2);
    assert_eq!(run(&input, &output, &[]).status, 0);
    assert!(files.read("out.jsonl") == whole && files.path("link.jsonl").is_symlink());
    std::fs::hard_link(&output, &hard).unwrap();
    run(&input, &hard, &[]).fails(2, &["cannot resume", "hard.jsonl.run.json, is not there"]);

    for name in [&output, &link, &hard] {
        let mut first = Piped::start(&["--output", &output, "--overwrite"]);
        first.write(RED);
        while !files.read("out.jsonl").starts_with("{\"query_id\":\"red\"") {
            std::thread::sleep(Duration::from_millis(2));
        }
        run(&input, name, &[]).fails(1, &["is being written by another run"]);
        // The lock of a run that was killed does not stay.
        first.child.kill().unwrap();
        first.child.wait().unwrap();
        let status = rerank(&["--model", "fake", "--quiet", &input, "--output", name, "--overwrite"]).status;
        assert_eq!(status, 0, "{name}");
        assert_eq!(files.read("out.jsonl"), whole);
    }
}

#[test]
fn records_that_were_left_out_are_written_again_where_their_file_is_lost() {
    let files = Files::in_memory();
    let input = files.write("in.jsonl", format!("no JSON\n{}also none\n", queries(5)));
    let (output, errors) = (files.name("out.jsonl"), files.name("errors.jsonl"));
    let options = ["--on-error", "skip", "--errors", &errors];
    assert_eq!(run(&input, &output, &options).status, 1);
    let whole = files.read("errors.jsonl");
    assert_eq!(whole.lines().count(), 2);
    for left in [whole.len(), whole.find('\n').unwrap() + 1, 0] {
        files.write("errors.jsonl", &whole[..left]);
        let again = rerank(&[&["--model", "fake", &input, "--output", &output, "--resume"], &options[..]].concat());
        again.fails(1, &["is complete: it has 5 rankings", "2 skipped"]);
        assert_eq!(files.read("errors.jsonl"), whole, "{left}");
    }
    std::fs::remove_file(&errors).unwrap();
    assert_eq!(run(&input, &output, &options).status, 1);
    assert_eq!(files.read("errors.jsonl"), whole);
}
