//! A run in one JSON object: scores by document ids by query ids.

use anyhow::Result;

use super::{Run, RunBuilder, TieOrder};
use crate::input::{ScoreSink, Source, read_scores};

/// Reads a run. The file is never held as a whole.
///
/// # Errors
/// As [`read_scores`].
pub(super) fn read(source: Source) -> Result<Run> {
    let mut builder = RunBuilder::new(&source.name);
    read_scores(source, &mut builder)?;
    builder.finish(TieOrder::IdDescending)
}

impl ScoreSink for RunBuilder {
    fn add_query(&mut self, query: &str) -> Result<(), String> {
        Self::add_query(self, query);
        Ok(())
    }

    fn add(&mut self, query: &str, document: &str, score: f64) -> Result<(), String> {
        Self::add(self, query, document, score, 0).map_err(|error| error.to_string())
    }
}
