//! Models from the Hugging Face hub, which a server on the loopback plays.

use crate::fake_hub::{COMMIT, Fault, Hub, ODD, SHARD, ranked, run};
use crate::fixture::Files;

/// Short limits, so that attempts follow each other soon.
const BRIEF: [(&str, &str); 1] = [("HF_HUB_ETAG_TIMEOUT", "0.05")];

#[test]
fn a_model_is_downloaded_once_and_then_found_without_the_hub() {
    let files = Files::new();
    let hub = Hub::start();
    let endpoint = hub.endpoint();
    let first = run(&files, &endpoint, &[], &ODD);
    ranked(&first);
    let (downloads, rest): (Vec<&str>, Vec<&str>) =
        first.stderr.lines().partition(|line| line.starts_with("downloading") && line.ends_with("of owner/odd"));
    let what = "a line for each file, one for the precision, and the summary";
    assert_eq!((downloads.len(), rest.len()), (7, 3), "{what}: {}", first.stderr);
    assert!(!hub.requests().is_empty());
    drop(hub);
    let offline = run(&files, &endpoint, &[], &[&ODD[..], &["--offline"]].concat());
    ranked(&offline);
    assert!(!offline.stderr.contains("is not known"), "{}", offline.stderr);
    ranked(&run(&files, &endpoint, &[("HF_HUB_OFFLINE", "1")], &ODD));
}

#[test]
fn files_of_which_nothing_is_known_are_named_offline() {
    let files = Files::new();
    let hub = Hub::start();
    ranked(&run(&files, &hub.endpoint(), &[], &ODD));
    // As a program leaves the cache that has asked for some files only.
    let cache = files.path("home/hub/models--owner--odd");
    std::fs::remove_dir_all(cache.join(".no_exist")).unwrap();
    let offline = [&ODD[..], &["--offline"]].concat();
    let unknown = run(&files, &hub.endpoint(), &[], &offline);
    ranked(&unknown);
    let warning = unknown.stderr.lines().find(|line| line.contains("is not known")).unwrap();
    for name in
        ["owner/odd", "modules.json", "chat_template.jinja", "config_sentence_transformers.json", "is not offline"]
    {
        assert!(warning.contains(name), "{warning}");
    }
    assert!(!warning.contains("tokenizer.json"), "{warning}");
    // As the Python client leaves it that has downloaded everything.
    std::fs::write(cache.join("snapshots").join(COMMIT).join(".gitattributes"), "").unwrap();
    let whole = run(&files, &hub.endpoint(), &[], &offline);
    ranked(&whole);
    assert!(!whole.stderr.contains("is not known"), "{}", whole.stderr);
}

#[test]
fn a_model_in_the_cache_needs_no_hub_and_no_option() {
    let files = Files::new();
    let hub = Hub::start();
    let endpoint = hub.endpoint();
    ranked(&run(&files, &endpoint, &[], &ODD));
    let requests = hub.requests();
    ranked(&run(&files, &endpoint, &[], &ODD));
    assert_eq!(hub.requests()[requests.len()..], [""; 0], "the hub was asked again");
    drop(hub);
    ranked(&run(&files, &endpoint, &[], &ODD));
}

#[test]
fn the_cache_may_stand_elsewhere_and_a_trailing_slash_does_no_harm() {
    let files = Files::new();
    let hub = Hub::start();
    let (cache, endpoint) = (files.name("cache"), hub.endpoint() + "/");
    ranked(&run(&files, &endpoint, &[("HF_HUB_CACHE", &cache)], &ODD));
    assert!(files.path("cache/models--owner--odd/snapshots").join(COMMIT).join("config.json").exists());
}

#[test]
fn a_dry_run_downloads_no_weights() {
    let files = Files::new();
    let hub = Hub::start();
    let run = run(&files, &hub.endpoint(), &[], &[&ODD[..], &["--dry-run"]].concat());
    assert_eq!(run.status, 0, "{}", run.stderr);
    assert!(hub.requests().iter().any(|request| request.contains("tokenizer.json")));
    let weights = hub.requests().iter().filter(|request| request.contains(".safetensors ")).count();
    assert_eq!(weights, 0);
}

