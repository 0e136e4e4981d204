//! What the page takes from the files of the runs, which are read once more.

use std::path::Path;

use ahash::AHashMap;
use anyhow::Result;

use super::PageOptions;
use super::calibration::{Calibration, Probabilities};
use super::details::{DetailedQuery, Details};
use super::distribution::Distribution;
use super::texts::Texts;
use crate::evaluation::evaluate::{EvaluatedQuery, EvaluationOptions};
use crate::evaluation::qrels::Qrels;
use crate::evaluation::run::{Records, Run, RunFileFormat};
use crate::progress::{Reporter, counted};

/// What has been read of all runs.
pub(super) struct Reading<'a> {
    pub(super) qrels: &'a Qrels,
    pub(super) queries: &'a [EvaluatedQuery],
    pub(super) options: EvaluationOptions,
    pub(super) level: i32,
    detailed: Vec<DetailedQuery>,
    places: AHashMap<&'a str, usize>,
    texts: Texts,
}

impl<'a> Reading<'a> {
    /// Begins with the queries that count, of which those at these places are shown in detail.
    pub(super) fn new(qrels: &'a Qrels, queries: &'a [EvaluatedQuery], options: EvaluationOptions, level: i32) -> Self {
        let places = queries.iter().enumerate().map(|(place, query)| (&*query.id, place)).collect();
        Self { qrels, queries, options, level, detailed: Vec::new(), places, texts: Texts::default() }
    }

    /// Names the queries that are shown in detail.
    pub(super) fn choose(&mut self, chosen: &[usize]) {
        let query = |&place: &usize| self.queries.get(place).map(|query| DetailedQuery::new(place, &query.id));
        self.detailed = chosen.iter().filter_map(query).collect();
    }

    /// Takes ranks and scores from a run, which is at this place of so many.
    pub(super) fn add_run(&mut self, run: &Run, place: (usize, usize)) -> Distribution {
        self.detailed.iter_mut().for_each(|query| query.add(run, place, self.options.depth));
        Distribution::of(run, self.qrels, self.queries, self.options)
    }

    /// Settles which documents are shown: no run comes after these.
    pub(super) fn settle(&mut self) {
        self.detailed.iter_mut().for_each(|query| query.settle(self.qrels, self.level));
    }

    /// Takes texts and probabilities from a run that is ranked JSONL; others have none.
    ///
    /// # Errors
    /// If the file can't be read.
    pub(super) fn add_records(&mut self, path: &Path, format: Option<RunFileFormat>) -> Result<Option<Calibration>> {
        let Some(mut records) = Records::open(path, format)? else { return Ok(None) };
        let mut probabilities = Probabilities::default();
        while let Some(record) = records.read()? {
            let Some(&place) = self.places.get(&*record.query_id) else { continue };
            record.query.iter().for_each(|text| self.texts.add_query(place, text));
            let detailed = self.detailed.binary_search_by_key(&place, |query| query.place);
            let detailed = detailed.ok().and_then(|index| self.detailed.get(index));
            let judged = self.qrels.query(&record.query_id);
            for entry in &record.results {
                if detailed.is_some_and(|query| query.shows(&entry.id)) {
                    self.texts.add_entry(place, entry);
                }
                let grade = judged.and_then(|judged| judged.grade(&entry.id)).filter(|&grade| grade >= 0);
                grade.iter().for_each(|&grade| probabilities.add(entry.score, grade >= self.level));
            }
        }
        Ok(probabilities.finish())
    }

    /// Takes texts from the files that are named for them.
    ///
    /// # Errors
    /// If one can't be read, or a line is malformed.
    pub(super) fn add_texts(&mut self, options: &PageOptions, reporter: &Reporter) -> Result<()> {
        if let Some(path) = &options.queries {
            let lacking = self.texts.read_queries(path, self.queries.iter().map(|query| &*query.id))?;
            if lacking > 0 {
                let queries = counted(self.queries.len() as u64, "query", "queries");
                reporter.warning(&format!("{} has no text for {lacking} of {queries}", path.display()));
            }
        }
        if let Some(path) = &options.collection {
            let shown = || self.detailed.iter().flat_map(DetailedQuery::documents);
            let lacking = self.texts.read_documents(path, shown())?;
            if lacking > 0 {
                let documents = counted(shown().count() as u64, "document that is shown", "documents that are shown");
                reporter.warning(&format!("{} lacks {lacking} of {documents}", path.display()));
            }
        }
        Ok(())
    }

    /// The texts of the queries.
    pub(super) fn query_texts(&self) -> Vec<Option<&str>> {
        (0..self.queries.len()).map(|place| self.texts.query(place)).collect()
    }

    /// The queries that are shown in detail.
    pub(super) fn details(&self) -> Vec<Details> {
        self.detailed.iter().map(|query| query.finish(self.qrels, self.level, &self.texts)).collect()
    }
}
