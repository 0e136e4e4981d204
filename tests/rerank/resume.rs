//! Runs that were broken off, and go on: the output has the bytes of a run that never was.

use serde_json::Value;

use crate::fixture::{Files, Run, command, rerank, rerank_on};
#[cfg(unix)]
use crate::piped::{Piped, RED};

const NAMES: [&str; 5] = ["out.jsonl", "out.trec", "out.msmarco", "out.csv", "out.tsv"];

/// Queries with up to four candidates; every seventh has none.
fn queries(count: usize) -> String {
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

fn cut(path: &str, bytes: usize) {
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

#[test]
fn an_existing_output_is_refused_unless_it_is_empty() {
    let files = Files::new();
    let input = files.write("in.jsonl", queries(3));
    for option in ["--output", "--errors"] {
        let content = "precious\n";
        let path = files.write("existing.jsonl", content);
        let other = files.name("other.jsonl");
        let skip = ["--model", "fake", &input, "--on-error", "skip", "--overwrite"];
        let run = |more: &[&str]| rerank(&[&skip[..5], &[option, &path], more].concat());
        run(&[]).fails(2, &["existing.jsonl exists already", "--resume", "--overwrite"]);
        assert_eq!(files.read("existing.jsonl"), content);
        assert_eq!(run(&["--dry-run", "--quiet"]).status, if option == "--output" { 0 } else { 2 });
        assert_eq!(run(&["--overwrite"]).status, 0);
        assert_ne!(files.read("existing.jsonl"), content);
        if option == "--output" {
            assert_eq!(run(&["--overwrite"]).status, 0);
            run(&["--overwrite", "--resume"]).fails(2, &["--overwrite", "--resume"]);
            files.write("existing.jsonl", "");
            assert_eq!(run(&[]).status, 0);
            run(&[]).fails(2, &["exists already"]);
            std::fs::remove_file(&path).unwrap();
            assert_eq!(run(&[]).status, 0, "the record of a run whose output is gone is in nobody's way");
        }
        assert!(!std::path::Path::new(&other).exists());
    }
    // What the run is recorded in is not somebody's own file.
    let output = files.name("new.jsonl");
    files.write("new.jsonl.run.json", "{\"mine\":1}");
    for options in [&[][..], &["--overwrite"], &["--resume"]] {
        let run = rerank(&[&["--model", "fake", &input, "--output", &output], options].concat());
        run.fails(2, &["new.jsonl.run.json"]);
    }
    assert_eq!(files.read("new.jsonl.run.json"), "{\"mine\":1}");
    assert!(!files.path("new.jsonl").exists());
}

#[test]
fn what_can_not_be_resumed_is_refused_with_the_remedy() {
    let files = Files::new();
    let input = files.write("in.jsonl", queries(5));
    let output = files.name("out.jsonl");
    let fake = ["--model", "fake", &input, "--resume"];
    let to = |path: &str| rerank(&[&fake[..], &["--output", path]].concat());
    rerank(&fake).fails(2, &["--resume", "standard output", "--output"]);
    to("-").fails(2, &["--resume", "standard output"]);
    #[cfg(unix)]
    to("/dev/null").fails(2, &["--resume", "/dev/null", "no file on a disk"]);
    rerank(&[&fake[..], &["--output", &output, "--dry-run"]].concat()).fails(2, &["--resume", "--dry-run"]);
    assert_eq!(to(&output).status, 0);
    let record = files.read("out.jsonl.run.json");
    for (content, part) in [
        (None, "is not there"),
        (Some(""), "is no record of a run"),
        (Some("[1]"), "it has no `form`"),
        (Some("{\"form\":\"rerank run 2\"}"), "does not know"),
        (Some("{\"form\":\"rerank run 1\"}"), "missing field"),
        (Some(&record[..record.len() / 2]), "is no record of a run"),
    ] {
        match content {
            None => std::fs::remove_file(files.path("out.jsonl.run.json")).unwrap(),
            Some(content) => drop(files.write("out.jsonl.run.json", content)),
        }
        to(&output).fails(2, &["cannot resume ", "out.jsonl.run.json", part, "--overwrite"]);
    }
    files.write("out.jsonl.run.json", &record);
    let whole = files.read("out.jsonl");
    files.write("out.jsonl", format!("{whole}something else\n{whole}"));
    to(&output).fails(1, &["cannot resume ", "row 6 is not what this run writes", "--overwrite"]);
    files.write("out.jsonl", format!("{whole}{{\"query_id\":\"q9"));
    assert_eq!(to(&output).status, 0);
    assert_eq!(files.read("out.jsonl"), whole);
}

#[test]
fn another_run_is_refused_with_what_differs() {
    let files = Files::new();
    let input = files.write("in.jsonl", queries(5));
    let output = files.name("out.trec");
    let given = ["--top-k", "2", "--on-error", "skip"];
    let fake = ["--model", "fake", "--output", &output, "--resume"];
    let run = |input: &str, options: &[&str]| rerank(&[&fake[..], &[input], options].concat());
    assert_eq!(run(&input, &given).status, 0);
    let whole = files.read("out.trec");
    cut(&output, whole.len() / 2);
    for (options, difference) in [
        (&["--on-error", "skip"][..], "--top-k was 2, and is not given"),
        (&["--top-k", "3", "--on-error", "skip"], "--top-k was 2, and is 3"),
        (&["--top-k", "2"], "--on-error was \"skip\", and is \"fail\""),
        (&["--min-score", "0.5"], "--min-score was not given, and is \"0.5\""),
        (&["--tag", "mine"], "--tag was \"rerank\", and is \"mine\""),
        (&["--no-text"], "--no-text was not given, and is given"),
        (&["--output-format", "csv"], "the output's format was \"trec\", and is \"csv\""),
        (&["--max-length", "100"], "the longest prompt, in tokens, was 8192, and is 100"),
        (&["--score", "raw"], "the score was \"sigmoid\", and is \"raw\""),
        (&["--columns", "text=text"], "--columns was not given, and is \"text=text\""),
        (&["--group"], "--group was not given, and is given"),
        (&["--input-format", "jsonl"], "--input-format was not given, and is \"jsonl\""),
        (&["--model", "testdata/odd-reranker"], "\"fake\" then, \"testdata/odd-reranker\" now"),
    ] {
        let mut arguments = vec!["--output", &output, "--resume", &input];
        arguments.extend(options);
        if !options.contains(&"--model") {
            arguments.extend(["--model", "fake"]);
        }
        rerank(&arguments).fails(2, &["cannot resume ", "another run", difference, "--overwrite"]);
    }
    let grown = files.write("grown.jsonl", queries(9));
    run(&grown, &given).fails(2, &["the input has grown from ", "in a run of its own"]);
    let other = files.write("other.jsonl", queries(5).replace("red", "tan"));
    run(&other, &given).fails(2, &["the input has other content, in as many bytes"]);
    rerank_on("", &[&fake[..], &given].concat()).fails(1, &["standard input is empty"]);
    rerank_on(queries(5), &[&fake[..], &given].concat()).fails(2, &["the input was a file of ", "and is a pipe"]);
    // The same content under another name is the same input, and what changes no byte may differ.
    let same = files.write("same.jsonl", queries(5));
    let resumed = run(&same, &[&given[..], &["--batch-size", "1", "--threads", "1", "--quiet"]].concat());
    assert_eq!(resumed.status, 0, "{}", resumed.stderr);
    assert_eq!(files.read("out.trec"), whole);
}

#[test]
fn a_model_is_known_by_its_files() {
    let files = Files::new();
    let model = files.copy_model("testdata/odd-reranker", "model");
    let output = files.name("out.csv");
    let arguments = |model: &str, options: &[&str]| {
        let fixed = ["--model", model, "--input", "testdata/candidates.jsonl", "--output", &output, "--resume"];
        rerank(&[&fixed[..], options].concat())
    };
    let given = ["--dtype", "f32", "--instruction", "Judge."];
    assert_eq!(arguments(&model, &given).status, 0);
    let whole = files.read("out.csv");
    cut(&output, whole.len() / 2);
    for (options, difference) in [
        (&["--dtype", "bf16", "--instruction", "Judge."][..], "the precision was \"f32\", and is \"bf16\""),
        (&["--dtype", "f32", "--instruction", "Rank."], "the instruction was \"Judge.\", and is \"Rank.\""),
        (&["--dtype", "f32"], "the instruction was \"Judge.\", and is "),
    ] {
        arguments(&model, options).fails(2, &["another run", difference]);
    }
    for name in ["model-00002-of-00003.safetensors", "tokenizer_config.json"] {
        let whole = std::fs::read(files.path("model").join(name)).unwrap();
        let mut changed = whole.clone();
        match name {
            // A model that was trained further has the same header, and other values.
            "model-00002-of-00003.safetensors" => {
                let header = u64::from_le_bytes(whole[..8].try_into().unwrap()) as usize;
                changed[header + 8] ^= 1;
            }
            _ => changed.push(b'\n'),
        }
        std::fs::write(files.path("model").join(name), changed).unwrap();
        arguments(&model, &given).fails(2, &["the model (the hash of its files) was "]);
        std::fs::write(files.path("model").join(name), whole).unwrap();
    }
    // A model that was moved is the same one.
    std::fs::rename(&model, files.path("moved")).unwrap();
    let run = arguments(&files.name("moved"), &given);
    assert_eq!(run.status, 0, "{}", run.stderr);
    assert_eq!(files.read("out.csv"), whole);
}

#[test]
fn a_resumed_run_has_the_kernels_and_the_precision_that_it_had() {
    let files = Files::new();
    let output = files.name("out.jsonl");
    let fixed =
        ["--model", "testdata/tiny-reranker", "--input", "testdata/candidates.jsonl", "--output", &output, "--resume"];
    let mut first = command(&[&fixed[..], &["--dtype", "f32"]].concat());
    first.env("RERANK_INSTRUCTIONS", "plain");
    assert_eq!(crate::fixture::run(first, "").status, 0);
    let whole = files.read("out.jsonl");
    cut(&output, whole.len() / 2);
    let run = rerank(&[&fixed[..], &["--stats", &files.name("stats.json")]].concat());
    assert_eq!(run.status, 0, "{}", run.stderr);
    assert_eq!(files.read("out.jsonl"), whole);
    let figures: Value = serde_json::from_str(&files.read("stats.json")).unwrap();
    assert!(figures["kernels"].as_str().unwrap().starts_with("plain/"), "{figures}");
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
    assert!(at(5)["problem"].as_str().unwrap().contains("leaves no room"));

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
            run.fails(1, &["cannot write to ", name, "the rankings before stay complete"]);
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
