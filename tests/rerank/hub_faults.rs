//! A hub that is silent, overloaded, closed or slow.

use std::time::{Duration, Instant};

use crate::fake_hub::{COMMIT, Fault, Hub, ODD, SHARD, ended, ranked, ranking, run};
use crate::fixture::Files;

/// Limits far below the usual ones.
const BRIEF: [(&str, &str); 2] = [("HF_HUB_ETAG_TIMEOUT", "0.2"), ("HF_HUB_DOWNLOAD_TIMEOUT", "0.2")];
const ALWAYS: usize = usize::MAX;

#[test]
fn a_hub_that_never_answers_is_given_up_with_what_can_be_done() {
    let files = Files::new();
    let hub = Hub::start();
    hub.fail("/", Fault::NoAnswer, ALWAYS);
    let run = run(&files, &hub.endpoint(), &BRIEF, &ODD);
    run.fails(
        1,
        &[
            "owner/odd",
            &hub.endpoint(),
            "did not answer within 200ms",
            "attempt 2 of 4",
            "4 attempts",
            "--offline",
            "HF_ENDPOINT",
            "HF_HUB_ETAG_TIMEOUT",
        ],
    );
    assert_eq!(hub.requests().len(), 4);
}

#[test]
fn a_download_that_stalls_goes_on_where_it_stood() {
    let files = Files::new();
    let hub = Hub::start();
    hub.fail(SHARD, Fault::Stall, 1);
    let run = run(&files, &hub.endpoint(), &BRIEF, &ODD);
    ranked(&run);
    assert!(run.stderr.contains("stalled: nothing came for 200ms after"), "{}", run.stderr);
    assert!(hub.requests().iter().any(|request| request.contains("range: bytes=106312-")), "not from where it was");
}

#[test]
fn a_download_that_stalls_for_good_is_given_up_and_leaves_what_came() {
    let files = Files::new();
    let hub = Hub::start();
    hub.fail(SHARD, Fault::Stall, ALWAYS);
    run(&files, &hub.endpoint(), &BRIEF, &ODD).fails(1, &[SHARD, "stalled", "HF_HUB_DOWNLOAD_TIMEOUT"]);
    let part = files.path("home/hub/models--owner--odd/blobs").join(format!("{SHARD}.incomplete"));
    assert!(part.metadata().unwrap().len() > 100_000);
    assert!(!files.path("home/hub/models--owner--odd/snapshots").join(COMMIT).join(SHARD).exists());
}

#[test]
fn a_slow_download_is_not_cut_off() {
    let files = Files::new();
    let hub = Hub::start();
    hub.fail(SHARD, Fault::Drip, 1);
    // Far more in all than the limit, which is on silence alone.
    let limits = [("HF_HUB_DOWNLOAD_TIMEOUT", "0.4")];
    let began = Instant::now();
    let run = run(&files, &hub.endpoint(), &limits, &ODD);
    ranked(&run);
    assert!(began.elapsed() > Duration::from_millis(500));
}

#[test]
fn an_overloaded_hub_is_asked_again() {
    for status in ["503 Service Unavailable", "500 Internal Server Error", "429 Too Many Requests"] {
        let files = Files::new();
        let hub = Hub::start();
        hub.fail("config.json", Fault::Status(status, "retry-after: 0\r\n"), 2);
        let run = run(&files, &hub.endpoint(), &[], &ODD);
        ranked(&run);
        assert!(run.stderr.contains(status) && run.stderr.contains("attempt 3 of 4"), "{}", run.stderr);
    }
}

#[test]
fn a_hub_that_asks_for_a_long_pause_is_not_waited_for() {
    let files = Files::new();
    let hub = Hub::start();
    hub.fail("config.json", Fault::Status("429 Too Many Requests", "retry-after: 7200\r\n"), ALWAYS);
    run(&files, &hub.endpoint(), &[], &ODD).fails(1, &["429 Too Many Requests", "7200 seconds", "config.json"]);
}

