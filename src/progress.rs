//! What a person sees on standard error: messages, and progress as a bar, as log lines, or not at all.

use std::io::Write;
use std::sync::Mutex;
use std::time::{Duration, Instant, SystemTime};

pub use indicatif::HumanCount;
use indicatif::{HumanDuration, ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::writing::Writing;

/// How progress is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// A bar on the terminal.
    Bar,
    /// Log lines.
    Log,
    /// Not at all.
    None,
}

/// How much is printed on standard error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verbosity {
    /// Errors.
    Quiet,
    /// Warnings and the summary too.
    Normal,
    /// Everything that was chosen too.
    Verbose,
}

/// The least width of a bar.
const BAR_COLUMNS: usize = 8;

const LOG_INTERVAL: Duration = Duration::from_secs(10);

/// How serious a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// Something is wrong.
    Error,
    /// The user should know.
    Warning,
    /// How something was understood or chosen.
    Note,
    /// What was done.
    Line,
    /// What was chosen, for those who want every detail.
    Detail,
}

/// What takes messages in place of standard error.
type Taker = Box<dyn Fn(Level, &str) + Send + Sync>;

/// Prints messages without tearing the bar.
pub struct Reporter {
    verbosity: Verbosity,
    progress: Progress,
    /// Whether messages are JSON objects, for programs.
    is_json: bool,
    /// What takes them, if they are not printed.
    taker: Option<Taker>,
    bar: ProgressBar,
    state: Mutex<State>,
}

struct State {
    /// When scoring began.
    started: Option<Instant>,
    last_log: Instant,
    pairs: u64,
    tokens: u64,
    /// Pairs in all, counted or estimated; none while that is unknown.
    total: Option<u64>,
}

impl Reporter {
    /// Makes a reporter, which prints nothing by itself.
    pub fn new(progress: Progress, verbosity: Verbosity) -> Self {
        let state = State { started: None, last_log: Instant::now(), pairs: 0, tokens: 0, total: None };
        Self { verbosity, progress, is_json: false, taker: None, bar: ProgressBar::hidden(), state: Mutex::new(state) }
    }

    /// Makes a reporter that prints nothing, and hands all messages to a function, on the threads that report them.
    pub fn to(taker: impl Fn(Level, &str) + Send + Sync + 'static) -> Self {
        Self { taker: Some(Box::new(taker)), ..Self::new(Progress::None, Verbosity::Verbose) }
    }

    /// Makes a reporter whose messages are JSON objects with `time`, `level` and `message`, one a line.
    pub fn json(verbosity: Verbosity) -> Self {
        Self { is_json: true, ..Self::new(Progress::None, verbosity) }
    }

    /// Whether messages are JSON objects.
    pub fn is_json(&self) -> bool {
        self.is_json
    }

    /// How much is printed.
    pub fn verbosity(&self) -> Verbosity {
        self.verbosity
    }

    /// Prints what is wrong.
    pub fn error(&self, message: &str) {
        self.print(Level::Error, message);
    }

    /// Prints what the user should know, unless only errors are wanted.
    pub fn warning(&self, message: &str) {
        if self.verbosity >= Verbosity::Normal {
            self.print(Level::Warning, message);
        }
    }

    /// Prints how something was understood or chosen, unless only errors are wanted.
    pub fn note(&self, message: &str) {
        if self.verbosity >= Verbosity::Normal {
            self.print(Level::Note, message);
        }
    }

    /// Prints what was done, unless only errors are wanted.
    pub fn line(&self, message: &str) {
        if self.verbosity >= Verbosity::Normal {
            self.print(Level::Line, message);
        }
    }

    /// Prints what was chosen, if every detail is wanted.
    pub fn detail(&self, message: &str) {
        if self.verbosity >= Verbosity::Verbose {
            self.print(Level::Detail, message);
        }
    }

    /// Starts the clock and the bar when scoring begins.
    pub fn start(&self) {
        let mut state = self.lock();
        state.started = Some(Instant::now());
        state.last_log = Instant::now();
        if self.progress == Progress::Bar {
            self.bar.set_draw_target(ProgressDrawTarget::stderr());
            self.bar.enable_steady_tick(Duration::from_millis(200));
            self.bar.set_style(style("{spinner} {msg}"));
        }
    }

