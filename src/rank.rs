//! Stage 5, rank: candidates are ordered by descending fused score, if there is one, then by descending logit, then by their
//! original rank, then in the order of reading. A logit that is not finite was refused before.

use std::cmp::Ordering;

use crate::fusion::Fusion;
use crate::record::{Query, Ranked, Ranking};

/// Which candidates of a ranking are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Cutoff {
    /// The most candidates that are kept, the best ones.
    pub top_k: Option<usize>,
    /// The least score of a candidate that is kept.
    pub min_score: Option<f32>,
}

/// Orders the scored candidates of a query, best first. Logits must be finite.
pub fn rank(query: Query, mut results: Vec<Ranked>, fusion: Option<Fusion>, cutoff: Cutoff) -> Ranking {
    if let Some(fusion) = fusion {
        let fused = fusion.of_results(&results);
        results.iter_mut().zip(fused).for_each(|(result, fused)| result.fused = Some(fused));
    }
    // partial_cmp, not total_cmp: −0.0 and 0.0 are a tie.
    results.sort_by(|one, other| {
        let by_fused = other.fused.partial_cmp(&one.fused).unwrap_or(Ordering::Equal);
        let by_logit = other.logit.partial_cmp(&one.logit).unwrap_or(Ordering::Equal);
        by_fused.then(by_logit).then(one.candidate.original_rank.cmp(&other.candidate.original_rank))
    });
    if let Some(least) = cutoff.min_score {
        results.retain(|result| result.score >= least);
    }
    results.truncate(cutoff.top_k.unwrap_or(usize::MAX));
    Ranking { query, results }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::recipe::{Activation, Function};
    use crate::record::Candidate;

    fn results(logits: &[(f32, i64)]) -> Vec<Ranked> {
        let ranked = |(index, &(logit, original_rank)): (usize, &(f32, i64))| {
            let candidate = Candidate { id: index.to_string(), original_rank, ..Candidate::default() };
            Ranked {
                candidate,
                logit,
                score: Activation::of(Function::Sigmoid).score(logit),
                truncated: false,
                fused: None,
            }
        };
        logits.iter().enumerate().map(ranked).collect()
    }

    fn ids(ranking: &Ranking) -> Vec<&str> {
        ranking.results.iter().map(|result| result.candidate.id.as_str()).collect()
    }

    #[test]
    fn ties_keep_the_original_rank_even_where_the_sigmoid_saturates() {
        let ranking = rank(
            Query::default(),
            results(&[(50., 2), (60., 3), (50., 1), (-0., 5), (0., 4)]),
            None,
            Cutoff::default(),
        );
        assert_eq!(ids(&ranking), ["1", "2", "0", "4", "3"]);
        let equal = rank(Query::default(), results(&[(1., 7), (1., 7), (1., 7)]), None, Cutoff::default());
        assert_eq!(ids(&equal), ["0", "1", "2"]);
    }

    proptest! {
        #[test]
        fn a_cutoff_keeps_the_head_of_the_whole_ranking(
            logits in proptest::collection::vec((-3i8..3, 0i64..4), 0..20), top_k in 1usize..9, least in 0f32..1.,
        ) {
            let logits: Vec<(f32, i64)> = logits.into_iter().map(|(logit, rank)| (f32::from(logit), rank)).collect();
            let whole = rank(Query::default(), results(&logits), None, Cutoff::default());
            let cut = rank(Query::default(), results(&logits), None, Cutoff { top_k: Some(top_k), min_score: Some(least) });
            let expected: Vec<&str> = whole.results.iter().filter(|result| result.score >= least).take(top_k)
                .map(|result| result.candidate.id.as_str()).collect();
            prop_assert_eq!(ids(&cut), expected);
            prop_assert!(whole.results.is_sorted_by(|one, other| one.logit >= other.logit));
        }
    }
}
