//! Ranks of a first stage where those of the input order nothing: some tools write one rank for all candidates of a query, and others
//! write scores in no order.

use std::cmp::Ordering;

use crate::record::{Candidate, Group};

/// Numbers the candidates of a query by their scores, descending, where they have no ranks, or all have the same one. Candidates
/// with one score, and all candidates where one has no score, keep their order. Returns a note if that changed a rank.
pub fn settle(group: &mut Group, has_ranks: bool) -> Option<String> {
    let query = group.query.id.clone();
    let candidates = &mut group.candidates;
    let [first, rest @ ..] = &candidates[..] else { return None };
    let rank = first.original_rank;
    let is_scored = candidates.iter().all(|candidate| candidate.original_score.is_some());
    if has_ranks {
        if rest.is_empty() || rest.iter().any(|candidate| candidate.original_rank != rank) {
            return None;
        }
    } else if !is_scored || candidates.is_sorted_by(|one, other| by_score(one, other).is_le()) {
        return None;
    }
    let mut order: Vec<&mut Candidate> = candidates.iter_mut().collect();
    if is_scored {
        order.sort_by(|one, other| by_score(one, other));
    }
    for (candidate, rank) in order.into_iter().zip(1..) {
        candidate.original_rank = rank;
    }
    Some(match (has_ranks, is_scored) {
        (true, true) => format!(
            "all candidates of query {query:?} have rank {rank}, which orders nothing: wherever that is so, `original_rank` \
             follows the score, descending"
        ),
        (true, false) => format!(
            "all candidates of query {query:?} have rank {rank}, which orders nothing: wherever that is so, `original_rank` \
             follows the order of the candidates"
        ),
        (false, _) => format!(
            "the candidates of query {query:?} have no ranks, and do not stand in the order of their scores: wherever that is so, \
             `original_rank` follows the score, descending; give every candidate a `rank` where that is wrong"
        ),
    })
}

/// The higher score first.
fn by_score(one: &Candidate, other: &Candidate) -> Ordering {
    other.original_score.partial_cmp(&one.original_score).unwrap_or(Ordering::Equal)
}
