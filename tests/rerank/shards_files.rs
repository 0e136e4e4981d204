//! Inputs of several files: read as one, and handed out to shards as a whole.

use crate::fixture::{Files, rerank, rerank_on};
use crate::resume::{cut, queries};
use crate::shards::{merged, names};

/// Files of unequal sizes in the directory `in`, and their content one after the other.
fn several(files: &Files) -> String {
    std::fs::create_dir(files.path("in")).unwrap();
    let lines: Vec<String> = queries(60).lines().map(|line| format!("{line}\n")).collect();
    let mut at = 0;
    for (name, count) in [("a.jsonl", 25), ("b.jsonl", 3), ("c.jsonl", 20), ("d.jsonl", 12)] {
        files.write(&format!("in/{name}"), lines[at..at + count].concat());
        at += count;
    }
    lines.concat()
}

fn fake<'a>(arguments: &[&'a str]) -> Vec<&'a str> {
    [&["--model", "fake"], arguments].concat()
}

#[test]
fn files_a_directory_and_a_pattern_are_read_as_one_input() {
    let files = Files::in_memory();
    let whole = several(&files);
    for (hidden, text) in [("in/.hidden", "x"), ("in/_SUCCESS", ""), ("in/a.jsonl.run.json", "{}")] {
        files.write(hidden, text);
    }
    let expected = rerank_on(&whole, &["--model", "fake"]).stdout;
    let (directory, pattern) = (files.name("in"), files.name("in/[a-z].jsonl"));
    let [a, b, c, d] = ["a", "b", "c", "d"].map(|name| files.name(&format!("in/{name}.jsonl")));
    for inputs in [vec![directory.as_str()], vec![&pattern], vec![&a, &b, &c, &d]] {
        let run = rerank(&fake(&inputs));
        assert!(run.status == 0 && run.stdout == expected, "{inputs:?}: {}", run.stderr);
    }
    assert_eq!(rerank(&fake(&["--input", &directory])).stdout, expected);
    // Each file has its own format, and its own header.
    let table = files.write("t.csv", "query_id,query,text\nt,red,red\n");
    let packed = files.name("b.jsonl.gz");
    let mut gzip = flate2::write::GzEncoder::new(std::fs::File::create(&packed).unwrap(), flate2::Compression::fast());
    std::io::Write::write_all(&mut gzip, &std::fs::read(&b).unwrap()).unwrap();
    gzip.finish().unwrap();
    let mixed = rerank(&fake(&[&table, &packed]));
    assert_eq!(mixed.rankings().len(), 4);
    assert_eq!(mixed.rankings()[1], rerank(&fake(&[&b])).rankings()[0]);
    let empty = files.write("empty.jsonl", "");
    let run = rerank(&fake(&[&empty, &b]));
    assert!(run.status == 0 && run.stderr.contains("empty.jsonl is empty: it holds no queries"), "{}", run.stderr);
}

#[test]
fn messages_name_the_file_and_the_line() {
    let files = Files::in_memory();
    let line = |id: &str| format!("{{\"query_id\":\"{id}\",\"query\":\"red\",\"documents\":[\"red\"]}}\n");
    let first = files.write("first.jsonl", line("a") + &line("b"));
    let second = files.write("second.jsonl", line("c") + &line("a"));
    rerank(&fake(&[&first, &second]))
        .fails(1, &["second.jsonl:2: query \"a\"", "on line 2 after line 1 of ", "first.jsonl"]);
    let broken = files.write("broken.jsonl", line("d") + "not JSON\n");
    rerank(&fake(&[&first, &broken])).fails(1, &["broken.jsonl:2: "]);
    // What stands before a file that can't be read is ranked.
    let damaged = files.write("damaged.jsonl", b"\xff\xfe{\0");
    let run = rerank(&fake(&[&first, &damaged]));
    assert_eq!((run.status, run.stdout.lines().count()), (1, 2), "{}", run.stderr);
    run.fails(1, &["damaged.jsonl "]);
    // Queries without ids are numbered through all files.
    let unnamed = files.write("unnamed.jsonl", "{\"query\":\"red\",\"documents\":[\"red\"]}\n");
    assert_eq!(rerank(&fake(&[&first, &unnamed])).rankings()[2]["query_id"], "3");
    rerank(&fake(&[&first, "-"])).fails(2, &["`-` is standard input"]);
    rerank(&fake(&[&first, &first])).fails(2, &["are one file"]);
    rerank(&fake(&[&first, &second, "--group"])).fails(2, &["--group", "2 are read"]);
    rerank(&fake(&[&files.name("*.csv")])).fails(2, &["none that this pattern matches"]);
    std::fs::create_dir(files.path("none")).unwrap();
    rerank(&fake(&[&files.name("none")])).fails(2, &["is a directory without a file"]);
    rerank(&fake(&[&first, "missing.jsonl"])).fails(2, &["no file missing.jsonl"]);
    rerank(&fake(&[&first, &second, "-o", &second, "--overwrite"])).fails(2, &["is read and would be written over"]);
}

