//! Requests to the hub: redirects, limits on silence, attempts.

use std::cell::Cell;
use std::thread;

use anyhow::{Context, Result, anyhow, ensure};
use ureq::http::{HeaderMap, StatusCode, Uri};
use ureq::{Agent, Body, Proxy};

use super::failure::{Asked, Failure};
use super::patience::{ATTEMPTS, LONGEST_PAUSE, Patience};

const MOST_REDIRECTS: usize = 10;

/// Asks one hub.
pub(super) struct Client {
    agent: Agent,
    /// Its address.
    pub(super) endpoint: String,
    /// The address in messages: without a name and a password that may stand in it.
    pub(super) name: String,
    pub(super) patience: Patience,
    token: Option<String>,
    answered: Cell<bool>,
}

/// A successful answer, with the facts about the file that the answers on the way to it gave.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Body,
    /// The commit that the revision stands for.
    pub(super) commit: Option<String>,
    /// The name of the file's content.
    pub(super) etag: Option<String>,
    /// The file's size, as the hub itself knows it where its storage has the file.
    pub(super) linked_size: Option<u64>,
}

impl Client {
    /// Asks nothing yet.
    pub(super) fn new(endpoint: &str, token: Option<String>) -> Result<Self> {
        let endpoint = endpoint.trim_end_matches('/').to_owned();
        let address: Option<Uri> = endpoint.parse().ok();
        let scheme = address.as_ref().and_then(Uri::scheme_str).unwrap_or_default();
        ensure!(
            ["http", "https"].contains(&scheme),
            "HF_ENDPOINT={}: an address is needed that begins with https:// or http://, such as https://huggingface.co",
            without_password(&endpoint)
        );
        check_proxies()?;
        let patience = Patience::from_environment()?;
        // Answers other than success, and redirects, are read here: they state what is wrong, and which content it is.
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .user_agent(concat!("rerank/", env!("CARGO_PKG_VERSION")))
            .timeout_resolve(Some(patience.answer))
            .timeout_connect(Some(patience.answer))
            .timeout_send_request(Some(patience.answer));
        let name = without_password(&endpoint);
        Ok(Self { agent: config.build().into(), endpoint, name, patience, token, answered: Cell::new(false) })
    }

    /// Whether a token is sent along.
    pub(super) fn has_token(&self) -> bool {
        self.token.is_some()
    }

    /// Makes attempts until one succeeds, one fails in a way that stays, or too many have failed without progress.
    ///
    /// # Errors
    /// A sentence with the problem and a remedy; `what` is what could not be had.
    pub(super) fn persist<T>(
        &self,
        what: &str,
        report: impl Fn(&str),
        mut attempt: impl FnMut() -> Result<T, Failure>,
    ) -> Result<T> {
        let mut failed = 0;
        loop {
            let (problem, asked_pause, moved) = match attempt() {
                Ok(result) => return Ok(result),
                Err(Failure::Final { problem, remedy }) => {
                    let remedy = remedy.unwrap_or_else(|| self.remedies().to_owned());
                    return Err(anyhow!("cannot get {what} from {}: {problem}; {remedy}", self.name));
                }
                Err(Failure::Passing { problem, pause, moved }) => (problem, pause, moved),
            };
            failed = if moved { 1 } else { failed + 1 };
            let pause = asked_pause.unwrap_or_else(|| self.patience.pause(failed));
            ensure!(
                pause <= LONGEST_PAUSE,
                "cannot get {what} from {}: {problem}, and asks to wait {} seconds; run again then",
                self.name,
                pause.as_secs()
            );
            ensure!(
                failed < ATTEMPTS,
                "cannot get {what} from {}: {problem} ({ATTEMPTS} attempts); {}",
                self.name,
                self.remedies()
            );
            report(&format!(
                "waiting for {what} from {}: {problem}; attempt {} of {ATTEMPTS} in {pause:.0?}",
                self.name,
                failed + 1
            ));
            thread::sleep(pause);
        }
    }

