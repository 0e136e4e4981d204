//! `rerank merge`: the parts of all shards become the output of a single run.

#[cfg(feature = "parquet")]
mod dates;
mod infinite;
mod part;
mod ranking;
mod sources;

use std::path::PathBuf;

use anyhow::{Context, Result, bail, ensure};

use self::sources::Sources;
use super::names;
use super::status::Status;
use crate::exit::{Exit, UsageError};
use crate::output::{Existing, Layout, OutputFormat, Writer, left_out_note};
use crate::progress::counted;
use crate::resume::Sidecar;
use crate::stop::Stop;

/// What is merged, and how it is written.
#[derive(Debug)]
pub struct MergeOptions {
    /// The directory of the shards.
    pub directory: PathBuf,
    /// The file that is written.
    pub output: PathBuf,
    /// Whether the file is replaced if it exists.
    pub existing: Existing,
    /// What the lines look like; whether they have texts is as the shards have it.
    pub layout: Layout,
    /// What users should know of the output's name, if anything.
    pub note: Option<String>,
}

/// What was merged.
pub struct Merged {
    /// How the merge ended; after a signal nothing is written.
    pub exit: Exit,
    /// What it has done, for people.
    pub summary: String,
    /// What they should know of it.
    pub notes: Vec<String>,
}

/// Writes the rankings of all shards in the order of the input: the file has the bytes that a single run writes, and is there as
/// a whole or not at all.
///
/// # Errors
/// If a shard is not done, was written by another run than the others, or is damaged; if a query stands in two shards; if the
/// file can't be written.
pub fn merge(options: &MergeOptions, stop: &Stop) -> Result<Merged> {
    let MergeOptions { directory, output, existing, layout, .. } = options;
    let (status, records) = Status::with_records(directory)?;
    if let Some(left) = status.left() {
        bail!("{}: {left}", directory.display());
    }
    if !status.problems.is_empty() {
        return Err(UsageError::new(format!("{}: {}", directory.display(), status.problems.join("; "))).into());
    }
    let mut sources = Sources::open(directory, records)?;
    let layout = Layout { text: sources.has_text, types: sources.types.clone(), ..layout.clone() };
    let is_of_shard = output.file_name().and_then(|name| names::parse(name.to_str()?)).is_some();
    ensure!(!is_of_shard, "{} is the name of a shard's file; give the output another name", output.display());
    // Until here, a signal ends the program at once, however long a store takes to answer. From now on, there is a file to remove.
    stop.begin_scoring(|| ());
    let mut writer = Writer::open_whole(output, &layout, *existing)?;
    // The record of another run that wrote a file of this name.
    let has_record = Sidecar::read(output)?.is_some();
    // The lines of runs have no carried columns.
    let is_text = layout.format != OutputFormat::Parquet && !layout.format.is_run();
    let lacks_infinite = is_text && !sources.types.get().is_empty();
    let (mut line, mut infinite) = (Vec::new(), 0);
    while sources.next(&mut line)? {
        if let Some(exit) = stop.requested() {
            let summary = format!("interrupted: {} is not written", output.display());
            return Ok(Merged { exit, summary, notes: Vec::new() });
        }
        infinite += u64::from(lacks_infinite && infinite::to_null(&mut line));
        write(&mut writer, &line, &layout)?;
    }
    let (rankings, skipped) = (sources.rankings, sources.skipped);
    let left_out = writer.finish(skipped)?;
    if has_record {
        let record = Sidecar::path(output);
        std::fs::remove_file(&record).with_context(|| format!("cannot remove {}", record.display()))?;
    }
    let (rankings, shards) =
        (counted(rankings, "ranking", "rankings"), counted(status.shards.into(), "shard", "shards"));
    let summary = format!("{} has {rankings} of {shards}", output.display());
    let on_columns = on_columns(&sources.changed_columns).filter(|_| layout.format == OutputFormat::Parquet);
    let own = options.note.iter().cloned().chain(on_columns).collect();
    let notes = [own, status.warnings, notes(skipped, &left_out, infinite)].concat();
    Ok(Merged { exit: Exit::Done, summary, notes })
}

fn write(writer: &mut Writer, line: &[u8], layout: &Layout) -> Result<()> {
    if layout.format == OutputFormat::Jsonl {
        return writer.copy(line);
    }
    #[cfg_attr(not(feature = "parquet"), allow(unused_mut))]
    let mut ranking = ranking::parse(line)?;
    #[cfg(feature = "parquet")]
    if layout.format == OutputFormat::Parquet {
        dates::to_times(&mut ranking, layout.types.get());
    }
    if let Some(problem) = layout.format.objection_to(&ranking) {
        let remedy = "merge to a file that ends in .jsonl, or give the record another id and rank its shard anew";
        return Err(UsageError::new(format!("query {:?}: {problem}: {remedy}", ranking.query.id)).into());
    }
    writer.write(&ranking)
}

/// What users should know of columns that parts can't keep as a single run does.
fn on_columns(changed: &[String]) -> Option<String> {
    let listed = changed.join(", ");
    (!changed.is_empty()).then(|| {
        format!("the parts are JSONL, which has no bytes and no durations: {listed}; a single run that writes Parquet keeps these columns")
    })
}

fn notes(skipped: u64, left_out: &[String], infinite: u64) -> Vec<String> {
    let mut notes = Vec::new();
    if skipped > 0 {
        notes.push(format!("the workers left {} out that could not be used", counted(skipped, "record", "records")));
    }
    notes.extend(left_out_note(left_out));
    if infinite > 0 {
        notes.push(format!(
            "carried columns of {} have infinite numbers, which JSON lacks: null stands in their place; Parquet keeps them",
            counted(infinite, "query", "queries")
        ));
    }
    notes
}
