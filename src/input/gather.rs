//! Gathers rows of one query that do not follow one another. For that, everything is read before the first query is returned.

use std::collections::HashMap;
use std::collections::VecDeque;

use anyhow::Result;

use super::entry::{Entries, Entry, ParsedQuery};

/// A query, by its identifier, with its rows.
pub type QueryRows<T> = (String, Vec<T>);

/// Queries with their rows, in the order in which the queries came first.
#[derive(Debug)]
pub struct Gathered<T> {
    queries: Vec<QueryRows<T>>,
    index: HashMap<String, usize>,
    current: Option<usize>,
    interleaved: Vec<bool>,
}

impl<T> Default for Gathered<T> {
    fn default() -> Self {
        Self { queries: Vec::new(), index: HashMap::new(), current: None, interleaved: Vec::new() }
    }
}

impl<T> Gathered<T> {
    /// Adds a row to its query; a row that does not name its query belongs to the query of the row before.
    #[expect(
        clippy::indexing_slicing,
        reason = "places are those of queries that were added, and none is removed before the end"
    )]
    pub fn add(&mut self, query: Option<&str>, row: T) {
        let current = self.current.filter(|&current| query.is_none_or(|query| self.queries[current].0 == query));
        let place = current.unwrap_or_else(|| self.place(query.unwrap_or_default()));
        self.current = Some(place);
        self.queries[place].1.push(row);
    }

    #[expect(clippy::indexing_slicing, reason = "each query of the index has its place in the list")]
    fn place(&mut self, query: &str) -> usize {
        if let Some(&place) = self.index.get(query) {
            self.interleaved[place] = true;
            return place;
        }
        self.index.insert(query.to_owned(), self.queries.len());
        self.queries.push((query.to_owned(), Vec::new()));
        self.interleaved.push(false);
        self.queries.len() - 1
    }

    /// How many queries have rows that do not follow one another.
    pub fn interleaved(&self) -> usize {
        self.interleaved.iter().filter(|&&interleaved| interleaved).count()
    }

    /// The queries, and the one to which the last row was added.
    pub fn finish(mut self) -> (VecDeque<QueryRows<T>>, Option<QueryRows<T>>) {
        let last = self.current.map(|current| self.queries.remove(current));
        (self.queries.into(), last)
    }
}

/// The note that rows were gathered.
pub fn gathered_note(name: &str, queries: usize) -> String {
    let rows = if queries == 1 { "the rows of one query".to_owned() } else { format!("the rows of {queries} queries") };
    format!("{name}: {rows} do not stand together; they were gathered in memory")
}

/// The entries of a file, with the rows of each query together. Everything is read at the first call.
pub struct Regrouped {
    entries: Box<dyn Entries>,
    name: String,
    ready: Option<VecDeque<Result<Entry>>>,
}

impl Regrouped {
    /// Gathers the rows of a file of this name.
    pub fn new(name: String, entries: Box<dyn Entries>) -> Self {
        Self { entries, name, ready: None }
    }

    fn gather(&mut self) -> VecDeque<Result<Entry>> {
        let (mut gathered, mut ready, mut end) = (Gathered::default(), VecDeque::new(), None);
        for entry in self.entries.by_ref() {
            match entry {
                Ok(Entry::Note(note)) => ready.push_back(Ok(Entry::Note(note))),
                Ok(entry) => gathered.add(key(&entry).as_deref(), entry),
                // Nothing behind it can be read: the next call would fail in the same place, without an end.
                Err(error) => {
                    end = Some(Err(error));
                    break;
                }
            }
        }
        if gathered.interleaved() > 0 {
            ready.push_back(Ok(Entry::Note(gathered_note(&self.name, gathered.interleaved()))));
        }
        let rows = gathered.queries.into_iter().flat_map(|(_, rows)| rows);
        ready.extend(rows.map(Ok));
        ready.extend(end);
        ready
    }
}

impl Iterator for Regrouped {
    type Item = Result<Entry>;

    fn next(&mut self) -> Option<Result<Entry>> {
        if self.ready.is_none() {
            self.ready = Some(self.gather());
        }
        self.ready.as_mut()?.pop_front()
    }
}

impl Entries for Regrouped {}

/// The query of an entry, as its identifier or its text; the two can't be mistaken for each other.
fn key(entry: &Entry) -> Option<String> {
    match entry {
        Entry::Row { query, .. } | Entry::Group { query, .. } => key_of(query),
        Entry::Bad { query_id, .. } => query_id.as_ref().map(|id| format!("id {id}")),
        Entry::Note(_) | Entry::Passed { .. } => None,
    }
}

fn key_of(query: &ParsedQuery) -> Option<String> {
    match (&query.id, &query.text) {
        (Some(id), _) => Some(format!("id {id}")),
        (None, Ok(text)) => Some(format!("text {text}")),
        (None, Err(_)) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_gathered_in_the_order_of_their_queries() {
        let mut gathered = Gathered::default();
        for (query, row) in [(Some("a"), 1), (Some("b"), 2), (Some("a"), 3), (None, 4), (Some("c"), 5)] {
            gathered.add(query, row);
        }
        assert_eq!(gathered.interleaved(), 1);
        let (queries, last) = gathered.finish();
        assert_eq!(queries, [("a".to_owned(), vec![1, 3, 4]), ("b".to_owned(), vec![2])]);
        assert_eq!(last, Some(("c".to_owned(), vec![5])));
    }
}