#[test]
fn a_run_of_several_files_is_resumed() {
    let files = Files::in_memory();
    several(&files);
    let (input, output) = (files.name("in"), files.name("out.jsonl.gz"));
    let arguments = fake(&[&input, "--output", &output, "--resume"]);
    assert_eq!(rerank(&arguments).status, 0);
    let whole = std::fs::read(&output).unwrap();
    for part in 1..5 {
        cut(&output, whole.len() * part / 5);
        let run = rerank(&arguments);
        assert_eq!(run.status, 0, "{}", run.stderr);
        assert!(std::fs::read(&output).unwrap() == whole, "{part}");
    }
    let text = files.read("in/b.jsonl").replace("red planet", "red plane.");
    files.write("in/b.jsonl", text);
    rerank(&arguments).fails(2, &["input 2 has other content"]);
    std::fs::remove_file(files.path("in/b.jsonl")).unwrap();
    rerank(&arguments).fails(2, &["the number of inputs was 4, and is 3"]);
}

#[test]
fn whole_files_are_handed_out_and_merged_in_their_order() {
    let files = Files::in_memory();
    let whole = several(&files);
    let expected = rerank_on(&whole, &["--model", "fake"]).stdout;
    let (input, directory) = (files.name("in"), files.name("parts"));
    for shard in ["2/3", "0/3", "1/3"] {
        let run = rerank(&fake(&[&input, "--output", &directory, "--shard", shard]));
        assert_eq!(run.status, 0, "{}", run.stderr);
    }
    assert!(merged(&files, &directory, &[], "out.jsonl") == expected.as_bytes());
    // There may be more shards than files.
    let many = files.name("many");
    for shard in 0..6 {
        assert_eq!(rerank(&fake(&[&input, "--output", &many, "--shard", &format!("{shard}/6")])).status, 0);
    }
    assert_eq!(names(&files, "many").len(), 12);
    let empty = rerank(&fake(&[&input, "--output", &files.name("none"), "--shard", "5/6"]));
    assert!(empty.stderr.contains("shard 5/6 has no queries"), "{}", empty.stderr);
    assert!(merged(&files, &many, &[], "many.jsonl") == expected.as_bytes());
}

#[test]
fn what_only_the_whole_input_shows_is_refused_or_found_by_the_merge() {
    let files = Files::in_memory();
    let line = |id: &str| format!("{{{id}\"query\":\"red\",\"documents\":[\"red\"]}}\n");
    let first = files.write("first.jsonl", line("\"query_id\":\"a\",") + &line("\"query_id\":\"b\","));
    let second = files.write("second.jsonl", line("\"query_id\":\"a\","));
    let unnamed = files.write("unnamed.jsonl", line(""));
    let directory = files.name("parts");
    for shard in ["0/2", "1/2"] {
        assert_eq!(rerank(&fake(&[&first, &second, "-o", &directory, "--shard", shard])).status, 0);
    }
    let output = files.name("out.jsonl");
    rerank(&["merge", &directory, "-o", &output])
        .fails(1, &["query \"a\" stands in shard 0/2 and comes back in shard 1/2"]);
    assert!(!files.path("out.jsonl").exists());
    let here = files.name("");
    rerank(&fake(&[&first, &second, "-o", &here, "--shard", "0/2"]))
        .fails(2, &["has inputs in it", "name another directory"]);
    let other = files.name("other");
    rerank(&fake(&[&first, &unnamed, "-o", &other, "--shard", "1/2"]))
        .fails(2, &["unnamed.jsonl:1: the query has no id", "give every query an id, or concatenate"]);
}

#[test]
fn a_field_that_a_part_cannot_carry_is_refused_by_name() {
    let files = Files::in_memory();
    let text = r#"{"query_id":"a","query":"red","documents":["red"],"results":7}"#;
    let input = files.write("in.jsonl", format!("{text}\n"));
    let run = rerank(&fake(&[&input, "--output-format", "csv"]));
    assert!(run.status == 0 && run.stdout.lines().next().unwrap().ends_with(",query_results"), "{}", run.stdout);
    rerank(&fake(&[&input, "-o", &files.name("parts"), "--shard", "0/1"]))
        .fails(1, &["in.jsonl:1", "query \"a\"", "a field `results`, which a shard can't keep"]);
}
