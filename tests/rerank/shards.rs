//! Shards that are ranked in any order and merged have the bytes of a single run.

use proptest::prelude::*;
use serde_json::Value;

use crate::fixture::{Files, Run, command, rerank, rerank_by_fixed_kernels, rerank_on, run};
use crate::resume::queries;

/// The arguments of a worker of the fake model.
pub fn worker<'a>(input: &'a str, directory: &'a str, shard: &'a str) -> Vec<&'a str> {
    vec!["--model", "fake", input, "--output", directory, "--shard", shard]
}

/// Ranks a shard, and fails unless the worker ends well.
#[track_caller]
pub fn rank(input: &str, directory: &str, shard: &str) -> Run {
    let run = rerank(&worker(input, directory, shard));
    assert_eq!(run.status, 0, "{shard}: {}", run.stderr);
    run
}

/// Merges a directory, and returns what the file has.
#[track_caller]
pub fn merged(files: &Files, directory: &str, arguments: &[&str], name: &str) -> Vec<u8> {
    let output = files.name(name);
    let run = rerank(&[&["merge", directory, "--output", &output, "--overwrite"], arguments].concat());
    assert_eq!(run.status, 0, "{name}: {}", run.stderr);
    std::fs::read(&output).unwrap()
}

/// What a single run writes to a file of this name.
#[track_caller]
fn single(files: &Files, input: &str, arguments: &[&str], name: &str) -> Vec<u8> {
    let output = files.name(&format!("single.{name}"));
    let run = rerank(&[&["--model", "fake", input, "--output", &output, "--overwrite"], arguments].concat());
    assert_eq!(run.status, 0, "{name}: {}", run.stderr);
    std::fs::read(&output).unwrap()
}

