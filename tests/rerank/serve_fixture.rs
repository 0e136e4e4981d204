//! Starts the real service, and asks it.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ExitStatus, Stdio};
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use serde_json::{Value, json};

use super::fixture::command;

/// How long the service may take for anything here.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// The header of a body of JSON.
pub const JSON: [(&str, &str); 1] = [("content-type", "application/json")];

/// Words of which documents are made.
const WORDS: [&str; 12] =
    ["solar", "panels", "make", "power", "from", "light", "a", "bank", "of", "the", "river", "rains"];

/// The text of words by their numbers.
pub fn text(words: &[usize]) -> String {
    words.iter().map(|word| WORDS[word % WORDS.len()]).collect::<Vec<_>>().join(" ")
}

/// So many different documents of about so many words.
pub fn documents(count: usize, words: usize) -> Vec<String> {
    (0..count).map(|index| format!("{index} {}", text(&(index..index + words).collect::<Vec<_>>()))).collect()
}

/// A service on a port of its own, which ends with this.
pub struct Service {
    child: Child,
    pub url: String,
    messages: Mutex<Receiver<String>>,
}

/// What the service answered.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: ureq::http::HeaderMap,
    pub text: String,
}

impl Answer {
    /// The body as JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    /// The value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

impl Service {
    /// Starts the service, and waits until it is ready.
    pub fn start(arguments: &[&str]) -> Self {
        let service = Self::begin(arguments);
        service.wait_for("ready: ");
        service
    }

    /// Starts the service, and waits until it listens.
    pub fn begin(arguments: &[&str]) -> Self {
        let mut child = command(&[&["serve", "--port", "0"], arguments].concat())
            .env_remove("RERANK_API_KEY")
            .stderr(Stdio::piped())
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let (sender, messages) = channel();
        std::thread::spawn(move || lines.map_while(Result::ok).try_for_each(|line| sender.send(line)));
        let mut service = Self { child, url: String::new(), messages: Mutex::new(messages) };
        let line = service.wait_for("listening on ");
        let address = line.split("http://").nth(1).unwrap();
        service.url = format!("http://{}", address.trim_end_matches(['"', '}']));
        service
    }

    /// Waits for a message with this text.
    #[track_caller]
    pub fn wait_for(&self, text: &str) -> String {
        self.messages_until(text).pop().unwrap()
    }

    /// The messages that have not been waited for, up to one with this text.
    #[track_caller]
    pub fn messages_until(&self, text: &str) -> Vec<String> {
        let mut seen: Vec<String> = Vec::new();
        while !seen.last().is_some_and(|line| line.contains(text)) {
            match self.messages.lock().unwrap().recv_timeout(PATIENCE) {
                Ok(line) => seen.push(line),
                Err(error) => panic!("{error} before {text:?}: {seen:?}"),
            }
        }
        seen
    }

    /// The host and port.
    pub fn address(&self) -> &str {
        self.url.trim_start_matches("http://")
    }

    /// Sends the service a signal.
    #[cfg(unix)]
    pub fn signal(&self, signal: i32) {
        // SAFETY: the call has no memory to be misused.
        assert_eq!(unsafe { libc::kill(self.child.id() as i32, signal) }, 0);
    }

    /// Waits until the service has ended.
    pub fn wait(mut self) -> ExitStatus {
        self.child.wait().unwrap()
    }

    #[track_caller]
    pub fn get(&self, path: &str) -> Answer {
        answered(agent().get(format!("{}{path}", self.url)).call())
    }

    #[track_caller]
    pub fn post(&self, path: &str, body: &Value) -> Answer {
        self.send(path, &[("content-type", "application/json")], body.to_string().as_bytes())
    }

    #[track_caller]
    pub fn send(&self, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        answered(post(&format!("{}{path}", self.url), headers, body))
    }

    /// The logits of documents, in their order.
    #[track_caller]
    pub fn logits(&self, query: &str, documents: &[String]) -> Vec<f32> {
        let answer = self.post("/tei/rerank", &json!({ "query": query, "texts": documents, "raw_scores": true }));
        assert_eq!(answer.status, 200, "{}", answer.text);
        let mut logits = vec![f32::NAN; documents.len()];
        for result in answer.json().as_array().unwrap() {
            logits[result["index"].as_u64().unwrap() as usize] = result["score"].as_f64().unwrap() as f32;
        }
        logits
    }

    /// The value of a metric, which is 0 where it has not been counted.
    #[track_caller]
    pub fn metric(&self, name: &str) -> f64 {
        let text = self.get("/metrics").text;
        let values = text.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse::<f64>().ok());
        values.sum()
    }

    /// Waits until a metric has such a value.
    #[track_caller]
    pub fn wait_until(&self, name: &str, holds: impl Fn(f64) -> bool) {
        let began = std::time::Instant::now();
        while !holds(self.metric(name)) {
            assert!(began.elapsed() < PATIENCE, "{name} is {}", self.metric(name));
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn agent() -> ureq::Agent {
    ureq::Agent::config_builder().http_status_as_error(false).timeout_global(Some(PATIENCE)).build().into()
}

pub type Sent = Result<ureq::http::Response<ureq::Body>, ureq::Error>;

/// Posts a body; the error is that of the connection.
pub fn post(url: &str, headers: &[(&str, &str)], body: &[u8]) -> Sent {
    let mut request = agent().post(url);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.send(body)
}

#[track_caller]
fn answered(sent: Sent) -> Answer {
    let mut response = sent.unwrap();
    let mut text = String::new();
    response.body_mut().as_reader().read_to_string(&mut text).unwrap();
    Answer { status: response.status().as_u16(), headers: response.headers().clone(), text }
}
