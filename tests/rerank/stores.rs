//! Inputs and outputs that are objects in a store have the bytes of local ones, whatever the connection does.

use std::time::Duration;

use crate::fake_store::{Fault, Store};
use crate::fixture::{Files, Run, rerank};
use crate::piped::Piped;
use crate::resume::queries;

pub const FAKE: [&str; 2] = ["--model", "fake"];

/// What a run with local files prints.
#[track_caller]
fn local(arguments: &[&str]) -> String {
    let run = rerank(&[&FAKE, arguments].concat());
    assert_eq!(run.status, 0, "{}", run.stderr);
    run.stdout
}

#[track_caller]
pub fn done(run: &Run) {
    assert_eq!(run.status, 0, "{}", run.stderr);
}

/// A text of more than one request.
pub fn long(count: usize) -> String {
    let line = |number: usize| {
        let text = format!("red planet {number} ").repeat(600);
        format!("{{\"query_id\":\"q{number}\",\"query\":\"red\",\"documents\":[\"{text}\",\"a\"]}}\n")
    };
    (0..count).map(line).collect()
}

#[test]
fn text_and_compressed_text_are_read_as_from_a_disk() {
    let (files, store) = (Files::in_memory(), Store::start());
    let text = queries(40);
    let expected = local(&[&files.write("in.jsonl", &text)]);
    let packed = zstd::encode_all(text.as_bytes(), 1).unwrap();
    for (key, content) in [("in.jsonl", text.as_bytes()), ("a b/ü+%.jsonl.zst", &packed)] {
        let address = store.put(key, content);
        let run = store.rerank(&files, &[&FAKE[..], &[&address]].concat());
        done(&run);
        assert_eq!(run.stdout, expected, "{key}");
    }
    for place in ["web/in.jsonl", "plain/in.jsonl"] {
        let address = store.web(place);
        let run = store.rerank(&files, &[&FAKE[..], &[&address]].concat());
        done(&run);
        assert_eq!(run.stdout, expected, "{place}");
    }
    let empty = store.put("empty.jsonl", "");
    store.rerank(&files, &[&FAKE[..], &[&empty]].concat()).fails(1, &["s3://b/empty.jsonl is empty"]);
}

#[test]
fn a_prefix_is_read_as_a_directory_and_a_pattern_as_a_pattern() {
    let (files, store) = (Files::in_memory(), Store::start());
    std::fs::create_dir(files.path("d")).unwrap();
    let text = queries(30);
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    for (name, part) in ["d/a.jsonl", "d/b.jsonl", "d/c.jsonl"].iter().zip(lines.chunks(10)) {
        files.write(name, part.concat());
        store.put(name, part.concat());
    }
    for other in ["d/_hidden.jsonl", "d/a.jsonl.run.json", "d/.x.jsonl", "d/_delta_log/0.json", "d/"] {
        store.put(other, "no");
    }
    let expected = local(&[&files.name("d")]);
    for address in ["s3://b/d/", "s3://b/d/?.jsonl", "s3://b/*/[abc].jsonl", "s3://b/d/[!_]*"] {
        let run = store.rerank(&files, &[&FAKE[..], &[address]].concat());
        done(&run);
        assert_eq!(run.stdout, expected, "{address}");
    }
    store.put("d/day=1/x.jsonl", "no");
    store
        .rerank(&files, &[&FAKE[..], &["s3://b/d/"]].concat())
        .fails(2, &["has a directory in it, s3://b/d/day=1/,", "'s3://b/d/*/*.jsonl'"]);
    store.rerank(&files, &[&FAKE[..], &["s3://b/d/*.run.json"]].concat()).fails(2, &["matches only records of runs"]);
    store.rerank(&files, &[&FAKE[..], &["s3://b/none/"]].concat()).fails(2, &["s3://b/none/ has no objects"]);
    store.rerank(&files, &[&FAKE[..], &["s3://b/d/x*"]].concat()).fails(2, &["s3://b/d/x*"]);
    let web = store.web("web/d/");
    store.rerank(&files, &[&FAKE[..], &[&web]].concat()).fails(2, &["can't be listed"]);
}

