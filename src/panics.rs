//! How a panic is reported: on one line, as what it quotes may come from a file of a stranger.

use std::io::Write;
use std::panic::{set_hook, take_hook};

use crate::progress::escaped;

/// Reports panics so from now on. With `RUST_BACKTRACE` they are reported as Rust does, for those who look for the fault.
pub fn report() {
    let usual = take_hook();
    set_hook(Box::new(move |panic| {
        if std::env::var_os("RUST_BACKTRACE").is_some_and(|value| value != "0") {
            return usual(panic);
        }
        let place = panic.location().map_or_else(String::new, |place| format!(" at {place}"));
        let message = panic.payload_as_str().unwrap_or("it has no message");
        let _ = writeln!(
            std::io::stderr(),
            "error: rerank has panicked{place}, which is a fault of it: {}",
            escaped(message)
        );
    }));
}
