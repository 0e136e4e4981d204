//! Runs that stopped at a record that can't be used: when it is mended, or is to be left out, they go on behind what they have ranked.

use crate::fixture::{Files, Run, rerank, rerank_on};
use crate::resume::queries;
use crate::shards::{merged, worker};

/// Queries with a line that can't be read before the last ones.
fn broken(count: usize, behind: usize) -> String {
    let lines = queries(count);
    let at = lines.lines().take(count - behind).map(|line| line.len() + 1).sum();
    let (front, end) = lines.split_at(at);
    format!("{front}{{bad\n{end}")
}

fn ranked(input: &str, output: &str, options: &[&str]) -> Run {
    rerank(&[&["--model", "fake", "--input", input, "--output", output], options].concat())
}

/// What a run writes that is never broken off.
fn whole(files: &Files, input: &str, options: &[&str], ending: &str) -> Vec<u8> {
    let output = files.name(&format!("whole{ending}"));
    ranked(input, &output, &[options, &["--overwrite"]].concat());
    std::fs::read(output).unwrap()
}

#[test]
fn a_run_goes_on_when_the_record_that_stopped_it_is_mended() {
    let files = Files::in_memory();
    // The seventh query before the broken line has no candidates, and leaves no trace in a table.
    for (count, ending) in [(16, ".jsonl"), (16, ".trec"), (14, ".csv"), (16, ".jsonl.gz"), (16, ".trec.zst")] {
        let input = files.write("in.jsonl", broken(count, 3));
        let output = files.name(&format!("out{ending}"));
        ranked(&input, &output, &[]).fails(1, &["in.jsonl:"]);
        let kept = std::fs::read(&output).unwrap();
        // The file is read as far as before, and stops at the same line.
        ranked(&input, &output, &["--resume"]).fails(1, &["in.jsonl:"]);
        assert_eq!(std::fs::read(&output).unwrap(), kept, "{ending}");
        files.write("in.jsonl", queries(count));
        let run = ranked(&input, &output, &["--resume"]);
        assert_eq!(run.status, 0, "{ending}: {}", run.stderr);
        assert!(run.stderr.contains("the input had ") && run.stderr.contains("as they were"), "{}", run.stderr);
        let expected = whole(&files, &input, &[], ending);
        assert!(expected.starts_with(&kept) || !ending.ends_with("l"), "{ending}");
        assert_eq!(std::fs::read(&output).unwrap(), expected, "{ending}");
        // From now on, the input is the one that was mended.
        assert_eq!(ranked(&input, &output, &["--resume"]).status, 0);
        files.write("in.jsonl", broken(count, 3));
        ranked(&input, &output, &["--resume"]).fails(2, &["cannot resume", "the input had "]);
    }
}

#[test]
fn a_change_in_front_of_what_was_ranked_is_refused() {
    let files = Files::in_memory();
    let input = files.write("in.jsonl", broken(20, 5));
    let output = files.name("out.jsonl");
    ranked(&input, &output, &[]).fails(1, &["in.jsonl:16"]);
    let kept = files.read("out.jsonl");
    let mended = queries(20);
    let fields = mended.replacen("http://2/0", "http://2/9", 1);
    let text = mended.replacen("red planet planet", "red planet plan t", 1);
    let order = mended.replacen("q4", "q_", 1).replacen("q5", "q4", 1).replacen("q_", "q5", 1);
    for (changed, parts) in [
        (fields.as_str(), ["the input had ", "something has changed", "--overwrite"]),
        (&text, ["the input had ", "something has changed", "15 queries"]),
        (&order, ["in.jsonl:5", "is another one", "--overwrite"]),
        (&queries(9), ["the input has ended", "15 in all", "--overwrite"]),
    ] {
        files.write("in.jsonl", changed);
        let run = ranked(&input, &output, &["--resume"]);
        assert!(run.status != 0 && files.read("out.jsonl") == kept, "{}", run.stderr);
        run.fails(run.status, &parts);
    }
    // What goes on in another place is no change of what was ranked.
    files.write("in.jsonl", format!("\n{}", queries(24)));
    assert_eq!(ranked(&input, &output, &["--resume"]).status, 0);
    assert_eq!(files.read("out.jsonl").into_bytes(), whole(&files, &input, &[], ".jsonl"));
}

#[test]
fn on_error_may_change_where_what_is_written_stays_the_same() {
    let files = Files::in_memory();
    let input = files.write("in.jsonl", broken(20, 5));
    let errors = files.name("errors.jsonl");
    let skip = ["--on-error", "skip"];
    for ending in [".jsonl", ".trec", ".csv.gz"] {
        let output = files.name(&format!("out{ending}"));
        ranked(&input, &output, &[]).fails(1, &["in.jsonl:16"]);
        let run = ranked(&input, &output, &[&skip[..], &["--resume", "--errors", &errors]].concat());
        run.fails(1, &["in.jsonl:16", "skipped"]);
        assert_eq!(std::fs::read(&output).unwrap(), whole(&files, &input, &skip, ending), "{ending}");
        assert_eq!(files.read("errors.jsonl").lines().count(), 1);
        std::fs::remove_file(&errors).unwrap();
        // A run that stops at the record would not have written what is behind it.
        ranked(&input, &output, &["--resume"]).fails(2, &["--on-error was \"skip\", and is \"fail\""]);
    }
    // Where nothing was left out, both write the same.
    let good = files.write("good.jsonl", queries(20));
    let output = files.name("good.out.jsonl");
    assert_eq!(ranked(&good, &output, &skip).status, 0);
    assert_eq!(ranked(&good, &output, &["--resume"]).status, 0);
}

