//! Measures for judgements that are incomplete: they look at judged documents only, or estimate what the others would be.

use super::query::{Query, is_judged};

/// The share of pairs of a relevant and another judged document that are in the right order (Buckley and Voorhees,
/// "Retrieval Evaluation with Incomplete Information", SIGIR 2004), as trec_eval computes it.
pub(super) fn bpref(query: &Query) -> f64 {
    let relevant = query.relevant();
    let nonrelevant = query.judgements.judged_nonrelevant(query.level());
    let mut nonrelevant_above = 0_usize;
    let mut sum = 0.0;
    for &grade in query.top().iter().filter(|&&grade| is_judged(grade)) {
        if !query.is_relevant(grade) {
            nonrelevant_above += 1;
        } else if nonrelevant_above > 0 {
            sum += 1.0 - nonrelevant_above.min(relevant) as f64 / nonrelevant.min(relevant) as f64;
        } else {
            sum += 1.0;
        }
    }
    if relevant == 0 { 0.0 } else { sum / relevant as f64 }
}

/// Keeps the estimate of precision defined where nothing above a document is judged; the value is trec_eval's.
const EPSILON: f64 = 0.00001;

/// Average precision where documents with a negative grade were pooled and not judged, and count as relevant in the
/// proportion of those judged above them (Yilmaz and Aslam, "Estimating Average Precision with Incomplete and Imperfect
/// Judgments", CIKM 2006), as trec_eval computes it.
pub(super) fn inferred_average_precision(query: &Query) -> f64 {
    let (mut relevant_above, mut pooled_above) = (0_usize, 0_usize);
    let mut nonrelevant_above = 0_usize;
    let mut sum = 0.0;
    for (place, &grade) in query.top().iter().enumerate() {
        if query.is_relevant(grade) {
            let judged = (relevant_above + nonrelevant_above) as f64;
            let precision = (relevant_above as f64 + EPSILON) / (judged + 2.0 * EPSILON);
            let (above, rank) = (place as f64, (place + 1) as f64);
            let pooled = (relevant_above + nonrelevant_above + pooled_above) as f64;
            sum += 1.0 / rank + if place == 0 { 0.0 } else { above / rank * (pooled / above) * precision };
            relevant_above += 1;
        } else if is_judged(grade) {
            nonrelevant_above += 1;
        } else if grade.is_some() {
            pooled_above += 1;
        }
    }
    if relevant_above == 0 { 0.0 } else { sum / query.relevant() as f64 }
}