#[test]
fn a_gated_model_is_reported_with_the_token() {
    for (variables, parts) in [
        (vec![], ["gated", "no token was sent", "HF_TOKEN"]),
        (vec![("HF_TOKEN", "hf_secret")], ["gated", "does not give access", "/owner/odd"]),
    ] {
        let files = Files::new();
        let hub = Hub::start();
        hub.fail("/resolve/", Fault::Status("403 Forbidden", "x-error-code: GatedRepo\r\n"), ALWAYS);
        let run = run(&files, &hub.endpoint(), &variables, &ODD);
        run.fails(1, &parts);
        assert!(!run.stderr.contains("hf_secret"), "{}", run.stderr);
        hub.fail("/resolve/", Fault::Status("401 Unauthorized", ""), ALWAYS);
    }
    let files = Files::new();
    let hub = Hub::start();
    hub.fail("/", Fault::Status("401 Unauthorized", ""), ALWAYS);
    run(&files, &hub.endpoint(), &[], &ODD).fails(1, &["401", "check the id", "private", "HF_TOKEN"]);
    assert_eq!(hub.requests().len(), 1, "a refusal stays one");
}

#[test]
fn a_revision_that_is_not_there_is_named() {
    let files = Files::new();
    let hub = Hub::start();
    hub.fail("/", Fault::Status("404 Not Found", "x-error-code: RevisionNotFound\r\n"), ALWAYS);
    run(&files, &hub.endpoint(), &[], &[&ODD[..], &["--revision", "v9"]].concat())
        .fails(1, &["owner/odd has no branch, tag or commit v9", "--revision"]);
}

#[test]
fn a_login_page_in_between_is_reported() {
    let files = Files::new();
    let hub = Hub::start();
    hub.fail("/", Fault::Status("200 OK", "content-type: text/html\r\n"), ALWAYS);
    run(&files, &hub.endpoint(), &[], &ODD).fails(1, &["is it a model hub", "owner/odd"]);
    let hub = Hub::start();
    hub.fail("/resolve/", Fault::Status("200 OK", "content-type: text/html\r\n"), ALWAYS);
    run(&files, &hub.endpoint(), &[], &ODD).fails(1, &["login page", "config.json"]);
}

#[test]
fn three_runs_that_download_one_model_wait_for_each_other() {
    let files = Files::new();
    let hub = Hub::start();
    hub.fail(SHARD, Fault::Drip, 1);
    let start = || ranking(&files, &hub.endpoint(), &[], &ODD);
    let runs: Vec<_> = (0..3)
        .map(|_| {
            let mut command = start();
            command.stdin(std::process::Stdio::null()).stdout(std::process::Stdio::piped());
            command.stderr(std::process::Stdio::piped()).spawn().unwrap()
        })
        .collect();
    for run in runs {
        ranked(&ended(&run.wait_with_output().unwrap()));
    }
    let whole = |request: &&String| request.contains(SHARD) && !request.contains("bytes=0-0");
    assert_eq!(hub.requests().iter().filter(whole).count(), 1, "the shard was downloaded more than once");
}

#[test]
fn a_run_that_is_killed_while_it_downloads_does_not_block_the_next() {
    let files = Files::new();
    let hub = Hub::start();
    hub.fail(SHARD, Fault::Stall, 1);
    let mut command = ranking(&files, &hub.endpoint(), &[], &ODD);
    let mut first = command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null()).spawn().unwrap();
    let part = files.path("home/hub/models--owner--odd/blobs").join(format!("{SHARD}.incomplete"));
    while part.metadata().map_or(0, |part| part.len()) < 106_312 {
        std::thread::sleep(Duration::from_millis(10));
    }
    first.kill().unwrap();
    first.wait().unwrap();
    ranked(&run(&files, &hub.endpoint(), &[], &ODD));
    assert!(hub.requests().iter().any(|request| request.contains("range: bytes=106312-")), "not from where it was");
}

#[test]
fn wrong_limits_are_refused_by_name() {
    let files = Files::new();
    let hub = Hub::start();
    for value in ["soon", "-1", "0", "inf"] {
        run(&files, &hub.endpoint(), &[("HF_HUB_DOWNLOAD_TIMEOUT", value)], &ODD)
            .fails(1, &["HF_HUB_DOWNLOAD_TIMEOUT", value, "seconds"]);
    }
    run(&files, "hub.example", &[], &ODD).fails(1, &["HF_ENDPOINT=hub.example", "https://"]);
}
