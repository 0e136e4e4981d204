//! Requests to the hub: redirects, limits on silence, attempts.

use std::cell::Cell;
use std::thread;

use anyhow::{Context, Result, anyhow, ensure};
use ureq::http::{HeaderMap, StatusCode, Uri};
use ureq::{Agent, Body};

use super::failure::{Asked, Failure};
use super::patience::{ATTEMPTS, LONGEST_PAUSE, Patience};

const MOST_REDIRECTS: usize = 10;

/// Asks one hub.
pub(super) struct Client {
    agent: Agent,
    pub(super) endpoint: String,
    pub(super) patience: Patience,
    token: Option<String>,
    answered: Cell<bool>,
}

/// A successful answer, and what the answers on the way to it said about the file.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Body,
    /// The commit that the revision stands for.
    pub(super) commit: Option<String>,
    /// The name of the file's content.
    pub(super) etag: Option<String>,
}

impl Client {
    /// Asks nothing yet.
    pub(super) fn new(endpoint: &str, token: Option<String>) -> Result<Self> {
        let endpoint = endpoint.trim_end_matches('/').to_owned();
        let address: Option<Uri> = endpoint.parse().ok();
        let scheme = address.as_ref().and_then(Uri::scheme_str).unwrap_or_default();
        ensure!(
            ["http", "https"].contains(&scheme),
            "HF_ENDPOINT={endpoint}: an address is needed that begins with https:// or http://, such as https://huggingface.co"
        );
        let patience = Patience::from_environment()?;
        // Answers other than success, and redirects, are read here: they say what is wrong, and which content it is.
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .user_agent(concat!("rerank/", env!("CARGO_PKG_VERSION")))
            .timeout_resolve(Some(patience.answer))
            .timeout_connect(Some(patience.answer))
            .timeout_send_request(Some(patience.answer));
        Ok(Self { agent: config.build().into(), endpoint, patience, token, answered: Cell::new(false) })
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
                    return Err(anyhow!("cannot get {what} from {}: {problem}; {remedy}", self.endpoint));
                }
                Err(Failure::Passing { problem, pause, moved }) => (problem, pause, moved),
            };
            failed = if moved { 1 } else { failed + 1 };
            let pause = asked_pause.unwrap_or_else(|| self.patience.pause(failed));
            ensure!(
                pause <= LONGEST_PAUSE,
                "cannot get {what} from {}: {problem}, and asks to wait {} seconds; run again then",
                self.endpoint,
                pause.as_secs()
            );
            ensure!(
                failed < ATTEMPTS,
                "cannot get {what} from {}: {problem} ({ATTEMPTS} attempts); {}",
                self.endpoint,
                self.remedies()
            );
            report(&format!(
                "waiting for {what} from {}: {problem}; attempt {} of {ATTEMPTS} in {pause:.0?}",
                self.endpoint,
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
        let (mut commit, mut etag) = (None, None);
        for _ in 0..=MOST_REDIRECTS {
            let response = self.request(&address, from)?;
            let headers = response.headers();
            let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
            // Only the hub itself knows commits; where its storage has the file, the hub says what its content is called.
            if let Some(known) = header("x-repo-commit") {
                commit = Some(known.to_owned());
                etag = header("x-linked-etag").or(header("etag")).map(str::to_owned).or(etag);
            }
            let status = response.status();
            if status.is_redirection() {
                let to = header("location")
                    .ok_or_else(|| Failure::passing(format!("the answer is {status} without an address")))?;
                address = joined(&address, to);
                continue;
            }
            if !status.is_success() {
                return Err(Failure::of_status(status, headers, asked));
            }
            let (parts, body) = response.into_parts();
            return Ok(Answer { status, headers: parts.headers, body, commit, etag });
        }
        Err(Failure::passing(format!("it redirected {MOST_REDIRECTS} times")))
    }

    fn request(&self, address: &str, from: Option<&str>) -> Result<ureq::http::Response<Body>, Failure> {
        let limit = if from.is_some() { self.patience.data } else { self.patience.answer };
        let request = self.agent.get(address).config().timeout_per_read(Some(limit)).timeout_recv_response(Some(limit));
        let mut request = request.build().header("accept-encoding", "identity");
        if let Some(from) = from {
            request = request.header("range", from);
        }
        // The token is for the hub alone, not for where it redirects to.
        if let Some(token) = self.token.as_deref().filter(|_| origin(address) == origin(&self.endpoint)) {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let answered = self.answered.get();
        let response = request.call().map_err(|error| Failure::of_transport(&error, limit, answered))?;
        self.answered.set(true);
        Ok(response)
    }

    /// The text of an answer, if it has at most `most` bytes.
    pub(super) fn text(&self, mut answer: Answer, most: u64) -> Result<String, Failure> {
        let text = answer.body.with_config().limit(most).read_to_string();
        text.map_err(|error| Failure::of_transport(&error, self.patience.answer, true))
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

fn origin(address: &str) -> Option<(String, String)> {
    let address: Uri = address.parse().ok()?;
    Some((address.scheme_str()?.to_owned(), address.authority()?.as_str().to_owned()))
}

/// Where a redirect leads.
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
