//! Parts that do not belong together: workers of another run are refused, and what only shows at the end is found by `status` and
//! `merge`.

use serde_json::Value;

use crate::fixture::{Files, rerank, rerank_by_fixed_kernels, rerank_on};
use crate::resume::queries;
use crate::shards::{merged, names, rank, worker};

/// Fails unless `status` and `merge` refuse a directory with all of these.
#[track_caller]
fn refused(files: &Files, directory: &str, parts: &[&str]) {
    let status = rerank(&["status", directory]);
    assert_eq!(status.status, 1, "{}", status.stdout);
    let problem = status.stdout.lines().find(|line| line.starts_with("problem: ")).unwrap_or_default();
    parts.iter().for_each(|part| assert!(problem.contains(part), "{part}: {}", status.stdout));
    let json = rerank(&["status", directory, "--format", "json"]).stdout;
    assert_eq!(serde_json::from_str::<Value>(&json).unwrap()["problems"].as_array().unwrap().len(), 1);
    rerank(&["merge", directory, "--output", &files.name("refused.jsonl")]).fails(2, parts);
    assert!(!files.path("refused.jsonl").exists());
}

#[test]
fn a_pipe_that_ended_early_is_found() {
    let files = Files::in_memory();
    let input = queries(43);
    let cut: String = input.lines().take(20).map(|line| format!("{line}\n")).collect();
    let directory = files.name("parts");
    let worker = |input: &str, shard: &str, arguments: &[&str]| {
        rerank_on(input, &[&["--model", "fake", "-o", &directory, "--shard", shard], arguments].concat())
    };
    assert_eq!(worker(&input, "0/2", &[]).status, 0);
    assert_eq!(worker(&cut, "1/2", &[]).status, 0);
    refused(
        &files,
        &directory,
        &[
            "shards 0 and 1 of 2 did not read the same input: shard 1 read 20 queries of the input, and not 43",
            "--overwrite",
        ],
    );
    assert_eq!(worker(&input, "1/2", &["--overwrite"]).status, 0);
    assert_eq!(merged(&files, &directory, &[], "out.jsonl").iter().filter(|byte| **byte == b'\n').count(), 43);
    // A pipe is read to its end, even if the shard is done: texts may differ where the queries are the same.
    worker(&input.replacen("red planet", "red plane.", 1), "0/2", &[])
        .fails(2, &["its worker read another input than this one, which read other content"]);
}

#[test]
fn inputs_of_one_size_that_differ_in_the_middle_are_found() {
    let files = Files::in_memory();
    let text = "red planet ".repeat(4000);
    let line = |number: usize| format!("{{\"query_id\":\"{number}\",\"query\":\"red\",\"documents\":[\"{text}\"]}}\n");
    let lines: String = (0..80).map(line).collect();
    let input = files.write("in.jsonl", &lines);
    let (start, end) = lines.split_at(lines.len() / 2);
    let other = files.write("other.jsonl", start.to_owned() + &end.replacen("planet", "plane.", 1));
    let directory = files.name("parts");
    rank(&input, &directory, "0/3");
    rank(&other, &directory, "1/3");
    rank(&input, &directory, "2/3");
    refused(&files, &directory, &["shards 0 and 1 of 3", "shard 1 read other content of the input"]);
    let run = rerank(&[&worker(&input, &directory, "1/3")[..], &["--overwrite"]].concat());
    assert_eq!(run.status, 0, "{}", run.stderr);
    assert_eq!(rerank(&["status", &directory]).status, 0);
}

#[test]
fn a_worker_with_other_options_or_another_number_of_shards_is_refused_before_it_ranks() {
    let files = Files::in_memory();
    let input = files.write("in.jsonl", queries(30));
    let directory = files.name("parts");
    for shard in ["0/4", "1/4", "2/4"] {
        rank(&input, &directory, shard);
    }
    let before = names(&files, "parts");
    let run = |shard: &str, arguments: &[&str]| rerank(&[&worker(&input, &directory, shard)[..], arguments].concat());
    run("3/4", &["--top-k", "5"]).fails(
        2,
        &[
            "shard 3/4 would not belong to shard 0/4",
            "part-00000-of-00004.done.json",
            "--top-k was not given, and is 5",
        ],
    );
    // A task of an array that runs again takes itself for the only one.
    for arguments in [&[][..], &["--overwrite"]] {
        run("0/1", arguments)
            .fails(2, &["this is shard 0/1", "shard 0/4", "name it, as in --shard 0/4", "name another directory"]);
    }
    assert_eq!(names(&files, "parts"), before);
    // Who asks for it can rank all shards anew.
    let anew = run("3/4", &["--top-k", "5", "--overwrite"]);
    assert!(anew.status == 0 && anew.stderr.contains("rank all shards anew"), "{}", anew.stderr);
    refused(
        &files,
        &directory,
        &[
            "shards 0 and 3 of 4 were not written by the same run: shard 0 was run without --top-k, shard 3 with --top-k 5; run",
        ],
    );
    for shard in ["0/4", "1/4", "2/4"] {
        assert_eq!(run(shard, &["--top-k", "5", "--overwrite"]).status, 0);
    }
    assert_eq!(rerank(&["status", &directory]).status, 0);
}

