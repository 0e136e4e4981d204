//! Directories and patterns as inputs: nothing that somebody may take for data is left out without a word.

use crate::fixture::{Files, Run, rerank};
use crate::odd_files::make_pipe;

fn line(id: &str) -> String {
    format!("{{\"query_id\":\"{id}\",\"query\":\"red\",\"documents\":[\"red\"]}}\n")
}

/// The directory `in` with two files of one query each.
fn two_files() -> (Files, String) {
    let files = Files::in_memory();
    std::fs::create_dir(files.path("in")).unwrap();
    files.write("in/a.jsonl", line("a"));
    files.write("in/b.jsonl", line("b"));
    let directory = files.name("in");
    (files, directory)
}

fn ranked(input: &str) -> Run {
    rerank(&["--model", "fake", "--input", input])
}

#[track_caller]
fn reads(input: &str, queries: &[&str]) -> Run {
    let run = ranked(input);
    assert_eq!(run.status, 0, "{}", run.stderr);
    let found: Vec<String> =
        run.rankings().iter().map(|ranking| ranking["query_id"].as_str().unwrap().to_owned()).collect();
    assert_eq!(found, queries, "{input}");
    run
}

#[test]
fn a_directory_in_a_directory_is_refused() {
    let (files, directory) = two_files();
    for partition in ["in/day=1", "in/day=2"] {
        std::fs::create_dir(files.path(partition)).unwrap();
        files.write(&format!("{partition}/part.jsonl"), line(partition));
    }
    let pattern = format!("'{directory}/*/*.jsonl'");
    ranked(&directory).fails(2, &["has a directory in it", "in/day=1, whose files would be left out", &pattern]);
    ranked(&format!("{directory}/*")).fails(2, &["in/* matches the directory", "in/day=1"]);
    ranked(&format!("{directory}/day*")).fails(2, &["matches only directories, as", "in/day=1", "in/day*/*.jsonl'"]);
    reads(&format!("{directory}/*.jsonl"), &["a", "b"]);
    reads(&format!("{directory}/*/*.jsonl"), &["in/day=1", "in/day=2"]);
    reads(&format!("{directory}/**/*"), &["a", "b", "in/day=1", "in/day=2"]);
}

#[test]
fn what_engines_and_runs_write_beside_data_is_left_out_and_other_names_with_a_note() {
    let (files, directory) = two_files();
    for name in [".x", "_SUCCESS", "_committed_17", "_started_17", "_metadata", "_common_metadata", "a.jsonl.run.json"]
    {
        files.write(&format!("in/{name}"), "no record");
    }
    for name in ["in/_delta_log", "in/_temporary", "in/.git"] {
        std::fs::create_dir(files.path(name)).unwrap();
    }
    let run = reads(&directory, &["a", "b"]);
    assert!(!run.stderr.contains("left out"), "{}", run.stderr);
    files.write("in/_more.jsonl", line("more"));
    let run = reads(&directory, &["a", "b"]);
    assert!(run.stderr.contains("in/_more.jsonl: left out, as the name begins with `_`"), "{}", run.stderr);
    std::fs::create_dir(files.path("in/_old")).unwrap();
    let run = reads(&directory, &["a", "b"]);
    assert!(run.stderr.contains("in/_more.jsonl and 1 more such name beside it: left out"), "{}", run.stderr);
    // To name it is to want it.
    reads(&files.name("in/_more.jsonl"), &["more"]);
    reads(&files.name("in/_m*.jsonl"), &["more"]);
}

#[test]
fn a_pattern_matches_what_a_shell_expands_it_to_without_records_of_runs() {
    let (files, directory) = two_files();
    files.write("in/.x.jsonl", line("hidden"));
    for name in ["in/a.jsonl.run.json", "in/a.jsonl.done.json", "in/b.jsonl.tmp"] {
        files.write(name, "no record");
    }
    reads(&format!("{directory}/*"), &["a", "b"]);
    reads(&format!("{directory}/.*"), &["hidden"]);
    reads(&format!("{directory}/**/*.jsonl"), &["a", "b"]);
    ranked(&format!("{directory}/*.run.json")).fails(2, &["none that this pattern matches"]);
}

#[test]
fn a_pipe_or_a_socket_is_read_only_if_it_is_named_itself() {
    let (files, directory) = two_files();
    let pipe = files.path("in/c.jsonl");
    make_pipe(&pipe);
    let pattern = format!("{directory}/*.jsonl");
    for input in [&directory, &pattern] {
        ranked(input).fails(2, &["in/c.jsonl is no file on a disk"]);
    }
    let writer = std::thread::spawn({
        let pipe = pipe.clone();
        move || std::fs::write(pipe, line("c")).unwrap()
    });
    reads(pipe.to_str().unwrap(), &["c"]);
    writer.join().unwrap();
    std::fs::remove_file(&pipe).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(&pipe).unwrap();
    ranked(&directory).fails(2, &["in/c.jsonl is no file on a disk"]);
}

#[test]
fn an_output_that_the_next_run_would_read_is_refused_before_anything_is_written() {
    let (files, directory) = two_files();
    let pattern = format!("{directory}/*.jsonl");
    let run = |input: &str, option: &str, name: &str| {
        let output = files.name("out.jsonl");
        let mut arguments = vec!["--model", "fake", input, "--on-error", "skip", "--resume", option, name];
        if option != "--output" {
            arguments.extend(["--output", &output]);
        }
        rerank(&arguments)
    };
    let inside = files.name("in/out.jsonl");
    for (input, option) in [(&directory, "--output"), (&directory, "--errors"), (&pattern, "--output")] {
        run(input, option, &inside).fails(2, &[option, "in/out.jsonl", "would read this one as an input"]);
        assert!(!files.path("in/out.jsonl").exists());
    }
    for name in ["in/out.trec", "in/.out.jsonl", "out.jsonl"] {
        let status = run(&pattern, "--output", &files.name(name)).status;
        assert_eq!(status, 0, "{name}");
    }
    assert_eq!(run(&files.name("in/a.jsonl"), "--output", &inside).status, 0);
}
