//! A report as JSON objects: one for each run, and before it, if they are wanted, one for each of its queries.

use anyhow::Result;
use serde_json::{Map, Value, json};

use super::{EvaluatedRun, Report};
use crate::evaluation::compare::{Comparison, Difference};

pub(super) fn print(report: &Report, per_query: bool) -> Result<String> {
    let mut text = String::new();
    let summaries = report.summaries();
    for (index, (run, summary)) in report.runs.iter().zip(&summaries).enumerate() {
        if per_query {
            for query in &run.evaluation.queries {
                let mut object =
                    Map::from_iter([("run".to_owned(), json!(run.name)), ("query_id".to_owned(), json!(query.id))]);
                add_values(&mut object, report, &query.values);
                text += &(serde_json::to_string(&object)? + "\n");
            }
        }
        let mut object = summary_object(run);
        add_values(&mut object, report, summary);
        if let (Some(comparison), Some(differences)) = (&report.comparison, report.differences(index)) {
            object.insert("comparison".to_owned(), compared(report, comparison, differences));
        }
        text += &(serde_json::to_string(&object)? + "\n");
    }
    Ok(text)
}

fn summary_object(run: &EvaluatedRun) -> Map<String, Value> {
    let evaluation = &run.evaluation;
    Map::from_iter([
        ("run".to_owned(), json!(run.name)),
        ("queries".to_owned(), json!(evaluation.queries.len())),
        ("queries_lacking".to_owned(), json!(evaluation.lacking)),
        ("queries_without_judgements".to_owned(), json!(evaluation.unjudged)),
        ("ties".to_owned(), json!(evaluation.tied_share())),
    ])
}

fn add_values(object: &mut Map<String, Value>, report: &Report, values: &[f64]) {
    for (measure, &value) in report.measures.iter().zip(values) {
        let value = if measure.is_count() { json!(value as i64) } else { json!(value) };
        object.insert(measure.to_string(), value);
    }
}

fn compared(report: &Report, comparison: &Comparison, differences: &[Option<Difference>]) -> Value {
    let of_measure = |difference: &Difference| {
        json!({
            "difference": difference.difference,
            "interval": [difference.interval.0, difference.interval.1],
            "p": difference.p,
            "p_uncorrected": difference.p_uncorrected,
            "wins": difference.wins,
            "ties": difference.ties,
            "losses": difference.losses,
        })
    };
    let measures = report.measures.iter().zip(differences);
    let measures: Map<String, Value> =
        measures.filter_map(|(measure, found)| Some((measure.to_string(), of_measure(found.as_ref()?)))).collect();
    json!({ "baseline": report.baseline(), "test": comparison.test.name(), "measures": measures })
}