#[test]
fn a_precision_that_is_taken_over_is_reported() {
    let files = Files::in_memory();
    let directory = files.name("parts");
    let worker = |shard: &str, arguments: &[&str]| {
        let fixed =
            ["--model", "testdata/tiny-reranker", "testdata/candidates.jsonl", "-o", &directory, "--shard", shard];
        rerank_by_fixed_kernels(&[&fixed[..], arguments].concat())
    };
    assert_eq!(worker("0/3", &["--dtype", "int8"]).status, 0);
    let taken = worker("1/3", &[]);
    assert!(taken.status == 0 && taken.stderr.contains("computes in int8 (--dtype)"), "{}", taken.stderr);
    assert!(taken.stderr.contains("as shard 0/3 has it by ") && taken.stderr.contains("part-00000-of-00003.done.json"));
    worker("2/3", &["--dtype", "f32"]).fails(2, &["the precision was \"int8\", and is \"f32\""]);
    let named = worker("2/3", &["--dtype", "int8"]);
    assert!(named.status == 0 && !named.stderr.contains("computes in"), "{}", named.stderr);
}

#[test]
fn what_a_worker_of_another_number_has_left_is_named() {
    let files = Files::in_memory();
    let input = files.write("in.jsonl", queries(30));
    let directory = files.name("parts");
    rank(&input, &directory, "0/3");
    rank(&input, &directory, "1/3");
    let left = "part-00000-of-00002.jsonl.zst.tmp";
    let temporary = files.write(&format!("parts/{left}"), "");
    rerank(&worker(&input, &directory, "2/3")).fails(2, &["this is shard 2/3", left, "remove the file if no worker"]);
    let status = rerank(&["status", &directory]);
    assert_eq!(status.status, 1);
    assert!(
        status.stdout.contains("2 of 3 shards done") && status.stdout.contains("missing: 2\n"),
        "{}",
        status.stdout
    );
    assert!(
        status.stdout.contains(&format!("problem: left by a run of 2 shards: {left}; remove")),
        "{}",
        status.stdout
    );
    std::fs::remove_file(&temporary).unwrap();
    rank(&input, &directory, "2/3");
    // What is left does not matter any more when all are done.
    files.write(&format!("parts/{left}"), "");
    let status = rerank(&["status", &directory]);
    assert_eq!(status.status, 0, "{}", status.stdout);
    assert!(
        status.stdout.contains(&format!("warning: left by a run of 2 shards: {left}; remove")),
        "{}",
        status.stdout
    );
    let run = rerank(&["merge", &directory, "--output", &files.name("out.jsonl")]);
    assert!(run.status == 0 && run.stderr.contains(left), "{}", run.stderr);
}

#[test]
fn a_record_that_can_not_be_read_counts_as_none_and_is_replaced() {
    let files = Files::in_memory();
    let input = files.write("in.jsonl", queries(30));
    let (directory, output) = (files.name("parts"), files.name("out.jsonl"));
    (0..3).for_each(|index| drop(rank(&input, &directory, &format!("{index}/3"))));
    let record = files.path("parts/part-00001-of-00003.done.json");
    for (content, problem) in
        [("", "is no record of a shard: "), ("{\"form\":7", "is no record"), ("{}", "it has no `form`")]
    {
        std::fs::write(&record, content).unwrap();
        let status = rerank(&["status", &directory]);
        assert_eq!(status.status, 1, "{}", status.stdout);
        for part in ["2 of 3 shards done", "missing: 1\n", "warning: ", "part-00001-of-00003.done.json", problem] {
            assert!(status.stdout.contains(part), "{part}: {}", status.stdout);
        }
        rerank(&["merge", &directory, "--output", &output])
            .fails(1, &["these are not done: 1", "as with --shard 1/3", "part-00001-of-00003.done.json", problem]);
        let again = rank(&input, &directory, "1/3");
        assert!(again.stderr.contains(problem) && again.stderr.contains("replaces it"), "{}", again.stderr);
        assert_eq!(rerank(&["status", &directory]).status, 0);
    }
    // What can't be replaced is refused before anything is ranked.
    std::fs::remove_file(&record).unwrap();
    std::fs::create_dir(&record).unwrap();
    rerank(&worker(&input, &directory, "1/3")).fails(2, &["done.json is a directory", "remove it"]);
    rerank(&["status", &directory]).fails(2, &["done.json is a directory", "remove it"]);
}

#[cfg(unix)]
#[test]
fn a_record_or_a_part_that_can_not_be_fetched_ends_the_command_and_is_not_ranked_again() {
    let files = Files::in_memory();
    let input = files.write("in.jsonl", queries(9));
    let (directory, output) = (files.name("parts"), files.name("out.jsonl"));
    (0..2).for_each(|index| drop(rank(&input, &directory, &format!("{index}/2"))));
    for name in ["part-00001-of-00002.done.json", "part-00001-of-00002.jsonl.zst"] {
        let (path, aside) = (files.path(&format!("parts/{name}")), files.path("aside"));
        std::fs::rename(&path, &aside).unwrap();
        // A link to itself fails for every user, as a file that may not be read does for most.
        std::os::unix::fs::symlink(&path, &path).unwrap();
        for arguments in [
            &["status", &directory][..],
            &["merge", &directory, "--output", &output],
            &worker(&input, &directory, "1/2"),
        ] {
            rerank(arguments).fails(1, &["cannot read ", name]);
        }
        std::fs::remove_file(&path).unwrap();
        std::fs::rename(&aside, &path).unwrap();
    }
    assert_eq!(rerank(&["status", &directory]).status, 0);
}
