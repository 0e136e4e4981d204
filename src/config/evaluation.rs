//! Resolves the options of a run that is evaluated while it ranks.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use super::eval::parse_measures;
use super::input::{check_file, named_file};
use crate::cli::EvaluationArguments;
use crate::evaluation::measures::Measure;

/// The measures that are computed where none is named.
const USUAL: &str = "nDCG@10 RR@10 Judged@10";

/// By what a run is evaluated.
#[derive(Clone, Debug)]
pub struct EvaluationChoice {
    /// The judgements.
    pub qrels: PathBuf,
    /// The measures.
    pub measures: Vec<Measure>,
}

/// By what a run is evaluated, if it is. The judgements of a BEIR directory count if no others are named.
///
/// # Errors
/// If a measure is not known, or options contradict each other.
pub(super) fn resolve_evaluation(
    arguments: &EvaluationArguments,
    beir: Option<&Path>,
    is_dry_run: bool,
) -> Result<Option<EvaluationChoice>> {
    let EvaluationArguments { qrels, measures } = arguments;
    ensure!(
        qrels.is_none() || !is_dry_run,
        "--qrels and --dry-run: nothing is ranked that could be evaluated; leave one of them out"
    );
    let qrels = match (named_file(qrels)?, beir.filter(|_| !is_dry_run)) {
        (Some(qrels), _) => Some(qrels),
        (None, Some(folder)) => super::beir::qrels(folder)?,
        (None, None) => None,
    };
    let Some(qrels) = qrels else {
        ensure!(measures.is_empty(), "--measures needs judgements: name them with --qrels, or leave it out");
        return Ok(None);
    };
    check_file(&qrels).context("--qrels")?;
    let named = if measures.is_empty() { &[USUAL.to_owned()][..] } else { measures };
    Ok(Some(EvaluationChoice { qrels, measures: parse_measures(named, None)? }))
}
