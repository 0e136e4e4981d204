//! Fusion: a ranking by the first stage and the reranker together.
//!
//! Reciprocal rank fusion is that of Cormack, Clarke and Büttcher (SIGIR 2009). Interpolation is the weighted sum of both
//! scores, each normalized over the candidates of its query.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use crate::record::{Candidate, Group, Ranked};

/// The field of a result that has its fused score.
pub const FIELD: &str = "fused";

/// The fields of a result that have a reranker's numbers and no other name in files of a first stage.
pub const OF_RERANKER: [&str; 2] = ["logit", FIELD];

/// The constant of reciprocal rank fusion in the paper.
const RECIPROCAL_RANK_CONSTANT: f64 = 60.;

/// How the first stage and the reranker make one ranking.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Fusion {
    /// The sum of 1 / (constant + rank) over both rankings, with ranks from 1.
    ReciprocalRank {
        /// The constant, mostly 60.
        constant: f64,
    },
    /// `alpha` times the first stage's score plus `1 - alpha` times the reranker's logit, both normalized.
    Interpolation {
        /// The weight of the first stage, 0 to 1.
        alpha: f64,
        /// How both are normalized.
        normalization: Normalization,
    },
}

/// How the scores of a query's candidates are made comparable with those of another ranking. Scores that are all equal become 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Normalization {
    /// The lowest becomes 0, and the highest 1.
    #[default]
    MinMax,
    /// The mean becomes 0, and the standard deviation (of the population) 1.
    ZScore,
}

/// What is known of a candidate.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Evidence {
    /// The reranker's logit, finite.
    pub logit: f32,
    /// The rank that the first stage gave.
    pub original_rank: i64,
    /// The score that the first stage gave; needed for interpolation.
    pub original_score: Option<f64>,
}

/// What the first stage knows of a candidate.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FirstStage {
    /// The rank that it gave.
    pub rank: i64,
    /// The score that it gave.
    pub score: Option<f64>,
}

impl FirstStage {
    /// What is known of a candidate.
    pub fn of(candidate: &Candidate) -> Self {
        Self { rank: candidate.original_rank, score: candidate.original_score }
    }

    /// The places of candidates in the first stage's order, best first: by score as a 32-bit float, as trec_eval orders a run
    /// whatever its ranks are, then by rank; by rank alone, if a score is missing.
    pub fn order(candidates: &[Self]) -> Vec<usize> {
        let have_scores = candidates.iter().all(|candidate| candidate.score.is_some());
        let score = |candidate: &Self| candidate.score.filter(|_| have_scores).map_or(0., |score| score as f32);
        let mut order: Vec<(usize, &Self)> = candidates.iter().enumerate().collect();
        order.sort_by(|(_, one), (_, other)| {
            score(other).partial_cmp(&score(one)).unwrap_or(Ordering::Equal).then(one.rank.cmp(&other.rank))
        });
        order.into_iter().map(|(place, _)| place).collect()
    }
}

impl Normalization {
    fn normalize(self, scores: &mut [f64]) {
        let (shift, scale) = match self {
            Self::MinMax => {
                let lowest = scores.iter().copied().fold(f64::INFINITY, f64::min);
                let highest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                // Of finite scores, the difference may be infinite.
                (lowest, highest / 2. - lowest / 2.)
            }
            Self::ZScore => {
                let count = scores.len().max(1) as f64;
                let mean = scores.iter().map(|score| score / count).sum::<f64>();
                let variance = scores.iter().map(|score| (score - mean).powi(2) / count).sum::<f64>();
                (mean, variance.sqrt() / 2.)
            }
        };
        for score in scores {
            let normalized = (*score / 2. - shift / 2.) / scale;
            *score = if normalized.is_finite() { normalized } else { 0. };
        }
    }
}