#[test]
fn a_run_takes_its_texts_from_objects() {
    let (files, store) = (Files::in_memory(), Store::start());
    let topics: String = (0..9).map(|query| format!("q{query}\tred planet {query}\n")).collect();
    let documents: String = (0..9).map(|id| format!("{{\"_id\":\"d{id}\",\"text\":\"red {id}\"}}\n")).collect();
    let lines: String = (0..9).map(|query| format!("q{query} Q0 d{query} 1 1.5 x\n")).collect();
    let packed = zstd::encode_all(documents.as_bytes(), 1).unwrap();
    let local_files =
        [files.write("q.tsv", &topics), files.write("d.jsonl", &documents), files.write("in.trec", &lines)];
    let expected = local(&[&local_files[2], "--queries", &local_files[0], "--collection", &local_files[1]]);
    let (queries, collection) = (store.put("q.tsv", topics), store.put("d.jsonl.zst", packed));
    let input = store.put("in.trec", lines);
    let texts = ["--queries", &queries, "--collection", &collection];
    let run = store.rerank(&files, &[&FAKE[..], &[&input], &texts].concat());
    done(&run);
    assert_eq!(run.stdout, expected);
    assert!(run.stderr.contains("was copied into a temporary file"), "{}", run.stderr);
}

#[test]
fn connections_that_break_and_servers_that_are_busy_change_nothing() {
    let (files, store) = (Files::in_memory(), Store::start());
    let text = long(60);
    let expected = local(&[&files.write("in.jsonl", &text)]);
    let address = store.put("in.jsonl", &text);
    store.fail("GET /b/in.jsonl", Fault::Status("503 Slow Down", "SlowDown"), 1);
    store.fail("GET /b/in.jsonl", Fault::Cut, 2);
    let run = store.rerank(&files, &[&FAKE[..], &[&address]].concat());
    done(&run);
    assert_eq!(run.stdout, expected);
}

#[test]
fn an_object_that_is_changed_while_it_is_read_is_an_error() {
    let (files, store) = (Files::in_memory(), Store::start());
    let address = store.put("in.jsonl", long(60));
    store.fail("GET /b/in.jsonl", Fault::Change, 1);
    store.rerank(&files, &[&FAKE[..], &[&address]].concat()).fails(1, &[&address, "it was changed while it was read"]);
}

#[test]
fn what_a_store_refuses_is_a_sentence_that_names_the_address() {
    let (files, store) = (Files::in_memory(), Store::start());
    let rank = |address: &str| store.rerank(&files, &[&FAKE[..], &[address]].concat());
    rank("s3://b/none.jsonl").fails(2, &["s3://b/none.jsonl", "there is no such object"]);
    rank("s3://other/none.jsonl").fails(2, &["s3://other", "check its name"]);
    store.put("in.jsonl", "x");
    store.fail("GET /b/in.jsonl", Fault::Status("403 Forbidden", "AccessDenied"), 1);
    rank("s3://b/in.jsonl").fails(1, &["s3://b/in.jsonl", "access is denied (AccessDenied)", "credentials"]);
    rank("s3://b").fails(2, &["names a bucket and no object"]);
    rank("hdfs://b/x").fails(2, &["hdfs:// is no address that is read here"]);
    let secret = store.web("web/none.jsonl?sig=topsecret").replace("http://", "http://me:topsecret@");
    let run = rank(&secret);
    run.fails(2, &["/web/none.jsonl", "there is no such file"]);
    for text in [&run.stderr, &run.stdout] {
        assert!(!text.contains("topsecret"), "{text}");
    }
    let out = store.web("web/out.jsonl");
    let run = store.rerank(&files, &[&FAKE[..], &["s3://b/in.jsonl", "-o", &out]].concat());
    run.fails(2, &["can be read, and not written"]);
    let mut command = store.command(&files, &[&FAKE[..], &["s3://b/in.jsonl"]].concat());
    command.env_remove("AWS_ALLOW_HTTP");
    crate::fixture::run(command, "").fails(1, &["AWS_ALLOW_HTTP"]);
}

