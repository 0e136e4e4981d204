//! A user's token is sent to the hub, and stands nowhere else: in no message and in no file that a run writes.

use std::path::Path;

use crate::fake_hub::{Fault, Hub, ODD, run};
use crate::fixture::{Files, Run};

const TOKEN: &str = "hf_Secret0123456789";
const ALWAYS: usize = usize::MAX;

/// Fails if the token stands in what a run left behind, but for the file that the user has put it in.
#[track_caller]
fn is_kept(run: &Run, files: &Files) {
    assert!(!run.stdout.contains(TOKEN) && !run.stderr.contains(TOKEN), "{} {}", run.stdout, run.stderr);
    let mut folders = vec![files.path("")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if !path.ends_with("home/token") {
                let bytes = std::fs::read(&path).unwrap_or_default();
                let has_token = bytes.windows(TOKEN.len()).any(|window| window == TOKEN.as_bytes());
                assert!(!has_token, "{} has the token", path.display());
            }
        }
    }
}

/// Two ways to give a token.
fn ways(files: &Files, is_stored: bool) -> Vec<(&'static str, &'static str)> {
    if is_stored {
        std::fs::create_dir_all(files.path("home")).unwrap();
        files.write("home/token", TOKEN);
        return Vec::new();
    }
    vec![("HF_TOKEN", TOKEN)]
}

#[test]
fn a_token_stands_in_no_message_and_no_file() {
    for is_stored in [false, true] {
        let files = Files::new();
        let variables = ways(&files, is_stored);
        let hub = Hub::start();
        let (output, stats, errors) = (files.name("out.jsonl"), files.name("stats.json"), files.name("errors.jsonl"));
        let writes = ["--output", &output, "--stats", &stats, "--errors", &errors, "--on-error", "skip", "--verbose"];
        let first = run(&files, &hub.endpoint(), &variables, &[&ODD[..], &writes].concat());
        assert_eq!(first.status, 0, "{}", first.stderr);
        assert!(hub.requests().iter().all(|request| request.contains(TOKEN)));
        assert!(Path::new(&output).exists() && Path::new(&stats).exists() && files.path("out.jsonl.run.json").exists());
        is_kept(&first, &files);
        is_kept(&run(&files, &hub.endpoint(), &variables, &[&ODD[..], &writes, &["--resume"]].concat()), &files);
        is_kept(&run(&files, &hub.endpoint(), &variables, &[&ODD[..], &["--dry-run"]].concat()), &files);
    }
}

#[test]
fn a_token_stands_in_no_error() {
    let elsewhere = Hub::start();
    let location = format!("location: {}/x\r\n", elsewhere.endpoint());
    for (fault, times) in [
        (Fault::Status("401 Unauthorized", ""), ALWAYS),
        (Fault::Status("403 Forbidden", "x-error-code: GatedRepo\r\n"), ALWAYS),
        (Fault::Status("404 Not Found", "x-error-code: RepoNotFound\r\n"), ALWAYS),
        (Fault::Status("500 Internal Server Error", ""), ALWAYS),
        (Fault::Status("302 Found", location.leak()), ALWAYS),
        (Fault::Status("302 Found", "location: gopher://other/x\r\n"), ALWAYS),
        (Fault::BreakOff, 1),
    ] {
        for is_stored in [false, true] {
            let files = Files::new();
            let variables = ways(&files, is_stored);
            let variables = [&variables[..], &[("HF_HUB_ETAG_TIMEOUT", "0.05")]].concat();
            let hub = Hub::start();
            hub.fail("/", fault, times);
            let run = run(&files, &hub.endpoint(), &variables, &[&ODD[..], &["--verbose"]].concat());
            assert_eq!(run.status, i32::from(times == ALWAYS), "{fault:?}: {}", run.stderr);
            is_kept(&run, &files);
        }
    }
    assert!(!elsewhere.requests().is_empty());
    assert!(elsewhere.requests().iter().all(|request| !request.contains(TOKEN)), "the token went elsewhere");
}

#[test]
fn what_is_no_token_and_an_endpoints_password_stand_in_no_error() {
    let hub = Hub::start();
    let files = Files::new();
    let wrong = format!("{TOKEN} and more\u{1}");
    let refused = run(&files, &hub.endpoint(), &[("HF_TOKEN", &wrong)], &ODD);
    refused.fails(1, &["HF_TOKEN is no token"]);
    is_kept(&refused, &files);
    for endpoint in [format!("http://user:{TOKEN}@127.0.0.1:1"), format!("ftp://user:{TOKEN}@127.0.0.1:1")] {
        let refused = run(&files, &endpoint, &[("HF_HUB_ETAG_TIMEOUT", "0.05")], &ODD);
        refused.fails(1, &["127.0.0.1:1"]);
        is_kept(&refused, &files);
    }
}

#[test]
fn a_password_or_a_signature_in_an_address_stands_in_no_error() {
    let files = Files::new();
    let record = files.write("in.jsonl", r#"{"query_id":"q","query":"red","candidates":[{"id":"d","text":"red"}]}"#);
    let qrels = files.write("qrels.txt", "q 0 d 1\n");
    for address in [
        "s3://AKIAKEY:hf_Secret0123456789@bucket/out.jsonl",
        "s3://bucket/out.jsonl?X-Amz-Signature=hf_Secret0123456789",
        "az://container/out.jsonl?sv=1&sig=hf_Secret0123456789",
    ] {
        is_refused(address, &files, [&record, &qrels]);
    }
    let model = crate::fixture::rerank(&["--model", "https://user:pass@host/m?sig=hf_Secret0123456789", &record]);
    assert_ne!(model.status, 0);
    is_kept(&model, &files);
}

/// Names the address with every option, and fails if it is taken or a message has its secret.
fn is_refused(address: &str, files: &Files, [record, qrels]: [&str; 2]) {
    let ranked = ["--model", "fake", record];
    for arguments in [
        &["--model", address, record][..],
        &["--model", "testdata/tiny-reranker", "--adapter", address, record],
        &["--model", "fake", address],
        &[&ranked[..], &["--output", address]].concat(),
        &[&ranked[..], &["--stats", address]].concat(),
        &[&ranked[..], &["--errors", address, "--on-error", "skip"]].concat(),
        &[&ranked[..], &["--cache", address]].concat(),
        &[&ranked[..], &["--qrels", address]].concat(),
        &[&ranked[..], &["--queries", address, "--collection", address]].concat(),
        &["--model", "testdata/tiny-reranker", "--recipe", address, record],
        &["merge", "parts", "--output", address],
        &["status", address],
        &["eval", address, "--qrels", qrels],
        &["eval", record, "--qrels", address],
        &["plan", record, "--model", "fake", "--speed", address],
        &["cache", "stats", address],
    ] {
        let refused = crate::fixture::rerank(arguments);
        assert_ne!(refused.status, 0, "{arguments:?}");
        assert!(!refused.stderr.is_empty(), "{arguments:?}");
        is_kept(&refused, files);
    }
}
