//! Addresses, settings and answers of stores that can't be used are refused by name, before anything is lost.

use crate::fake_store::{Fault, Store};
use crate::fixture::{Files, rerank};
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
