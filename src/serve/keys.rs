//! The keys that clients must send, if there are any.

use axum::http::{HeaderMap, header};
use subtle::ConstantTimeEq;

use super::request::{Problem, ProblemKind};

/// Hashes of the keys. A hash has the same length for every key, so that comparing takes the same time for every wrong one.
pub(super) struct Keys(Vec<[u8; 32]>);

impl Keys {
    /// None lets everybody in.
    pub(super) fn new(keys: &[String]) -> Self {
        Self(keys.iter().map(|key| *blake3::hash(key.as_bytes()).as_bytes()).collect())
    }

    /// Checks that a client has sent one of the keys.
    ///
    /// # Errors
    /// If there are keys, and it has sent none of them.
    pub(super) fn check(&self, headers: &HeaderMap) -> Result<(), Problem> {
        if self.0.is_empty() {
            return Ok(());
        }
        let Some(sent) = sent(headers) else {
            return Err(unauthorized("a key is needed; send it as `Authorization: Bearer KEY`"));
        };
        let sent = *blake3::hash(sent).as_bytes();
        let is_known = self.0.iter().fold(false, |known, key| known | bool::from(key.ct_eq(&sent)));
        if is_known { Ok(()) } else { Err(unauthorized("the key is none of this service's")) }
    }
}

fn sent(headers: &HeaderMap) -> Option<&[u8]> {
    if let Some(value) = headers.get(header::AUTHORIZATION) {
        let (scheme, key) = value.as_bytes().split_at_checked(7)?;
        return scheme.eq_ignore_ascii_case(b"bearer ").then(|| key.trim_ascii());
    }
    headers.get("x-api-key").map(|value| value.as_bytes())
}

fn unauthorized(message: &str) -> Problem {
    Problem::new(ProblemKind::Unauthorized, message)
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn status(keys: &[&str], name: &'static str, value: &'static str) -> bool {
        let keys = Keys::new(&keys.iter().map(|key| (*key).to_owned()).collect::<Vec<_>>());
        keys.check(&HeaderMap::from_iter([(name.parse().unwrap(), HeaderValue::from_static(value))])).is_ok()
    }

    #[test]
    fn only_those_with_a_key_are_let_in() {
        assert!(status(&[], "accept", "*/*"));
        for (name, value) in [("authorization", "Bearer two"), ("authorization", "bearer  two "), ("x-api-key", "one")]
        {
            assert!(status(&["one", "two"], name, value), "{value}");
        }
        for (name, value) in
            [("accept", "*/*"), ("authorization", "Bearer"), ("authorization", "Basic one"), ("authorization", "one")]
        {
            assert!(!status(&["one", "two"], name, value), "{value}");
        }
        assert!(!status(&["one"], "x-api-key", "on") && !status(&["one"], "authorization", "Bearer "));
    }
}
