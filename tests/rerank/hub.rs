//! Models from the Hugging Face hub, which a server on the loopback plays.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use crate::fixture::{Files, Run, command};

const MODEL: &str = "testdata/odd-reranker";
const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";
const SHARD: &str = "model-00002-of-00003.safetensors";

/// A hub with one model, `owner/odd`, on the branches `main` and `pr/1`. Ends when it is dropped.
struct Hub {
    port: u16,
    shared: Arc<Shared>,
    serving: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    /// The heads of all requests.
    requests: Mutex<Vec<String>>,
    ended: AtomicBool,
    /// Whether the next whole answer with a shard breaks off in the middle.
    breaks_off: AtomicBool,
}

impl Hub {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::new(Shared::default());
        let state = Arc::clone(&shared);
        let serving = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if state.ended.load(Ordering::Relaxed) {
                    return;
                }
                // A client that goes away is the client's affair.
                let _ = stream.and_then(|stream| answer(stream, &state));
            }
        });
        Self { port, shared, serving: Some(serving) }
    }

    fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    fn requests(&self) -> Vec<String> {
        self.shared.requests.lock().unwrap().clone()
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::Relaxed);
        drop(TcpStream::connect(("127.0.0.1", self.port)));
        drop(self.serving.take().map(JoinHandle::join));
    }
}

/// Reads one request and answers it.
fn answer(stream: TcpStream, shared: &Shared) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head)? == 0 {
            return Ok(());
        }
    }
    shared.requests.lock().unwrap().push(head.clone());
    let path = head.split(' ').nth(1).unwrap_or_default();
    let file = ["main", "pr%2F1", COMMIT]
        .iter()
        .find_map(|revision| path.strip_prefix(&format!("/owner/odd/resolve/{revision}/")))
        .and_then(|file| Some((file, std::fs::read(format!("{MODEL}/{file}")).ok()?)));
    match file {
        Some((file, bytes)) => send_file(stream, &head, file, &bytes, shared),
        None if path == "/api/models/owner/odd/revision/main" || path == "/api/models/owner/odd/revision/pr%2F1" => {
            send(stream, "200 OK", "", listing().as_bytes())
        }
        None => send(stream, "404 Not Found", "", b"not found"),
    }
}

fn listing() -> String {
    let names = std::fs::read_dir(MODEL).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let siblings: Vec<_> = names.map(|name| serde_json::json!({"rfilename": name})).collect();
    serde_json::json!({"sha": COMMIT, "siblings": siblings}).to_string()
}

fn send_file(stream: TcpStream, head: &str, file: &str, bytes: &[u8], shared: &Shared) -> std::io::Result<()> {
    let range = head.lines().find_map(|line| line.to_lowercase().strip_prefix("range: bytes=").map(str::to_owned));
    let range = range.unwrap_or_else(|| "0-".to_owned());
    let (start, end) = range.split_once('-').unwrap();
    let (start, end) = (start.parse().unwrap(), end.parse().map_or(bytes.len(), |last: usize| last + 1));
    let headers = format!(
        "x-repo-commit: {COMMIT}\r\netag: \"{file}\"\r\ncontent-range: bytes {start}-{}/{}\r\n",
        end - 1,
        bytes.len()
    );
    if end - start > 1 && file == SHARD && shared.breaks_off.swap(false, Ordering::Relaxed) {
        let mut stream = stream;
        write!(stream, "HTTP/1.1 206 Partial Content\r\n{headers}content-length: {}\r\n\r\n", end - start)?;
        return stream.write_all(&bytes[start..end / 2]);
    }
    send(stream, "206 Partial Content", &headers, &bytes[start..end])
}

fn send(mut stream: TcpStream, status: &str, headers: &str, body: &[u8]) -> std::io::Result<()> {
    let length = body.len();
    write!(stream, "HTTP/1.1 {status}\r\n{headers}content-length: {length}\r\nconnection: close\r\n\r\n")?;
    stream.write_all(body)
}

/// Ranks with a model of the hub at an endpoint; the cache is in the test's directory.
fn run(files: &Files, endpoint: &str, variables: &[(&str, &str)], arguments: &[&str]) -> Run {
    let mut command = command(&[&["--input", "testdata/candidates.jsonl"], arguments].concat());
    for name in ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"] {
        command.env_remove(name);
    }
    command.env("HF_ENDPOINT", endpoint).env("HF_HOME", files.path("home")).envs(variables.iter().copied());
    let output = command.output().unwrap();
    Run {
        status: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

const ODD: [&str; 2] = ["--model", "owner/odd"];

/// What the model in the directory gives.
fn expected() -> String {
    crate::fixture::rerank(&["--input", "testdata/candidates.jsonl", "--model", MODEL]).stdout
}

#[track_caller]
fn ranked(run: &Run) {
    assert_eq!(run.rankings().len(), 3);
    assert_eq!(run.stdout, expected());
}

#[test]
fn a_model_is_downloaded_once_and_then_found_without_the_hub() {
    let files = Files::new();
    let hub = Hub::start();
    let endpoint = hub.endpoint();
    let first = run(&files, &endpoint, &[], &ODD);
    ranked(&first);
    let (downloads, rest): (Vec<&str>, Vec<&str>) =
        first.stderr.lines().partition(|line| line.starts_with("downloading") && line.ends_with("of owner/odd"));
    assert_eq!((downloads.len(), rest.len()), (6, 2), "a line for each file, and the summary: {}", first.stderr);
    assert!(!hub.requests().is_empty());
    drop(hub);
    ranked(&run(&files, &endpoint, &[], &[&ODD[..], &["--offline"]].concat()));
    ranked(&run(&files, &endpoint, &[("HF_HUB_OFFLINE", "1")], &ODD));
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
    hub.shared.breaks_off.store(true, Ordering::Relaxed);
    ranked(&run(&files, &hub.endpoint(), &[], &ODD));
    assert!(!hub.shared.breaks_off.load(Ordering::Relaxed), "the shard was never sent");
}

#[test]
fn a_model_that_the_hub_does_not_know_is_told() {
    let files = Files::new();
    let hub = Hub::start();
    let output = files.name("ranked.jsonl");
    let run = run(&files, &hub.endpoint(), &[], &["--model", "owner/even", "--output", &output]);
    run.fails(1, &["owner/even", "check the id", "404"]);
    assert!(!files.path("ranked.jsonl").exists());
}

#[test]
fn a_revision_that_the_hub_does_not_know_is_told() {
    let files = Files::new();
    let hub = Hub::start();
    run(&files, &hub.endpoint(), &[], &[&ODD[..], &["--revision", "v9"]].concat())
        .fails(1, &["owner/odd at v9", "404", "revision"]);
}

#[test]
fn an_unreachable_hub_is_told_with_the_remedy() {
    let files = Files::new();
    let endpoint = Hub::start().endpoint();
    run(&files, &endpoint, &[], &ODD).fails(1, &["owner/odd", "network", "--model"]);
}

#[test]
fn offline_without_a_cache_is_told_with_the_remedy() {
    let files = Files::new();
    let hub = Hub::start();
    for (variables, arguments) in [(vec![], vec!["--offline"]), (vec![("HF_HUB_OFFLINE", "1")], vec![])] {
        let run = run(&files, &hub.endpoint(), &variables, &[&ODD[..], &arguments].concat());
        run.fails(1, &["owner/odd", "offline", "run once without", "local directory"]);
    }
    assert_eq!(hub.requests(), Vec::<String>::new());
}
