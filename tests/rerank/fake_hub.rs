//! A hub on the loopback, which can be made to fail.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::fixture::{Files, Run, command};

pub const MODEL: &str = "testdata/odd-reranker";
pub const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";
pub const SHARD: &str = "model-00002-of-00003.safetensors";

/// How an answer fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The connection stays open, and nothing comes.
    NoAnswer,
    /// The first half of the body comes, and then nothing.
    Stall,
    /// The first half of the body comes, and the connection ends.
    BreakOff,
    /// The body comes byte after byte, with pauses.
    Drip,
    /// This status, with these headers.
    Status(&'static str, &'static str),
}

/// A hub with one model, by default `owner/odd`, on the branches `main` and `pr/1`. Ends when it is dropped.
pub struct Hub {
    port: u16,
    shared: Arc<Shared>,
    serving: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    /// The directory of the model's files, if it is not the usual one.
    directory: Option<PathBuf>,
    /// The model's files besides those of its directory.
    more: Vec<(String, Vec<u8>)>,
    /// The heads of all requests.
    requests: Mutex<Vec<String>>,
    ended: AtomicBool,
    /// What happens to requests whose path contains this text, so many times.
    faults: Mutex<Vec<(&'static str, Fault, usize)>>,
}

impl Hub {
    pub fn start() -> Self {
        Self::start_with(Vec::new())
    }

    /// A hub whose model has these files, too.
    pub fn start_with(more: Vec<(String, Vec<u8>)>) -> Self {
        Self::serve(Shared { more, ..Shared::default() })
    }

    /// A hub whose model is the one in this directory.
    pub fn of_directory(directory: PathBuf) -> Self {
        Self::serve(Shared { directory: Some(directory), ..Shared::default() })
    }

    fn serve(shared: Shared) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::new(shared);
        let state = Arc::clone(&shared);
        let serving = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if state.ended.load(Ordering::Relaxed) {
                    return;
                }
                let state = Arc::clone(&state);
                // A client that goes away is the client's affair.
                std::thread::spawn(move || stream.and_then(|stream| answer(stream, &state)));
            }
        });
        Self { port, shared, serving: Some(serving) }
    }

    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub fn requests(&self) -> Vec<String> {
        self.shared.requests.lock().unwrap().clone()
    }

    /// The next so many answers to requests with this text in their path, and for more than their first byte, fail.
    pub fn fail(&self, path: &'static str, fault: Fault, times: usize) {
        self.shared.faults.lock().unwrap().push((path, fault, times));
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::Relaxed);
        drop(TcpStream::connect(("127.0.0.1", self.port)));
        drop(self.serving.take().map(JoinHandle::join));
    }
}

impl Shared {
    fn read(&self, file: &str) -> Option<Vec<u8>> {
        let more = self.more.iter().find(|(name, _)| name == file).map(|(_, content)| content.clone());
        more.or_else(|| std::fs::read(self.directory().join(file)).ok())
    }

    fn directory(&self) -> &Path {
        self.directory.as_deref().unwrap_or(Path::new(MODEL))
    }

    /// The names of the files in the directory, and in its folders.
    fn names(&self, folder: &str) -> Vec<String> {
        let mut names = Vec::new();
        for entry in std::fs::read_dir(self.directory().join(folder)).unwrap() {
            let entry = entry.unwrap();
            let name = format!("{folder}{}", entry.file_name().to_str().unwrap());
            match entry.path().is_dir() {
                true => names.extend(self.names(&format!("{name}/"))),
                false => names.push(name),
            }
        }
        names
    }

