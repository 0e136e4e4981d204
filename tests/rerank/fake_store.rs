//! An S3 store on the loopback, which can be made to fail. It has one bucket, `b`, and serves the same objects as plain files under
//! `/web/`, under `/plain/` without ranges, under `/dated/` without an ETag, under `/bare/` also without a time, and under `/chunked/`
//! without ranges and their length.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use crate::fixture::{Files, Run, command, run};

/// How an answer fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The first half of the body comes, and the connection ends.
    Cut,
    /// This status, with this code.
    Status(&'static str, &'static str),
    /// The answer is right, and then the object is another one, of the same size.
    Change,
    /// What is sent is stored, and the connection ends without an answer.
    Silent,
    /// No answer comes, until the client goes away.
    Stall,
}

/// A request, as the store has understood it.
struct Request {
    method: String,
    /// The path, decoded, without the question mark.
    path: String,
    query: String,
    head: String,
    body: Vec<u8>,
}

#[derive(Default)]
struct Shared {
    objects: Mutex<BTreeMap<String, Vec<u8>>>,
    /// The parts of uploads, by their keys.
    uploads: Mutex<BTreeMap<String, BTreeMap<usize, Vec<u8>>>>,
    requests: Mutex<Vec<String>>,
    /// Bytes of all answers.
    sent: AtomicUsize,
    ended: AtomicBool,
    faults: Mutex<Vec<(&'static str, Fault, usize)>>,
}

/// A store that ends when it is dropped.
pub struct Store {
    port: u16,
    shared: Arc<Shared>,
    serving: Option<JoinHandle<()>>,
}

impl Store {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::new(Shared::default());
        let state = Arc::clone(&shared);
        let serving = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if state.ended.load(Ordering::Relaxed) {
                    return;
                }
                let state = Arc::clone(&state);
                // A client that goes away is the client's affair.
                std::thread::spawn(move || stream.and_then(|stream| state.answer(stream)));
            }
        });
        Self { port, shared, serving: Some(serving) }
    }

    pub fn put(&self, key: &str, content: impl AsRef<[u8]>) -> String {
        self.shared.objects.lock().unwrap().insert(key.to_owned(), content.as_ref().to_vec());
        format!("s3://b/{key}")
    }

    pub fn get(&self, key: &str) -> Option<Vec<u8>> {
        self.shared.objects.lock().unwrap().get(key).cloned()
    }

    /// How many uploads in parts were begun, and are neither complete nor given up.
    pub fn uploads(&self) -> usize {
        self.shared.uploads.lock().unwrap().len()
    }

    pub fn remove(&self, key: &str) {
        self.shared.objects.lock().unwrap().remove(key);
    }

    /// The methods and paths of all requests since this was last asked.
    pub fn requests(&self) -> Vec<String> {
        std::mem::take(&mut *self.shared.requests.lock().unwrap())
    }

    /// The bytes that were sent since this was last asked.
    pub fn sent(&self) -> usize {
        self.shared.sent.swap(0, Ordering::Relaxed)
    }

    /// The address of an object as a file on the web, beginning at a place.
    pub fn web(&self, place: &str) -> String {
        format!("http://127.0.0.1:{}/{place}", self.port)
    }

    /// The next so many requests with this text in their method and path fail.
    pub fn fail(&self, request: &'static str, fault: Fault, times: usize) {
        self.shared.faults.lock().unwrap().push((request, fault, times));
    }

    /// The program with credentials for the store, whose staging directory is among these files.
    pub fn command(&self, files: &Files, arguments: &[&str]) -> std::process::Command {
        let mut command = command(arguments);
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("AWS_")) {
            command.env_remove(name);
        }
        command
            .env("AWS_ENDPOINT_URL", format!("http://127.0.0.1:{}", self.port))
            .env("AWS_ALLOW_HTTP", "true")
            .env("AWS_ACCESS_KEY_ID", "key")
            .env("AWS_SECRET_ACCESS_KEY", "a-secret")
            .env("XDG_CACHE_HOME", files.path("cache"))
            .env("NO_PROXY", "127.0.0.1");
        command
    }

    pub fn rerank(&self, files: &Files, arguments: &[&str]) -> Run {
        run(self.command(files, arguments), "")
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::Relaxed);
        drop(TcpStream::connect(("127.0.0.1", self.port)));
        drop(self.serving.take().map(JoinHandle::join));
    }
}

