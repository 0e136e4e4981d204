//! Runs that were broken off, and go on: the output has the bytes of a run that never was.

use serde_json::Value;

use crate::fixture::{Files, Run, command, rerank, rerank_on};
#[cfg(unix)]
use crate::piped::{Piped, RED};

const NAMES: [&str; 5] = ["out.jsonl", "out.trec", "out.msmarco", "out.csv", "out.tsv"];

/// Queries with up to four candidates; every seventh has none.
pub fn queries(count: usize) -> String {
    let candidate = |query: usize, index: usize| {
        format!(
            r#"{{"id":"d{index}","text":"red {}, \"{index}\"","url":"http://{query}/{index}"}}"#,
            "planet ".repeat(query * 7 % 13)
        )
    };
    let query = |query: usize| {
        let size = if query % 7 == 3 { 0 } else { 1 + query % 4 };
        let candidates: Vec<String> = (0..size).map(|index| candidate(query, index)).collect();
        format!("{{\"query_id\":\"q{query}\",\"query\":\"red planet\",\"candidates\":[{}]}}\n", candidates.join(","))
    };
    (0..count).map(query).collect()
}

/// The arguments of a run of the fake model.
fn arguments<'a>(input: &'a str, output: &'a str) -> Vec<&'a str> {
    let mut arguments = vec!["--model", "fake", "--quiet", "--input", input, "--output", output];
    if output.contains("msmarco") {
        arguments.extend(["--output-format", "msmarco"]);
    }
    arguments
}

fn resume(input: &str, output: &str) -> Run {
    rerank(&[&arguments(input, output)[..], &["--resume"]].concat())
}

pub fn cut(path: &str, bytes: usize) {
    std::fs::OpenOptions::new().write(true).open(path).unwrap().set_len(bytes as u64).unwrap();
}

/// Numbers that look random, and are the same in every run of the tests.
fn random(seed: u64) -> impl FnMut(u64) -> u64 {
    let mut state = seed;
    move |below| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    }
}

#[test]
fn an_output_that_was_cut_is_continued_to_the_bytes_of_an_unbroken_run() {
    let files = Files::in_memory();
    let input = files.write("in.jsonl", queries(300));
    let mut random = random(7);
    for name in NAMES.iter().flat_map(|name| ["", ".gz", ".zst"].map(|packed| format!("{name}{packed}"))) {
        let output = files.name(&name);
        assert_eq!(rerank(&arguments(&input, &output)).status, 0);
        let whole = std::fs::read(&output).unwrap();
        for _ in 0..8 {
            let bytes = random(whole.len() as u64) as usize;
            cut(&output, bytes);
            let run = resume(&input, &output);
            assert_eq!(run.status, 0, "{name} at {bytes}: {}", run.stderr);
            assert!(std::fs::read(&output).unwrap() == whole, "{name} at {bytes} of {}", whole.len());
        }
        let run = resume(&input, &output);
        assert_eq!((run.status, run.stderr.as_str()), (0, ""), "{name}");
        assert!(std::fs::read(&output).unwrap() == whole, "{name}");
    }
}

#[test]
fn a_run_with_texts_in_other_files_is_resumed() {
    let files = Files::in_memory();
    let lines = |line: &dyn Fn(usize) -> String, count: usize| (0..count).map(line).collect::<String>();
    let topics = files.write("queries.tsv", lines(&|query| format!("q{query}\tred planet {query}\n"), 60));
    let text = |id: usize| format!("{{\"_id\":\"d{id}\",\"text\":\"red {}\"}}\n", "planet ".repeat(id % 5));
    let collection = files.write("collection.jsonl", lines(&text, 90));
    // The lines of a query do not stand together.
    let line = |number: usize| {
        let (query, place) = (number % 60, number / 60);
        format!("q{query} Q0 d{} {} 1.5 x\n", (query + place * 7) % 90, place + 1)
    };
    let input = files.write("in.trec", lines(&line, 240));
    let mut random = random(11);
    for name in ["out.jsonl", "out.trec", "out.csv.zst"] {
        let output = files.name(name);
        let texts = ["--queries", &topics, "--collection", &collection, "--resume"];
        let arguments = [&arguments(&input, &output)[..], &texts].concat();
        assert_eq!(rerank(&arguments).status, 0);
        let whole = std::fs::read(&output).unwrap();
        for _ in 0..6 {
            cut(&output, random(whole.len() as u64) as usize);
            let run = rerank(&arguments);
            assert_eq!(run.status, 0, "{}", run.stderr);
            assert!(std::fs::read(&output).unwrap() == whole, "{name}");
        }
    }
}