/// The names of the files of a directory.
pub fn names(files: &Files, directory: &str) -> Vec<String> {
    let entries = std::fs::read_dir(files.path(directory)).unwrap();
    let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// Queries of which some have no id.
fn partly_named(count: usize) -> String {
    let line = |(number, line): (usize, &str)| match number % 3 {
        0 => line.replacen(&format!("\"query_id\":\"q{number}\","), "", 1) + "\n",
        _ => line.to_owned() + "\n",
    };
    queries(count).lines().enumerate().map(line).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 5, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_shards_in_any_order_merge_to_the_bytes_of_a_single_run(
        order in (1usize..6).prop_flat_map(|count| Just((0..count).collect::<Vec<_>>()).prop_shuffle()),
        size in 0usize..60,
        name in proptest::sample::select(&["out.jsonl", "out.jsonl.gz", "out.jsonl.zst"][..]),
    ) {
        let files = Files::in_memory();
        let input = files.write("in.jsonl", partly_named(size + 1));
        let directory = files.name("parts");
        for index in &order {
            rank(&input, &directory, &format!("{index}/{}", order.len()));
        }
        prop_assert_eq!(names(&files, "parts").len(), order.len() * 2);
        prop_assert!(merged(&files, &directory, &[], name) == single(&files, &input, &[], name));
    }
}

#[test]
fn other_formats_are_rendered_to_the_bytes_of_a_single_run() {
    let files = Files::in_memory();
    let input = files.write("in.jsonl", queries(40));
    let directory = files.name("parts");
    (0..3).for_each(|index| drop(rank(&input, &directory, &format!("{index}/3"))));
    for (name, arguments) in [
        ("out.trec", &["--tag", "mine"][..]),
        ("out.csv", &[]),
        ("out.tsv.gz", &[]),
        ("out.txt", &["--output-format", "msmarco"]),
        ("out.json", &["--output-format", "jsonl"]),
    ] {
        let output = merged(&files, &directory, arguments, name);
        assert!(output == single(&files, &input, arguments, name), "{name}");
    }
    // Options that the workers had are those of the merged output.
    let (options, directory) = (["--no-text", "--top-k", "2", "--fuse", "rrf"], files.name("cut"));
    for shard in ["0/2", "1/2"] {
        assert_eq!(rerank(&[&worker(&input, &directory, shard)[..], &options].concat()).status, 0);
    }
    for name in ["cut.jsonl", "cut.csv", "cut.trec"] {
        assert!(merged(&files, &directory, &[], name) == single(&files, &input, &options, name), "{name}");
    }
}

#[test]
fn a_run_with_texts_in_other_files_is_ranked_in_shards() {
    let files = Files::in_memory();
    let lines = |line: &dyn Fn(usize) -> String, count: usize| (0..count).map(line).collect::<String>();
    let topics = files.write("queries.tsv", lines(&|query| format!("q{query}\tred planet {query}\n"), 20));
    let text = |id: usize| format!("{{\"_id\":\"d{id}\",\"text\":\"red {}\"}}\n", "planet ".repeat(id % 5));
    let collection = files.write("collection.jsonl", lines(&text, 30));
    // The lines of a query do not stand together.
    let line = |number: usize| format!("q{} Q0 d{} {} 1.5 x\n", number % 20, number % 29, number / 20 + 1);
    let input = files.write("in.trec", lines(&line, 60));
    let (texts, directory) = (["--queries", &topics, "--collection", &collection], files.name("parts"));
    for (shard, stats) in [("0/2", "0.json"), ("1/2", "1.json"), ("1/2", "again.json")] {
        let stats = files.name(stats);
        let run = rerank(&[&worker(&input, &directory, shard)[..], &texts, &["--stats", &stats]].concat());
        assert_eq!(run.status, 0, "{}", run.stderr);
    }
    assert!(merged(&files, &directory, &[], "out.trec") == single(&files, &input, &texts, "out.trec"));
    let figures = |name: &str| serde_json::from_str::<Value>(&files.read(name)).unwrap();
    assert_eq!(figures("0.json")["queries"].as_u64().unwrap() + figures("1.json")["queries"].as_u64().unwrap(), 20);
    let again = figures("again.json");
    assert_eq!((&again["queries"], &again["resumed"]), (&Value::from(0), &figures("1.json")["queries"]));
}

#[test]
fn a_model_gives_the_same_bits_in_shards() {
    let files = Files::in_memory();
    let directory = files.name("parts");
    let fixed = ["--model", "testdata/tiny-reranker", "--input", "testdata/candidates.jsonl", "--output"];
    for shard in ["1/3", "0/3", "2/3"] {
        let run = rerank_by_fixed_kernels(&[&fixed[..], &[&directory, "--shard", shard]].concat());
        assert_eq!(run.status, 0, "{}", run.stderr);
    }
    let whole = files.name("whole.jsonl");
    assert_eq!(rerank_by_fixed_kernels(&[&fixed[..], &[&whole]].concat()).status, 0);
    assert!(merged(&files, &directory, &[], "merged.jsonl") == std::fs::read(whole).unwrap());
}

#[test]
fn a_worker_that_finds_its_shard_done_loads_no_weights() {
    let files = Files::in_memory();
    let model = files.copy_model("testdata/tiny-reranker", "model");
    let directory = files.name("parts");
    let worker = |arguments: &[&str]| {
        let fixed = ["--model", &model, "testdata/candidates.jsonl", "-o", &directory, "--shard", "0/2"];
        rerank_by_fixed_kernels(&[&fixed[..], arguments].concat())
    };
    assert_eq!(worker(&[]).status, 0);
    let before = names(&files, "parts");
    let run = worker(&["--verbose"]);
    assert_eq!(run.status, 0, "{}", run.stderr);
    assert!(run.stderr.contains("shard 0/2 is done: ") && !run.stderr.contains("loaded"), "{}", run.stderr);
    assert_eq!(names(&files, "parts"), before);
    // Another run is refused with what differs.
    worker(&["--top-k", "1"])
        .fails(2, &["shard 0/2 is done, and another run wrote ", "--top-k was not given, and is 1"]);
    assert_eq!(worker(&["--top-k", "1", "--overwrite"]).status, 0);
    worker(&[]).fails(2, &["--top-k was 1, and is not given"]);
}

#[test]
fn records_that_can_not_be_used_are_reported_by_one_shard() {
    let files = Files::in_memory();
    let bad = [
        "not JSON\n",
        "{\"query_id\":\"x\",\"query\":\" \",\"documents\":[\"red\"]}\n",
        "{\"query\":\"no id\",\"documents\":[\"red\"]}\n",
        "{\"query_id\":\"y\",\"query\":\"red\",\"documents\":[\"red\",{\"id\":\"d\"}]}\n",
        "{\"query_id\":\"q3\",\"query\":\"comes back\",\"documents\":[\"red\"]}\n",
    ];
    let lines: Vec<String> = queries(20).lines().map(|line| format!("{line}\n")).collect();
    let mixed = lines.chunks(4).zip(bad).map(|(good, bad)| good.concat() + bad).collect::<String>();
    let input = files.write("in.jsonl", mixed);
    let (whole, directory) = (files.name("whole.jsonl"), files.name("parts"));
    let skip = ["--on-error", "skip"];
    rerank(&[&["--model", "fake", &input, "-o", &whole], &skip[..]].concat()).fails(1, &["4 skipped"]);
    let mut problems = Vec::new();
    for shard in ["0/3", "1/3", "2/3"] {
        let errors = files.name(&format!("errors{}.jsonl", &shard[..1]));
        let run = rerank(&[&worker(&input, &directory, shard)[..], &skip, &["--errors", &errors]].concat());
        let lines = std::fs::read_to_string(&errors).unwrap();
        assert_eq!(run.status, i32::from(!lines.is_empty()), "{}", run.stderr);
        problems
            .extend(lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["line"].as_u64().unwrap()));
    }
    problems.sort_unstable();
    assert_eq!(problems, [5, 10, 20, 25]);
    let run = rerank(&["merge", &directory, "-o", &files.name("merged.jsonl")]);
    assert!(run.status == 0 && run.stderr.contains("left 4 records out"), "{}", run.stderr);
    assert_eq!(files.read("merged.jsonl"), files.read("whole.jsonl"));
    // Without it, the shards with such records fail, and nothing is merged without them.
    let strict = files.name("strict");
    rerank(&worker(&input, &strict, "0/3")).fails(1, &["in.jsonl:5: "]);
    rerank(&["merge", &strict, "-o", &files.name("none.jsonl")]).fails(1, &["strict: ", "not done"]);
    assert!(!files.path("none.jsonl").exists());
}