#[test]
fn a_run_that_was_killed_reads_anew_what_it_had_ranked_and_goes_on_when_the_input_is_mended() {
    let files = Files::in_memory();
    let input = files.write("in.jsonl", broken(20, 5));
    let output = files.name("out.jsonl");
    ranked(&input, &output, &[]).fails(1, &["in.jsonl:16"]);
    // What a run leaves that is killed: more rankings than its record has.
    let record = files.read("out.jsonl.run.json");
    let mut record: serde_json::Map<String, serde_json::Value> = serde_json::from_str(&record).unwrap();
    assert!(record.remove("stopped").is_some());
    files.write("out.jsonl.run.json", serde_json::to_string(&record).unwrap());
    let kept = files.read("out.jsonl");
    let cut: String = kept.lines().take(7).map(|line| format!("{line}\n")).collect();
    files.write("out.jsonl", cut);
    files.write("in.jsonl", queries(20));
    ranked(&input, &output, &["--resume"]).fails(2, &["the input had ", "--overwrite"]);
    files.write("in.jsonl", broken(20, 5));
    ranked(&input, &output, &["--resume"]).fails(1, &["in.jsonl:16"]);
    assert_eq!(files.read("out.jsonl"), kept);
    files.write("in.jsonl", queries(20));
    assert_eq!(ranked(&input, &output, &["--resume"]).status, 0);
    assert_eq!(files.read("out.jsonl").into_bytes(), whole(&files, &input, &[], ".jsonl"));
}

#[test]
fn workers_that_stopped_at_a_record_go_on_when_it_is_mended_or_left_out() {
    let files = Files::in_memory();
    let skip = ["--on-error", "skip"];
    for options in [&[][..], &skip] {
        let input = files.write("in.jsonl", broken(30, 9));
        let directory = files.name(if options.is_empty() { "mended" } else { "skipped" });
        let run = |shard: &str, options: &[&str]| rerank(&[&worker(&input, &directory, shard)[..], options].concat());
        for shard in ["0/3", "1/3"] {
            run(shard, &[]).fails(1, &["in.jsonl:22"]);
        }
        if options.is_empty() {
            files.write("in.jsonl", queries(30));
        }
        for shard in ["1/3", "2/3", "0/3"] {
            let run = run(shard, options);
            assert!(run.status == 0 || !options.is_empty(), "{shard}: {}", run.stderr);
            assert_eq!(run.stderr.contains("goes on behind"), shard != "2/3", "{}", run.stderr);
        }
        let expected = whole(&files, &input, options, ".jsonl");
        assert_eq!(merged(&files, &directory, &[], "out.jsonl"), expected);
        // Now they are done, and a worker that reads the input as it was does not belong to them.
        files.write("in.jsonl", broken(30, 9));
        if options.is_empty() {
            run("0/3", &["--overwrite"]);
            run("0/3", &[]).fails(2, &["shard 0/3 is done, and another run wrote", "the input had "]);
        }
    }
}

#[test]
fn parts_of_a_broken_and_a_mended_input_are_not_merged() {
    let files = Files::in_memory();
    // The id of the record that can't be used can be read, so that workers of other shards pass it over.
    let lines = queries(30);
    let bad = lines.replacen("{\"query_id\":\"q20\",\"query\":\"red planet\"", "{\"query_id\":\"q20\",\"query\":[]", 1);
    assert_ne!(lines, bad);
    let input = files.write("in.jsonl", &bad);
    let directory = files.name("parts");
    let run = |shard: &str, options: &[&str]| rerank(&[&worker(&input, &directory, shard)[..], options].concat());
    let statuses = ["0/2", "1/2"].map(|shard| run(shard, &[]).status);
    let (stopped, done) = if statuses == [1, 0] { ("0/2", "1/2") } else { ("1/2", "0/2") };
    assert_eq!(statuses.iter().sum::<i32>(), 1);
    // Alone it could leave the record out, but the numbers of the queries behind it would not be known to be the same.
    run(stopped, &["--on-error", "skip"]).fails(2, &["--on-error was \"fail\", and is \"skip\"", "--overwrite"]);
    files.write("in.jsonl", &lines);
    run(stopped, &[]).fails(2, &["would not belong to shard ", "the input "]);
    assert_eq!(run(done, &["--overwrite"]).status, 0);
    assert_eq!(run(stopped, &[]).status, 0);
    assert_eq!(merged(&files, &directory, &[], "out.jsonl"), whole(&files, &input, &[], ".jsonl"));
}

#[test]
fn a_pipe_that_has_more_than_a_complete_output_goes_on() {
    let files = Files::in_memory();
    let output = files.name("out.jsonl");
    let piped = |count| rerank_on(queries(count), &["--model", "fake", "--output", &output, "--resume"]);
    assert_eq!(piped(2).status, 0);
    let more = piped(4);
    assert!(more.status == 0 && !more.stderr.contains("is complete"), "{}", more.stderr);
    assert!(more.stderr.contains("has 2 rankings, and goes on behind them"), "{}", more.stderr);
    let same = piped(4);
    assert!(same.status == 0 && same.stderr.contains("is complete: it has 4 rankings"), "{}", same.stderr);
}
