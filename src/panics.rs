//! How a panic is reported: on one line, as what it quotes may come from a file of a stranger, and by the service without that. A
//! library that panics on damaged files is guarded: there, a panic is an error.

use std::any::Any;
use std::cell::Cell;
use std::io::Write;
use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind, set_hook, take_hook};
use std::sync::{Arc, Once};

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

thread_local! {
    /// Whether the thread does what is guarded: its panics are no faults of the program.
    static IS_GUARDED: Cell<bool> = const { Cell::new(false) };
}

/// Does what calls a library with what files have. What it may have changed halfway is not to be used after an error.
///
/// # Errors
/// If the library panics: the first line of its message.
pub(crate) fn guarded<T>(work: impl FnOnce() -> T) -> Result<T, String> {
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
    let done = catch_unwind(AssertUnwindSafe(work));
    IS_GUARDED.set(before);
    done.map_err(|panic| problem(&*panic).to_owned())
}

/// The first line of a panic's message.
fn problem(panic: &(dyn Any + Send)) -> &str {
    let message = panic.downcast_ref::<&str>().copied().or(panic.downcast_ref::<String>().map(String::as_str));
    message.and_then(|message| message.lines().next()).unwrap_or("without a message")
}
