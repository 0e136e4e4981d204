//! A report as a table for people.

use console::{Alignment, measure_text_width, pad_str};

use super::{ALL, Report, SIGNIFICANT, p_value, rounded};
use crate::progress::escaped;

pub(super) fn print(report: &Report, per_query: bool, bold: bool) -> String {
    let mut text = String::new();
    if per_query {
        text += &aligned(&query_rows(report), 2);
        text.push('\n');
    }
    text += &aligned(&summary_rows(report, bold), 1);
    if let Some(comparison) = &report.comparison {
        text.push('\n');
        text += &aligned(&difference_rows(report), 2);
        let runs = report.runs.len() - 1;
        let (corrected, uncorrected) = match runs {
            0 | 1 => (String::new(), ""),
            _ => (format!(", after Holm's correction for {runs} runs"), ", without that correction"),
        };
        text += &format!(
            "\np: {}{corrected}; * marks p < {SIGNIFICANT} against {}; an interval has 95% confidence by Student's \
             t{uncorrected}\n",
            comparison.test.describe(),
            escaped(report.baseline())
        );
        let geometric = report.not_compared();
        if !geometric.is_empty() {
            text += &format!("not compared: {}, as a geometric mean is no mean of differences\n", geometric.join(", "));
        }
    }
    text
}

fn summary_rows(report: &Report, bold: bool) -> Vec<Vec<String>> {
    let mut header: Vec<String> = ["run", "queries", "ties"].map(str::to_owned).to_vec();
    header.extend(report.measures.iter().map(ToString::to_string));
    let mut rows = vec![header];
    let summaries = report.summaries();
    for (index, (run, summary)) in report.runs.iter().zip(&summaries).enumerate() {
        let evaluation = &run.evaluation;
        let ties = format!("{:.1}%", 100. * evaluation.tied_share());
        let mut row = vec![escaped(&run.name), evaluation.queries.len().to_string(), ties];
        for (place, (measure, &value)) in report.measures.iter().zip(summary).enumerate() {
            let is_significant = report.difference(index, place).is_some_and(|difference| difference.p < SIGNIFICANT);
            let mark = match (is_significant, report.comparison.is_some()) {
                (true, _) => "*",
                (false, true) => " ",
                (false, false) => "",
            };
            let value = rounded(measure, value);
            let is_bold = bold && report.is_best(&summaries, index, place);
            row.push(if is_bold { format!("\x1b[1m{value}\x1b[0m{mark}") } else { value + mark });
        }
        rows.push(row);
    }
    rows
}

fn difference_rows(report: &Report) -> Vec<Vec<String>> {
    let against = format!("against {}", escaped(report.baseline()));
    let mut rows = vec![vec![
        against,
        "measure".to_owned(),
        "difference".to_owned(),
        "interval".to_owned(),
        "p".to_owned(),
        "win/tie/loss".to_owned(),
    ]];
    for (index, run) in report.runs.iter().enumerate() {
        for (measure, found) in report.measures.iter().zip(report.differences(index).unwrap_or_default()) {
            let Some(difference) = found else { continue };
            let (low, high) = difference.interval;
            let (digits, of_bound) = if measure.is_count() { (0, 1) } else { (4, 4) };
            rows.push(vec![
                escaped(&run.name),
                measure.to_string(),
                format!("{:+.digits$}", difference.difference),
                format!("{low:+.of_bound$} to {high:+.of_bound$}"),
                p_value(difference.p),
                format!("{}/{}/{}", difference.wins, difference.ties, difference.losses),
            ]);
        }
    }
    rows
}

/// The values of each query, the runs below one another, and those of all queries at the end.
fn query_rows(report: &Report) -> Vec<Vec<String>> {
    let mut header: Vec<String> = ["query_id", "run"].map(str::to_owned).to_vec();
    header.extend(report.measures.iter().map(ToString::to_string));
    let mut rows = vec![header];
    // All runs have the same queries, or there is one run.
    let queries = report.runs.first().map_or(0, |run| run.evaluation.queries.len());
    for query in 0..queries {
        for run in &report.runs {
            let Some(query) = run.evaluation.queries.get(query) else { continue };
            let mut row = vec![escaped(&query.id), escaped(&run.name)];
            row.extend(report.measures.iter().zip(&query.values).map(|(measure, &value)| rounded(measure, value)));
            rows.push(row);
        }
    }
    for (run, summary) in report.runs.iter().zip(report.summaries()) {
        let mut row = vec![ALL.to_owned(), escaped(&run.name)];
        row.extend(report.measures.iter().zip(summary).map(|(measure, value)| rounded(measure, value)));
        rows.push(row);
    }
    rows
}

/// Rows with columns of one width: the first `left` ones begin at their left edge, the others end at their right one.
fn aligned(rows: &[Vec<String>], left: usize) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or_default();
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|cell| measure_text_width(cell)).max().unwrap_or_default()
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let pad = |(column, (cell, &width)): (usize, (&String, &usize))| {
            let alignment = if column < left { Alignment::Left } else { Alignment::Right };
            pad_str(cell, width, alignment, None).into_owned()
        };
        let cells: Vec<String> = row.iter().zip(&widths).enumerate().map(pad).collect();
        text += cells.join("  ").trim_end();
        text.push('\n');
    }
    text
}
