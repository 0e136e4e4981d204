//! What an evaluation has found, for people (a table, LaTeX) and for programs (JSONL, CSV, trec_eval's layout).

mod csv;
mod jsonl;
mod latex;
mod table;
mod trec;

use anyhow::Result;

use super::compare::{Comparison, Difference};
use super::evaluate::Evaluation;
use super::measures::Measure;

/// Evaluated runs, side by side.
#[derive(Debug)]
pub struct Report {
    /// The measures.
    pub measures: Vec<Measure>,
    /// The runs, with a value for each measure and each query.
    pub runs: Vec<EvaluatedRun>,
    /// How the runs differ from one of them.
    pub comparison: Option<Comparison>,
}

/// A run with its values.
#[derive(Debug)]
pub struct EvaluatedRun {
    /// The run's name.
    pub name: String,
    /// The name in the run's own lines, where none was given.
    pub tag: Option<String>,
    /// The values.
    pub evaluation: Evaluation,
}

/// A form of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum ReportFormat {
    /// A table for people
    Table,
    /// A JSON object for each run, with its measures by their names
    Jsonl,
    /// A table with a header and a row for each run; query_id is all where a row has the summary
    Csv,
    /// A table for a paper, in LaTeX with booktabs
    Latex,
    /// trec_eval's own layout: its names of measures, query and value
    Trec,
}

/// A p-value below this one is marked in tables.
pub(super) const SIGNIFICANT: f64 = 0.05;

/// What stands in the place of a query's identifier where a value is of all queries, as in trec_eval.
const ALL: &str = "all";

impl Report {
    /// The report as a text. With `per_query` it has the values of every query too; `bold` sets the best values off on a terminal.
    ///
    /// # Errors
    /// If it can't be written in this form.
    pub fn print(&self, format: ReportFormat, per_query: bool, bold: bool) -> Result<String> {
        match format {
            ReportFormat::Table => Ok(table::print(self, per_query, bold)),
            ReportFormat::Jsonl => jsonl::print(self, per_query),
            ReportFormat::Csv => csv::print(self, per_query),
            ReportFormat::Latex => Ok(latex::print(self)),
            ReportFormat::Trec => Ok(trec::print(self, per_query)),
        }
    }

    /// The summaries of all runs: for each run, a value for each measure.
    fn summaries(&self) -> Vec<Vec<f64>> {
        self.runs.iter().map(|run| run.evaluation.summary(&self.measures)).collect()
    }

    /// How a run differs from the baseline; none for the baseline itself, and where nothing is compared.
    fn differences(&self, run: usize) -> Option<&[Option<Difference>]> {
        self.comparison.as_ref()?.differences.get(run)?.as_deref()
    }

    /// A run's difference in one measure.
    fn difference(&self, run: usize, measure: usize) -> Option<&Difference> {
        self.differences(run)?.get(measure)?.as_ref()
    }

    /// The measures that are shown and not compared.
    fn not_compared(&self) -> Vec<String> {
        let measures = self.measures.iter().filter(|measure| measure.is_geometric_mean());
        measures.map(ToString::to_string).collect()
    }

    /// The name of the run with which the others are compared.
    fn baseline(&self) -> &str {
        let baseline = self.comparison.as_ref().map_or(0, |comparison| comparison.baseline);
        self.runs.get(baseline).map_or("", |run| &run.name)
    }

    /// Whether a value is the best of its measure among several runs. Of counts none is.
    fn is_best(&self, summaries: &[Vec<f64>], run: usize, measure: usize) -> bool {
        let value = |run: &Vec<f64>| run.get(measure).copied().unwrap_or_default();
        let best = summaries.iter().map(value).fold(f64::NEG_INFINITY, f64::max);
        let is_count = self.measures.get(measure).is_none_or(Measure::is_count);
        summaries.len() > 1 && !is_count && summaries.get(run).map(value) == Some(best)
    }
}

/// A value with as many digits as trec_eval prints.
fn rounded(measure: &Measure, value: f64) -> String {
    if measure.is_count() { format!("{value:.0}") } else { format!("{value:.4}") }
}

/// A p-value, which is never printed as zero.
pub(super) fn p_value(p: f64) -> String {
    if p < 0.0001 { "<0.0001".to_owned() } else { format!("{p:.4}") }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
