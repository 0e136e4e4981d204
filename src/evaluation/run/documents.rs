//! The documents that a run retrieved for one query, in a few bytes each beside their identifiers.

use std::cmp::Ordering;

use ahash::AHashSet;

use crate::evaluation::judged::trec_order;

/// How documents with equal scores are ordered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TieOrder {
    /// By identifier, the last in the order of bytes first, as trec_eval orders them.
    IdDescending,
    /// As the run lists them.
    Listed,
}

/// The documents of one query with their scores. Identifiers lie one behind another in one text.
#[derive(Clone, Debug, Default)]
pub struct Documents {
    ids: String,
    entries: Vec<Entry>,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    score: f32,
    start: u32,
    end: u32,
}

impl Documents {
    /// The number of documents.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are no documents.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Identifiers and scores, best first once the run has been read.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, f32)> {
        self.entries.iter().map(|entry| (self.id(*entry), entry.score))
    }

    /// Adds a document; `false` where its query has no room for it.
    pub(super) fn push(&mut self, id: &str, score: f32) -> bool {
        let range = (u32::try_from(self.ids.len()), u32::try_from(self.ids.len() + id.len()));
        let (Ok(start), Ok(end)) = range else { return false };
        self.ids.push_str(id);
        self.entries.push(Entry { score, start, end });
        true
    }

    /// The place of a document, from 0 on, that was listed before with the same identifier, and that of the earlier one.
    pub(super) fn duplicate(&self) -> Option<(usize, usize)> {
        let mut seen = AHashSet::with_capacity(self.len());
        let (later, (id, _)) = self.iter().enumerate().find(|(_, (id, _))| !seen.insert(*id))?;
        Some((later, self.iter().position(|(other, _)| other == id)?))
    }

    /// Orders the documents by score, highest first.
    pub(super) fn sort(&mut self, ties: TieOrder) {
        let ids = &self.ids;
        let id = |entry: &Entry| ids.get(entry.start as usize..entry.end as usize).unwrap_or_default();
        match ties {
            TieOrder::Listed => {
                self.entries.sort_by(|one, other| other.score.partial_cmp(&one.score).unwrap_or(Ordering::Equal))
            }
            TieOrder::IdDescending => {
                self.entries.sort_unstable_by(|one, other| trec_order((one.score, id(one)), (other.score, id(other))));
            }
        }
    }

    fn id(&self, entry: Entry) -> &str {
        self.ids.get(entry.start as usize..entry.end as usize).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sorted(documents: &[(&str, f32)], ties: TieOrder) -> Vec<String> {
        let mut sorted = Documents::default();
        documents.iter().for_each(|(id, score)| assert!(sorted.push(id, *score)));
        sorted.sort(ties);
        sorted.iter().map(|(id, _)| id.to_owned()).collect()
    }

    #[test]
    fn ties_are_ordered_by_descending_id_or_as_listed() {
        let documents = [("b", 1.), ("c", 1.), ("a", 1.), ("é", 2.), ("0", 0.)];
        assert_eq!(sorted(&documents, TieOrder::IdDescending), ["é", "c", "b", "a", "0"]);
        assert_eq!(sorted(&documents, TieOrder::Listed), ["é", "b", "c", "a", "0"]);
    }

    #[test]
    fn a_document_that_comes_back_is_found_with_its_first_place() {
        let mut documents = Documents::default();
        ["a", "b", "c"].iter().for_each(|id| assert!(documents.push(id, 1.)));
        assert_eq!(documents.duplicate(), None);
        documents.push("b", 2.);
        assert_eq!(documents.duplicate(), Some((3, 1)));
    }
}
