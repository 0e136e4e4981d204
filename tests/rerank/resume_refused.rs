//! Outputs that are refused, and runs that can't go on with one.

use serde_json::Value;

use crate::fixture::{Files, command, rerank, rerank_on};
use crate::resume::{cut, queries};

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

#[test]
fn an_output_that_was_edited_is_refused_where_its_run_had_ended() {
    let files = Files::in_memory();
    let input = files.write("in.jsonl", queries(5));
    let stopping = files.write("stopping.jsonl", queries(5) + "{bad\n");
    for (input, status) in [(&input, 0), (&stopping, 1)] {
        let output = files.name("out.jsonl");
        let run = |option: &str| rerank(&["--model", "fake", input, "--output", &output, option]);
        assert_eq!(run("--overwrite").status, status);
        let whole = files.read("out.jsonl");
        let mut text = whole.clone();
        let last = text.rfind("red").unwrap();
        text.replace_range(last..last + 3, "tan");
        for edited in [whole.replacen("\"q4\"", "\"q5\"", 1), text, whole.clone() + "{\"query"] {
            files.write("out.jsonl", &edited);
            let is_longer = edited.starts_with(&whole);
            let resumed = run("--resume");
            match is_longer {
                true => assert_eq!(resumed.status, status, "{}", resumed.stderr),
                false => resumed.fails(1, &["cannot resume ", "other bytes than its run wrote", "--overwrite"]),
            }
            assert_eq!(files.read("out.jsonl") == edited, !is_longer || status == 1);
        }
        // A record of an older version has no hash.
        files.write("out.jsonl", &whole);
        let mut record: Value = serde_json::from_str(&files.read("out.jsonl.run.json")).unwrap();
        let hash = record.as_object_mut().unwrap().remove("blake3").unwrap();
        assert_eq!(hash, blake3::hash(whole.as_bytes()).to_hex().as_str());
        files.write("out.jsonl.run.json", record.to_string());
        assert_eq!(run("--resume").status, status);
    }
}
