//! The formats of runs, and how one is recognised.

use anyhow::{Result, bail};
use clap::ValueEnum;

use crate::exit::UsageError;
use crate::input::InputFormat;
use crate::slices::behind;

/// The bytes of a run's first line that its format is recognised by.
pub(in crate::evaluation) const PEEKED_BYTES: usize = 1 << 20;

/// A format of runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum RunFileFormat {
    /// TREC: query-id Q0 document-id rank score tag
    Trec,
    /// MS MARCO: query-id, document-id and rank
    Msmarco,
    /// Tevatron: query-id, document-id and score
    Tevatron,
    /// Ranked JSONL, as rerank writes it: query_id, and results with id and logit or score
    Jsonl,
    /// One JSON object, as mteb, ranx and pytrec_eval have it: scores by document ids by query ids
    Json,
    /// Comma-separated values with a header: query_id, id, and logit, score or rank
    Csv,
    /// The same, separated by tabs
    Tsv,
}

impl RunFileFormat {
    /// The format of a file with this first line.
    ///
    /// # Errors
    /// If it is that of no run, or could be that of two.
    pub(in crate::evaluation) fn of_content(line: &[u8], name: &str) -> Result<Self> {
        let line = line.trim_ascii();
        match line.first() {
            Some(b'{') if is_nested(line) => return Ok(Self::Json),
            Some(b'{') => return Ok(Self::Jsonl),
            Some(b'[') => bail!(
                "{name} is a JSON list, and a run has an object a line, or one object of scores: `jq -c '.[]'` makes JSONL of it"
            ),
            _ => {}
        }
        if names_q0(line) {
            return Ok(Self::Trec);
        }
        Ok(match InputFormat::of_content(line) {
            Some(InputFormat::Trec) => Self::Trec,
            Some(InputFormat::Msmarco) if is_first_rank(line) => Self::Msmarco,
            Some(InputFormat::Msmarco) => bail!(UsageError::new(format!(
                "{name}: the third column may hold ranks or scores: --input-format msmarco takes it for ranks, and \
                 --input-format tevatron for scores"
            ))),
            Some(InputFormat::Tevatron) => Self::Tevatron,
            Some(InputFormat::Csv | InputFormat::Tsv) if has_six_columns(line) => Self::Trec,
            Some(InputFormat::Csv) => Self::Csv,
            Some(InputFormat::Tsv) => Self::Tsv,
            _ if has_six_columns(line) => Self::Trec,
            _ => bail!(
                "the format of {name} can't be recognised: a run is expected, as a TREC run has it (query-id Q0 document-id \
                 rank score tag), or --input-format msmarco, tevatron, jsonl, json, csv or tsv"
            ),
        })
    }
}

/// Whether the first value of an object is an object too; that of ranked JSONL is a text.
fn is_nested(line: &[u8]) -> bool {
    let (mut is_in_text, mut is_escaped) = (false, false);
    let colon = line.iter().position(|&byte| {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = true,
            b'"' => is_in_text = !is_in_text,
            b':' => return !is_in_text,
            _ => {}
        }
        false
    });
    // An object that goes on in the next line is no line of JSONL.
    colon.is_none_or(|colon| matches!(behind(line, colon + 1).trim_ascii_start().first(), None | Some(b'{')))
}

/// Whether the third column has the rank of a first document.
fn is_first_rank(line: &[u8]) -> bool {
    let third = line.split(u8::is_ascii_whitespace).filter(|column| !column.is_empty()).nth(2);
    third.is_some_and(|rank| matches!(rank, b"0" | b"1"))
}

/// Whether the second of four columns or more is that of a TREC run, which may lack others.
fn names_q0(line: &[u8]) -> bool {
    let columns: Vec<&[u8]> = line.split(u8::is_ascii_whitespace).filter(|column| !column.is_empty()).take(4).collect();
    matches!(columns[..], [_, b"Q0" | b"q0", _, _])
}

fn has_six_columns(line: &[u8]) -> bool {
    let columns: Vec<&[u8]> = line.split(u8::is_ascii_whitespace).filter(|column| !column.is_empty()).collect();
    // A decimal comma is refused on its line, and makes no table of a run.
    let is_number = |column: &&[u8]| {
        std::str::from_utf8(column).is_ok_and(|text| text.replacen(',', ".", 1).parse::<f64>().is_ok())
    };
    columns.len() >= 6 && columns.get(4).is_some_and(is_number)
}
