//! Addresses, settings and answers of stores that can't be used are refused by name, before anything is lost.

use crate::fake_store::{Fault, Store};
use crate::fixture::{Files, rerank, run};
use crate::resume::queries;
use crate::stores::long;

#[test]
fn an_object_that_is_read_is_not_written_over_under_another_name() {
    let (files, store) = (Files::in_memory(), Store::start());
    store.put("in.jsonl", queries(2));
    for (input, output) in [("s3://b/in.jsonl", "s3a://b/in.jsonl"), ("S3A://b/in.jsonl", "S3://b/in.jsonl")] {
        let refused = store.rerank(&files, &["--model", "fake", input, "-o", output, "--overwrite"]);
        refused.fails(2, &["s3://b/in.jsonl is read and would be written over"]);
    }
    store.rerank(&files, &["--model", "fake", "s3://b//in.jsonl"]).fails(2, &["s3://b//in.jsonl", "begins with a /"]);
    assert!(store.get("in.jsonl").unwrap() == queries(2).as_bytes());
}

#[test]
fn a_file_on_the_web_that_is_changed_while_it_is_read_is_an_error_without_an_etag_too() {
    let (files, store) = (Files::in_memory(), Store::start());
    let text = long(60);
    store.put("in.jsonl", &text);
    let (dated, bare) = (store.web("dated/in.jsonl"), store.web("bare/in.jsonl"));
    let expected = rerank(&["--model", "fake", &files.write("in.jsonl", &text)]).stdout;
    for address in [&dated, &bare] {
        assert!(store.rerank(&files, &["--model", "fake", address]).stdout == expected, "{address}");
    }
    // Nothing tells two versions apart: what is ranked comes in one answer.
    let requests = store.requests();
    assert_eq!(requests.iter().filter(|request| request.contains("/bare/")).count(), 2, "{requests:?}");
    store.fail("GET /dated/in.jsonl", Fault::Change, 1);
    let changed = store.rerank(&files, &["--model", "fake", &dated]);
    changed.fails(1, &[&dated, "it was changed while it was read"]);
}

#[test]
fn a_file_on_the_web_without_a_length_is_refused_with_the_reason() {
    let (files, store) = (Files::in_memory(), Store::start());
    store.put("in.jsonl", queries(2));
    let refused = store.rerank(&files, &["--model", "fake", &store.web("chunked/in.jsonl")]);
    refused.fails(1, &["/chunked/in.jsonl", "no Content-Length", "curl"]);
    assert!(!refused.stderr.contains("proxy"), "{}", refused.stderr);
}

#[test]
fn a_setting_that_fits_into_no_request_is_refused_by_the_name_of_its_variable() {
    let (files, store) = (Files::in_memory(), Store::start());
    store.put("in.jsonl", queries(2));
    let arguments = ["--model", "fake", "s3://b/in.jsonl"];
    for (variable, value) in [
        ("AWS_ENDPOINT_URL", "topsecret:9000"),
        ("AWS_ACCESS_KEY_ID", "topsecret\n"),
        ("AWS_SESSION_TOKEN", "topsecret\n"),
    ] {
        let mut command = store.command(&files, &arguments);
        command.env(variable, value);
        let refused = run(command, "");
        refused.fails(2, &["the value of the variable", variable]);
        assert!(!refused.stderr.contains("topsecret"), "{}", refused.stderr);
    }
    let mut command = store.command(&files, &arguments);
    command.env("AWS_SESSION_TOKEN", "").env("AWS_ENDPOINT_URL_S3", "");
    assert_eq!(run(command, "").status, 0);
}

#[test]
fn a_key_that_cannot_be_read_matters_only_where_it_is_meant() {
    let (files, store) = (Files::in_memory(), Store::start());
    for key in ["in.jsonl", "names/in.jsonl", "names/./dot.jsonl", "names//empty.jsonl", "./dot.jsonl"] {
        store.put(key, queries(2));
    }
    for address in ["s3://b/names/", "s3://b/*.jsonl", "s3://b/names/*.jsonl"] {
        let run = store.rerank(&files, &["--model", "fake", address]);
        assert_eq!(run.status, 0, "{address}: {}", run.stderr);
    }
    let refused = store.rerank(&files, &["--model", "fake", "s3://b/*/*.jsonl"]);
    refused.fails(2, &["s3://b/*/*.jsonl", "./dot.jsonl", "can't be read"]);
    assert!(!refused.stderr.contains("proxy"), "{}", refused.stderr);
}
