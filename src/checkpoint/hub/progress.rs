//! Shows on standard error how far a download is.

use std::cell::Cell;
use std::io::Write;
use std::time::{Duration, Instant};

use crate::progress::escaped;
use indicatif::{HumanBytes, HumanDuration, ProgressBar, ProgressDrawTarget, ProgressStyle};

/// How downloads are shown on standard error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Downloads {
    /// A bar for each file.
    Bar,
    /// A line for each file, and every ten seconds.
    Lines,
    /// Not at all.
    Silent,
}

const LOG_INTERVAL: Duration = Duration::from_secs(10);

/// One file's way.
pub(super) struct Progress {
    shown: Downloads,
    file: String,
    size: u64,
    at: Cell<u64>,
    /// When it began, and with how many bytes.
    began: (Instant, u64),
    logged: Cell<Instant>,
    bar: ProgressBar,
}

impl Progress {
    /// A download of `file` of `model` begins, or goes on from `at`.
    pub(super) fn begin(shown: Downloads, (file, model): (&str, &str), size: u64, at: u64) -> Self {
        let bar = if shown == Downloads::Bar { ProgressBar::new(size) } else { ProgressBar::hidden() };
        match shown {
            Downloads::Bar => {
                bar.set_draw_target(ProgressDrawTarget::stderr());
                let template = "{wide_msg} {bytes}/{total_bytes} {bytes_per_sec}";
                bar.set_style(ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()));
                bar.set_message(escaped(file));
                bar.set_position(at);
                bar.reset_eta();
                bar.enable_steady_tick(Duration::from_millis(200));
            }
            Downloads::Lines => print(&format!("downloading {file} of {model}")),
            Downloads::Silent => {}
        }
        let now = Instant::now();
        Self { shown, file: file.to_owned(), size, at: Cell::new(at), began: (now, at), logged: Cell::new(now), bar }
    }

    /// So many bytes are there.
    pub(super) fn reach(&self, at: u64) {
        self.at.set(at);
        self.bar.set_position(at);
        if self.shown == Downloads::Lines && self.logged.get().elapsed() >= LOG_INTERVAL {
            self.logged.set(Instant::now());
            print(&self.line());
        }
    }

    /// Prints a message without tearing the bar.
    pub(super) fn print(&self, message: &str) {
        if self.shown != Downloads::Silent {
            self.bar.suspend(|| print(message));
        }
    }

    fn line(&self) -> String {
        let (since, from) = self.began;
        let at = self.at.get();
        let rate = at.saturating_sub(from) as f64 / since.elapsed().as_secs_f64().max(1e-9);
        let mut line =
            format!("{}: {} of {}, {}/s", self.file, HumanBytes(at), HumanBytes(self.size), HumanBytes(rate as u64));
        if rate >= 1. && self.size > at {
            let left = Duration::from_secs_f64((self.size - at) as f64 / rate);
            line += &format!(", about {} left", HumanDuration(left));
        }
        line
    }
}

/// Standard error may be closed, and then nobody reads it.
pub(super) fn print(message: &str) {
    let _ = writeln!(std::io::stderr(), "{}", escaped(message));
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