    fn remedies(&self) -> &'static str {
        "check the network and the proxy (HTTPS_PROXY), name a mirror with HF_ENDPOINT, wait longer with \
         HF_HUB_DOWNLOAD_TIMEOUT and HF_HUB_ETAG_TIMEOUT (seconds), use --offline with a model that was downloaded before, or \
         name a local directory with --model"
    }

    /// One attempt: a request, through its redirects, to an answer that means success.
    pub(super) fn get(&self, address: &str, from: Option<&str>, asked: &Asked<'_>) -> Result<Answer, Failure> {
        let mut address = address.to_owned();
        let (mut commit, mut etag, mut linked_size) = (None, None, None);
        for _ in 0..=MOST_REDIRECTS {
            let response = self.request(&address, from)?;
            let headers = response.headers();
            let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
            // Only the hub itself knows commits; where its storage has the file, the hub names its content.
            if let Some(known) = header("x-repo-commit") {
                commit = Some(known.to_owned());
                linked_size = header("x-linked-size").and_then(|size| size.parse().ok());
                etag = header("x-linked-etag").or(header("etag")).map(str::to_owned).or(etag);
            }
            let status = response.status();
            if status.is_redirection() {
                let to = header("location")
                    .ok_or_else(|| Failure::passing(format!("the answer is {status} without an address")))?;
                address = joined(&address, to);
                if !["http://", "https://"].iter().any(|scheme| address.starts_with(scheme)) {
                    let problem = format!("it redirected to {address:?}, which is no address on the web");
                    return Err(Failure::lasting(problem, "check HF_ENDPOINT"));
                }
                continue;
            }
            if !status.is_success() {
                return Err(Failure::of_status(status, headers, asked));
            }
            let (parts, body) = response.into_parts();
            return Ok(Answer { status, headers: parts.headers, body, commit, etag, linked_size });
        }
        Err(Failure::passing(format!("it redirected {MOST_REDIRECTS} times")))
    }

    fn request(&self, address: &str, from: Option<&str>) -> Result<ureq::http::Response<Body>, Failure> {
        let limit = if from.is_some() { self.patience.data } else { self.patience.answer };
        let request = self.agent.get(address).config().timeout_per_read(Some(limit)).timeout_recv_response(Some(limit));
        // What is not a file is small: it comes as a whole within a few limits, or something is wrong.
        let whole = from.is_none().then(|| self.patience.whole());
        let request = request.timeout_recv_body(whole);
        let mut request = request.build().header("accept-encoding", "identity");
        if let Some(from) = from {
            request = request.header("range", from);
        }
        // The token is for the hub alone, not for where it redirects to.
        if let Some(token) = self.token.as_deref().filter(|_| origin(address) == origin(&self.endpoint)) {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let answered = self.answered.get();
        let failed = |error: ureq::Error| Failure::of_transport(&error, limit, answered).at(&self.way(address));
        let response = request.call().map_err(failed)?;
        self.answered.set(true);
        Ok(response)
    }

    /// The text of an answer, if it has at most `most` bytes.
    pub(super) fn text(&self, answer: Answer, most: u64) -> Result<String, Failure> {
        self.bytes(answer, most).map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
    }

    /// The content of an answer, if it has at most `most` bytes.
    pub(super) fn bytes(&self, mut answer: Answer, most: u64) -> Result<Vec<u8>, Failure> {
        let bytes = answer.body.with_config().limit(most).read_to_vec();
        bytes.map_err(|error| match error {
            ureq::Error::BodyExceedsLimit(_) => {
                Failure::lasting(format!("the answer has more than {} MiB", most >> 20), "check HF_ENDPOINT")
            }
            ureq::Error::Timeout(_) => Failure::passing(format!(
                "the answer did not come whole within {:?}, or paused for {:?}",
                self.patience.whole(),
                self.patience.answer
            )),
            error => Failure::of_transport(&error, self.patience.answer, true),
        })
    }

    /// The machines on the way to an address other than the hub.
    fn way(&self, address: &str) -> String {
        let mut way = String::new();
        if let Some((_, host)) = origin(address).filter(|_| origin(address) != origin(&self.endpoint)) {
            way += &format!(", at {}, where it redirected to", without_password(&host));
        }
        let uri: Option<Uri> = address.parse().ok();
        let proxy = self.agent.config().proxy().filter(|proxy| uri.is_none_or(|uri| !proxy.is_no_proxy(&uri)));
        if let Some(proxy) = proxy {
            way += &format!(", through the proxy {}:{}", proxy.host(), proxy.port());
        }
        way
    }
}

