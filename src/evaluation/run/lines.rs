//! Runs with a document on each line: TREC's, MS MARCO's and Tevatron's.

use anyhow::{Result, anyhow};

use super::{Run, RunBuilder, RunFileFormat, TieOrder};
use crate::input::{Lines, MAX_RECORD_BYTES, RunFormat, Source, too_long, utf_8};

/// Reads a run line by line.
///
/// # Errors
/// If it can't be read, or a line is malformed.
pub(super) fn read(source: Source, format: RunFileFormat) -> Result<Run> {
    let (format, ties) = match format {
        RunFileFormat::Msmarco => (RunFormat::Msmarco, TieOrder::Listed),
        RunFileFormat::Tevatron => (RunFormat::Tevatron, TieOrder::IdDescending),
        _ => (RunFormat::Trec, TieOrder::IdDescending),
    };
    let name = source.name.clone();
    let mut builder = RunBuilder::of_lines(&name, source.findings.unit());
    let mut lines = Lines::new(source, MAX_RECORD_BYTES);
    while let Some(piece) = lines.next()? {
        let line = piece.line;
        let located = |problem: String| anyhow!("{name}:{line}: {problem}");
        let text = piece.bytes.ok_or_else(|| too_long(MAX_RECORD_BYTES, "line")).and_then(utf_8).map_err(located)?;
        let columns = format.split(text).map_err(located)?;
        // Ranks are looked at only where there is nothing else, as in trec_eval.
        let score = match columns.score().map_err(located)? {
            Some(score) => score,
            None => {
                builder.set_ranks_alone();
                -(columns.rank().map_err(located)? as f64)
            }
        };
        builder.add(columns.query, columns.id, score, line)?;
        columns.tag.iter().for_each(|tag| builder.set_tag(tag));
    }
    builder.finish(ties)
}