    fn fault(&self, path: &str, whole: bool) -> Option<Fault> {
        let mut faults = self.faults.lock().unwrap();
        let (_, fault, times) = faults.iter_mut().find(|(part, fault, times)| {
            let of_bodies = matches!(fault, Fault::Stall | Fault::BreakOff | Fault::Drip);
            path.contains(*part) && *times > 0 && (whole || !of_bodies)
        })?;
        *times -= 1;
        Some(*fault)
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
    let whole = !head.to_lowercase().contains("range: bytes=0-0");
    let fault = shared.fault(path, whole);
    match fault {
        Some(Fault::NoAnswer) => return wait(shared),
        Some(Fault::Status(status, headers)) => return send(stream, status, headers, b"no"),
        _ => {}
    }
    let file = ["main", "pr%2F1", COMMIT]
        .iter()
        .find_map(|revision| path.strip_prefix(&format!("/owner/odd/resolve/{revision}/")))
        .and_then(|file| Some((file, shared.read(file)?)));
    match file {
        Some((file, bytes)) => send_file(stream, &head, (file, &bytes), fault, shared),
        None if path == "/api/models/owner/odd/revision/main" || path == "/api/models/owner/odd/revision/pr%2F1" => {
            send(stream, "200 OK", "", listing(shared).as_bytes())
        }
        None => send(stream, "404 Not Found", "", b"not found"),
    }
}

/// Keeps a connection open until the hub ends.
fn wait(shared: &Shared) -> std::io::Result<()> {
    while !shared.ended.load(Ordering::Relaxed) {
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

fn listing(shared: &Shared) -> String {
    let more = shared.more.iter().map(|(name, _)| name.clone());
    let siblings: Vec<_> =
        shared.names("").into_iter().chain(more).map(|name| serde_json::json!({"rfilename": name})).collect();
    serde_json::json!({"sha": COMMIT, "siblings": siblings}).to_string()
}

fn send_file(
    mut stream: TcpStream,
    head: &str,
    (file, bytes): (&str, &[u8]),
    fault: Option<Fault>,
    shared: &Shared,
) -> std::io::Result<()> {
    let range = head.lines().find_map(|line| line.to_lowercase().strip_prefix("range: bytes=").map(str::to_owned));
    let range = range.unwrap_or_else(|| "0-".to_owned());
    let (start, end) = range.split_once('-').unwrap();
    let (start, end) = (start.parse().unwrap(), end.parse().map_or(bytes.len(), |last: usize| last + 1));
    let headers = format!(
        "x-repo-commit: {COMMIT}\r\netag: \"{}\"\r\ncontent-range: bytes {start}-{}/{}\r\n",
        file.replace('/', "-"),
        end - 1,
        bytes.len()
    );
    let Some(fault) = fault else { return send(stream, "206 Partial Content", &headers, &bytes[start..end]) };
    write!(stream, "HTTP/1.1 206 Partial Content\r\n{headers}content-length: {}\r\n\r\n", end - start)?;
    if fault == Fault::Drip {
        for part in bytes[start..end].chunks((end - start).div_ceil(30)) {
            stream.write_all(part)?;
            std::thread::sleep(Duration::from_millis(20));
        }
        return Ok(());
    }
    stream.write_all(&bytes[start..start + (end - start) / 2])?;
    if fault == Fault::Stall { wait(shared) } else { Ok(()) }
}

fn send(mut stream: TcpStream, status: &str, headers: &str, body: &[u8]) -> std::io::Result<()> {
    let length = body.len();
    write!(stream, "HTTP/1.1 {status}\r\n{headers}content-length: {length}\r\nconnection: close\r\n\r\n")?;
    stream.write_all(body)
}

/// Ranks with a model of the hub at an endpoint; the cache is in the test's directory.
pub fn ranking(files: &Files, endpoint: &str, variables: &[(&str, &str)], arguments: &[&str]) -> std::process::Command {
    let mut command = command(&[&["--input", "testdata/candidates.jsonl"], arguments].concat());
    for name in ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"] {
        command.env_remove(name);
    }
    command.env("HF_ENDPOINT", endpoint).env("HF_HOME", files.path("home")).envs(variables.iter().copied());
    command
}

/// Runs that to its end.
pub fn run(files: &Files, endpoint: &str, variables: &[(&str, &str)], arguments: &[&str]) -> Run {
    ended(&ranking(files, endpoint, variables, arguments).output().unwrap())
}

/// What a process left behind.
pub fn ended(output: &std::process::Output) -> Run {
    Run {
        status: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8(output.stdout.clone()).unwrap(),
        stderr: String::from_utf8(output.stderr.clone()).unwrap(),
    }
}

pub const ODD: [&str; 2] = ["--model", "owner/odd"];

/// What the model in the directory gives.
fn expected() -> String {
    crate::fixture::rerank(&["--input", "testdata/candidates.jsonl", "--model", MODEL]).stdout
}

#[track_caller]
pub fn ranked(run: &Run) {
    assert_eq!(run.rankings().len(), 3);
    assert_eq!(run.stdout, expected());
}
