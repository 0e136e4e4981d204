//! A report in trec_eval's own layout, so that the two can be compared line by line.

use super::{ALL, Report, rounded};
use crate::evaluation::measures::Measure;

pub(super) fn print(report: &Report, per_query: bool) -> String {
    let mut text = String::new();
    let names: Vec<String> = report.measures.iter().map(name).collect();
    for (run, summary) in report.runs.iter().zip(report.summaries()) {
        let mut line = |name: &str, query: &str, value: &str| text += &format!("{name:<22}\t{query}\t{value}\n");
        let mut queries: Vec<_> = run.evaluation.queries.iter().filter(|_| per_query).collect();
        // trec_eval sorts them so.
        queries.sort_by(|one, other| one.id.cmp(&other.id));
        for query in queries {
            for ((name, measure), &value) in names.iter().zip(&report.measures).zip(&query.values) {
                if measure.has_query_value() {
                    line(name, &query.id, &rounded(measure, value));
                }
            }
        }
        line("runid", ALL, run.tag.as_deref().unwrap_or(&run.name));
        for ((name, measure), value) in names.iter().zip(&report.measures).zip(summary) {
            line(name, ALL, &rounded(measure, value));
        }
    }
    text
}

/// trec_eval's name of a measure, or else that of ir_measures.
fn name(measure: &Measure) -> String {
    measure.trec_name().unwrap_or_else(|| measure.to_string())
}
