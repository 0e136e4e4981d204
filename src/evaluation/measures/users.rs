//! Measures with a model of a user who reads down the ranking and may stop after each document.

use super::query::{Query, is_judged};

/// Rank-biased precision: a user goes on to the next document with the probability `p` (Moffat and Zobel, "Rank-Biased
/// Precision for Measurement of Retrieval Effectiveness", TOIS 2008).
///
/// With a level documents are worth 1 from that grade on. Without one they are worth their grade, divided by the highest
/// grade of the query's judgements if that is above 1, as in trec_eval's `rbp`.
pub(super) fn rank_biased_precision(query: &Query) -> f64 {
    let highest = query.judgements.grades().first().map_or(1, |&grade| grade.max(1));
    let worth = |grade: Option<i32>| match query.parameters.level {
        Some(_) => f64::from(u8::from(query.is_relevant(grade))),
        None => f64::from(grade.unwrap_or_default().max(0)) / f64::from(highest),
    };
    let persistence = query.parameters.persistence;
    let (mut weight, mut sum) = (1.0, 0.0);
    for &grade in query.top() {
        sum += weight * worth(grade);
        weight *= persistence;
    }
    (1.0 - persistence) * sum
}

/// trec_eval's `rbp_resid`: how much higher rank-biased precision could be if all documents that nobody judged, and those
/// after the end of the ranking, were relevant. It is 0 for a ranking of judged documents, whatever may come after its end.
pub(super) fn rank_biased_residual(query: &Query) -> f64 {
    let persistence = query.parameters.persistence;
    let (mut weight, mut sum) = (1.0, 0.0);
    for &grade in query.retrieved {
        if !is_judged(grade) {
            sum += weight;
        }
        weight *= persistence;
    }
    if sum == 0.0 { 0.0 } else { weight + (1.0 - persistence) * sum }
}

/// Expected reciprocal rank (Chapelle and others, "Expected Reciprocal Rank for Graded Relevance", CIKM 2009), as TREC's
/// `gdeval.pl` computes it: a document of grade g satisfies a user with the probability (2^g - 1) / 2^`max_rel`.
pub(super) fn expected_reciprocal_rank(query: &Query) -> f64 {
    // A power of the highest grade itself may be too large for a number.
    let highest = f64::from(query.parameters.highest);
    let least = (-highest).exp2();
    let (mut reading, mut sum) = (1.0, 0.0);
    for (place, &grade) in query.top().iter().enumerate() {
        let satisfied = (f64::from(grade.unwrap_or_default().max(0)) - highest).exp2() - least;
        sum += reading * satisfied / (place + 1) as f64;
        reading *= 1.0 - satisfied;
    }
    sum
}

/// Rank-biased overlap with the best ranking, in which the retrieved documents of a grade stand before the others and in the
/// order of the ranking (Clarke and others, "Assessing Top-k Preferences", TOIS 2021).
pub(super) fn compatibility(query: &Query) -> f64 {
    let ideal = query.judgements.relevant(1);
    let depth = query.retrieved.len().max(ideal);
    let overlap = overlap(query, depth);
    let value = biased_overlap(query.parameters.persistence, &overlap);
    if !query.parameters.normalize {
        return value;
    }
    let alone: Vec<usize> = (1..=depth).map(|depth| depth.min(ideal)).collect();
    let best = biased_overlap(query.parameters.persistence, &alone);
    if best > 0.0 { value / best } else { value }
}

/// How many documents the ranking and the best ranking have in common down to each depth.
fn overlap(query: &Query, depth: usize) -> Vec<usize> {
    let mut joins = vec![0_usize; depth];
    let mut found: Vec<(i32, usize)> = Vec::new();
    for (place, grade) in query.retrieved.iter().enumerate() {
        let Some(grade) = grade.filter(|&grade| grade > 0) else { continue };
        let known = found.iter().position(|&(other, _)| other == grade).unwrap_or_else(|| {
            found.push((grade, query.judgements.relevant(grade.saturating_add(1))));
            found.len() - 1
        });
        let ideal_place = found[known].1;
        found[known].1 += 1;
        joins[place.max(ideal_place)] += 1;
    }
    let mut common = 0;
    for count in &mut joins {
        common += *count;
        *count = common;
    }
    joins
}

/// The mean share of common documents over the depths, weighted by the persistence.
fn biased_overlap(persistence: f64, overlap: &[usize]) -> f64 {
    let (mut weight, mut weights, mut sum) = (1.0, 0.0, 0.0);
    for (place, &common) in overlap.iter().enumerate() {
        sum += weight * common as f64 / (place + 1) as f64;
        weights += weight;
        weight *= persistence;
    }
    if weights > 0.0 { sum / weights } else { 0.0 }
}
