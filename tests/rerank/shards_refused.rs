//! What does not fit a shard, a merge or each other is refused by name.

use crate::fixture::{Files, rerank};
use crate::resume::queries;
use crate::shards::{merged, rank, worker};

#[test]
fn options_that_do_not_fit_a_shard_are_refused() {
    let files = Files::in_memory();
    let input = files.write("in.jsonl", queries(3));
    let (directory, file) = (files.name("parts"), files.write("file", "x"));
    let fails = |arguments: &[&str], parts: &[&str]| {
        rerank(&[&["--model", "fake", &input], arguments].concat()).fails(2, parts);
    };
    fails(&["--shard", "0/2"], &["--shard writes files into a directory", "--output"]);
    fails(&["--shard", "0/2", "-o", "-"], &["--shard writes files into a directory"]);
    fails(&["--shard", "0/2", "-o", &file], &["--output", "file is a file; name another one"]);
    fails(&["--shard", "2/2", "-o", &directory], &["--shard", "counted from 0", "the last of 2 is 1/2"]);
    for odd in ["x", "-1/3"] {
        fails(&["--shard", odd, "-o", &directory], &["--shard", "as in 0/8, or auto"]);
    }
    fails(&["--shard", "0/2", "--shards", "2", "-o", &directory], &["--shards is for --shard auto"]);
    fails(&["--shards", "2", "-o", &directory], &["--shard"]);
    for format in ["trec", "csv"] {
        fails(&["--shard", "0/2", "-o", &directory, "--output-format", format], &["--output-format", "rerank merge"]);
    }
    fails(&["--shard", "0/2", "-o", &directory, "--qrels", &file], &["--qrels", "rerank eval"]);
    fails(&["--shard", "0/2", "-o", &directory, "--tag", "x"], &["--tag"]);
    assert!(!files.path("parts").exists());
    // A dry run needs no directory, and makes none.
    let run = rerank(&["--model", "fake", &input, "--shard", "0/1", "--dry-run", "-o", &directory]);
    assert!(run.status == 0 && run.stdout.contains("queries          3"), "{}", run.stderr);
    assert!(!files.path("parts").exists());
}

#[test]
fn a_worker_of_another_run_does_not_go_on() {
    let files = Files::in_memory();
    let input = files.write("in.jsonl", queries(30));
    let other = files.write("other.jsonl", queries(31));
    let directory = files.name("parts");
    rank(&input, &directory, "0/2");
    rerank(&worker(&other, &directory, "0/2")).fails(2, &["shard 0/2 is done, and another run wrote", "the input "]);
    rerank(&worker(&other, &directory, "1/2"))
        .fails(2, &["shard 1/2 would not belong to shard 0/2", "the input has grown"]);
    assert_eq!(rerank(&[&worker(&other, &directory, "1/2")[..], &["--overwrite"]].concat()).status, 0);
    let output = files.name("out.jsonl");
    rerank(&["merge", &directory, "-o", &output])
        .fails(2, &["shards 0 and 1 of 2 were not written by the same run", "the input had", "--overwrite"]);
    let run = rerank(&[&worker(&input, &directory, "1/2")[..], &["--overwrite"]].concat());
    assert_eq!(run.status, 0, "{}", run.stderr);
    assert_eq!(merged(&files, &directory, &[], "out.jsonl").iter().filter(|byte| **byte == b'\n').count(), 30);
    // The record of another run does not stand beside what was merged.
    let single = files.name("single.jsonl");
    assert_eq!(rerank(&["--model", "fake", &input, "-o", &single]).status, 0);
    merged(&files, &directory, &[], "single.jsonl");
    assert!(!files.path("single.jsonl.run.json").exists());
    rerank(&worker(&input, &directory, "0/3")).fails(2, &["this is shard 0/3"]);
    files.write("parts/part-00000-of-00003.jsonl.zst", "");
    let names = ["shards of 2 and of 3", "part-00000-of-00002.done.json", "part-00000-of-00003.jsonl.zst"];
    rerank(&["merge", &directory, "-o", &output, "--overwrite"]).fails(1, &names);
    rerank(&["status", &directory]).fails(1, &names);
}

#[test]
fn what_a_merge_can_not_write_is_refused() {
    let files = Files::in_memory();
    let text = queries(3).replace("\"q1\"", "\"q 1\"");
    let input = files.write("in.jsonl", text);
    let directory = files.name("parts");
    rank(&input, &directory, "0/1");
    rerank(&["merge", &directory, "-o", "-"]).fails(2, &["no standard output"]);
    rerank(&["merge", &files.name("none"), "-o", "x"]).fails(2, &["none is no directory"]);
    rerank(&["merge", &directory, "-o", &files.name("a.jsonl"), "--tag", "x"]).fails(2, &["--tag"]);
    let part = files.name("parts/part-00000-of-00001.jsonl.zst");
    rerank(&["merge", &directory, "-o", &part, "--overwrite"]).fails(1, &["the name of a shard's file"]);
    rerank(&["merge", &directory, "-o", &files.name("a.xz")]).fails(2, &[".xz files are not written"]);
    rerank(&["merge", &directory, "-o", &files.name("a.trec")])
        .fails(2, &["query \"q 1\": the id", "merge to a file that ends in .jsonl"]);
    assert!(!files.path("a.trec").exists());
    let left: Vec<_> = std::fs::read_dir(files.path("")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left.len(), 2, "{left:?}");
}