#[cfg(feature = "parquet")]
#[test]
fn of_parquet_only_what_is_needed_is_read() {
    let (files, store) = (Files::in_memory(), Store::start());
    for name in ["pairs.zstd.parquet", "pairs.feather", "groups.parquet", "pairs.none.parquet"] {
        let path = format!("testdata/parquet/{name}");
        let address = store.put(name, std::fs::read(&path).unwrap());
        let run = store.rerank(&files, &[&FAKE[..], &[&address]].concat());
        done(&run);
        assert_eq!(run.stdout, local(&[&path]), "{name}");
    }
    // A TREC run needs the texts of a large file, and not the column beside them.
    let mut state = 1u64;
    let mut noise = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        format!("{state:x}")
    };
    let wide = (0..300).map(|row| (row, (0..600).map(|_| noise()).collect::<String>()));
    let row = |(row, wide)| {
        format!(
            "{{\"query_id\":\"{}\",\"query\":\"red\",\"id\":\"d{row}\",\"text\":\"red {row}\",\"wide\":\"{wide}\"}}\n",
            row / 10
        )
    };
    let (input, large) = (files.write("in.jsonl", wide.map(row).collect::<String>()), files.name("wide.parquet"));
    done(&rerank(&[&FAKE[..], &[&input, "-o", &large]].concat()));
    let content = std::fs::read(&large).unwrap();
    let (size, address) = (content.len(), store.put("wide.parquet", content));
    store.sent();
    let trec = ["--output-format", "trec"];
    let run = store.rerank(&files, &[&FAKE[..], &[&address], &trec].concat());
    done(&run);
    assert_eq!(run.stdout, rerank(&[&FAKE[..], &[&large], &trec].concat()).stdout);
    let sent = store.sent();
    assert!(size > 1_000_000 && sent < size / 4, "{sent} bytes of {size} were sent");
}

#[test]
fn an_output_has_the_bytes_of_a_local_one_and_appears_as_a_whole() {
    let (files, store) = (Files::in_memory(), Store::start());
    let input = files.write("in.jsonl", queries(40));
    for name in ["out.jsonl", "out.jsonl.zst", "out.trec"] {
        let expected = files.name(&format!("local.{name}"));
        done(&rerank(&[&FAKE[..], &[&input, "-o", &expected]].concat()));
        let address = format!("s3://b/dir/{name}");
        let arguments = [&FAKE[..], &[&input, "-o", &address]].concat();
        done(&store.rerank(&files, &arguments));
        assert!(store.get(&format!("dir/{name}")) == Some(std::fs::read(&expected).unwrap()), "{name}");
        store.rerank(&files, &arguments).fails(2, &[&address, "exists already", "--resume", "--overwrite"]);
        let run = store.rerank(&files, &[&arguments[..], &["--resume"]].concat());
        done(&run);
        assert!(run.stderr.contains("is complete"), "{}", run.stderr);
        store.put(&format!("dir/{name}"), "other");
        done(&store.rerank(&files, &[&arguments[..], &["--overwrite"]].concat()));
        assert!(store.get(&format!("dir/{name}")) == Some(std::fs::read(&expected).unwrap()), "{name}");
    }
    let staging = files.path("cache/rerank/staging");
    assert_eq!(std::fs::read_dir(staging).unwrap().count(), 0, "nothing stays");
}

#[test]
fn an_upload_that_fails_loses_nothing() {
    let (files, store) = (Files::in_memory(), Store::start());
    let input = files.write("in.jsonl", queries(40));
    let expected = files.name("local.jsonl");
    done(&rerank(&[&FAKE[..], &[&input, "-o", &expected]].concat()));
    let arguments = [&FAKE[..], &[&input, "-o", "s3://b/out.jsonl"]].concat();
    store.fail("PUT /b/out.jsonl", Fault::Status("403 Forbidden", "AccessDenied"), 1);
    let run = store.rerank(&files, &arguments);
    run.fails(1, &["cannot write s3://b/out.jsonl", "access is denied", "stays in", "run the same command again"]);
    // The answer to the next attempt is lost, and the object is there.
    store.fail("PUT /b/out.jsonl", Fault::Silent, 1);
    let run = store.rerank(&files, &arguments);
    done(&run);
    assert!(run.stderr.contains("is complete"), "{}", run.stderr);
    assert!(store.get("out.jsonl") == Some(std::fs::read(&expected).unwrap()));
}

