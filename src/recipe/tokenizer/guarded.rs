//! The library of tokenizers panics on some files, where it does not expect that they are damaged in this way. Here that becomes an
//! error.

use std::any::Any;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::sync::Once;

use anyhow::{Result, anyhow};

thread_local! {
    /// Whether the thread does what is guarded: its panics are no faults of the program.
    static IS_GUARDED: Cell<bool> = const { Cell::new(false) };
}

/// Does what calls the library with what files have. `path` is that of the tokenizer, for messages.
///
/// # Errors
/// As `work`, and if the library panics.
pub(super) fn guarded<T>(path: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let others = take_hook();
        set_hook(Box::new(move |panic| {
            if !IS_GUARDED.get() {
                others(panic);
            }
        }));
    });
    let before = IS_GUARDED.replace(true);
    // Nothing that was half changed is used again: a tokenizer is not changed by use, and one that can't be made is dropped.
    let done = catch_unwind(AssertUnwindSafe(work));
    IS_GUARDED.set(before);
    done.unwrap_or_else(|panic| Err(anyhow!("{path}: the tokenizer is damaged ({})", problem(&*panic))))
}

/// The first line of a panic's message.
fn problem(panic: &(dyn Any + Send)) -> &str {
    let message = panic.downcast_ref::<&str>().copied().or(panic.downcast_ref::<String>().map(String::as_str));
    message.and_then(|message| message.lines().next()).unwrap_or("without a message")
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
        assert!(!IS_GUARDED.get());
    }
}
