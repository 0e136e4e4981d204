//! CSV and TSV: a header, then a row for each candidate.
//!
//! The header is written with the first ranking that has results, and the fields that this ranking carries determine the
//! columns. A ranking without results has no rows.

use std::collections::hash_map::Entry;

use ahash::{AHashMap, AHashSet};
use anyhow::Result;
use csv::{QuoteStyle, Terminator, WriterBuilder};
use serde_json::value::RawValue;

use super::left_out::LeftOut;
use super::query_fields::QueryFields;
use crate::fusion;
use crate::input::WRITTEN_COLUMNS;
use crate::record::{Query, Ranked, Ranking};

/// Columns that every file has, by which [`crate::input`] recognises a TSV file with quoted cells. `text` follows, unless it is
/// left out, and then the fields that the first ranking carries.
const COLUMNS: [&str; 9] = WRITTEN_COLUMNS;
const TEXT: &str = "text";

/// Formats the rows of one file, whose columns are fixed with the header.
pub(super) struct CsvFormatter {
    delimiter: u8,
    text: bool,
    /// The columns that follow ours; none before the header is written.
    carried: Option<Columns>,
    left_out: LeftOut,
}

/// Names in their order, and as a set: an input may have as many columns as its lines have room for.
#[derive(Default)]
struct Columns {
    names: Vec<String>,
    known: AHashSet<String>,
}

impl Columns {
    fn add(&mut self, name: &str) {
        if self.known.insert(name.to_owned()) {
            self.names.push(name.to_owned());
        }
    }
}

impl CsvFormatter {
    pub(super) fn new(delimiter: u8, text: bool) -> Self {
        Self { delimiter, text, carried: None, left_out: LeftOut::default() }
    }

    /// Goes on with a file whose header is written, if it is: these columns follow ours.
    pub(super) fn resume(&mut self, carried: Option<Vec<String>>) {
        self.carried = carried.map(|names| {
            let mut columns = Columns::default();
            names.iter().for_each(|name| columns.add(name));
            columns
        });
    }

    /// Appends a row for each candidate, after the header if that is not written yet.
    pub(super) fn format(&mut self, ranking: &Ranking, buffer: &mut Vec<u8>) -> Result<()> {
        if ranking.results.is_empty() {
            return Ok(());
        }
        let of_query = QueryFields::of(ranking);
        self.header(Some((ranking, &of_query)), buffer)?;
        of_query.taken.iter().for_each(|name| self.left_out.add_of_query(name));
        let Some(carried) = &self.carried else { return Ok(()) };
        for (index, result) in ranking.results.iter().enumerate() {
            let extras = Extras::of(&ranking.query, &of_query, result);
            let mut row = row(&ranking.query, index + 1, result);
            row.extend(self.text.then(|| result.candidate.text.clone()));
            row.extend(carried.names.iter().map(|name| extras.value(name).unwrap_or_default().to_owned()));
            // A byte order mark at the beginning of a line would look as if files were joined there.
            let marked = row.first().is_some_and(|id| id.starts_with('\u{feff}'));
            let quotes = if marked { QuoteStyle::Always } else { QuoteStyle::Necessary };
            append(self.delimiter, &row, quotes, buffer)?;
            let unknown = extras.list.iter().map(|(name, _)| *name).filter(|name| !carried.known.contains(*name));
            unknown.for_each(|name| self.left_out.add(name));
        }
        Ok(())
    }

    /// Appends the header if it is not written yet.
    pub(super) fn finish(&mut self, buffer: &mut Vec<u8>) -> Result<()> {
        self.header(None, buffer)
    }

    /// The names of fields that came up after the header was written, or whose column has another field.
    pub(super) fn left_out(&self) -> Vec<&str> {
        self.left_out.names()
    }

