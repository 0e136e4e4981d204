//! A TREC run: `query Q0 document rank score tag`.
//!
//! trec_eval ignores the rank, reads the score as a 32-bit float, and orders ties by descending document id. So the
//! printed scores fall strictly, in f32: a logit that does not is printed as the next smaller float.

use std::io::Write;

use crate::record::Ranking;

/// Appends a line for each candidate.
pub(super) fn format(ranking: &Ranking, buffer: &mut Vec<u8>) {
    let mut previous = f32::INFINITY;
    for (index, result) in ranking.results.iter().enumerate() {
        let printed = result.logit.min(previous.next_down());
        previous = printed;
        let (query, document, rank) = (&ranking.query.id, &result.candidate.id, index + 1);
        // Writing to memory does not fail.
        let _ = writeln!(buffer, "{query} Q0 {document} {rank} {printed} rerank");
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::examples::ranking;
    use super::*;

    fn printed(logits: &[f32]) -> Vec<f32> {
        let mut buffer = Vec::new();
        format(&ranking(logits), &mut buffer);
        let text = String::from_utf8(buffer).unwrap();
        text.lines().map(|line| line.split(' ').nth(4).unwrap().parse().unwrap()).collect()
    }

    #[test]
    fn a_line_has_six_columns() {
        let mut buffer = Vec::new();
        format(&ranking(&[7.12039, -0.5]), &mut buffer);
        assert_eq!(String::from_utf8(buffer).unwrap(), "q1 Q0 d0 1 7.12039 rerank\nq1 Q0 d1 2 -0.5 rerank\n");
    }

    proptest! {
        #[test]
        fn printed_scores_fall_strictly(mut logits in proptest::collection::vec(prop_oneof![-2f32..2., Just(0.5f32), Just(0f32), Just(-0f32)], 0..40)) {
            logits.sort_by(|one, other| other.partial_cmp(one).unwrap());
            let printed = printed(&logits);
            prop_assert!(printed.is_sorted_by(|one, other| one > other));
            for (printed, logit) in printed.iter().zip(&logits) {
                prop_assert!((printed - logit).abs() < 1e-5);
            }
        }
    }
}