#[test]
fn a_small_output_is_continued_from_every_byte() {
    let files = Files::in_memory();
    let input = files.write("in.jsonl", "{\"query_id\":\"a\",\"query\":\"red\",\"documents\":[\"red\"]}\n{\"query_id\":\"b\",\"query\":\"red\",\"documents\":[]}\n");
    let output = files.name("out.jsonl");
    assert_eq!(rerank(&arguments(&input, &output)).status, 0);
    let whole = std::fs::read(&output).unwrap();
    for bytes in 0..=whole.len() {
        cut(&output, bytes);
        assert_eq!(resume(&input, &output).status, 0);
        assert!(std::fs::read(&output).unwrap() == whole, "{bytes}");
    }
}

#[test]
fn what_was_ranked_before_is_counted_and_not_scored_again() {
    let files = Files::new();
    let input = files.write("in.jsonl", queries(20));
    let (output, stats) = (files.name("out.jsonl"), files.name("stats.json"));
    let arguments = ["--model", "fake", &input, "--output", &output, "--resume", "--stats", &stats];
    // Without an output, the run begins: a job script can always give --resume.
    let run = rerank(&arguments);
    assert!(run.status == 0 && run.stderr.starts_with("20 queries, "), "{}", run.stderr);
    let whole = files.read("out.jsonl");
    let kept = whole.lines().take(15).map(|line| line.len() + 1).sum::<usize>();
    cut(&output, kept + 10);
    let run = rerank(&arguments);
    for part in ["out.jsonl has 15 rankings, and goes on behind them; 10 bytes", "5 queries and 15 ranked before, "] {
        assert!(run.stderr.contains(part), "{part}: {}", run.stderr);
    }
    assert_eq!(files.read("out.jsonl"), whole);
    let figures: Value = serde_json::from_str(&files.read("stats.json")).unwrap();
    assert_eq!([&figures["queries"], &figures["resumed"]], [&Value::from(5), &Value::from(15)]);

    // A run that is complete needs no weights, and changes nothing.
    let before = files.path("out.jsonl").metadata().unwrap().modified().unwrap();
    let run = rerank(&arguments);
    assert_eq!(run.status, 0, "{}", run.stderr);
    for part in ["out.jsonl is complete: it has 20 rankings", "0 queries and 20 ranked before, 0 pairs"] {
        assert!(run.stderr.contains(part), "{part}: {}", run.stderr);
    }
    assert_eq!(files.path("out.jsonl").metadata().unwrap().modified().unwrap(), before);
    let figures: Value = serde_json::from_str(&files.read("stats.json")).unwrap();
    assert_eq!([&figures["queries"], &figures["resumed"]], [&Value::from(0), &Value::from(20)]);
}

#[test]
fn a_pipe_can_be_resumed_by_the_order_of_its_queries() {
    let files = Files::new();
    let output = files.name("out.trec.gz");
    let arguments = ["--model", "fake", "--output", &output, "--resume"];
    assert_eq!(rerank_on(queries(50), &arguments).status, 0);
    let whole = std::fs::read(&output).unwrap();
    cut(&output, whole.len() / 2);
    assert_eq!(rerank_on(queries(50), &arguments).status, 0);
    assert!(std::fs::read(&output).unwrap() == whole);
    // The end of a pipe is not known before it is read.
    assert_eq!(rerank_on(queries(80), &arguments).status, 0);
    std::fs::rename(&output, files.path("grown")).unwrap();
    assert_eq!(rerank_on(queries(80), &arguments).status, 0);
    assert!(std::fs::read(&output).unwrap() == std::fs::read(files.path("grown")).unwrap());

    let fewer = queries(50).lines().filter(|line| !line.contains("\"q20\"")).collect::<Vec<_>>().join("\n");
    let swapped = queries(50).replace("\"q20\"", "\"x\"");
    for (name, input, part) in [
        ("fewer", fewer.as_str(), "standard input:21: query \"q21\" is not in "),
        ("swapped", &swapped, "standard input:21: query \"x\" is not in "),
        ("short", &queries(30), "the input has ended, and "),
    ] {
        for format in ["jsonl", "csv"] {
            let output = files.name(&format!("{name}.{format}"));
            let arguments = ["--model", "fake", "--output", &output, "--resume"];
            assert_eq!(rerank_on(queries(50), &arguments).status, 0);
            cut(&output, std::fs::metadata(&output).unwrap().len() as usize - 5);
            let before = std::fs::read(&output).unwrap();
            rerank_on(input, &arguments).fails(1, &[part, &output, "--overwrite"]);
            assert!(std::fs::read(&output).unwrap() == before);
        }
    }
}

