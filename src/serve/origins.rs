//! The pages that may call the service. A browser sends what any page wants to any address that it can reach, this machine's own too,
//! and keeps from the page but the answer: strangers' pages could have the service compute.

use std::net::IpAddr;

use axum::http::{HeaderMap, HeaderName, header};

use super::request::{Problem, ProblemKind};

/// The origins of pages that are let in beside the service's own.
pub(super) struct Origins {
    known: Vec<String>,
    /// Whether the service listens to its own machine alone.
    is_local: bool,
}

impl Origins {
    /// Those of `--cors`, for a service that listens on this host.
    pub(super) fn new(known: &[String], host: &str) -> Self {
        Self { known: known.to_vec(), is_local: is_of_this_machine(host) }
    }

    /// Checks that a request does not come from a page of another origin. Programs that are no browsers send no origin.
    ///
    /// # Errors
    /// If it does.
    pub(super) fn check(&self, headers: &HeaderMap) -> Result<(), Problem> {
        let Some(origin) = headers.get(header::ORIGIN) else { return Ok(()) };
        let origin = String::from_utf8_lossy(origin.as_bytes());
        let is_known = self.known.iter().any(|known| *known == "*" || *known == origin);
        if is_known || is_same_by_the_browser(headers) || self.is_own(&origin, headers) {
            return Ok(());
        }
        let shown: String = origin.chars().take(100).collect();
        // Others, as that of a file, can't be named.
        let remedy = if shown.starts_with("http") { shown.as_str() } else { "*" };
        let message =
            format!("pages of {shown} may not call this service; --cors {remedy} lets them in, if that is wanted");
        Err(Problem::new(ProblemKind::Forbidden, message))
    }

    /// Whether the page was loaded from the address that it calls. Any name can be made to mean this machine, so that a stranger's page
    /// seems to be of the service: a service that only its machine can reach is called by the names of that.
    fn is_own(&self, origin: &str, headers: &HeaderMap) -> bool {
        let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
        let (Some((scheme, authority)), Some(host)) = (origin.split_once("://"), host) else { return false };
        let is_proxied = scheme == "https";
        authority.eq_ignore_ascii_case(host) && (!self.is_local || is_proxied || is_of_this_machine(without_port(host)))
    }
}

/// Whether the browser vouches that the page is of the address that it calls, though a proxy may have changed the name of that. No page
/// can set this header.
fn is_same_by_the_browser(headers: &HeaderMap) -> bool {
    headers.get(HeaderName::from_static("sec-fetch-site")).is_some_and(|site| site == "same-origin")
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    }
}

fn is_of_this_machine(host: &str) -> bool {
    let number = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost") || number.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_let_in(listens: &str, headers: &[(&'static str, &'static str)]) -> bool {
        let origins = Origins::new(&["https://a.example".to_owned()], listens);
        let pairs = headers.iter().map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap()));
        origins.check(&HeaderMap::from_iter(pairs)).is_ok()
    }

    #[test]
    fn pages_of_other_origins_are_kept_out() {
        let local = [
            ("localhost:8000", "http://localhost:8000", true),
            ("127.0.0.1:8000", "http://127.0.0.1:8000", true),
            ("[::1]:8000", "http://[::1]:8000", true),
            ("localhost", "https://a.example", true),
            // Behind a proxy.
            ("b.example", "https://b.example", true),
            ("localhost:8000", "https://b.example", false),
            ("localhost:8000", "http://localhost:9000", false),
            ("localhost:8000", "null", false),
            // A name that a stranger has made to mean this machine.
            ("b.example:8000", "http://b.example:8000", false),
        ];
        for (host, origin, expected) in local {
            assert_eq!(is_let_in("127.0.0.1", &[("host", host), ("origin", origin)]), expected, "{origin} at {host}");
        }
        assert!(is_let_in("0.0.0.0", &[("host", "box:8000"), ("origin", "http://box:8000")]));
        assert!(!is_let_in("0.0.0.0", &[("host", "box:8000"), ("origin", "http://b.example")]));
        assert!(is_let_in("localhost", &[("host", "b.example")]));
        let proxied = [("host", "localhost"), ("origin", "https://b.example"), ("sec-fetch-site", "same-origin")];
        assert!(is_let_in("localhost", &proxied));
    }
}
