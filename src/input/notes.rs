//! What a user should know of how a file is read: each thing once, however many records it is true of.

use std::collections::{HashSet, VecDeque};

use super::names::Field;

/// Notes that wait to be reported, and what was said before.
#[derive(Debug, Default)]
pub struct Notes {
    said: HashSet<(Field, String, String)>,
    waiting: VecDeque<String>,
}

/// A field's name in a record with the value that it has there.
pub type Named<'a> = (&'a str, &'a str);

impl Notes {
    /// A record has two names of one field, and they disagree: says once for each two names which of them is used.
    pub fn disagreement(&mut self, place: &str, field: Field, used: Named<'_>, other: Named<'_>) {
        let ((used, value), (other, other_value)) = (used, other);
        if used.is_empty() || value == other_value || !self.said.insert((field, used.to_owned(), other.to_owned())) {
            return;
        }
        let what = field.name();
        self.waiting.push_back(format!(
            "{place}: `{used}` ({}) is used as the {what} and `{other}` ({}) is only carried; --columns {what}={other} \
             takes that one",
            short(value),
            short(other_value)
        ));
    }

    /// The next note to report.
    pub fn next(&mut self) -> Option<String> {
        self.waiting.pop_front()
    }
}

fn short(value: &str) -> String {
    const CHARACTERS: usize = 30;
    let more = if value.chars().nth(CHARACTERS).is_some() { "…" } else { "" };
    format!("{}{more}", value.chars().take(CHARACTERS).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_names_that_disagree_are_reported_once() {
        let mut notes = Notes::default();
        notes.disagreement("a:1", Field::Id, ("docno", "D1"), ("docid", "D1"));
        assert_eq!(notes.next(), None);
        notes.disagreement("a:2", Field::Id, ("docno", "D2"), ("docid", "2"));
        notes.disagreement("a:3", Field::Id, ("docno", "D3"), ("docid", "3"));
        let note =
            "a:2: `docno` (D2) is used as the id and `docid` (2) is only carried; --columns id=docid takes that one";
        assert_eq!((notes.next().as_deref(), notes.next()), (Some(note), None));
        notes.disagreement("a:4", Field::Id, ("docno", "D4"), ("doc_id", &"é".repeat(40)));
        assert!(notes.next().unwrap().contains(&format!("({}…)", "é".repeat(30))));
    }
}
