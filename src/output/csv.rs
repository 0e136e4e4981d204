//! CSV and TSV: a header, then a row for each candidate.
//!
//! The header is written with the first ranking that has results; what it carries decides the columns.

use std::collections::BTreeSet;

use anyhow::Result;
use csv::{Terminator, WriterBuilder};
use serde_json::value::RawValue;

use crate::record::{Ranked, Ranking};

const COLUMNS: [&str; 8] = ["query_id", "query", "rank", "id", "score", "logit", "original_rank", "original_score"];
const TRUNCATED: &str = "truncated";
const TITLE: &str = "title";
const TEXT: &str = "text";

/// The columns of one file, once they are settled.
pub(super) struct CsvFormatter {
    delimiter: u8,
    text: bool,
    header: Option<Header>,
    left_out: BTreeSet<String>,
}

struct Header {
    title: bool,
    carried: Vec<String>,
}

impl CsvFormatter {
    pub(super) fn new(delimiter: u8, text: bool) -> Self {
        Self { delimiter, text, header: None, left_out: BTreeSet::new() }
    }

    /// Appends a row for each candidate, after the header if it is due.
    pub(super) fn format(&mut self, ranking: &Ranking, buffer: &mut Vec<u8>) -> Result<()> {
        if ranking.results.is_empty() {
            return Ok(());
        }
        self.header(Some(ranking), buffer)?;
        let Some(header) = &self.header else { return Ok(()) };
        for (index, result) in ranking.results.iter().enumerate() {
            let row = row(ranking, index, header, self.text);
            append(self.delimiter, &row, buffer)?;
            let unknown = result.candidate.fields.iter().map(|(name, _)| name).filter(|name| !header.places(name));
            self.left_out.extend(unknown.cloned());
        }
        Ok(())
    }

    /// Appends the header if nothing was written.
    pub(super) fn finish(&mut self, buffer: &mut Vec<u8>) -> Result<()> {
        self.header(None, buffer)
    }

    /// Names of fields that came up after the header was written.
    pub(super) fn left_out(&self) -> Vec<&str> {
        self.left_out.iter().map(String::as_str).collect()
    }

    fn header(&mut self, first: Option<&Ranking>, buffer: &mut Vec<u8>) -> Result<()> {
        if self.header.is_some() {
            return Ok(());
        }
        let results = || first.into_iter().flat_map(|ranking| &ranking.results);
        let mut header =
            Header { title: results().any(|result| result.candidate.title.is_some()), carried: Vec::new() };
        for (name, _) in results().flat_map(|result| &result.candidate.fields) {
            if !header.places(name) {
                header.carried.push(name.clone());
            }
        }
        let mut names: Vec<String> = COLUMNS.iter().chain([&TRUNCATED]).map(|name| (*name).to_owned()).collect();
        names.extend(header.title.then(|| TITLE.to_owned()));
        names.extend(self.text.then(|| TEXT.to_owned()));
        names.extend(header.carried.iter().cloned());
        self.header = Some(header);
        append(self.delimiter, &names, buffer)
    }
}

impl Header {
    /// Whether a carried field has a column, its own or one of ours that takes precedence.
    fn places(&self, name: &str) -> bool {
        COLUMNS.contains(&name)
            || [TRUNCATED, TITLE, TEXT].contains(&name)
            || self.carried.iter().any(|carried| carried == name)
    }
}

fn row(ranking: &Ranking, index: usize, header: &Header, text: bool) -> Vec<String> {
    let Ranked { candidate, logit, score, truncated } = &ranking.results[index];
    let mut row = vec![
        ranking.query.id.clone(),
        ranking.query.text.clone(),
        (index + 1).to_string(),
        candidate.id.clone(),
        score.to_string(),
        logit.to_string(),
        candidate.original_rank.to_string(),
        candidate.original_score.map(|score| score.to_string()).unwrap_or_default(),
        truncated.to_string(),
    ];
    row.extend(header.title.then(|| candidate.title.clone().unwrap_or_default()));
    row.extend(text.then(|| candidate.text.clone()));
    row.extend(header.carried.iter().map(|name| {
        let field = candidate.fields.iter().find(|(field, _)| field == name);
        field.map(|(_, value)| cell(value)).unwrap_or_default()
    }));
    row
}

/// A string without its quotes; any other value as JSON.
fn cell(value: &RawValue) -> String {
    serde_json::from_str::<String>(value.get()).unwrap_or_else(|_| value.get().to_owned())
}

fn append(delimiter: u8, row: &[String], buffer: &mut Vec<u8>) -> Result<()> {
    let mut writer = WriterBuilder::new().delimiter(delimiter).terminator(Terminator::Any(b'\n')).from_writer(buffer);
    writer.write_record(row)?;
    writer.flush()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::examples::{ranking, raw};
    use super::*;

    #[test]
    fn rows_read_back_as_they_were() {
        let mut formatter = CsvFormatter::new(b',', true);
        let mut buffer = Vec::new();
        formatter.format(&ranking(&[]), &mut buffer).unwrap();
        assert!(buffer.is_empty());
        formatter.format(&ranking(&[1.5, -0.25]), &mut buffer).unwrap();
        let mut later = ranking(&[0.5]);
        later.results[0].candidate.fields.push(("late".into(), raw("1")));
        formatter.format(&later, &mut buffer).unwrap();
        formatter.finish(&mut buffer).unwrap();
        assert_eq!(formatter.left_out(), ["late"]);

        let mut reader = csv::Reader::from_reader(buffer.as_slice());
        assert_eq!(
            reader.headers().unwrap().iter().skip(8).collect::<Vec<_>>(),
            ["truncated", "title", "text", "url", "n"]
        );
        let rows: Vec<Vec<String>> =
            reader.records().map(|row| row.unwrap().iter().map(str::to_owned).collect()).collect();
        assert_eq!(rows.len(), 3);
        assert_eq!(rows[0][2..9], ["1", "d0", "0.8175745", "1.5", "1", "12.5", "false"]);
        assert_eq!(rows[1][7..], ["", "true", "", "text \"1\",\nsecond line", "http://1", "1.10"]);
    }

    #[test]
    fn a_file_without_results_has_a_header() {
        let mut buffer = Vec::new();
        CsvFormatter::new(b'\t', false).finish(&mut buffer).unwrap();
        assert_eq!(String::from_utf8(buffer).unwrap().trim_end().split('\t').count(), 9);
    }
}
