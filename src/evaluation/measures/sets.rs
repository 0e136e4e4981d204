//! Measures of the retrieved documents as a set, and counts.

use super::query::{Query, is_judged, ratio};

/// The share of relevant documents among those retrieved; relative to the highest possible share, if asked for.
pub(super) fn set_precision(query: &Query) -> f64 {
    let retrieved = query.retrieved.len();
    let most = if query.parameters.relative { retrieved.min(query.relevant()) } else { retrieved };
    ratio(retrieved_relevant(query), most)
}

/// The share of relevant documents that are retrieved.
pub(super) fn set_recall(query: &Query) -> f64 {
    ratio(retrieved_relevant(query), query.relevant())
}

/// The harmonic mean of set precision and set recall, in which recall counts `beta` times, as trec_eval weighs it.
pub(super) fn set_f(query: &Query) -> f64 {
    let found = retrieved_relevant(query);
    if found == 0 {
        return 0.0;
    }
    let precision = ratio(found, query.retrieved.len());
    let recall = ratio(found, query.relevant());
    let beta = query.parameters.beta;
    (beta + 1.0) * precision * recall / (beta * precision + recall)
}

/// Set precision times set recall.
pub(super) fn set_average_precision(query: &Query) -> f64 {
    let found = retrieved_relevant(query) as f64;
    if found == 0.0 { 0.0 } else { found * found / (query.retrieved.len() as f64 * query.relevant() as f64) }
}

/// What the retrieved relevant, the retrieved other, and the missed relevant documents are worth together.
pub(super) fn utility(query: &Query) -> f64 {
    let found = retrieved_relevant(query) as f64;
    let cells = [found, query.retrieved.len() as f64 - found, query.relevant() as f64 - found];
    query.parameters.weights.numbers.iter().zip(cells).map(|(weight, count)| weight * count).sum()
}

/// The number of retrieved documents; only of those from a grade on, if one is given.
pub(super) fn number_retrieved(query: &Query) -> f64 {
    match query.parameters.level {
        Some(_) => retrieved_relevant(query) as f64,
        None => query.retrieved.len() as f64,
    }
}

/// The number of relevant documents, retrieved or not.
pub(super) fn number_relevant(query: &Query) -> f64 {
    query.relevant() as f64
}

/// 1: the query itself.
pub(super) fn number_queries(_: &Query) -> f64 {
    1.0
}

/// The number of retrieved documents that were judged and are not relevant.
pub(super) fn number_nonrelevant_judged(query: &Query) -> f64 {
    let nonrelevant = |&&grade: &&Option<i32>| is_judged(grade) && !query.is_relevant(grade);
    query.retrieved.iter().filter(nonrelevant).count() as f64
}

fn retrieved_relevant(query: &Query) -> usize {
    query.relevant_among(query.retrieved)
}