const BAD: &str = r#"{"query_id":"a","query":"red","documents":["red",{"id":"x"}]}
not JSON
{"query_id":"b","query":"red","documents":["blue"]}
{"query_id":"c","query":" ","documents":["blue"]}
{"query_id":"d","query":"one two three four five six","documents":["blue"]}
{"query_id":"e","query":"red","documents":["blue"]}
"#;

#[test]
fn records_that_can_not_be_used_are_written_once() {
    let files = Files::in_memory();
    let input = files.write("in.jsonl", BAD);
    let (output, errors) = (files.name("out.jsonl"), files.name("errors.jsonl"));
    let fixed = ["--model", "fake", "--max-length", "8", "--input", &input, "--output", &output, "--errors", &errors];
    rerank(&fixed).fails(2, &["--errors", "--on-error skip"]);
    let skip = [&fixed[..], &["--on-error", "skip"]].concat();
    rerank(&skip)
        .fails(1, &["2 queries", "4 skipped"].map(|part| if part == "2 queries" { "3 queries" } else { part }));
    let lines: Vec<Value> =
        files.read("errors.jsonl").lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 4, "{lines:?}");
    let mut places: Vec<u64> = lines.iter().map(|line| line["line"].as_u64().unwrap()).collect();
    places.sort_unstable();
    assert_eq!(places, [1, 2, 4, 5]);
    let at = |place: u64| lines.iter().find(|line| line["line"] == place).unwrap();
    assert_eq!([&at(1)["query_id"], &at(1)["id"], &at(2)["record"]], ["a", "x", "not JSON"]);
    assert_eq!([&at(4)["query_id"], &at(5)["query_id"], &at(2)["file"]], ["c", "d", input.as_str()]);
    assert!(at(5)["problem"].as_str().unwrap().contains("leave no room"));

    let (whole, whole_errors) = (files.read("out.jsonl"), files.read("errors.jsonl"));
    let resumed = [&skip[..], &["--resume"]].concat();
    for bytes in (0..whole.len()).step_by(40) {
        for of_errors in [0, 30, whole_errors.len() / 2, whole_errors.len()] {
            files.write("errors.jsonl", &whole_errors[..of_errors]);
            cut(&output, bytes);
            rerank(&resumed).fails(1, &["4 skipped"]);
            assert_eq!(files.read("out.jsonl"), whole, "{bytes}");
            let sorted = |text: &str| {
                let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
                lines.sort();
                lines
            };
            assert_eq!(sorted(&files.read("errors.jsonl")), sorted(&whole_errors), "{bytes} {of_errors}");
        }
    }
    rerank(&resumed).fails(1, &["is complete: it has 3 rankings", "4 skipped"]);
    let good = files.write("good.jsonl", queries(3));
    let (output, errors) = (files.name("good.out.jsonl"), files.name("good.errors.jsonl"));
    let run = ["--model", "fake", &good, "--output", &output, "--on-error", "skip", "--errors", &errors];
    assert_eq!(rerank(&run).status, 0);
    assert_eq!(files.read("good.errors.jsonl"), "");
}