impl Request {
    fn read(stream: &TcpStream) -> std::io::Result<Option<Self>> {
        let mut reader = BufReader::new(stream);
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if reader.read_line(&mut head)? == 0 {
                return Ok(None);
            }
        }
        let (method, target) = head.split_once(' ').unwrap();
        let target = target.split(' ').next().unwrap();
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let mut request = Self {
            method: method.to_owned(),
            path: decoded(path),
            query: query.to_owned(),
            head: head.clone(),
            body: Vec::new(),
        };
        let length = request.header("content-length").map_or(0, |length| length.parse().unwrap());
        request.body.resize(length, 0);
        reader.read_exact(&mut request.body)?;
        Ok(Some(request))
    }

    fn header(&self, name: &str) -> Option<String> {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.filter(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.to_owned()).next()
    }

    fn parameter(&self, name: &str) -> Option<String> {
        let pairs = self.query.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
        pairs.filter(|(known, _)| *known == name).map(|(_, value)| decoded(value)).next()
    }
}

fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        match byte {
            b'%' => {
                let digits: String = rest.by_ref().take(2).map(char::from).collect();
                bytes.push(u8::from_str_radix(&digits, 16).unwrap());
            }
            byte => bytes.push(byte),
        }
    }
    String::from_utf8(bytes).unwrap()
}

fn etag(content: &[u8]) -> String {
    format!("\"{}\"", &blake3::hash(content).to_hex()[..32])
}

/// A time that another content does not have.
fn date(content: &[u8]) -> String {
    let hash = blake3::hash(content);
    format!("Sat, 28 Nov 2026 00:{:02}:{:02} GMT", hash.as_bytes()[0] % 60, hash.as_bytes()[1] % 60)
}

/// The places of the same objects.
const PLACES: [&str; 6] = ["/b/", "/web/", "/plain/", "/dated/", "/bare/", "/chunked/"];

impl Shared {
    fn answer(&self, stream: TcpStream) -> std::io::Result<()> {
        let Some(request) = Request::read(&stream)? else { return Ok(()) };
        let line = format!("{} {}?{}", request.method, request.path, request.query);
        self.requests.lock().unwrap().push(line.clone());
        let mut faults = self.faults.lock().unwrap();
        let fault = faults.iter_mut().find(|(part, _, times)| line.contains(part) && *times > 0);
        let fault = fault.map(|(_, fault, times)| {
            *times -= 1;
            *fault
        });
        drop(faults);
        if let Some(Fault::Status(status, code)) = fault {
            return send(stream, status, "", problem(code).as_bytes(), None);
        }
        if fault == Some(Fault::Stall) {
            // A client that goes away ends its side of the connection.
            return (&stream).read(&mut [0]).map(drop);
        }
        let key = PLACES.iter().find_map(|place| request.path.strip_prefix(place));
        let (status, headers, body) = match (request.method.as_str(), key) {
            ("GET" | "HEAD", Some(key)) if !key.is_empty() => self.object(&request, key),
            ("GET", _) if request.path.trim_end_matches('/') == "/b" => self.listing(&request),
            ("PUT" | "POST" | "DELETE", Some(key)) => self.change(&request, key),
            _ => ("404 Not Found", String::new(), problem("NoSuchBucket").into_bytes()),
        };
        if let (Some(Fault::Change), Some(key)) = (fault, key) {
            let mut objects = self.objects.lock().unwrap();
            objects.get_mut(key).unwrap().make_ascii_uppercase();
        }
        if fault == Some(Fault::Silent) {
            return Ok(());
        }
        let length = (request.method == "HEAD").then_some(body.len());
        self.sent.fetch_add(length.map_or(body.len(), |_| 0), Ordering::Relaxed);
        let cut = if fault == Some(Fault::Cut) { Some(body.len() / 2) } else { length.map(|_| 0) };
        send(stream, status, &headers, &body, cut)
    }

    fn object(&self, request: &Request, key: &str) -> (&'static str, String, Vec<u8>) {
        let objects = self.objects.lock().unwrap();
        let Some(content) = objects.get(key) else {
            return ("404 Not Found", String::new(), problem("NoSuchKey").into_bytes());
        };
        let (size, etag) = (content.len(), etag(content));
        if request.header("if-match").is_some_and(|expected| expected != etag) {
            return ("412 Precondition Failed", String::new(), problem("PreconditionFailed").into_bytes());
        }
        let is_at = |place| request.path.starts_with(place);
        let mut headers = String::new();
        if !is_at("/bare/") {
            headers += &format!("last-modified: {}\r\n", date(content));
        }
        if !is_at("/bare/") && !is_at("/dated/") {
            headers += &format!("etag: {etag}\r\n");
        }
        if is_at("/chunked/") {
            headers += "transfer-encoding: chunked\r\n";
        }
        let range = request.header("range").filter(|_| !is_at("/plain/") && !is_at("/chunked/"));
        let Some(range) = range else { return ("200 OK", headers, content.clone()) };
        let (start, last) = range.strip_prefix("bytes=").unwrap().split_once('-').unwrap();
        let start: usize = start.parse().unwrap();
        let end = last.parse().map_or(size, |last: usize| size.min(last + 1));
        if start >= size {
            return ("416 Range Not Satisfiable", String::new(), problem("InvalidRange").into_bytes());
        }
        let headers = format!("{headers}content-range: bytes {start}-{}/{size}\r\n", end - 1);
        ("206 Partial Content", headers, content[start..end].to_vec())
    }

