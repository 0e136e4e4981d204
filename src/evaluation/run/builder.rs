//! Gathers the documents of a run by query, wherever they stand, and finds those that stand twice.

use ahash::AHashMap;
use anyhow::{Result, anyhow, bail};
use rayon::prelude::*;

use super::documents::{Documents, TieOrder};
use super::{Run, RunQuery};

/// Gathers the documents of a run.
pub struct RunBuilder {
    name: String,
    tag: Option<String>,
    index: AHashMap<Box<str>, usize>,
    queries: Vec<Gathered>,
    /// The query of the document before.
    last: usize,
    /// By how much the line grows from a document to the next one: 1, or 0 where a line has all documents of a query.
    step: u64,
    /// The word for what the numbers of lines count.
    unit: &'static str,
    has_scores: bool,
}

#[derive(Default)]
struct Gathered {
    id: Box<str>,
    documents: Documents,
    /// Places from which on lines follow one another, and the line of the first of them: most runs have one for a query.
    lines: Vec<(usize, u64)>,
}

impl RunBuilder {
    /// Begins a run. Messages call it `name`: a file's path.
    pub fn new(name: &str) -> Self {
        let (tag, index, queries) = (None, AHashMap::new(), Vec::new());
        Self { name: name.to_owned(), tag, index, queries, last: usize::MAX, step: 0, unit: "line", has_scores: true }
    }

    /// Begins a run that has each document on a line of its own, or in a row: `unit` is the word for that.
    pub(super) fn of_lines(name: &str, unit: &'static str) -> Self {
        Self { step: 1, unit, ..Self::new(name) }
    }

    /// Notes the name that the run's own lines give it; the first one counts.
    pub fn set_tag(&mut self, tag: &str) {
        if self.tag.is_none() {
            self.tag = Some(tag.to_owned());
        }
    }

    /// Notes that scores of this run stand for ranks or places.
    pub(super) fn set_ranks_alone(&mut self) {
        self.has_scores = false;
    }

    /// Notes a query, which may have no documents. `false` where it was noted before.
    pub fn add_query(&mut self, query: &str) -> bool {
        let before = self.queries.len();
        self.gathered(query);
        self.queries.len() > before
    }

    /// Adds a document, which stands on this line of the run; 0 where a run has no lines.
    ///
    /// # Errors
    /// If the identifiers of one query's documents have more than 4 GiB, or the score is not a finite number.
    pub fn add(&mut self, query: &str, document: &str, score: f64, line: u64) -> Result<()> {
        if !score.is_finite() {
            bail!("{}: the score {score} is not a finite number: correct it", place(&self.name, line));
        }
        let step = self.step;
        let Some(gathered) = self.gathered(query) else { return Ok(()) };
        let count = gathered.documents.len();
        let expected = gathered.lines.last().map(|&(first, start)| start + (count - first) as u64 * step);
        if expected != Some(line) {
            gathered.lines.push((count, line));
        }
        // trec_eval keeps scores in this precision, and scores that are equal in it are ties.
        if !gathered.documents.push(document, score as f32) {
            bail!("{}: query {query:?} has too many documents", place(&self.name, line));
        }
        Ok(())
    }

    fn gathered(&mut self, query: &str) -> Option<&mut Gathered> {
        if self.queries.get(self.last).is_none_or(|last| *last.id != *query) {
            self.last = match self.index.get(query) {
                Some(&index) => index,
                None => {
                    self.index.insert(query.into(), self.queries.len());
                    self.queries.push(Gathered { id: query.into(), ..Gathered::default() });
                    self.queries.len() - 1
                }
            };
        }
        self.queries.get_mut(self.last)
    }

    /// Orders the documents of every query.
    ///
    /// # Errors
    /// If there is no query, or a document stands twice for one query.
    pub fn finish(self, ties: TieOrder) -> Result<Run> {
        let Self { name, tag, index, queries, step, unit, has_scores, .. } = self;
        if queries.is_empty() {
            bail!("{name} is empty: it holds no rankings");
        }
        let settled = |gathered: Gathered| match gathered.documents.duplicate() {
            Some(places) => Err(gathered.explain(&name, (step, unit), places)),
            None => {
                let Gathered { id, mut documents, .. } = gathered;
                documents.sort(ties);
                Ok(RunQuery { id, documents })
            }
        };
        // Of several errors, the first one in the run's order is reported, however many threads there are.
        let settled: Vec<Result<RunQuery>> = queries.into_par_iter().map(settled).collect();
        let queries = settled.into_iter().collect::<Result<_>>()?;
        Ok(Run { name, tag, queries, index, has_scores, notes: Vec::new() })
    }
}

impl Gathered {
    fn explain(&self, name: &str, (step, unit): (u64, &str), (later, earlier): (usize, usize)) -> anyhow::Error {
        let line_of = |place: usize| {
            let last = self.lines.iter().rfind(|(first, _)| *first <= place);
            last.map_or(0, |&(first, line)| line + (place - first) as u64 * step)
        };
        let (document, _) = self.documents.iter().nth(later).unwrap_or_default();
        let first = match line_of(earlier) {
            line if line == 0 || line == line_of(later) => String::new(),
            line => format!(", first on {unit} {line}"),
        };
        anyhow!(
            "{}: query {:?} has the document {document:?} twice{first}: a document has one rank; remove one of the two",
            place(name, line_of(later)),
            self.id
        )
    }
}

fn place(name: &str, line: u64) -> String {
    if line == 0 { name.to_owned() } else { format!("{name}:{line}") }
}