#[test]
fn the_state_of_the_shards_is_printed() {
    let files = Files::in_memory();
    let input = files.write("in.jsonl", queries(30));
    let directory = files.name("parts");
    for shard in ["0/6", "3/6"] {
        rank(&input, &directory, shard);
    }
    files.write("parts/part-00002-of-00006.jsonl.zst.tmp", "1234");
    files.write("parts/notes.txt", "mine");
    let run = rerank(&["status", &directory]);
    assert_eq!(run.status, 1, "{}", run.stderr);
    for part in ["2 of 6 shards done, ", "in progress: 2, 4 B, written", "missing: 1, 4-5\n"] {
        assert!(run.stdout.contains(part), "{part}: {}", run.stdout);
    }
    let run = rerank(&["status", &directory, "--format", "json"]);
    let status: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!((&status["done"], &status["missing"]), (&Value::from(2), &serde_json::json!([1, 4, 5])));
    assert_eq!(status["in_progress"][0]["bytes"], 4);
    std::fs::remove_file(files.path("parts/part-00002-of-00006.jsonl.zst.tmp")).unwrap();
    ["1/6", "2/6", "4/6", "5/6"].iter().for_each(|shard| drop(rank(&input, &directory, shard)));
    let run = rerank(&["status", &directory]);
    assert_eq!((run.status, run.stdout.ends_with("6 of 6 shards done, 30 rankings\n")), (0, true), "{}", run.stdout);
    rerank(&["status", &files.name("")]).fails(1, &["has no shard"]);
}

#[test]
fn the_environment_of_a_scheduler_names_the_shard() {
    let files = Files::in_memory();
    let input = files.write("in.jsonl", queries(10));
    let directory = files.name("parts");
    let worker = |variables: &[(&str, &str)], arguments: &[&str]| {
        let mut program = command(&[&worker(&input, &directory, "auto")[..], arguments].concat());
        program.envs(variables.iter().copied());
        run(program, "")
    };
    let slurm = [("SLURM_ARRAY_TASK_ID", "2"), ("SLURM_ARRAY_TASK_COUNT", "2"), ("SLURM_ARRAY_TASK_MIN", "1")];
    let run = worker(&slurm, &[]);
    let note = "shard 1/2, by SLURM_ARRAY_TASK_ID=2, SLURM_ARRAY_TASK_COUNT=2, SLURM_ARRAY_TASK_MIN=1";
    assert!(run.status == 0 && run.stderr.contains(note), "{}", run.stderr);
    let run = worker(&[("JOB_COMPLETION_INDEX", "0")], &["--shards", "2"]);
    assert_eq!(run.status, 0, "{}", run.stderr);
    assert!(merged(&files, &directory, &[], "out.jsonl") == single(&files, &input, &[], "out.jsonl"));
    worker(&[], &[]).fails(2, &["--shard auto: none of SLURM_ARRAY_TASK_ID, ", " is set; name the shard"]);
    worker(&[("JOB_COMPLETION_INDEX", "0")], &[]).fails(2, &["JOB_COMPLETION_INDEX=0", "add --shards N"]);
}

#[test]
fn a_pipe_gives_every_worker_the_whole_input() {
    let files = Files::in_memory();
    let input = queries(30);
    let directory = files.name("parts");
    let worker = |input: &str, shard: &str| rerank_on(input, &["--model", "fake", "-o", &directory, "--shard", shard]);
    for shard in ["0/2", "1/2"] {
        assert_eq!(worker(&input, shard).status, 0);
    }
    let file = files.write("in.jsonl", &input);
    assert!(merged(&files, &directory, &[], "out.jsonl") == single(&files, &file, &[], "out.jsonl"));
    let run = worker(&input, "0/2");
    assert!(run.status == 0 && run.stderr.contains("is done"), "{}", run.stderr);
    worker(&queries(60), "0/2").fails(2, &["the input has more queries", "--overwrite"]);
    worker(&input.replace("\"q1\"", "\"x1\"").replace("\"q2\"", "\"x2\""), "0/2").fails(1, &["name the same input"]);
}

#[test]
fn a_quiet_merge_prints_errors_only() {
    let files = Files::new();
    let (input, directory, output) =
        (files.write("in.jsonl", queries(3)), files.name("parts"), files.name("out.jsonl"));
    rank(&input, &directory, "0/1");
    let run = rerank(&["merge", &directory, "-o", &output, "--quiet"]);
    assert_eq!((run.status, run.stderr.as_str(), run.stdout.as_str()), (0, "", ""));
    rerank(&["merge", &directory, "-o", &output, "-q"]).fails(2, &["exists already"]);
}
