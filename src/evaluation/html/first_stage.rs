//! The first stage of a ranking, as a run of its own: the ranks that the documents had before.

use std::path::Path;

use anyhow::Result;

use crate::evaluation::run::{Record, Records, Run, RunBuilder, RunFileFormat, TieOrder, left_out};

/// The name of the first stage beside the run that it was found in.
pub(super) const NAME: &str = "first stage";

/// The first stage's run, or the sentence that explains why a file has none. Only ranked JSONL has it.
///
/// # Errors
/// If the file can't be read.
pub(super) fn read(path: &Path, format: Option<RunFileFormat>) -> Result<Result<Run, String>> {
    let name = path.display().to_string();
    let Some(mut records) = Records::open(path, format)? else {
        return Ok(Err(format!("{name} has no ranks of a first stage, as ranked JSONL has them")));
    };
    let mut builder = RunBuilder::new(&name);
    let mut line = 0;
    while let Some(record) = records.read()? {
        line += 1;
        if let Err(problem) = whole(&record) {
            return Ok(Err(format!("{name}: {problem}")));
        }
        builder.add_query(&record.query_id);
        for entry in &record.results {
            let rank = entry.original_rank.unwrap_or_default();
            builder.add(&record.query_id, &entry.id, -(rank as f64), line)?;
        }
    }
    builder.finish(TieOrder::Listed).map(Ok)
}

/// Checks that the results are all that the first stage had: of a part, its measures would be those of another ranking.
fn whole(record: &Record) -> Result<(), String> {
    let query = &record.query_id;
    let rank = |rank: u64| i64::try_from(rank).unwrap_or(i64::MAX);
    let ranks: Option<Vec<i64>> = record.results.iter().map(|entry| entry.original_rank.map(rank)).collect();
    let ranks = ranks.ok_or_else(|| format!("query {query:?} has results without an `original_rank`"))?;
    left_out(query, &ranks).map_or(Ok(()), Err)
}