impl Fusion {
    /// The fused scores of a query's candidates, higher ones better.
    pub fn scores(&self, candidates: &[Evidence]) -> Vec<f64> {
        match self {
            Self::ReciprocalRank { constant } => {
                let by_logit = |one: &Evidence, other: &Evidence| {
                    let by_logit = other.logit.partial_cmp(&one.logit).unwrap_or(Ordering::Equal);
                    by_logit.then(one.original_rank.cmp(&other.original_rank))
                };
                let reranked = ranks(candidates, by_logit);
                let first = ranks(candidates, |one, other| one.original_rank.cmp(&other.original_rank));
                let reciprocal = |rank: usize| 1. / (constant + rank as f64);
                first.into_iter().zip(reranked).map(|(first, second)| reciprocal(first) + reciprocal(second)).collect()
            }
            Self::Interpolation { alpha, normalization } => {
                let mut first: Vec<f64> =
                    candidates.iter().map(|candidate| candidate.original_score.unwrap_or_default()).collect();
                let mut second: Vec<f64> = candidates.iter().map(|candidate| f64::from(candidate.logit)).collect();
                normalization.normalize(&mut first);
                normalization.normalize(&mut second);
                first.into_iter().zip(second).map(|(first, second)| alpha * first + (1. - alpha) * second).collect()
            }
        }
    }

    /// The fused scores of a query's results.
    pub fn of_results(&self, results: &[Ranked]) -> Vec<f64> {
        let evidence = results.iter().map(|result| Evidence {
            logit: result.logit,
            original_rank: result.candidate.original_rank,
            original_score: result.candidate.original_score,
        });
        self.scores(&evidence.collect::<Vec<_>>())
    }

    /// Why the candidates of a group can't be fused, if they can't. It is checked before the group is scored.
    pub fn objection(&self, group: &Group) -> Option<String> {
        let Self::Interpolation { .. } = self else { return None };
        let without = group.candidates.iter().find(|candidate| candidate.original_score.is_none())?;
        Some(format!(
            "the candidate {:?} has no score of the first stage, of which --fuse {self} makes a sum; give it one, or take --fuse \
             rrf, which needs ranks only",
            without.id
        ))
    }
}

/// The rank of each candidate in an order, from 1; equal ones as they were read.
fn ranks(candidates: &[Evidence], order: impl Fn(&Evidence, &Evidence) -> Ordering) -> Vec<usize> {
    let mut indexed: Vec<(usize, &Evidence)> = candidates.iter().enumerate().collect();
    indexed.sort_by(|(_, one), (_, other)| order(one, other));
    let mut ranks = vec![0; candidates.len()];
    for (rank, (index, _)) in (1..).zip(indexed) {
        if let Some(place) = ranks.get_mut(index) {
            *place = rank;
        }
    }
    ranks
}

impl FromStr for Fusion {
    type Err = String;

    /// `rrf`, `rrf=60`, `alpha=0.3`, or `alpha=0.3,z-score`.
    fn from_str(text: &str) -> Result<Self, String> {
        let expected = || {
            "rrf, rrf=60, alpha=0.3 or alpha=0.3,z-score is expected; alpha is the first stage's weight, 0 to 1"
                .to_owned()
        };
        let number = |text: &str| text.trim().parse::<f64>().ok().filter(|number| number.is_finite());
        match text.trim().split_once('=') {
            None if text.trim().eq_ignore_ascii_case("rrf") => {
                Ok(Self::ReciprocalRank { constant: RECIPROCAL_RANK_CONSTANT })
            }
            Some((name, value)) if name.trim().eq_ignore_ascii_case("rrf") => {
                let constant = number(value).filter(|constant| *constant >= 0.).ok_or_else(expected)?;
                Ok(Self::ReciprocalRank { constant })
            }
            Some((name, value)) if name.trim().eq_ignore_ascii_case("alpha") => {
                let (weight, normalization) = value.split_once(',').unwrap_or((value, "min-max"));
                let normalization = match normalization.trim().to_ascii_lowercase().as_str() {
                    "min-max" => Normalization::MinMax,
                    "z-score" => Normalization::ZScore,
                    _ => return Err(expected()),
                };
                let alpha = number(weight).filter(|alpha| (0. ..=1.).contains(alpha)).ok_or_else(expected)?;
                Ok(Self::Interpolation { alpha, normalization })
            }
            _ => Err(expected()),
        }
    }
}

