//! How a panic is reported: on one line, as what it quotes may come from a file of a stranger, and by the service without that.

use std::io::Write;
use std::panic::{PanicHookInfo, set_hook, take_hook};
use std::sync::Arc;

use crate::progress::{Reporter, escaped};

/// Reports panics so from now on. With `RUST_BACKTRACE` they are reported as Rust does, for those who look for the fault.
pub fn report() {
    report_by(|panic, fault| {
        let message = escaped(panic.payload_as_str().unwrap_or("it has no message"));
        let _ = writeln!(std::io::stderr(), "error: {fault}: {message}");
    });
}

/// Reports by this reporter from now on that there was a panic, and where in the program: its message may quote a client's text.
pub fn report_place(reporter: &Arc<Reporter>) {
    let reporter = Arc::clone(reporter);
    report_by(move |_, fault| reporter.error(fault));
}

fn report_by(print: impl Fn(&PanicHookInfo<'_>, &str) + Send + Sync + 'static) {
    let usual = take_hook();
    set_hook(Box::new(move |panic| {
        if std::env::var_os("RUST_BACKTRACE").is_some_and(|value| value != "0") {
            return usual(panic);
        }
        let place = panic.location().map_or_else(String::new, |place| format!(" at {place}"));
        print(panic, &format!("rerank has panicked{place}, which is a fault of it"));
    }));
}