    /// Shows that a batch is done. `total` is the number of pairs in all, where it is known or can be estimated.
    pub fn advance(&self, pairs: u64, tokens: u64, total: Option<u64>) {
        let mut state = self.lock();
        state.pairs += pairs;
        state.tokens += tokens;
        state.total = total.or(state.total);
        match self.progress {
            Progress::Bar => {
                if let Some(total) = state.total {
                    if self.bar.length().is_none() {
                        self.bar.set_style(style("{wide_bar} {msg}"));
                    }
                    self.bar.set_length(total.max(state.pairs));
                }
                self.bar.set_position(state.pairs);
                self.bar.set_message(state.beside_bar(columns()));
            }
            Progress::Log if state.last_log.elapsed() >= LOG_INTERVAL => {
                state.last_log = Instant::now();
                let pairs = match state.total {
                    Some(total) => {
                        format!("{} of {} pairs", HumanCount(state.pairs), HumanCount(total.max(state.pairs)))
                    }
                    None => counted(state.pairs, "pair", "pairs"),
                };
                let line = format!("{pairs}, {}", state.rates());
                drop(state);
                self.print(Level::Line, &line);
            }
            _ => {}
        }
    }

    /// Takes the bar away.
    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }

    /// Prints a JSON object: these fields behind the time and the level.
    pub fn print_fields(&self, level: &str, fields: serde_json::Map<String, serde_json::Value>) {
        let line = json_line(level, fields);
        let _writing = Writing::begin(false);
        // If standard error is closed, there is nowhere to report that.
        let _ = writeln!(std::io::stderr(), "{line}");
    }

    fn print(&self, level: Level, message: &str) {
        if let Some(taker) = &self.taker {
            return taker(level, message);
        }
        let (kind, json_level) = match level {
            Level::Error => ("error: ", "error"),
            Level::Warning => ("warning: ", "warning"),
            Level::Note => ("note: ", "info"),
            Level::Line | Level::Detail => ("", "info"),
        };
        if self.is_json {
            return self.print_fields(json_level, message_field(message));
        }
        let message = printable(message);
        self.bar.suspend(|| {
            let _writing = Writing::begin(false);
            // If standard error is closed, there is nowhere to report that.
            let _ = writeln!(std::io::stderr(), "{kind}{message}");
        });
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// A message that is a JSON object with its time, for programs.
pub fn json_message(level: &str, message: &str) -> String {
    json_line(level, message_field(message))
}

fn message_field(message: &str) -> serde_json::Map<String, serde_json::Value> {
    serde_json::Map::from_iter([("message".to_owned(), message.into())])
}

/// The text is made as a whole, as standard error has no buffer: each part would be a call of the system.
fn json_line(level: &str, fields: serde_json::Map<String, serde_json::Value>) -> String {
    let time = humantime::format_rfc3339_millis(SystemTime::now()).to_string();
    let mut object = serde_json::Map::from_iter([("time".to_owned(), time.into()), ("level".to_owned(), level.into())]);
    object.extend(fields);
    serde_json::Value::Object(object).to_string()
}

/// A number and what it counts: `1 query`, `2 queries`.
pub fn counted(count: u64, one: &str, several: &str) -> String {
    format!("{} {}", HumanCount(count), if count == 1 { one } else { several })
}

/// Bytes of a longer message than this are left out in its middle.
const LONGEST_SHOWN: usize = 16 << 10;
/// The bytes of its beginning that are shown.
const SHOWN_START: usize = 4 << 10;
/// The bytes of its end.
const SHOWN_END: usize = 4 << 10;

/// A text on one line: what it quotes of a file may have line breaks, or characters that steer a terminal or turn the order of
/// what stands around them.
pub fn escaped(text: &str) -> String {
    let mut printed = String::with_capacity(text.len());
    for character in text.chars() {
        match is_plain(character) {
            true => printed.push(character),
            false => printed.extend(character.escape_default()),
        }
    }
    printed
}

/// Whether a character shows itself, and does nothing to a terminal or to others.
fn is_plain(character: char) -> bool {
    match character {
        '\t' => true,
        // Marks of the direction of writing, separators of lines, signs that are not seen, and tags.
        '\u{61c}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' => false,
        '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}' => false,
        _ => !character.is_control(),
    }
}

/// A message on one line, without the middle of a very long one.
fn printable(message: &str) -> String {
    // What a file calls an id or a column may have megabytes; the place stands in front of it, and the remedy behind it.
    let parts = || {
        let start = message.get(..message.floor_char_boundary(SHOWN_START))?;
        let end = message.get(message.ceil_char_boundary(message.len().checked_sub(SHOWN_END)?)..)?;
        Some(format!("{} […] {}", escaped(start), escaped(end)))
    };
    if message.len() <= LONGEST_SHOWN { escaped(message) } else { parts().unwrap_or_default() }
}

impl State {
    /// The counts and rates, as many as fit beside a bar or a spinner on a line of `columns` columns.
    fn beside_bar(&self, columns: usize) -> String {
        let pairs = HumanCount(self.pairs);
        let counts =
            self.total.map_or(pairs.to_string(), |total| format!("{pairs}/{}", HumanCount(total.max(self.pairs))));
        let rate = self.pairs as f64 / self.seconds();
        let left = self.left().map_or(String::new(), |left| format!(", {left} left"));
        let forms = [
            format!("{counts} pairs  {}", self.rates()),
            format!("{counts} pairs  {rate:.1}/s{left}"),
            format!("{counts}{left}"),
            counts,
        ];
        let last = forms.len() - 1;
        let fits = |form: &String| form.chars().count() + BAR_COLUMNS < columns;
        let index = forms.iter().position(fits).unwrap_or(last);
        forms.into_iter().nth(index).unwrap_or_default()
    }

    fn seconds(&self) -> f64 {
        self.started.map_or(0., |started| started.elapsed().as_secs_f64()).max(1e-9)
    }

    /// The time that is left, where it can be estimated.
    fn left(&self) -> Option<HumanDuration> {
        let total = self.total.filter(|total| *total > self.pairs && self.pairs > 0)?;
        Some(HumanDuration(Duration::from_secs_f64((total - self.pairs) as f64 * self.seconds() / self.pairs as f64)))
    }

    /// `12.3 pairs/s, 1,234 tokens/s, about 5 minutes left`
    fn rates(&self) -> String {
        let seconds = self.seconds();
        let pairs = self.pairs as f64 / seconds;
        let mut text = format!("{pairs:.1} pairs/s, {} tokens/s", HumanCount((self.tokens as f64 / seconds) as u64));
        if let Some(left) = self.left() {
            text += &format!(", about {left} left");
        }
        text
    }
}

/// The width of the terminal behind standard error.
fn columns() -> usize {
    console::Term::stderr().size_checked().map_or(80, |(_, columns)| usize::from(columns))
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_function_takes_messages_with_their_levels_and_details_too() {
        let taken = std::sync::Arc::new(Mutex::new(Vec::new()));
        let reporter = Reporter::to({
            let taken = std::sync::Arc::clone(&taken);
            move |level, message| taken.lock().unwrap().push((level, message.to_owned()))
        });
        reporter.detail("a");
        reporter.line("b");
        reporter.note("c");
        reporter.warning("d");
        reporter.error("e");
        let levels = [Level::Detail, Level::Line, Level::Note, Level::Warning, Level::Error];
        let expected: Vec<(Level, String)> =
            levels.into_iter().zip(["a", "b", "c", "d", "e"].map(str::to_owned)).collect();
        assert_eq!(*taken.lock().unwrap(), expected);
    }

    #[test]
    fn what_stands_beside_the_bar_fits_the_terminal() {
        let started = Instant::now().checked_sub(Duration::from_secs(10));
        for columns in [40, 60, 80, 120, 200] {
            for (pairs, total) in
                [(1, None), (1, Some(10)), (123_456, Some(1_000_000)), (999_999_999, Some(1_000_000_000))]
            {
                let state = State { started, last_log: Instant::now(), pairs, tokens: 1 << 30, total };
                let text = state.beside_bar(columns);
                assert!(text.chars().count() + BAR_COLUMNS < columns, "{columns}: {text}");
                assert!(columns < 120 || text.contains("tokens/s"), "{text}");
            }
        }
    }
}
