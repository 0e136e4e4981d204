//! Uploads and downloads that are interrupted or fail, and workers that share a staging directory: what is left is never taken for
//! something else, and nothing is lost.

use std::time::Duration;

use crate::fake_store::{Fault, Store};
use crate::fixture::{Files, rerank, run};
use crate::piped::Piped;
use crate::resume::queries;
use crate::stores::{FAKE, done, long};

const DENIED: Fault = Fault::Status("403 Forbidden", "AccessDenied");

#[test]
fn an_upload_that_is_stopped_leaves_no_parts_in_the_store() {
    let (files, store) = (Files::in_memory(), Store::start());
    let input = files.write("in.jsonl", long(4000));
    // The store asks for patience behind the first part.
    store.fail("partNumber=2", Fault::Status("503 Slow Down", "SlowDown"), 100);
    let arguments = [&FAKE[..], &[&input, "-o", "s3://b/out.jsonl"]].concat();
    let piped = Piped::spawn(store.command(&files, &arguments));
    while !store.requests().iter().any(|request| request.contains("partNumber=2")) {
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(store.uploads(), 1);
    piped.signal("TERM");
    let (status, messages) = piped.end();
    assert!(status.is_some_and(|status| status != 0) && messages.contains("was interrupted"), "{status:?}: {messages}");
    assert_eq!((store.uploads(), store.get("out.jsonl")), (0, None));
}

#[test]
fn a_pipe_does_not_go_on_behind_what_an_earlier_run_has_left() {
    let (files, store) = (Files::in_memory(), Store::start());
    let arguments = [&FAKE[..], &["-o", "s3://b/out.jsonl"]].concat();
    let pipe = |more: &[&str], text: &str| run(store.command(&files, &[&arguments[..], more].concat()), text);
    store.fail("PUT /b/out.jsonl", DENIED, 1);
    pipe(&[], &queries(3)).fails(1, &["stays in", "--resume"]);
    pipe(&[], &queries(3).replace("red", "green")).fails(2, &["an earlier run has left", "--resume", "--overwrite"]);
    done(&pipe(&["--resume"], &queries(3)));
    assert!(store.get("out.jsonl").is_some());
}

#[test]
fn an_object_whose_record_was_not_stored_is_completed_as_the_message_says() {
    let (files, store) = (Files::in_memory(), Store::start());
    let input = files.write("in.jsonl", queries(3));
    let arguments = [&FAKE[..], &[&input, "-o", "s3://b/out.jsonl"]].concat();
    store.fail("PUT /b/out.jsonl.run.json", DENIED, 1);
    store.rerank(&files, &arguments).fails(1, &["run the same command again, with --resume and without --overwrite"]);
    done(&store.rerank(&files, &[&arguments[..], &["--resume"]].concat()));
    assert!(store.get("out.jsonl.run.json").is_some());
}

#[test]
fn an_object_without_the_record_of_its_run_is_not_copied() {
    let (files, store) = (Files::in_memory(), Store::start());
    let input = files.write("in.jsonl", queries(3));
    let arguments = [&FAKE[..], &[&input, "-o", "s3://b/out.jsonl"]].concat();
    store.put("out.jsonl", "{}\n");
    let resumed = store.rerank(&files, &[&arguments[..], &["--resume"]].concat());
    resumed.fails(2, &["cannot resume s3://b/out.jsonl", "s3://b/out.jsonl.run.json", "--overwrite"]);
    store.remove("out.jsonl");
    done(&store.rerank(&files, &arguments));
}

#[test]
fn a_download_that_breaks_off_leaves_no_output_behind() {
    let (files, store) = (Files::in_memory(), Store::start());
    let input = files.write("in.jsonl", queries(40));
    let arguments = [&FAKE[..], &[&input, "-o", "s3://b/out.jsonl", "--resume"]].concat();
    done(&store.rerank(&files, &arguments));
    let whole = store.get("out.jsonl");
    store.fail("GET /b/out.jsonl?", DENIED, 1);
    store.rerank(&files, &arguments).fails(1, &["access is denied"]);
    done(&store.rerank(&files, &arguments));
    assert!(store.get("out.jsonl") == whole);
}

#[test]
fn workers_of_one_shard_that_share_the_staging_directory_all_end_well() {
    let (files, store) = (Files::in_memory(), Store::start());
    let input = files.write("in.jsonl", queries(40));
    let directory = files.name("local");
    done(&rerank(&[&FAKE[..], &[&input, "-o", &directory, "--shard", "0/1"]].concat()));
    let expected = std::fs::read(files.path("local/part-00000-of-00001.jsonl.zst")).unwrap();
    for round in 0..6 {
        let prefix = format!("s3://b/{round}/");
        let arguments = [&FAKE[..], &[&input, "-o", &prefix, "--shard", "0/1"]].concat();
        let workers: Vec<Piped> = (0..3).map(|_| Piped::spawn(store.command(&files, &arguments))).collect();
        for worker in workers {
            let (status, messages) = worker.end();
            assert_eq!(status, Some(0), "{messages}");
        }
        assert!(store.get(&format!("{round}/part-00000-of-00001.jsonl.zst")).as_ref() == Some(&expected));
        assert!(store.get(&format!("{round}/part-00000-of-00001.done.json")).is_some());
    }
}
