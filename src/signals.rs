//! Signals that end a run: the first lets the batch at hand finish, the second ends the program behind the ranking that is being
//! written.

use std::io::{self, Write};
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use crate::output::exit_at_once;
use crate::stop::Stop;
use crate::writing::is_stuck;

/// How long a reader of the output or of messages has after a signal to take what is complete.
const READER_PATIENCE: Duration = Duration::from_secs(3);
/// How often it is looked whether a reader takes something.
const POLL: Duration = Duration::from_millis(100);

/// Handles signals from now on. A line on standard error reports a signal that came and what the program is `finishing`, in the form
/// that `line` gives a message, unless it gives none. If the handler can't be installed, which fails only where the system has no signals, the first one ends the program.
pub fn listen(
    stop: &'static Stop,
    finishing: &'static str,
    line: impl Fn(&str) -> Option<String> + Copy + Send + 'static,
) {
    let _ = system::listen(move |exit, reason| {
        let report = || print(line(&format!("{reason}: {finishing}; a second signal stops at once")));
        if !stop.request(exit, report) {
            exit_at_once(exit as i32);
        }
        thread::spawn(move || {
            wait_for_readers();
            print(line("the output is not read any more: what is not read of it is lost"));
            exit_at_once(exit as i32);
        });
    });
}

/// Waits until something that is complete waits for a reader who takes nothing.
fn wait_for_readers() {
    thread::sleep(READER_PATIENCE);
    while !is_stuck(READER_PATIENCE) {
        thread::sleep(POLL);
    }
}

/// Prints a line on standard error, but does not wait for a reader who takes nothing: the next signal must be seen.
fn print(line: Option<String>) {
    let Some(line) = line else { return };
    let (done, printed) = channel::<()>();
    thread::spawn(move || {
        let _ = writeln!(io::stderr(), "{line}");
        drop(done);
    });
    let _ = printed.recv_timeout(POLL);
}

#[cfg(unix)]
mod system {
    use std::io;
    use std::mem::MaybeUninit;
    use std::sync::Arc;
    use std::thread;

    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
    use signal_hook::iterator::Signals;

    use crate::exit::Exit;

    const SIGNALS: [(i32, Exit, &str); 3] = [
        (SIGHUP, Exit::HungUp, "hung up"),
        (SIGINT, Exit::Interrupted, "interrupted"),
        (SIGTERM, Exit::Terminated, "terminated"),
    ];

    pub(super) fn listen(act: impl Fn(Exit, &str) + Send + 'static) -> io::Result<()> {
        // A signal that is ignored when the program starts stays ignored: `nohup` ignores hang-ups, and a shell without job
        // control ignores interrupts for what it starts with `&`.
        let handled = SIGNALS.into_iter().filter(|(signal, ..)| !is_ignored(*signal));
        let mut signals = Signals::new(handled.map(|(signal, ..)| signal))?;
        // A file that would grow over a limit (`ulimit -f`) is an error of writing, as a full disk is, and not the program's end.
        signal_hook::flag::register(libc::SIGXFSZ, Arc::default())?;
        thread::spawn(move || {
            for signal in signals.forever() {
                let known = SIGNALS.into_iter().find(|(known, ..)| *known == signal);
                known.into_iter().for_each(|(_, exit, reason)| act(exit, reason));
            }
        });
        Ok(())
    }

    fn is_ignored(signal: i32) -> bool {
        let mut action = MaybeUninit::<libc::sigaction>::zeroed();
        // SAFETY: without a new action the call changes nothing, and writes the present one to a place of its size.
        let read = unsafe { libc::sigaction(signal, std::ptr::null(), action.as_mut_ptr()) } == 0;
        // SAFETY: the structure was zeroed, which is a valid value of it, and then written at most.
        read && unsafe { action.assume_init() }.sa_sigaction == libc::SIG_IGN
    }
}

#[cfg(not(unix))]
mod system {
    use crate::exit::Exit;

    pub(super) fn listen(act: impl Fn(Exit, &str) + Send + 'static) -> Result<(), ctrlc::Error> {
        ctrlc::set_handler(move || act(Exit::Interrupted, "interrupted"))
    }
}