    fn listing(&self, request: &Request) -> (&'static str, String, Vec<u8>) {
        let prefix = request.parameter("prefix").unwrap_or_default();
        let is_flat = request.parameter("delimiter").is_some();
        let (mut entries, mut deeper) = (String::new(), std::collections::BTreeSet::new());
        for (key, content) in &*self.objects.lock().unwrap() {
            let Some(rest) = key.strip_prefix(&prefix) else { continue };
            if let Some((folder, _)) = rest.split_once('/').filter(|_| is_flat) {
                deeper.insert(format!("<CommonPrefixes><Prefix>{prefix}{folder}/</Prefix></CommonPrefixes>"));
                continue;
            }
            entries += &format!(
                "<Contents><Key>{key}</Key><LastModified>2026-11-28T00:00:00.000Z</LastModified><ETag>{}</ETag><Size>{}</Size>\
                 </Contents>",
                etag(content).replace('"', "&quot;"),
                content.len()
            );
        }
        entries.extend(deeper);
        let body = format!("<ListBucketResult><IsTruncated>false</IsTruncated>{entries}</ListBucketResult>");
        ("200 OK", String::new(), body.into_bytes())
    }

    fn change(&self, request: &Request, key: &str) -> (&'static str, String, Vec<u8>) {
        let ok = |content: &[u8], body: String| ("200 OK", format!("etag: {}\r\n", etag(content)), body.into_bytes());
        let (mut objects, mut uploads) = (self.objects.lock().unwrap(), self.uploads.lock().unwrap());
        match (request.method.as_str(), request.parameter("partNumber"), request.parameter("uploadId")) {
            ("POST", _, None) => {
                uploads.insert(key.to_owned(), BTreeMap::new());
                let id = "<UploadId>1</UploadId>";
                let answer = format!("<InitiateMultipartUploadResult>{id}</InitiateMultipartUploadResult>");
                ok(b"", answer)
            }
            ("PUT", Some(number), Some(_)) => {
                // A part may come late, when its upload was given up.
                let Some(upload) = uploads.get_mut(key) else {
                    return ("404 Not Found", String::new(), problem("NoSuchUpload").into_bytes());
                };
                upload.insert(number.parse().unwrap(), request.body.clone());
                ok(&request.body, String::new())
            }
            ("POST", _, Some(_)) => {
                let content: Vec<u8> = uploads.remove(key).unwrap().into_values().flatten().collect();
                let tag = etag(&content).replace('"', "&quot;");
                objects.insert(key.to_owned(), content);
                ok(b"", format!("<CompleteMultipartUploadResult><ETag>{tag}</ETag></CompleteMultipartUploadResult>"))
            }
            ("DELETE", _, Some(_)) => {
                uploads.remove(key);
                ("204 No Content", String::new(), Vec::new())
            }
            ("DELETE", ..) => {
                objects.remove(key);
                ("204 No Content", String::new(), Vec::new())
            }
            _ if request.header("if-none-match").is_some() && objects.contains_key(key) => {
                ("412 Precondition Failed", String::new(), problem("PreconditionFailed").into_bytes())
            }
            _ => {
                objects.insert(key.to_owned(), request.body.clone());
                ok(&request.body, String::new())
            }
        }
    }
}

fn problem(code: &str) -> String {
    format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>no</Message></Error>")
}

/// Sends an answer, or only so many bytes of its body.
fn send(mut stream: TcpStream, status: &str, headers: &str, body: &[u8], cut: Option<usize>) -> std::io::Result<()> {
    write!(stream, "HTTP/1.1 {status}\r\n{headers}connection: close\r\n")?;
    if headers.contains("chunked") {
        write!(stream, "\r\n{:x}\r\n", body.len())?;
        stream.write_all(body)?;
        return stream.write_all(b"\r\n0\r\n\r\n");
    }
    write!(stream, "content-length: {}\r\n\r\n", body.len())?;
    stream.write_all(&body[..cut.unwrap_or(body.len())])
}