/// The token, as a header may have it.
///
/// # Errors
/// If it has characters that no token has.
pub(super) fn checked_token(token: Option<String>) -> Result<Option<String>> {
    let Some(token) = token else { return Ok(None) };
    let token = token.trim().to_owned();
    let plain = token.bytes().all(|byte| byte.is_ascii_graphic());
    plain.then_some(Some(token)).context("HF_TOKEN is no token: it has characters other than letters, digits and marks")
}

/// An address without what stands in front of its host.
fn without_password(address: &str) -> String {
    let (scheme, rest) = address.split_once("://").unwrap_or(("", address));
    let (place, path) = rest.find('/').and_then(|at| rest.split_at_checked(at)).unwrap_or((rest, ""));
    let host = place.rsplit_once('@').map_or(place, |(_, host)| host);
    let scheme = if scheme.is_empty() { String::new() } else { format!("{scheme}://") };
    format!("{scheme}{host}{path}")
}

/// A text as a part of an address.
pub(super) fn encoded(text: &str) -> String {
    let encode = |byte: u8| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(encode).collect()
}

/// Checks the variables that name a proxy: ureq passes over those that it can't understand.
fn check_proxies() -> Result<()> {
    for name in ["ALL_PROXY", "all_proxy", "HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy"] {
        let Ok(value) = std::env::var(name) else { continue };
        // The value may have a password.
        ensure!(
            value.is_empty() || Proxy::new(&value).is_ok(),
            "{name} is no address of a proxy; it has the form http://HOST:PORT or socks5://HOST:PORT"
        );
    }
    Ok(())
}

fn origin(address: &str) -> Option<(String, String)> {
    let address: Uri = address.parse().ok()?;
    Some((address.scheme_str()?.to_owned(), address.authority()?.as_str().to_owned()))
}

/// The address that a redirect leads to.
fn joined(address: &str, to: &str) -> String {
    if to.contains("://") {
        return to.to_owned();
    }
    let Some((scheme, host)) = origin(address) else { return to.to_owned() };
    match to.strip_prefix("//") {
        Some(elsewhere) => format!("{scheme}://{elsewhere}"),
        None if to.starts_with('/') => format!("{scheme}://{host}{to}"),
        None => {
            let path = address.split(['?', '#']).next().unwrap_or(address);
            format!("{}/{to}", path.rsplit_once('/').map_or(path, |(folder, _)| folder))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn revisions_are_encoded() {
        assert_eq!(encoded("refs/pr/1"), "refs%2Fpr%2F1");
        assert_eq!(encoded("a#b%c-ü"), "a%23b%25c-%C3%BC");
    }

    #[test]
    fn a_password_is_no_part_of_a_name() {
        for (address, name) in [
            ("https://user:secret@hub.example:8080/a@b", "https://hub.example:8080/a@b"),
            ("http://127.0.0.1:80", "http://127.0.0.1:80"),
            ("secret@hub.example/", "hub.example/"),
        ] {
            assert_eq!(without_password(address), name);
        }
    }

    #[test]
    fn redirects_are_absolute_or_relative() {
        let from = "https://hub.example/owner/odd/resolve/main/config.json?download=true";
        for (to, expected) in [
            ("https://cdn.example/a/b", "https://cdn.example/a/b"),
            ("//cdn.example/a", "https://cdn.example/a"),
            ("/api/x", "https://hub.example/api/x"),
            ("other.json", "https://hub.example/owner/odd/resolve/main/other.json"),
        ] {
            assert_eq!(joined(from, to), expected);
        }
    }
}
