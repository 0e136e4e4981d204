//! Addresses, settings and answers of stores that can't be used are refused by name, before anything is lost.

use crate::fake_store::Store;
use crate::fixture::Files;
use crate::resume::queries;

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
