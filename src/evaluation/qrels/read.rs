//! Qrels with a judgement on each line.

use std::num::{IntErrorKind, ParseIntError};

use anyhow::{Result, anyhow};

use super::format::is_header;
use super::{Qrels, QrelsBuilder, QrelsFormat};
use crate::input::{Lines, MAX_RECORD_BYTES, Source, too_long, utf_8};

/// Reads qrels line by line.
///
/// # Errors
/// If they can't be read, or a line is malformed.
pub(super) fn read(source: Source, format: QrelsFormat) -> Result<Qrels> {
    let name = source.name.clone();
    let mut builder = QrelsBuilder::new(&name, source.findings.unit());
    let mut lines = Lines::new(source, MAX_RECORD_BYTES);
    let mut is_first = true;
    while let Some(piece) = lines.next()? {
        let line = piece.line;
        let located = |problem: String| anyhow!("{name}:{line}: {problem}");
        let text = piece.bytes.ok_or_else(|| too_long(MAX_RECORD_BYTES, "line")).and_then(utf_8).map_err(located)?;
        let columns = columns(text, format).map_err(located)?;
        if std::mem::take(&mut is_first) && format == QrelsFormat::Beir && is_header(&columns) {
            continue;
        }
        let [query, document, value] = columns;
        let grade = grade(value).map_err(located)?;
        builder.add(query, document, grade, line).map_err(located)?;
    }
    builder.finish()
}

/// A line's query, document and grade.
fn columns(text: &str, format: QrelsFormat) -> Result<[&str; 3], String> {
    if format == QrelsFormat::Beir {
        // Identifiers may hold blanks there.
        let columns: Vec<&str> = text.split('\t').map(str::trim).collect();
        let columns = if columns.len() == 1 { text.split_ascii_whitespace().collect() } else { columns };
        return <[&str; 3]>::try_from(columns).map_err(|columns| {
            format!("the line has {} columns, BEIR's qrels have three: query-id, document-id and grade", columns.len())
        });
    }
    let mut rest = text.split_ascii_whitespace();
    match [rest.next(), rest.next(), rest.next(), rest.next(), rest.next()] {
        [Some(query), Some(_), Some(document), Some(grade), None] => Ok([query, document, grade]),
        _ => Err(format!(
            "the line has {} columns, qrels have four: query-id 0 document-id grade",
            text.split_ascii_whitespace().count()
        )),
    }
}

/// Reads a grade: an integer, which tables that went through a data frame write as `1.0`.
///
/// # Errors
/// If it is none, as a sentence without a full stop.
pub(super) fn grade(text: &str) -> Result<i32, String> {
    let is_zeros = |rest: &str| rest.bytes().all(|byte| byte == b'0');
    let whole = text.split_once('.').filter(|(digits, rest)| !digits.is_empty() && is_zeros(rest));
    let digits = whole.map_or(text, |(digits, _)| digits);
    digits.parse().map_err(|error: ParseIntError| match error.kind() {
        IntErrorKind::PosOverflow | IntErrorKind::NegOverflow => {
            format!("the grade {text:?} is out of range: grades have at most 32 bits; scale them")
        }
        _ => format!(
            "the grade {text:?} is not an integer: grades are 0, 1, 2 and so on; scale and round other judgements"
        ),
    })
}
