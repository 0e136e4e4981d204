//! The texts of queries and of the documents that are shown: from the runs themselves, and from files that are named.

use std::path::Path;

use ahash::AHashMap;
use anyhow::Result;

use crate::evaluation::run::Entry;
use crate::input::{Collection, MAX_RECORD_BYTES, Queries, TableOptions};

/// The most characters of a query's text and of a document's title.
const TITLE_CHARACTERS: usize = 200;
/// The most characters of a document's text.
const TEXT_CHARACTERS: usize = 160;

/// The beginnings of texts.
#[derive(Default)]
pub(super) struct Texts {
    queries: AHashMap<usize, String>,
    /// By the place of the query and the document's identifier: a document's identifier may be its place in its query.
    documents: AHashMap<(usize, String), DocumentText>,
}

/// What is shown of a document.
#[derive(Clone, Debug, Default)]
pub(super) struct DocumentText {
    pub(super) title: Option<String>,
    pub(super) text: Option<String>,
}

impl Texts {
    /// Takes a query's text; the first one counts.
    pub(super) fn add_query(&mut self, query: usize, text: &str) {
        self.queries.entry(query).or_insert_with(|| beginning(text, TITLE_CHARACTERS));
    }

    /// Takes a document's texts from a run; the first ones count.
    pub(super) fn add_entry(&mut self, query: usize, entry: &Entry) {
        self.add_document(query, &entry.id, (entry.title(), entry.text()));
    }

    fn add_document(&mut self, query: usize, id: &str, (title, text): (Option<String>, Option<String>)) {
        if title.is_some() || text.is_some() {
            self.documents.entry((query, id.to_owned())).or_insert_with(|| DocumentText {
                title: title.map(|title| beginning(&title, TITLE_CHARACTERS)),
                text: text.map(|text| beginning(&text, TEXT_CHARACTERS)),
            });
        }
    }

    /// Takes the texts of these queries from a file, in place of others. Returns how many it lacks.
    ///
    /// # Errors
    /// If the file can't be read, or a line is malformed.
    pub(super) fn read_queries<'a>(&mut self, path: &Path, ids: impl Iterator<Item = &'a str>) -> Result<usize> {
        let queries = Queries::open(path, TableOptions::default(), MAX_RECORD_BYTES)?;
        let mut lacking = 0;
        for (query, id) in ids.enumerate() {
            match queries.text(id) {
                Ok(text) => drop(self.queries.insert(query, beginning(&text, TITLE_CHARACTERS))),
                Err(_) => lacking += 1,
            }
        }
        Ok(lacking)
    }

    /// Takes the texts of these documents from a collection, where no run has them. Returns how many it lacks.
    ///
    /// # Errors
    /// If the file can't be read, or a line is malformed.
    pub(super) fn read_documents<'a>(
        &mut self,
        path: &Path,
        documents: impl Iterator<Item = (usize, &'a str)>,
    ) -> Result<usize> {
        let mut collection = Collection::open(path, TableOptions::default(), MAX_RECORD_BYTES)?;
        let mut lacking = 0;
        for (query, id) in documents {
            if self.document(query, id).is_some() {
                continue;
            }
            match collection.find(id)? {
                Ok(found) => self.add_document(query, id, (found.title, Some(found.text))),
                Err(_) => lacking += 1,
            }
        }
        Ok(lacking)
    }

    /// A query's text.
    pub(super) fn query(&self, query: usize) -> Option<&str> {
        self.queries.get(&query).map(String::as_str)
    }

    /// A document's texts.
    pub(super) fn document(&self, query: usize, id: &str) -> Option<&DocumentText> {
        self.documents.get(&(query, id.to_owned()))
    }
}

/// The beginning of a text, with an ellipsis where more follows.
fn beginning(text: &str, characters: usize) -> String {
    let text = text.trim();
    match text.char_indices().nth(characters) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default().trim_end()),
        None => text.to_owned(),
    }
}