impl fmt::Display for Fusion {
    /// As the option's value.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ReciprocalRank { constant } => write!(formatter, "rrf={constant}"),
            Self::Interpolation { alpha, normalization: Normalization::MinMax } => write!(formatter, "alpha={alpha}"),
            Self::Interpolation { alpha, normalization: Normalization::ZScore } => {
                write!(formatter, "alpha={alpha},z-score")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn evidence(values: &[(f32, i64, f64)]) -> Vec<Evidence> {
        let of = |&(logit, original_rank, score): &(f32, i64, f64)| Evidence {
            logit,
            original_rank,
            original_score: Some(score),
        };
        values.iter().map(of).collect()
    }

    #[test]
    fn options_are_read_and_printed() {
        for (text, printed) in [
            ("rrf", "rrf=60"),
            ("RRF=10", "rrf=10"),
            ("alpha=0.30", "alpha=0.3"),
            ("alpha = 1 , Z-score", "alpha=1,z-score"),
        ] {
            let fusion: Fusion = text.parse().unwrap();
            assert_eq!(fusion.to_string(), printed);
            assert_eq!(printed.parse(), Ok(fusion));
        }
        for text in ["", "alpha", "alpha=", "alpha=1.5", "alpha=-0.1", "alpha=nan", "alpha=0.3,sum", "rrf=-1", "mean"] {
            assert!(text.parse::<Fusion>().unwrap_err().contains("alpha=0.3"), "{text}");
        }
    }

    #[test]
    fn reciprocal_ranks_are_those_of_both_rankings() {
        // By the reranker: third, first, second. By the first stage, whose ranks have gaps: first, third, second.
        let candidates = evidence(&[(-1., 0, 9.), (3., 70, 7.), (3., 8, 8.)]);
        let fused = Fusion::ReciprocalRank { constant: 60. }.scores(&candidates);
        assert_eq!(fused, [1. / 61. + 1. / 63., 1. / 63. + 1. / 62., 1. / 62. + 1. / 61.]);
    }

    #[test]
    fn the_first_stage_is_ordered_by_its_scores_where_it_has_them() {
        let of = |(rank, score): (i64, Option<f64>)| FirstStage { rank, score };
        let candidates = [(2, Some(1.)), (1, Some(1.)), (3, Some(1. + 1e-9)), (4, Some(5.))].map(of);
        assert_eq!(FirstStage::order(&candidates), [3, 1, 0, 2]);
        assert_eq!(FirstStage::order(&[(2, Some(9.)), (1, None)].map(of)), [1, 0]);
    }

    #[test]
    fn interpolated_scores_are_normalized() {
        let candidates = evidence(&[(-1., 1, 30.), (3., 2, 20.), (1., 3, 10.)]);
        let fusion = Fusion::Interpolation { alpha: 0.25, normalization: Normalization::MinMax };
        assert_eq!(fusion.scores(&candidates), [0.25, 0.125 + 0.75, 0.375]);
        // numpy: (x - x.mean()) / x.std()
        let fusion = Fusion::Interpolation { alpha: 0.25, normalization: Normalization::ZScore };
        let deviation = 1.224_744_871_391_589;
        for (found, expected) in
            fusion.scores(&candidates).iter().zip([-0.5 * deviation, 0.75 * deviation, -0.25 * deviation])
        {
            assert!((found - expected).abs() < 1e-12, "{found} {expected}");
        }
        assert_eq!(fusion.scores(&evidence(&[(2., 1, 5.), (2., 2, 5.)])), [0., 0.]);
        let extreme = evidence(&[(f32::MAX, 1, f64::MAX), (f32::MIN, 2, f64::MIN)]);
        let fusion = Fusion::Interpolation { alpha: 0.5, normalization: Normalization::MinMax };
        assert_eq!(fusion.scores(&extreme), [1., 0.]);
    }

    proptest! {
        #[test]
        fn the_ends_of_alpha_are_the_two_rankings(
            values in prop::collection::vec((-9f32..9., 1i64..50, -9f64..9.), 1..20), z_score in any::<bool>(),
        ) {
            let candidates = evidence(&values);
            let normalization = if z_score { Normalization::ZScore } else { Normalization::MinMax };
            let order = |scores: &[f64]| {
                let mut order: Vec<usize> = (0..scores.len()).collect();
                order.sort_by(|one, other| scores[*other].total_cmp(&scores[*one]));
                order
            };
            for (alpha, expected) in [
                (0., values.iter().map(|value| f64::from(value.0)).collect::<Vec<_>>()),
                (1., values.iter().map(|value| value.2).collect()),
            ] {
                let fused = Fusion::Interpolation { alpha, normalization }.scores(&candidates);
                prop_assert_eq!(order(&fused), order(&expected));
            }
        }
    }
}
