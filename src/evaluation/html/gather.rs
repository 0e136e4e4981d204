//! Gathers what the page shows.

use std::borrow::Cow;
use std::path::Path;
use std::time::SystemTime;

use anyhow::{Context, Result};

use super::choice::{self, Values, rounded};
use super::data::{Data, MeasureData, RunData};
use super::distribution::Distribution;
use super::reading::Reading;
use super::{Evaluated, PageOptions, first_stage, page};
use crate::evaluation::compare::{Comparison, compare};
use crate::evaluation::evaluate::{Evaluation, evaluate};
use crate::evaluation::measures::Measure;
use crate::evaluation::report::SIGNIFICANT;
use crate::evaluation::run::{Run, RunFileFormat};

/// How many measures have values for each query in the page, so that it stays small.
const MEASURES_BY_QUERY: usize = 10;

/// A run in the page.
struct Column<'a> {
    name: &'a str,
    path: &'a Path,
    evaluation: Cow<'a, Evaluation>,
    /// The run itself, if it is the first stage of the file.
    first_stage: Option<Run>,
}

/// The page of an evaluation.
///
/// # Errors
/// If a run, the queries or the collection can't be read.
pub(super) fn gather(options: &PageOptions, evaluated: Evaluated) -> Result<String> {
    let Evaluated { eval, report, qrels, reporter } = evaluated;
    let (columns, no_baseline) = columns(evaluated)?;
    no_baseline.iter().for_each(|reason| {
        reporter.note(&format!(
            "the report has nothing to compare with: {reason}; name the first stage's run beside it to compare both"
        ));
    });
    let baseline = (columns.len() > 1).then_some(if columns.len() > report.runs.len() { 0 } else { eval.baseline });
    let comparison = comparison(evaluated, &columns, baseline);
    let values = values(&columns, report.measures.len().min(MEASURES_BY_QUERY));
    let queries = columns.first().map(|column| &column.evaluation.queries[..]).unwrap_or_default();
    let mut reading = Reading::new(qrels, queries, eval.options, options.level);
    reading.choose(&choice::choose(&values, baseline));
    let distributions = distributions(&columns, &mut reading, eval.run_format)?;
    let mut runs = Vec::new();
    for (((place, column), distribution), values) in columns.iter().enumerate().zip(distributions).zip(&values) {
        let is_first_stage = column.first_stage.is_some();
        let calibration = if is_first_stage { None } else { reading.add_records(column.path, eval.run_format)? };
        let differences = comparison.as_ref().and_then(|comparison| comparison.differences.get(place)?.as_ref());
        runs.push(RunData {
            name: column.name,
            file: column.path.display().to_string(),
            queries: column.evaluation.queries.len(),
            lacking: column.evaluation.lacking,
            unjudged: column.evaluation.unjudged,
            ties: column.evaluation.tied_share(),
            summary: column.evaluation.summary(&report.measures),
            differences: differences
                .map(|differences| differences.iter().map(|found| found.as_ref().map(Into::into)).collect()),
            values,
            distribution,
            calibration,
        });
    }
    reading.add_texts(options, reporter)?;
    page::render(&Data {
        version: env!("CARGO_PKG_VERSION"),
        created: humantime::format_rfc3339_seconds(SystemTime::now()).to_string(),
        qrels: qrels.name(),
        judged: qrels.queries().len(),
        complete: eval.options.complete,
        depth: eval.options.depth,
        level: options.level,
        significant: SIGNIFICANT,
        test: comparison.map(|comparison| comparison.test.describe()),
        baseline,
        no_baseline,
        measures: measures(evaluated),
        measures_by_query: values.first().map_or(0, Vec::len),
        shown: choice::SHOWN,
        runs,
        query_ids: queries.iter().map(|query| &*query.id).collect(),
        query_texts: reading.query_texts(),
        details: reading.details(),
    })
}

/// Reads the runs once more, one at a time.
fn distributions(
    columns: &[Column],
    reading: &mut Reading,
    format: Option<RunFileFormat>,
) -> Result<Vec<Distribution>> {
    let mut distributions = Vec::new();
    for (index, column) in columns.iter().enumerate() {
        let place = (index, columns.len());
        distributions.push(match &column.first_stage {
            Some(run) => reading.add_run(run, place),
            None => reading.add_run(&Run::read(Some(column.path), format)?, place),
        });
    }
    reading.settle();
    Ok(distributions)
}

/// The runs; a single one behind its first stage, or with the reason why it has none.
fn columns(evaluated: Evaluated) -> Result<(Vec<Column>, Option<String>)> {
    let Evaluated { eval, report, qrels, .. } = evaluated;
    let mut columns = Vec::new();
    for (file, run) in eval.runs.iter().zip(&report.runs) {
        let path = file.path.as_deref().context("a run from standard input can't be read again for the report")?;
        let evaluation = Cow::Borrowed(&run.evaluation);
        columns.push(Column { name: &run.name, path, evaluation, first_stage: None });
    }
    let [single] = &columns[..] else { return Ok((columns, None)) };
    match first_stage::read(single.path, eval.run_format)? {
        Err(reason) => Ok((columns, Some(reason))),
        Ok(run) => {
            let evaluation = Cow::Owned(evaluate(qrels, &run, &report.measures, eval.options));
            let column = Column { name: first_stage::NAME, path: single.path, evaluation, first_stage: Some(run) };
            columns.insert(0, column);
            Ok((columns, None))
        }
    }
}

/// The comparison of the report, or that with the first stage, which the report does not have.
fn comparison<'a>(
    evaluated: Evaluated<'a>,
    columns: &[Column],
    baseline: Option<usize>,
) -> Option<Cow<'a, Comparison>> {
    if let Some(comparison) = &evaluated.report.comparison {
        return Some(Cow::Borrowed(comparison));
    }
    let evaluations: Vec<&Evaluation> = columns.iter().map(|column| &*column.evaluation).collect();
    Some(Cow::Owned(compare(&evaluations, &evaluated.report.measures, baseline?, evaluated.eval.test?)))
}

fn values(columns: &[Column], measures: usize) -> Values {
    let of_measure = |column: &Column, measure| column.evaluation.values(measure).map(rounded).collect();
    columns.iter().map(|column| (0..measures).map(|measure| of_measure(column, measure)).collect()).collect()
}

fn measures(evaluated: Evaluated) -> Vec<MeasureData> {
    let data = |measure: &Measure| MeasureData { name: measure.to_string(), is_count: measure.is_count() };
    evaluated.report.measures.iter().map(data).collect()
}
