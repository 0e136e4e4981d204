//! What both stages know of each candidate, from ranked JSONL or from the runs of both.

use std::path::Path;

use ahash::{AHashMap, AHashSet};
use anyhow::{Context, Result, anyhow, bail, ensure};
use serde::Deserialize;

use crate::evaluation::command::RunFile;
use crate::evaluation::run::{Id, PEEKED_BYTES, Run, RunFileFormat, came_back, left_out};
use crate::fusion::Evidence;
use crate::input::{Lines, MAX_RECORD_BYTES, Source, not_json, too_long, utf_8};

/// The candidates of all queries.
pub(super) struct Scored {
    /// Each query's identifier, and its candidates with theirs.
    pub(super) queries: Vec<(String, Vec<(String, Evidence)>)>,
    /// Documents that only one of two runs has.
    pub(super) left_out: u64,
    /// Why nothing but ranks can be fused, if that is so: a stage has no scores.
    pub(super) ranks_alone: Option<String>,
    /// What users should know of the files.
    pub(super) notes: Vec<String>,
}

#[derive(Deserialize)]
struct Line<'a> {
    #[serde(borrow)]
    query_id: Id<'a>,
    #[serde(borrow)]
    results: Vec<Document<'a>>,
}

#[derive(Deserialize)]
struct Document<'a> {
    #[serde(borrow)]
    id: Id<'a>,
    logit: f32,
    original_rank: i64,
    original_score: Option<f64>,
}

/// Reads what a ranking run has written as JSONL.
///
/// # Errors
/// If it can't be read, or lacks what a fusion needs: a stage's order, or documents that the first stage had.
pub(super) fn of_ranked(path: Option<&Path>, format: Option<RunFileFormat>) -> Result<Scored> {
    let mut source = Source::open(path)?;
    let name = source.name.clone();
    let format = format.or_else(|| RunFileFormat::of_content(&source.peek_line(PEEKED_BYTES).ok()?, &name).ok());
    ensure!(
        format.is_none_or(|format| format == RunFileFormat::Jsonl),
        "{name}:1: one run must have the scores of both stages, as the JSONL has that `rerank` writes (-o ranked.jsonl), and this \
         is another format; of other runs name two, the first stage's and the reranker's"
    );
    let mut lines = Lines::new(source, MAX_RECORD_BYTES);
    let (mut queries, mut seen, mut ranks_alone) = (Vec::new(), AHashSet::new(), None);
    while let Some(piece) = lines.next()? {
        let line = piece.line;
        let located = |problem: String| anyhow!("{name}:{line}: {problem}");
        let text = piece.bytes.ok_or_else(|| too_long(MAX_RECORD_BYTES, "line")).and_then(utf_8).map_err(located)?;
        let record: Line = serde_json::from_str(text).map_err(|error| located(problem(text, &error)))?;
        let query = record.query_id.into_string();
        ensure!(seen.insert(query.clone()), "{name}:{line}: {}", came_back(&query));
        let ranks: Vec<i64> = record.results.iter().map(|document| document.original_rank).collect();
        if let Some(problem) = left_out(&query, &ranks) {
            bail!(
                "{name}:{line}: {problem}, and no fusion can be tried on a part; rank without these options, and tune on that"
            );
        }
        let mut candidates = Vec::with_capacity(record.results.len());
        for Document { id, logit, original_rank, original_score } in record.results {
            let id = id.into_string();
            if original_score.is_none() {
                ranks_alone.get_or_insert_with(|| {
                    format!(
                        "{name}:{line}: the document {id:?} has no `original_score`, and ranks alone are fused by rrf, which is all \
                         that is tried; if the first stage's run has scores, name it before this one, as in `--tune-fusion \
                         bm25.trec {name}`"
                    )
                });
            }
            candidates.push((id, Evidence { logit, original_rank, original_score }));
        }
        queries.push((query, candidates));
    }
    Ok(Scored { queries, left_out: 0, ranks_alone, notes: Vec::new() })
}

fn problem(text: &str, error: &serde_json::Error) -> String {
    if !error.is_data() {
        return not_json(text, error);
    }
    // What serde calls the record says nothing to a user.
    let what = if text.trim_start().starts_with('{') { format!(" ({error})") } else { String::new() };
    format!(
        "the record is not a ranking with the scores of both stages, as `rerank` writes it as JSONL{what}; of other runs name \
         two, the first stage's and the reranker's"
    )
}

/// Reads the runs of both stages. What only one of them has is left out.
///
/// # Errors
/// If one can't be read, or they have no query in common.
pub(super) fn of_runs(first: &RunFile, reranked: &RunFile, format: Option<RunFileFormat>) -> Result<Scored> {
    let [first, reranked] = [first, reranked].map(|file| Run::read(file.path.as_deref(), format));
    let (first, reranked) = (first?, reranked?);
    let (mut queries, mut left_out) = (Vec::new(), 0);
    for query in reranked.queries() {
        let Some(documents) = first.documents(&query.id) else { continue };
        let known: AHashMap<&str, (i64, f32)> =
            (1..).zip(documents.iter()).map(|(rank, (id, score))| (id, (rank, score))).collect();
        let evidence = |(id, logit): (&str, f32)| {
            let (original_rank, score) = *known.get(id)?;
            let original_score = first.has_scores().then_some(f64::from(score));
            Some((id.to_owned(), Evidence { logit, original_rank, original_score }))
        };
        let common: Vec<(String, Evidence)> = query.documents.iter().filter_map(evidence).collect();
        left_out += (documents.len() + query.documents.len()).saturating_sub(2 * common.len()) as u64;
        queries.push((query.id.to_string(), common));
    }
    let ranks_alone = [&first, &reranked].into_iter().find(|run| !run.has_scores()).map(|run| {
        format!("{} has ranks and no scores, and ranks alone are fused by rrf, which is all that is tried", run.name())
    });
    let notes = [first.notes(), reranked.notes()].concat();
    let names = || format!("{} and {} have no query in common", first.name(), reranked.name());
    (!queries.is_empty()).then_some(Scored { queries, left_out, ranks_alone, notes }).with_context(names)
}
