//! Evaluates a run: the values of its measures for each query.

use rayon::prelude::*;

use super::judged::{JudgedRanking, Judgements};
use super::measures::Measure;
use super::qrels::{JudgedQuery, Qrels};
use super::run::{Documents, Run};

/// Which queries and documents count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EvaluationOptions {
    /// Whether all judged queries count: one that the run lacks has an empty ranking (trec_eval's `-c`). Else the ones count
    /// that the run has.
    pub complete: bool,
    /// How many documents of a query count at most, the best ones (trec_eval's `-M`).
    pub depth: Option<usize>,
}

/// The values of a run's measures.
#[derive(Clone, Debug, PartialEq)]
pub struct Evaluation {
    /// The queries that count, in the order of the qrels.
    pub queries: Vec<EvaluatedQuery>,
    /// How many judged queries the run lacks.
    pub lacking: usize,
    /// How many of the run's queries nobody judged. They never count.
    pub unjudged: usize,
}

/// The values of one query.
#[derive(Clone, Debug, PartialEq)]
pub struct EvaluatedQuery {
    /// The query's identifier.
    pub id: Box<str>,
    /// A value for each measure, in their order.
    pub values: Box<[f64]>,
    /// The documents that were retrieved and judged.
    pub judged: usize,
    /// How many documents have the score of the one that is ranked before them.
    pub ties: usize,
    /// The documents that were retrieved.
    pub retrieved: usize,
}

impl Evaluation {
    /// What the queries' values of each measure become: mostly their mean.
    pub fn summary(&self, measures: &[Measure]) -> Vec<f64> {
        measures.iter().enumerate().map(|(index, measure)| measure.summarize(self.values(index))).collect()
    }

    /// One measure's values, in the order of the queries.
    pub fn values(&self, measure: usize) -> impl Iterator<Item = f64> {
        self.queries.iter().map(move |query| query.values.get(measure).copied().unwrap_or_default())
    }

    /// The share of ties: of all neighbours in the rankings, the share with equal scores. What comes before what among these
    /// was decided by the order of ties, and not by the run.
    pub fn tied_share(&self) -> f64 {
        let ties: usize = self.queries.iter().map(|query| query.ties).sum();
        let neighbours: usize = self.queries.iter().map(|query| query.retrieved.saturating_sub(1)).sum();
        if neighbours == 0 { 0. } else { ties as f64 / neighbours as f64 }
    }
}

/// Evaluates a run, query by query on all threads.
pub fn evaluate(qrels: &Qrels, run: &Run, measures: &[Measure], options: EvaluationOptions) -> Evaluation {
    let empty = Documents::default();
    let evaluated = |query: &JudgedQuery| {
        let documents = run.documents(&query.id);
        let documents = if options.complete { Some(documents.unwrap_or(&empty)) } else { documents };
        documents.map(|documents| evaluate_query(query, documents, measures, options.depth))
    };
    let has = |query: &&JudgedQuery| run.documents(&query.id).is_some();
    let common = qrels.queries().iter().filter(has).count();
    Evaluation {
        queries: qrels.queries().par_iter().filter_map(evaluated).collect(),
        lacking: qrels.queries().len() - common,
        unjudged: run.queries().len() - common,
    }
}

fn evaluate_query(
    query: &JudgedQuery,
    documents: &Documents,
    measures: &[Measure],
    depth: Option<usize>,
) -> EvaluatedQuery {
    let depth = depth.unwrap_or(usize::MAX);
    let grades: Vec<Option<i32>> = documents.iter().take(depth).map(|(id, _)| query.grade(id)).collect();
    let judgements: &Judgements = &query.judgements;
    let ranking = JudgedRanking { grades: &grades, judgements };
    let scores = || documents.iter().take(depth).map(|(_, score)| score);
    EvaluatedQuery {
        id: query.id.clone(),
        values: measures.iter().map(|measure| measure.evaluate(&ranking)).collect(),
        judged: grades.iter().flatten().count(),
        ties: scores().zip(scores().skip(1)).filter(|(one, next)| one == next).count(),
        retrieved: grades.len(),
    }
}
