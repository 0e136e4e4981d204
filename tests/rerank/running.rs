//! Where a run reads and writes: its input's name, files that stay as they are, compressed outputs, TREC runs.

use std::io::Read;

use crate::fixture::{Files, Run, rankings, rerank, rerank_on};
use crate::piped::{Piped, RED};

const INPUT: &str = "testdata/candidates.jsonl";

fn fake(arguments: &[&str]) -> Run {
    rerank(&[&["--model", "fake"], arguments].concat())
}

#[test]
fn the_input_may_be_named_alone() {
    let expected = fake(&["--input", INPUT]).stdout;
    assert_eq!(expected.lines().count(), 3);
    assert_eq!(fake(&[INPUT]).stdout, expected);
    assert_eq!(rerank(&[INPUT, "--model", "fake"]).stdout, expected);
    let bytes = std::fs::read(INPUT).unwrap();
    assert_eq!(rerank_on(&bytes, &["--model", "fake", "-"]).stdout, expected);
    fake(&[INPUT, "--input", INPUT]).fails(2, &["--input"]);
    fake(&["missing.jsonl"]).fails(2, &["no file missing.jsonl"]);
    let files = Files::new();
    let named = files.write("bench", &bytes);
    assert_eq!(fake(&[&named]).stdout, expected);
}

#[test]
fn numbers_that_make_no_sense_are_refused_in_words() {
    for (arguments, part) in [
        (["--top-k", "0"], "keep all"),
        (["--top-k", "-1"], "keep all"),
        (["--top-k", "ten"], "whole number from 1"),
        (["--min-score", "0,5"], "from 0 to 1"),
        (["--threads", "-2"], "all cores"),
        (["--batch-size", "-1"], "whole number from 1"),
        (["--max-length", "0"], "whole number from 1"),
    ] {
        fake(&[&arguments[..], &[INPUT]].concat()).fails(2, &[arguments[0], part]);
    }
}

#[test]
fn options_that_do_not_fit_are_usage_errors() {
    let files = Files::new();
    let run = files.write("a.trec", "q Q0 d 1 1 x\n");
    for (arguments, parts) in [
        (vec![&*run], ["--queries", "needed"]),
        (vec!["--columns", "query=q", "--queries", INPUT, "--collection", INPUT, &run], ["--columns", "TREC run"]),
        (vec!["--output", "no/such/place.jsonl", INPUT], ["cannot write to", "no such directory"]),
        (vec!["--output", "testdata", INPUT], ["cannot write to", "directory"]),
        (vec!["--tag", "mine", INPUT], ["--tag", "TREC"]),
    ] {
        fake(&arguments).fails(2, &parts);
    }
    let long = ["--model", "testdata/odd-reranker", "--max-length", "99999999", INPUT];
    rerank(&long).fails(2, &["--max-length 99999999"]);
    rerank(&["--model", "not-a-model", INPUT]).fails(2, &["not-a-model", "owner/name"]);
}

#[test]
fn what_is_read_is_never_written_over() {
    let files = Files::new();
    let model = files.copy_model("testdata/odd-reranker", "model");
    let input = files.write("in.jsonl", std::fs::read(INPUT).unwrap());
    let instruction = files.write("judge.txt", "Judge.");
    let config = format!("{model}/config.json");
    let tokenizer = format!("{model}/tokenizer.json");
    std::fs::create_dir(files.path("model/adapter")).unwrap();
    let adapter = files.write("model/adapter/adapter_model.safetensors", "x");
    std::fs::hard_link(&tokenizer, files.path("hard.json")).unwrap();
    let mut read =
        vec![input.clone(), instruction.clone(), config.clone(), tokenizer, adapter, files.name("hard.json")];
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink(&config, files.path("soft.json")).unwrap();
        read.push(files.name("soft.json"));
    }
    for path in &read {
        let before = std::fs::read(path).unwrap();
        for option in ["--output", "--stats"] {
            let judged = format!("@{instruction}");
            let run = rerank(&["--model", &model, &input, "--instruction", &judged, option, path]);
            run.fails(2, &[path, "give the output another name"]);
        }
        assert!(std::fs::read(path).unwrap() == before, "{path}");
    }
}