#[test]
fn a_large_output_is_sent_in_parts_of_which_one_may_fail() {
    let (files, store) = (Files::in_memory(), Store::start());
    let input = files.write("in.jsonl", long(4000));
    let expected = files.name("local.jsonl");
    done(&rerank(&[&FAKE[..], &[&input, "-o", &expected]].concat()));
    let arguments = [&FAKE[..], &[&input, "-o", "s3://b/out.jsonl"]].concat();
    // Parts before it and behind it are sent at the same time.
    store.fail("partNumber=3", Fault::Status("403 Forbidden", "AccessDenied"), 1);
    let run = store.rerank(&files, &arguments);
    run.fails(1, &["cannot write s3://b/out.jsonl: access is denied", "stays in", "run the same command again"]);
    assert!(store.get("out.jsonl").is_none() && store.uploads() == 0, "nothing stays in the store");
    store.requests();
    store.fail("partNumber=3", Fault::Status("503 Slow Down", "SlowDown"), 1);
    store.fail("partNumber=3", Fault::Silent, 1);
    done(&store.rerank(&files, &arguments));
    assert!(store.get("out.jsonl") == Some(std::fs::read(&expected).unwrap()));
    let requests = store.requests();
    let sent = |part: usize| requests.iter().filter(|request| request.contains(&format!("partNumber={part}&"))).count();
    assert_eq!([1, 2, 3, 4, 5].map(sent), [1, 1, 3, 1, 1]);
}

#[test]
fn shards_go_to_a_store_and_merge_to_the_bytes_of_a_single_run() {
    let (files, store) = (Files::in_memory(), Store::start());
    let input = store.put("in.jsonl", queries(40));
    let single = store.rerank(&files, &[&FAKE[..], &[&input]].concat());
    done(&single);
    let worker =
        |shard: &str| store.rerank(&files, &[&FAKE[..], &[&input, "-o", "s3://b/parts/", "--shard", shard]].concat());
    let status = |files: &Files| store.rerank(files, &["status", "s3://b/parts"]);
    store.fail("PUT /b/parts/part-00001-of-00003.done.json", Fault::Status("403 Forbidden", "AccessDenied"), 1);
    done(&worker("0/3"));
    worker("1/3").fails(1, &["access is denied", "run shard 1/3 again"]);
    assert_eq!(status(&files).status, 1);
    done(&worker("1/3"));
    done(&worker("2/3"));
    let run = worker("1/3");
    done(&run);
    assert!(run.stderr.contains("shard 1/3 is done: s3://b/parts/part-00001-of-00003.jsonl.zst has"), "{}", run.stderr);
    let run = status(&files);
    done(&run);
    assert!(run.stdout.contains("3 of 3 shards done"), "{}", run.stdout);
    let output = files.name("merged.jsonl");
    done(&store.rerank(&files, &["merge", "s3://b/parts", "-o", &output]));
    assert!(std::fs::read_to_string(&output).unwrap() == single.stdout);
}

