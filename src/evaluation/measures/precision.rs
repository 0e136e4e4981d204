//! Measures of which documents are relevant: precision and recall at cutoffs, average precision and their relatives.
//!
//! All formulas are trec_eval's (Buckley and Voorhees, "Retrieval System Evaluation", in "TREC: Experiment and Evaluation in
//! Information Retrieval", 2005), unless they say otherwise.

use super::query::{Query, is_judged, ratio};

/// The share of relevant documents down to the cutoff; a shorter ranking is filled up with documents that are not relevant.
pub(super) fn precision(query: &Query) -> f64 {
    ratio(query.relevant_among(query.top()), query.parameters.cutoff.unwrap_or_default())
}

/// The share of the relevant documents that stand above the cutoff.
pub(super) fn recall(query: &Query) -> f64 {
    ratio(query.relevant_among(query.top()), query.relevant())
}

/// Precision as a share of the highest precision that the number of relevant documents allows at the cutoff.
pub(super) fn relative_precision(query: &Query) -> f64 {
    let most = query.relevant().min(query.parameters.cutoff.unwrap_or_default());
    ratio(query.relevant_among(query.top()), most)
}

/// 1 if a relevant document stands above the cutoff, and 0 otherwise.
pub(super) fn success(query: &Query) -> f64 {
    f64::from(u8::from(query.relevant_places().next().is_some()))
}

/// The reciprocal of the rank of the first relevant document (Kantor and Voorhees, "The TREC-5 Confusion Track", 2000).
pub(super) fn reciprocal_rank(query: &Query) -> f64 {
    query.relevant_places().next().map_or(0.0, |place| 1.0 / (place + 1) as f64)
}

/// The precision at each relevant document, summed, over the number of relevant documents.
pub(super) fn average_precision(query: &Query) -> f64 {
    let precisions = query.relevant_places().enumerate().map(|(above, place)| (above + 1) as f64 / (place + 1) as f64);
    let sum: f64 = precisions.sum();
    if sum == 0.0 { 0.0 } else { sum / query.relevant() as f64 }
}

/// The precision at as many documents as are relevant.
pub(super) fn r_precision(query: &Query) -> f64 {
    let relevant = query.relevant();
    ratio(query.relevant_among(&query.retrieved[..relevant.min(query.retrieved.len())]), relevant)
}

/// The precision at a multiple of the number of relevant documents, which trec_eval rounds up from a tenth on.
pub(super) fn r_precision_multiple(query: &Query) -> f64 {
    let cutoff = (query.parameters.multiple * query.relevant() as f64 + 0.9) as usize;
    ratio(query.relevant_among(&query.retrieved[..cutoff.min(query.retrieved.len())]), cutoff)
}

/// The highest precision at this recall or a higher one.
pub(super) fn interpolated_precision(query: &Query) -> f64 {
    precision_from(query, query.parameters.recall)
}

/// The mean of interpolated precisions at several values of recall.
pub(super) fn interpolated_average(query: &Query) -> f64 {
    let recalls = &query.parameters.recalls.numbers;
    recalls.iter().map(|&recall| precision_from(query, recall)).sum::<f64>() / recalls.len() as f64
}

/// The highest precision from the relevant document on that brings recall to a share of the relevant documents.
///
/// trec_eval 10 rounds the share to the next whole number of documents; earlier versions, and with them pytrec_eval, rounded
/// it up from a tenth on.
fn precision_from(query: &Query, recall: f64) -> f64 {
    let needed = (recall * query.relevant() as f64).round() as usize;
    let precisions = query.relevant_places().enumerate().map(|(above, place)| (above + 1) as f64 / (place + 1) as f64);
    precisions.skip(needed.saturating_sub(1)).fold(0.0, f64::max)
}

/// The share of documents down to the cutoff, or to the end of a shorter ranking, that have any judgement, as ir_measures
/// computes it.
pub(super) fn judged(query: &Query) -> f64 {
    ratio(query.top().iter().filter(|grade| grade.is_some()).count(), query.top().len())
}

/// The share of documents down to the cutoff that nobody judged; a shorter ranking is filled up with judged documents.
pub(super) fn unjudged(query: &Query) -> f64 {
    let unjudged = query.top().iter().filter(|&&grade| !is_judged(grade)).count();
    ratio(unjudged, query.parameters.cutoff.unwrap_or_default())
}
