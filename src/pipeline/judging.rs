//! Evaluates rankings as they are made (`--qrels`): how good the first stage's order is, and how good the new one.

use std::path::Path;

use anyhow::Result;
use serde::Serialize;

use crate::config::EvaluationChoice;
use crate::evaluation::judged::JudgedRanking;
use crate::evaluation::measures::Measure;
use crate::evaluation::qrels::{JudgedQuery, Qrels};
use crate::fusion::FirstStage;
use crate::progress::{Reporter, counted};
use crate::record::{Candidate, Ranking};

/// What a run is evaluated by.
pub(super) struct Judging {
    qrels: Qrels,
    measures: Vec<Measure>,
}

/// The values so far.
#[derive(Default)]
pub(super) struct Judged {
    /// For each query that was judged, a value for each measure.
    before: Vec<Vec<f64>>,
    after: Vec<Vec<f64>>,
    /// Queries without judgements.
    unjudged: u64,
    /// Documents of judged queries that have a judgement.
    documents: u64,
}

/// The values of a run, as `--stats` writes them.
#[derive(Clone, Debug, Serialize)]
pub struct JudgedFigures {
    /// The judgements' file.
    pub qrels: String,
    /// Ranked queries that were judged.
    pub queries: u64,
    /// Ranked queries that were not; they do not count.
    pub unjudged: u64,
    /// Judged queries that this run has not ranked; they do not count.
    pub lacking: u64,
    /// The first stage's order of all candidates, by measure.
    pub before: serde_json::Map<String, serde_json::Value>,
    /// The rankings that were written, by measure.
    pub after: serde_json::Map<String, serde_json::Value>,
    /// Whether a candidate of these queries was judged.
    #[serde(skip)]
    pub has_judged_documents: bool,
}

impl Judging {
    /// Reads the judgements, and reports what users should know of them.
    ///
    /// # Errors
    /// If they can't be read, or a measure is not defined for their grades.
    pub(super) fn read(choice: &EvaluationChoice, reporter: &Reporter) -> Result<Self> {
        let qrels = Qrels::read(Some(Path::new(&choice.qrels)), None)?;
        qrels.notes().iter().for_each(|note| reporter.note(note));
        qrels.check(&choice.measures)?;
        Ok(Self { qrels, measures: choice.measures.clone() })
    }

    /// The values of the first stage's order; none, if nobody judged the query.
    pub(super) fn before(&self, query_id: &str, candidates: &[Candidate], judged: &mut Judged) -> Option<Vec<f64>> {
        let query = self.qrels.query(query_id)?;
        let evidence: Vec<FirstStage> = candidates.iter().map(FirstStage::of).collect();
        let order = FirstStage::order(&evidence).into_iter().filter_map(|place| candidates.get(place));
        let grades = self.grades(query, order);
        judged.documents += grades.iter().flatten().count() as u64;
        Some(self.values(query, &grades))
    }

    /// Adds a ranking, with the values of the order before.
    pub(super) fn add(&self, ranking: &Ranking, before: Option<Vec<f64>>, judged: &mut Judged) {
        let (Some(before), Some(query)) = (before, self.qrels.query(&ranking.query.id)) else {
            judged.unjudged += 1;
            return;
        };
        let grades = self.grades(query, ranking.results.iter().map(|result| &result.candidate));
        judged.before.push(before);
        judged.after.push(self.values(query, &grades));
    }

    fn grades<'a>(&self, query: &JudgedQuery, documents: impl Iterator<Item = &'a Candidate>) -> Vec<Option<i32>> {
        documents.map(|candidate| query.grade(&candidate.id)).collect()
    }

    fn values(&self, query: &JudgedQuery, grades: &[Option<i32>]) -> Vec<f64> {
        let ranking = JudgedRanking { grades, judgements: &query.judgements };
        self.measures.iter().map(|measure| measure.evaluate(&ranking)).collect()
    }

    /// The figures of the run.
    pub(super) fn figures(&self, judged: &Judged) -> JudgedFigures {
        let summary = |values: &[Vec<f64>]| {
            let of = |(index, measure): (usize, &Measure)| {
                let values = values.iter().map(|values| values.get(index).copied().unwrap_or_default());
                (measure.to_string(), measure.summarize(values).into())
            };
            self.measures.iter().enumerate().map(of).collect()
        };
        let queries = judged.after.len() as u64;
        JudgedFigures {
            qrels: self.qrels.name().to_owned(),
            queries,
            unjudged: judged.unjudged,
            lacking: (self.qrels.queries().len() as u64).saturating_sub(queries),
            before: summary(&judged.before),
            after: summary(&judged.after),
            has_judged_documents: judged.documents > 0,
        }
    }
}

impl JudgedFigures {
    /// The values before and after, and what they are of, in a sentence; none where no ranked query was judged.
    pub(crate) fn summary(&self) -> Option<String> {
        let Self { qrels, queries, unjudged, lacking, before, after, .. } = self;
        if *queries == 0 {
            return None;
        }
        let value = |value: &serde_json::Value| value.as_f64().unwrap_or_default();
        let change = |(name, before): (&String, &serde_json::Value)| {
            let after = after.get(name).map_or(0., value);
            format!("{name} {:.4} → {after:.4}", value(before))
        };
        let changes: Vec<String> = before.iter().map(change).collect();
        let of = counted(*queries, "judged query", "judged queries");
        Some(format!("{}, over {of} of {qrels}{}", changes.join(", "), others(*unjudged, *lacking)))
    }

    /// The warning of judgements that seem to be those of others.
    pub(crate) fn warning(&self) -> Option<String> {
        let Self { qrels, queries, has_judged_documents, .. } = self;
        match (*queries, *has_judged_documents) {
            (0, _) => Some(format!(
                "{qrels}: no ranked query has judgements there; are these the judgements of the same queries?"
            )),
            (_, false) => Some(format!(
                "no candidate has a judgement in {qrels}: do both have the same identifiers of documents?"
            )),
            (_, true) => None,
        }
    }
}

/// The queries that do not count.
fn others(unjudged: u64, lacking: u64) -> String {
    match (unjudged, lacking) {
        (0, 0) => String::new(),
        (unjudged, 0) => format!("; {} without judgements", counted(unjudged, "query", "queries")),
        (0, lacking) => format!("; {lacking} more were judged and not ranked here"),
        (unjudged, lacking) => format!(
            "; {} without judgements, and {lacking} more were judged and not ranked here",
            counted(unjudged, "query", "queries")
        ),
    }
}