#[test]
fn records_are_fetched_once_and_only_those_that_are_listed() {
    let (files, store) = (Files::in_memory(), Store::start());
    let input = files.write("in.jsonl", queries(4));
    let worker = |prefix: &str, shard: &str| {
        done(&store.rerank(&files, &[&FAKE[..], &[&input, "-o", prefix, "--shard", shard]].concat()));
    };
    worker("s3://b/parts/", "0/3000");
    store.requests();
    let run = store.rerank(&files, &["status", "s3://b/parts"]);
    assert!(run.status == 1 && run.stdout.contains("1 of 3,000 shards done"), "{}", run.stdout);
    assert_eq!(store.requests().len(), 2);
    ["0/2", "1/2"].iter().for_each(|shard| worker("s3://b/two/", shard));
    store.requests();
    done(&store.rerank(&files, &["merge", "s3://b/two", "-o", &files.name("merged.jsonl")]));
    let requests = store.requests();
    assert_eq!(requests.iter().filter(|request| request.contains(".done.json")).count(), 2, "{requests:?}");
    // Whether the shard is done is not known, so that nobody should run it again.
    let denied = Fault::Status("403 Forbidden", "AccessDenied");
    store.fail("GET /b/two/part-00001-of-00002.done.json", denied, usize::MAX);
    for arguments in [&["status", "s3://b/two"][..], &["merge", "s3://b/two", "-o", &files.name("none.jsonl")]] {
        store.rerank(&files, arguments).fails(1, &["s3://b/two/part-00001-of-00002.done.json", "access is denied"]);
    }
}

#[cfg(unix)]
#[test]
fn a_signal_ends_a_merge_whose_store_does_not_answer() {
    let (files, store) = (Files::in_memory(), Store::start());
    store.put("parts/part-00000-of-00001.jsonl.zst", "");
    store.put("parts/part-00000-of-00001.done.json", "{}");
    store.fail("GET /b/parts/part-00000-of-00001.done.json", Fault::Stall, 1);
    let arguments = ["merge", "s3://b/parts", "-o", &files.name("out.jsonl")];
    let merge = Piped::spawn(store.command(&files, &arguments));
    while !store.requests().iter().any(|request| request.contains(".done.json")) {
        std::thread::sleep(Duration::from_millis(5));
    }
    merge.signal("TERM");
    assert_eq!(merge.end().0, Some(143));
}

#[test]
fn two_workers_on_a_shard_do_no_harm_and_another_run_is_refused() {
    let (files, store) = (Files::in_memory(), Store::start());
    let input = files.write("in.jsonl", queries(40));
    let arguments = [&FAKE[..], &[&input, "-o", "s3://b/parts/", "--shard", "0/2"]].concat();
    done(&store.rerank(&files, &arguments));
    let (part, record) = ("parts/part-00000-of-00002.jsonl.zst", "parts/part-00000-of-00002.done.json");
    let (bytes, text) = (store.get(part).unwrap(), store.get(record).unwrap());
    // A worker was broken off between the two; another one comes to the same part.
    store.remove(record);
    done(&store.rerank(&files, &arguments));
    assert!(store.get(part).unwrap() == bytes);
    let run = store.rerank(&files, &[&arguments[..], &["--no-text"]].concat());
    run.fails(2, &["shard 0/2 is done, and another run wrote s3://b/parts/"]);
    // Another worker is faster, with other bytes.
    store.remove(record);
    let run = store.rerank(&files, &[&arguments[..], &["--no-text"]].concat());
    run.fails(1, &["s3://b/parts/part-00000-of-00002.jsonl.zst has other bytes", "--overwrite"]);
    store.put(record, text);
    done(&store.rerank(&files, &arguments));
}

#[cfg(unix)]
#[test]
fn a_run_that_is_killed_goes_on() {
    let (files, store) = (Files::in_memory(), Store::start());
    let input = files.write("in.jsonl", queries(40));
    let expected = files.name("local.jsonl");
    done(&rerank(&[&FAKE[..], &[&input, "-o", &expected]].concat()));
    let arguments = [&FAKE[..], &[&input, "-o", "s3://b/out.jsonl"]].concat();
    // The store asks for patience until the run is killed.
    store.fail("PUT /b/out.jsonl", Fault::Status("503 Slow Down", "SlowDown"), 5);
    let mut child = store.command(&files, &arguments).stderr(std::process::Stdio::null()).spawn().unwrap();
    while !store.requests().iter().any(|request| request.starts_with("PUT")) {
        std::thread::sleep(Duration::from_millis(5));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(store.get("out.jsonl"), None);
    done(&store.rerank(&files, &arguments));
    assert!(store.get("out.jsonl") == Some(std::fs::read(&expected).unwrap()));
}
