//! The library of tokenizers panics on some files, where it does not expect that they are damaged in this way. Here that becomes an
//! error.

use anyhow::{Result, anyhow};

use crate::panics;

/// Does what calls the library with what files have. `path` is that of the tokenizer, for messages.
///
/// # Errors
/// As `work`, and if the library panics.
pub(super) fn guarded<T>(path: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    // Nothing that was half changed is used again: a tokenizer is not changed by use, and one that can't be made is dropped.
    panics::guarded(work).unwrap_or_else(|problem| Err(anyhow!("{path}: the tokenizer is damaged ({problem})")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_an_error() {
        assert_eq!(guarded("t.json", || Ok(1)).unwrap(), 1);
        let nested = guarded("t.json", || guarded::<()>("t.json", || Err(anyhow!("inner"))));
        assert_eq!(nested.unwrap_err().to_string(), "inner");
        let problem = guarded::<()>("t.json", || panic!("{}\nmore", "a merge is missing")).unwrap_err().to_string();
        assert_eq!(problem, "t.json: the tokenizer is damaged (a merge is missing)");
    }
}