#[cfg(unix)]
#[test]
fn standard_output_is_not_the_input() {
    let files = Files::new();
    let input = files.write("in.jsonl", std::fs::read(INPUT).unwrap());
    for arguments in [vec!["--model", "fake", &*input], vec!["--model", "fake", "/dev/null", "--stats", &input]] {
        let file = std::fs::File::options().append(true).open(&input).unwrap();
        let output = crate::fixture::command(&arguments).stdout(file).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{}", String::from_utf8_lossy(&output.stderr));
        assert!(std::fs::read(&input).unwrap() == std::fs::read(INPUT).unwrap());
    }
}

#[test]
fn an_output_has_one_run_at_a_time() {
    let files = Files::new();
    for name in ["ranked.jsonl", "ranked.jsonl.gz"] {
        let output = files.name(name);
        let mut first = Piped::start(&["--output", &output, "--stats", &files.name("stats.json")]);
        first.write(RED);
        while std::fs::metadata(&output).map_or(0, |file| file.len()) == 0 {
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        let before = std::fs::read(&output).unwrap();
        fake(&[INPUT, "--output", &output, "--overwrite"]).fails(1, &[name, "another run"]);
        fake(&[INPUT, "--stats", &files.name("stats.json")]).fails(1, &["stats.json", "another run"]);
        assert!(std::fs::read(&output).unwrap() == before);
        // Nothing of a run that was killed is in the way of the next one.
        first.child.kill().unwrap();
        first.child.wait().unwrap();
        assert_eq!(fake(&[INPUT, "--output", &output, "--overwrite"]).status, 0);
    }
    let mut left: Vec<_> =
        std::fs::read_dir(files.path(".")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    left.sort();
    let record = |name: &str| format!("{name}.run.json");
    let expected = [
        "ranked.jsonl".to_owned(),
        "ranked.jsonl.gz".to_owned(),
        record("ranked.jsonl.gz"),
        record("ranked.jsonl"),
        "stats.json".to_owned(),
    ];
    assert_eq!(left, expected.map(std::ffi::OsString::from));
}

#[test]
fn a_run_that_fails_at_once_leaves_nothing_behind() {
    let files = Files::new();
    for arguments in [vec!["--model", "fake"], vec!["--model", "testdata"]] {
        let names = [files.name("new.jsonl"), files.name("new.json")];
        let run = rerank_on("bad", &[&arguments[..], &["--output", &names[0], "--stats", &names[1]]].concat());
        run.fails(1, &[]);
        assert!(!files.path("new.jsonl").exists() && !files.path("new.json").exists());
    }
}

/// The content of a file by its name.
fn content(path: &str) -> (String, bool) {
    let file = std::fs::File::open(path).unwrap();
    let mut text = String::new();
    let end = if path.to_lowercase().ends_with(".gz") {
        flate2::read::MultiGzDecoder::new(file).read_to_string(&mut text)
    } else {
        zstd::stream::read::Decoder::new(file).unwrap().read_to_string(&mut text)
    };
    (text, end.is_ok())
}

#[test]
fn a_name_that_ends_in_gz_or_zst_is_compressed() {
    let files = Files::new();
    for format in ["jsonl", "trec", "csv", "tsv"] {
        let expected = fake(&[INPUT, "--output-format", format]).stdout;
        for extension in ["gz", "zst", "GZ"] {
            let output = files.name(&format!("ranked.{format}.{extension}"));
            assert_eq!(fake(&[INPUT, "--output", &output]).status, 0);
            assert_eq!(content(&output).0, expected);
        }
    }
    let again = files.name("again.jsonl");
    assert_eq!(fake(&[&files.name("ranked.csv.zst"), "--output", &again]).status, 0);
    assert_eq!(rankings(&files.read("again.jsonl")).len(), 3);
    for extension in ["xz", "bz2", "lz4", "zip"] {
        fake(&[INPUT, "--output", &files.name(&format!("a.{extension}"))]).fails(2, &[&format!(".{extension} files")]);
    }
    let none = files.name("none.jsonl.gz");
    assert_eq!(rerank_on(r#"{"query":"red","candidates":[]}"#, &["--model", "fake", "-o", &none]).status, 0);
    assert!(content(&none).1);
}

#[test]
fn a_compressed_file_can_be_read_while_it_grows_and_after_an_interrupt() {
    let files = Files::new();
    for name in ["a.jsonl.gz", "a.jsonl.zst"] {
        let output = files.name(name);
        let mut piped = Piped::start(&["--output", &output]);
        for index in 1..4 {
            piped.write(&RED.replace("red", &index.to_string()));
            while !files.path(name).exists() || content(&output).0.lines().count() < index {
                std::thread::sleep(std::time::Duration::from_millis(5));
            }
        }
        piped.child.kill().unwrap();
        piped.child.wait().unwrap();
        assert_eq!(rankings(&content(&output).0).len(), 3, "after kill -9");
        #[cfg(unix)]
        {
            let mut piped = Piped::start(&["--output", &output, "--overwrite"]);
            piped.write(RED);
            while content(&output).0.lines().count() != 1 {
                std::thread::sleep(std::time::Duration::from_millis(5));
            }
            piped.signal("TERM");
            assert_eq!(piped.end().0, Some(143));
            let (text, is_complete) = content(&output);
            assert!(is_complete && text.lines().count() == 1);
        }
    }
}

const TREC: [&str; 4] = ["--model", "fake", "--output-format", "trec"];

#[test]
fn a_run_has_the_tag_that_was_asked_for() {
    let tagged = rerank(&[&TREC[..], &["--tag", "qwen3-ü", INPUT]].concat());
    assert!(tagged.stdout.lines().all(|line| line.ends_with(" qwen3-ü")), "{}", tagged.stdout);
    assert!(rerank(&[&TREC[..], &[INPUT]].concat()).stdout.lines().all(|line| line.ends_with(" rerank")));
    for tag in ["", "a b", "a\tb", "a\u{2028}b", "a\u{7}"] {
        rerank(&[&TREC[..], &["--tag", tag, INPUT]].concat()).fails(2, &["--tag"]);
    }
}

#[test]
fn an_id_that_would_break_a_run_is_reported() {
    let good = r#"{"query_id":"q1","query":"red","candidates":[{"id":"d","text":"red"}]}"#;
    let space = "white space";
    let control = "control character";
    for (id, part) in [
        ("d 2", space),
        ("d\\t2", space),
        ("d\\n2", space),
        ("d\\u000b", space),
        ("d\\u00a02", space),
        ("d\\u2028", space),
        ("d\\u2029", space),
        ("d\\u3000", space),
        ("d\\u0085", space),
        ("d\\u0000", control),
        ("d\\u001c", control),
        ("d\\u001f", control),
        ("d\\u007f", control),
        ("d\\u0090", control),
        ("\\ufeffd", "byte order mark"),
    ] {
        for line in [good.replace("\"d\"", &format!("\"{id}\"")), good.replace("q1", id)] {
            let run = rerank_on(format!("{good}\n{}", line.replace("q1", "q2")), &TREC);
            run.fails(1, &["standard input:2: ", part]);
            assert_eq!(run.stdout, "q1 Q0 d 1 4 rerank\n");
        }
    }
    // Other signs are columns like any.
    let odd = good.replace("\"d\"", "\"é—d/ü#\u{200b}🗼\"");
    assert!(rerank_on(odd, &TREC).stdout.starts_with("q1 Q0 é—d/ü#"));
}
