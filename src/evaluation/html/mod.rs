//! The report as a page to look at: one file, which fetches nothing.
//!
//! It is made after the evaluation, and reads the runs once more: for the ranks of the documents of the best and worst queries,
//! for the distribution of scores, and, where a run is ranked JSONL, for texts and probabilities.

mod calibration;
mod choice;
mod data;
mod details;
mod distribution;
mod first_stage;
mod gather;
mod page;
mod reading;
mod texts;

use std::path::PathBuf;

use anyhow::{Result, bail};

use super::command::Eval;
use super::qrels::Qrels;
use super::report::Report;
use crate::output::{OutputFile, remedy};
use crate::progress::Reporter;

/// The configuration of a page.
#[derive(Debug)]
pub struct PageOptions {
    /// The file that is written.
    pub path: PathBuf,
    /// A file with the texts of queries.
    pub queries: Option<PathBuf>,
    /// A file with the texts of documents.
    pub collection: Option<PathBuf>,
    /// Documents with this grade or a higher one are shown as relevant.
    pub level: i32,
}

/// An evaluation that a page shows.
#[derive(Clone, Copy)]
pub struct Evaluated<'a> {
    /// What was evaluated.
    pub eval: &'a Eval,
    /// The values.
    pub report: &'a Report,
    /// The judgements.
    pub qrels: &'a Qrels,
    /// Where warnings go.
    pub reporter: &'a Reporter,
}

/// Writes a page.
///
/// # Errors
/// If a run, the queries or the collection can't be read, or the file can't be written.
pub fn write(options: &PageOptions, file: &mut OutputFile, evaluated: Evaluated) -> Result<()> {
    let page = gather::gather(options, evaluated)?;
    if let Err(error) = file.replace(page.as_bytes()) {
        bail!(
            "cannot write the report to {}: {error}; {}, or name another file with --report",
            file.path().display(),
            remedy(&error)
        );
    }
    Ok(())
}
