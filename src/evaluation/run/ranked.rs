//! Ranked JSONL, as this program writes it: a query with its results on each line. Their texts are passed over.

use anyhow::{Result, anyhow};

use super::ranked_line::Line;
use super::{Run, RunBuilder, TieOrder};
use crate::input::{Lines, Source, not_json, too_long, utf_8};

/// Reads a run.
///
/// # Errors
/// If it can't be read, or a line is not a query with its results.
pub(super) fn read(source: Source, limit: usize) -> Result<Run> {
    let name = source.name.clone();
    let mut builder = RunBuilder::new(&name);
    let mut lines = Lines::new(source, limit);
    while let Some(piece) = lines.next()? {
        let line = piece.line;
        let located = |problem: String| anyhow!("{name}:{line}: {problem}");
        let text = piece.bytes.ok_or_else(|| too_long(limit, "line")).and_then(utf_8).map_err(located)?;
        let record: Line = serde_json::from_str(text).map_err(|error| located(problem(text, &error)))?;
        add(&mut builder, record, line).map_err(located)?;
    }
    builder.finish(TieOrder::Listed)
}

/// The message for a query that another line has had.
pub(in crate::evaluation) fn came_back(query: &str) -> String {
    format!(
        "query {query:?} stands here for the second time, as after two outputs were put together: a query has one ranking; \
         remove one of the two"
    )
}

fn problem(text: &str, error: &serde_json::Error) -> String {
    match error.is_data() {
        true if !text.trim_start().starts_with('{') => {
            "the line is no JSON object, and ranked JSONL has one for each query; leave --input-format out, so that the format \
             is recognised, or name the right one"
                .to_owned()
        }
        true => format!("the record is not a query with its results: {error}"),
        false => not_json(text, error),
    }
}

fn add(builder: &mut RunBuilder, record: Line, line: u64) -> Result<(), String> {
    let Line { query_id, results, candidates, query: _ } = record;
    let query = query_id.ok_or("the record has no `query_id`")?.0;
    let documents = results.or(candidates).ok_or("the record has neither `results` nor `candidates`")?;
    if !builder.add_query(&query) {
        return Err(came_back(&query));
    }
    let are_fused = documents.iter().any(|document| document.fused.is_some());
    let has_logits = documents.iter().any(|document| document.logit.is_some());
    let has_scores = documents.iter().any(|document| document.score.is_some());
    if !are_fused && !has_logits && !has_scores {
        builder.set_ranks_alone();
    }
    for (place, document) in documents.into_iter().enumerate() {
        let id = document.id.ok_or_else(|| format!("result {} has no `id`", place + 1))?.0;
        let (score, name) = match (are_fused, has_logits, has_scores) {
            (true, _, _) => (document.fused, "fused"),
            (_, true, _) => (document.logit, "logit"),
            (_, _, true) => (document.score, "score"),
            _ => (Some(-(place as f64)), ""),
        };
        let score =
            score.ok_or_else(|| format!("the document {id:?} has no `{name}`, and others of its query have one"))?;
        builder.add(&query, &id, score, line).map_err(|error| error.to_string())?;
    }
    Ok(())
}
