//! A report as a table in CSV: a row for each run, and before it, if they are wanted, one for each of its queries.

use anyhow::Result;
use csv::Writer;

use super::{ALL, Report};
use crate::evaluation::compare::Difference;

pub(super) fn print(report: &Report, per_query: bool) -> Result<String> {
    let mut writer = Writer::from_writer(Vec::new());
    let mut header = vec!["run".to_owned(), "query_id".to_owned()];
    header.extend(report.measures.iter().map(ToString::to_string));
    if report.comparison.is_some() {
        header.extend(report.measures.iter().map(|measure| format!("p({measure})")));
    }
    writer.write_record(&header)?;
    for (index, (run, summary)) in report.runs.iter().zip(report.summaries()).enumerate() {
        let row = |id: &str, values: &[f64], p_values: Vec<String>| {
            let values = values.iter().map(f64::to_string);
            [run.name.clone(), id.to_owned()].into_iter().chain(values).chain(p_values).collect::<Vec<String>>()
        };
        let blank = if report.comparison.is_some() { report.measures.len() } else { 0 };
        if per_query {
            for query in &run.evaluation.queries {
                writer.write_record(row(&query.id, &query.values, vec![String::new(); blank]))?;
            }
        }
        let p_values = match report.differences(index) {
            Some(differences) => {
                let p_value = |found: &Option<Difference>| found.map(|found| found.p.to_string()).unwrap_or_default();
                differences.iter().map(p_value).collect()
            }
            None => vec![String::new(); blank],
        };
        writer.write_record(row(ALL, &summary, p_values))?;
    }
    Ok(String::from_utf8(writer.into_inner()?)?)
}