    fn header(&mut self, first: Option<(&Ranking, &QueryFields<'_>)>, buffer: &mut Vec<u8>) -> Result<()> {
        if self.carried.is_some() {
            return Ok(());
        }
        let mut carried = Columns::default();
        if let Some((ranking, of_query)) = first {
            let extras = ranking.results.iter().map(|result| Extras::of(&ranking.query, of_query, result));
            extras.for_each(|extras| extras.list.iter().for_each(|(name, _)| carried.add(name)));
        }
        let ours = COLUMNS.iter().copied().chain(self.text.then_some(TEXT));
        let names: Vec<String> = ours.map(str::to_owned).chain(carried.names.iter().cloned()).collect();
        self.carried = Some(carried);
        // A reader takes white space around a name without quotes for a sign that all cells are padded.
        let padded = names.iter().any(|name| name.trim().len() < name.len());
        let quotes = if padded { QuoteStyle::Always } else { QuoteStyle::Necessary };
        append(self.delimiter, &names, quotes, buffer)
    }
}

fn row(query: &Query, rank: usize, result: &Ranked) -> Vec<String> {
    let Ranked { candidate, logit, score, truncated, fused: _ } = result;
    vec![
        query.id.clone(),
        query.text.clone(),
        rank.to_string(),
        candidate.id.clone(),
        score.to_string(),
        logit.to_string(),
        candidate.original_rank.to_string(),
        candidate.original_score.map(|score| score.to_string()).unwrap_or_default(),
        truncated.to_string(),
    ]
}

/// The cells of a row beyond our columns: the fused score, title, instruction, and carried fields. A candidate's field with the name of
/// one of our columns is dropped.
#[derive(Default)]
struct Extras<'a> {
    list: Vec<(&'a str, String)>,
    places: AHashMap<&'a str, usize>,
}

impl<'a> Extras<'a> {
    fn of(query: &'a Query, of_query: &'a QueryFields<'_>, result: &'a Ranked) -> Self {
        let (mut extras, candidate) = (Self::default(), &result.candidate);
        if let Some(fused) = result.fused {
            extras.add(fusion::FIELD, || fused.to_string());
        }
        for (name, value) in [("title", candidate.title.as_ref()), ("instruction", query.instruction.as_ref())] {
            if let Some(value) = value {
                extras.add(name, || value.clone());
            }
        }
        for (name, value) in &candidate.fields {
            if !COLUMNS.contains(&name.as_str()) && name != TEXT && name != fusion::FIELD {
                extras.add(name, || cell(value));
            }
        }
        of_query.columns.iter().for_each(|(name, value)| extras.add(name, || cell(value)));
        extras
    }

    fn add(&mut self, name: &'a str, value: impl FnOnce() -> String) {
        if let Entry::Vacant(free) = self.places.entry(name) {
            free.insert(self.list.len());
            self.list.push((name, value()));
        }
    }

    fn value(&self, name: &str) -> Option<&str> {
        let (_, value) = self.list.get(*self.places.get(name)?)?;
        Some(value)
    }
}

/// A string without its quotes; any other value as JSON.
fn cell(value: &RawValue) -> String {
    serde_json::from_str::<String>(value.get()).unwrap_or_else(|_| value.get().to_owned())
}

fn append(delimiter: u8, row: &[String], quotes: QuoteStyle, buffer: &mut Vec<u8>) -> Result<()> {
    let mut writer = WriterBuilder::new();
    let writer = writer.delimiter(delimiter).terminator(Terminator::Any(b'\n')).quote_style(quotes);
    let mut writer = writer.from_writer(buffer);
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
        let mut first = ranking(&[1.5, -0.25]);
        first.query.fields.push(("topic".into(), raw("[1]")));
        formatter.format(&first, &mut buffer).unwrap();
        let mut later = ranking(&[0.5]);
        later.results[0].candidate.fields.push(("late".into(), raw("1")));
        later.query.instruction = Some("judge".into());
        formatter.format(&later, &mut buffer).unwrap();
        formatter.finish(&mut buffer).unwrap();
        assert_eq!(formatter.left_out(), ["instruction", "late"]);

        let mut reader = csv::Reader::from_reader(buffer.as_slice());
        assert_eq!(
            reader.headers().unwrap().iter().skip(8).collect::<Vec<_>>(),
            ["truncated", "text", "title", "url", "n", "query_topic"]
        );
        let rows: Vec<Vec<String>> =
            reader.records().map(|row| row.unwrap().iter().map(str::to_owned).collect()).collect();
        assert_eq!(rows.len(), 3);
        assert_eq!(rows[0][2..9], ["1", "d0", "0.8175745", "1.5", "1", "12.5", "false"]);
        assert_eq!(rows[1][7..], ["", "true", "text \"1\",\nsecond line", "", "http://1", "1.10", "[1]"]);
    }

    #[test]
    fn a_file_without_results_has_a_header() {
        let mut buffer = Vec::new();
        CsvFormatter::new(b'\t', false).finish(&mut buffer).unwrap();
        assert_eq!(String::from_utf8(buffer).unwrap().trim_end().split('\t').count(), 9);
    }
}
