//! Notes for the user on how a file is interpreted: each one once, however many records it is true of.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

use super::findings::Findings;
use super::names::{Columns, Field};
use super::values::{Kind, Object, kind, text};

/// The most notes on names in one file.
const MOST_NOTES: usize = 100;

/// Names of what may be read, under which rerank always writes what it has read, or found.
const WRITTEN: [&str; 5] = ["rank", "id", "score", "original_rank", "original_score"];

/// Options in the bodies of requests that change results, and those of the command.
const OPTIONS_OF_REQUESTS: [(&str, &str); 6] = [
    ("top_n", "--top-k"),
    ("top_k", "--top-k"),
    ("raw_scores", "--score raw"),
    ("return_documents", "--no-text"),
    ("return_text", "--no-text"),
    ("max_tokens_per_doc", "--max-length"),
];

/// Notes that wait to be reported, and a record of those that were.
#[derive(Debug, Default)]
pub struct Notes {
    file: Arc<str>,
    line: u64,
    reported: HashSet<(String, String)>,
    waiting: VecDeque<String>,
    /// Names that `--columns` gives and that no record had yet.
    unseen: Vec<(Field, String)>,
}

impl Notes {
    /// Notes on a file.
    pub fn new(file: Arc<str>, columns: &Columns) -> Self {
        let unseen = columns.iter().map(|(field, name)| (field, name.to_owned())).collect();
        Self { file, unseen, ..Self::default() }
    }

    /// Looks at the names of an object.
    pub fn look_at(&mut self, object: &Object<'_>) {
        self.repeated(object);
        if !self.unseen.is_empty() {
            self.unseen.retain(|(_, name)| object.find(&[name]).is_none());
        }
    }

    /// Whether names that `--columns` gives were in no record so far.
    pub fn looks_for_names(&self) -> bool {
        !self.unseen.is_empty()
    }

    /// At the end of the file, names that `--columns` gives and that no record had, are reported.
    pub fn end(&mut self) {
        for (field, name) in std::mem::take(&mut self.unseen) {
            let (file, field) = (&self.file, field.name());
            self.waiting.push_back(format!(
                "{file}: --columns {field}={name} names a field that has a value in no record: correct the name, or leave it out"
            ));
        }
    }

    /// Sets the line of the record that the next notes are about.
    pub fn begin(&mut self, line: u64) {
        self.line = line;
    }

    /// Takes what was found in the rows that records were made of.
    pub fn take(&mut self, findings: &Findings) {
        self.waiting.extend(findings.take_notes());
    }

    /// The next note to report.
    pub fn next(&mut self) -> Option<String> {
        self.waiting.pop_front()
    }

    /// Looks for further values of a field that was taken from the name and the value in `used`. If one differs, a note
    /// names the one that is used, once for each two names.
    pub fn rivals(
        &mut self,
        object: &Object<'_>,
        field: Field,
        used: (&str, &str),
        is_name_of_field: impl Fn(&str) -> bool,
    ) {
        for (other, value) in object.left().filter(|(name, _)| is_name_of_field(name)) {
            let value = match kind(value) {
                Kind::Object | Kind::List => value.get().to_owned(),
                _ => text(other, value).unwrap_or_default(),
            };
            if value != used.1 {
                let place = format!("{}:{}", self.file, self.line);
                self.disagreement(&place, field, used, (other, &value));
            }
        }
    }

    /// A record has two names of one field, and they disagree: a note names the one that is used, once for each
    /// two names.
    pub fn disagreement(&mut self, place: &str, field: Field, used: (&str, &str), other: (&str, &str)) {
        let ((used, value), (other, other_value)) = (used, other);
        if self.is_new(used, other) {
            let what = field.name();
            let fate = if WRITTEN.contains(&other) { "left out, as rerank writes its own" } else { "only carried" };
            self.waiting.push_back(format!(
                "{place}: `{used}` ({}) is used as the {what} and `{other}` ({}) is {fate}; --columns {what}={other} takes that one",
                short(value),
                short(other_value)
            ));
        }
    }

    /// Whether a note on these names is to be reported: a file of other names in every record has no end of notes.
    fn is_new(&mut self, used: &str, other: &str) -> bool {
        if self.reported.len() == MOST_NOTES {
            return false;
        }
        let is_new = self.reported.insert((used.to_owned(), other.to_owned()));
        if self.reported.len() == MOST_NOTES {
            self.waiting.push_back(format!("{}: further notes on names in its records are left out", self.file));
        }
        is_new
    }

    /// The body of a service's request is a query with its documents, too, and its options are no fields of those.
    pub fn options_of_requests(&mut self, object: &Object<'_>) {
        for (name, option) in OPTIONS_OF_REQUESTS {
            if object.find(&[name]).is_some() && self.is_new(name, option) {
                self.waiting.push_back(format!(
                    "{}:{}: `{name}` is carried and not obeyed; the option for all queries is {option}",
                    self.file, self.line
                ));
            }
        }
    }

    /// A key stands twice in an object with different values: a note names the one that counts, once for each key.
    fn repeated(&mut self, object: &Object<'_>) {
        if let Some(name) = object.repeated()
            && self.is_new(name, name)
        {
            let (file, line) = (&self.file, self.line);
            self.waiting.push_back(format!(
                "{file}:{line}: `{name}` stands twice in one object: the last value counts, as for other readers of JSON; \
                 remove the other one"
            ));
        }
    }

    /// A field that has a meaning elsewhere is carried and not obeyed: a note reports that once.
    pub fn carried(&mut self, name: &str, field: Field) {
        if self.is_new(name, "") {
            let what = field.name();
            self.waiting.push_back(format!(
                "{}:{}: `{name}` is carried to the output and not used: --columns {what}={name} takes it as the {what}",
                self.file, self.line
            ));
        }
    }
}

fn short(value: &str) -> String {
    const CHARACTERS: usize = 30;
    let more = if value.chars().nth(CHARACTERS).is_some() { "…" } else { "" };
    format!("{}{more}", value.chars().take(CHARACTERS).collect::<String>())
}
