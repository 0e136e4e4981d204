//! How the documents of the queries that are shown in detail moved.

use ahash::AHashMap;
use serde::Serialize;

use super::texts::Texts;
use crate::evaluation::qrels::Qrels;
use crate::evaluation::run::Run;

/// So many of the best documents of each run are shown.
const BEST: usize = 10;
/// So many documents are shown of a query at most, unless the best ones of all runs are more.
const MOST: usize = 30;

/// A query that is shown in detail.
pub(super) struct DetailedQuery {
    /// Its place among the queries that count.
    pub(super) place: usize,
    id: Box<str>,
    /// The documents with their ranks in each run, from 1 on.
    ranks: AHashMap<Box<str>, Vec<Option<u32>>>,
    /// The documents that are shown, once all runs have been added.
    shown: Vec<Box<str>>,
}

/// The same for the page.
#[derive(Debug, Serialize)]
pub(super) struct Details {
    query: usize,
    /// How many documents were judged relevant, retrieved or not.
    relevant: usize,
    documents: Vec<Document>,
}

/// A document of one query.
#[derive(Debug, Serialize)]
struct Document {
    id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    grade: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    title: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    /// Its rank in each run; none where the run did not retrieve it.
    ranks: Vec<Option<u32>>,
}

impl DetailedQuery {
    /// A query without its documents.
    pub(super) fn new(place: usize, id: &str) -> Self {
        Self { place, id: id.into(), ranks: AHashMap::new(), shown: Vec::new() }
    }

    /// Adds the ranks of a run, which is at this place of so many.
    pub(super) fn add(&mut self, run: &Run, (place, runs): (usize, usize), depth: Option<usize>) {
        let documents = run.documents(&self.id).into_iter().flat_map(|documents| documents.iter());
        for ((id, _), rank) in documents.take(depth.unwrap_or(usize::MAX)).zip(1..) {
            let ranks = self.ranks.entry(id.into()).or_insert_with(|| vec![None; runs]);
            ranks.iter_mut().skip(place).take(1).for_each(|of_run| *of_run = Some(rank));
        }
    }

    /// Settles which documents are shown: the best ones of all runs, and relevant ones, best first.
    pub(super) fn settle(&mut self, qrels: &Qrels, level: i32) {
        let is_relevant = |id: &str| grade(qrels, &self.id, id).is_some_and(|grade| grade >= level);
        let key = |id: &str, ranks: &[Option<u32>]| {
            let best = ranks.iter().flatten().min().copied().unwrap_or(u32::MAX);
            (best as usize > BEST && !is_relevant(id), best, Box::from(id))
        };
        let mut documents: Vec<(bool, u32, Box<str>)> = self.ranks.iter().map(|(id, ranks)| key(id, ranks)).collect();
        documents.retain(|(is_other, ..)| !is_other);
        documents.sort_unstable();
        let best = documents.partition_point(|&(_, best, _)| best as usize <= BEST);
        documents.truncate(MOST.max(best));
        self.shown = documents.into_iter().map(|(.., id)| id).collect();
        self.ranks.retain(|id, _| self.shown.contains(id));
    }

    /// The documents that are shown.
    pub(super) fn documents(&self) -> impl Iterator<Item = (usize, &str)> {
        self.shown.iter().map(|id| (self.place, &**id))
    }

    /// Whether a document is shown.
    pub(super) fn shows(&self, id: &str) -> bool {
        self.ranks.contains_key(id)
    }

    /// The query for the page.
    pub(super) fn finish(&self, qrels: &Qrels, level: i32, texts: &Texts) -> Details {
        let document = |id: &str| {
            let text = texts.document(self.place, id).cloned().unwrap_or_default();
            Document {
                id: id.to_string(),
                grade: grade(qrels, &self.id, id),
                title: text.title,
                text: text.text,
                ranks: self.ranks.get(id).cloned().unwrap_or_default(),
            }
        };
        Details {
            query: self.place,
            relevant: qrels.query(&self.id).map_or(0, |query| query.judgements.relevant(level)),
            documents: self.shown.iter().map(|id| document(id)).collect(),
        }
    }
}

fn grade(qrels: &Qrels, query: &str, document: &str) -> Option<i32> {
    qrels.query(query).and_then(|query| query.grade(document))
}