#[cfg(unix)]
#[test]
fn an_output_that_is_resumed_has_one_run_at_a_time() {
    let files = Files::new();
    let output = files.name("out.jsonl");
    let mut first = Piped::start(&["--output", &output, "--resume"]);
    first.write(RED);
    while std::fs::metadata(&output).map_or(0, |file| file.len()) == 0 {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    rerank_on(RED, &["--model", "fake", "--output", &output, "--resume"]).fails(1, &["another run"]);
    first.child.kill().unwrap();
    first.child.wait().unwrap();
    assert_eq!(rerank_on(RED, &["--model", "fake", "--output", &output, "--resume"]).status, 0);
    assert_eq!(files.read("out.jsonl").lines().count(), 1);
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_leaves_what_can_be_resumed() {
    let files = Files::in_memory();
    let input = files.write("in.jsonl", queries(3000));
    for name in ["out.jsonl", "out.csv.gz", "out.trec.zst"] {
        let (output, whole) = (files.name(name), files.name(&format!("whole.{name}")));
        assert_eq!(rerank(&arguments(&input, &whole)).status, 0);
        let program = command(&[&arguments(&input, &output)[..], &["--resume"]].concat());
        // A limit of the size of files has the effect of a full disk.
        let limited = |kibibytes: u64| {
            let mut shell = std::process::Command::new("bash");
            let script = format!("trap '' XFSZ; ulimit -f {kibibytes}; exec \"$0\" \"$@\"");
            shell.args(["-c", &script]).arg(program.get_program()).args(program.get_args());
            crate::fixture::run(shell, "")
        };
        let size = std::fs::metadata(&whole).unwrap().len() / 1024;
        for part in [1, 2] {
            let run = limited(2.max(size * part / 3));
            run.fails(1, &["cannot write to ", name, "what is complete stays (", " rankings): make room"]);
        }
        let run = resume(&input, &output);
        assert_eq!(run.status, 0, "{}", run.stderr);
        assert!(std::fs::read(&output).unwrap() == std::fs::read(&whole).unwrap(), "{name}");
    }
}

#[cfg(unix)]
#[test]
fn no_kill_loses_or_doubles_a_query() {
    use std::time::Duration;
    let files = Files::in_memory();
    let input = files.write("in.jsonl", queries(4000));
    let mut random = random(3);
    let mut kills = 0;
    for (name, count) in [("out.jsonl", 18), ("out.jsonl.zst", 16), ("out.csv", 16)] {
        let (output, whole) = (files.name(name), files.name(&format!("whole.{name}")));
        assert_eq!(rerank(&arguments(&input, &whole)).status, 0);
        let whole = std::fs::read(&whole).unwrap();
        let slow = ["--resume", "--batch-size", "1", "--threads", "1"];
        let mut killed = 0;
        while killed < count {
            let mut child = command(&[&arguments(&input, &output)[..], &slow].concat()).spawn().unwrap();
            std::thread::sleep(Duration::from_micros(2000 + random(40_000)));
            if child.try_wait().unwrap().is_some_and(|status| status.success()) {
                assert!(std::fs::read(&output).unwrap() == whole, "{name} after {killed} kills");
                std::fs::remove_file(&output).unwrap();
                continue;
            }
            child.kill().unwrap();
            child.wait().unwrap();
            killed += 1;
        }
        let run = resume(&input, &output);
        assert_eq!(run.status, 0, "{name}: {}", run.stderr);
        assert!(std::fs::read(&output).unwrap() == whole, "{name} after {killed} kills");
        kills += killed;
    }
    assert_eq!(kills, 50);
}

#[cfg(unix)]
#[test]
fn the_second_signal_leaves_what_can_be_resumed() {
    let files = Files::in_memory();
    let input = files.write("in.jsonl", queries(4000));
    for name in ["out.jsonl", "out.tsv.gz"] {
        let (output, whole) = (files.name(name), files.name(&format!("whole.{name}")));
        assert_eq!(rerank(&arguments(&input, &whole)).status, 0);
        let slow = ["--resume", "--batch-size", "1", "--threads", "1"];
        let mut child = command(&[&arguments(&input, &output)[..], &slow].concat()).spawn().unwrap();
        while std::fs::metadata(&output).map_or(0, |file| file.len()) == 0 {
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        for _ in 0..2 {
            std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
        }
        child.wait().unwrap();
        assert_eq!(resume(&input, &output).status, 0);
        assert!(std::fs::read(&output).unwrap() == std::fs::read(&whole).unwrap(), "{name}");
    }
}
