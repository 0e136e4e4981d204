//! Ranks that order nothing: tools that have scores only write the same rank for every candidate of a query.

use crate::record::{Candidate, Group};

/// Numbers the candidates of a query by their scores, descending, where all of them have one rank; candidates with one
/// score, and all candidates where one has no score, keep their order. Returns a note if the ranks were replaced.
pub fn settle(group: &mut Group) -> Option<String> {
    let candidates = &mut group.candidates;
    let [first, rest @ ..] = &candidates[..] else { return None };
    let rank = first.original_rank;
    if rest.is_empty() || rest.iter().any(|candidate| candidate.original_rank != rank) {
        return None;
    }
    let mut order: Vec<&mut Candidate> = candidates.iter_mut().collect();
    let scored = order.iter().all(|candidate| candidate.original_score.is_some());
    if scored {
        order.sort_by(|one, other| {
            other.original_score.partial_cmp(&one.original_score).unwrap_or(std::cmp::Ordering::Equal)
        });
    }
    for (candidate, rank) in order.into_iter().zip(1..) {
        candidate.original_rank = rank;
    }
    let rule = if scored { "the score, descending" } else { "the order of the candidates" };
    Some(format!(
        "all candidates of query {:?} have rank {rank}, which orders nothing: wherever that is so, `original_rank` follows \
         {rule}",
        group.query.id
    ))
}