#[test]
fn the_token_is_sent_as_a_bearer() {
    let sends = |files: &Files, variables: &[(&str, &str)], token: &str| {
        let hub = Hub::start();
        ranked(&run(files, &hub.endpoint(), variables, &ODD));
        let line = format!("authorization: bearer {token}\r\n");
        hub.requests().iter().all(|request| request.to_lowercase().contains(&line))
    };
    assert!(sends(&Files::new(), &[("HF_TOKEN", "hf_secret")], "hf_secret"));
    let files = Files::new();
    std::fs::create_dir(files.path("home")).unwrap();
    files.write("home/token", "hf_stored\n");
    assert!(sends(&files, &[], "hf_stored"));
}

#[test]
fn a_revision_is_asked_for_and_kept_apart() {
    let files = Files::new();
    let hub = Hub::start();
    let revision = [&ODD[..], &["--revision", "pr/1"]].concat();
    ranked(&run(&files, &hub.endpoint(), &[], &revision));
    assert!(hub.requests().iter().all(|request| request.contains("/pr%2F1")), "{:?}", hub.requests());
    ranked(&run(&files, &hub.endpoint(), &[], &[&revision[..], &["--offline"]].concat()));
    run(&files, &hub.endpoint(), &[], &[&ODD[..], &["--offline"]].concat()).fails(1, &["owner/odd", "--offline"]);
}

#[test]
fn a_commit_that_was_downloaded_under_its_branch_is_found() {
    let files = Files::new();
    let hub = Hub::start();
    ranked(&run(&files, &hub.endpoint(), &[], &ODD));
    ranked(&run(&files, &hub.endpoint(), &[], &[&ODD[..], &["--revision", COMMIT, "--offline"]].concat()));
}

#[test]
fn a_download_that_breaks_off_is_taken_up_again() {
    let files = Files::new();
    let hub = Hub::start();
    hub.fail(SHARD, Fault::BreakOff, 1);
    let run = run(&files, &hub.endpoint(), &BRIEF, &ODD);
    ranked(&run);
    assert!(run.stderr.contains("the download broke off") && run.stderr.contains("attempt 2 of 4"), "{}", run.stderr);
    assert!(hub.requests().iter().any(|request| request.contains("range: bytes=106312-")), "not from where it was");
}

#[test]
fn a_model_that_the_hub_does_not_know_is_reported() {
    let files = Files::new();
    let hub = Hub::start();
    let output = files.name("ranked.jsonl");
    let run = run(&files, &hub.endpoint(), &[], &["--model", "owner/even", "--output", &output]);
    run.fails(1, &["owner/even", "check the id", "404"]);
    assert!(!files.path("ranked.jsonl").exists());
}

#[test]
fn a_revision_that_the_hub_does_not_know_is_reported() {
    let files = Files::new();
    let hub = Hub::start();
    run(&files, &hub.endpoint(), &[], &[&ODD[..], &["--revision", "v9"]].concat())
        .fails(1, &["owner/odd at v9", "404", "revision"]);
}

#[test]
fn an_unreachable_hub_is_reported_with_the_remedy() {
    let files = Files::new();
    let endpoint = Hub::start().endpoint();
    run(&files, &endpoint, &[], &ODD).fails(1, &["owner/odd", "network", "--model"]);
}

#[test]
fn offline_without_a_cache_is_reported_with_the_remedy() {
    let files = Files::new();
    let hub = Hub::start();
    for (variables, arguments) in [(vec![], vec!["--offline"]), (vec![("HF_HUB_OFFLINE", "1")], vec![])] {
        let run = run(&files, &hub.endpoint(), &variables, &[&ODD[..], &arguments].concat());
        run.fails(1, &["owner/odd", "offline", "run once without", "local directory"]);
    }
    let quantization = run(&files, &hub.endpoint(), &[], &["--model", "owner/odd:Q4_K_M", "--offline"]);
    quantization.fails(1, &["Q4_K_M of owner/odd has been downloaded yet", "offline", "run once without"]);
    assert_eq!(hub.requests(), Vec::<String>::new());
}
