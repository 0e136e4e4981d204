//! A TREC run: `query Q0 document rank score tag`.
//!
//! trec_eval ignores the rank, reads the score as a 32-bit float, and orders ties by descending document id. So the
//! printed scores fall strictly, in f32: a score that does not is printed as the next smaller float.

use std::io::Write;

use crate::record::Ranking;

/// Appends a line for each candidate.
pub(super) fn format(ranking: &Ranking, tag: &str, buffer: &mut Vec<u8>) {
    let mut previous = f32::INFINITY;
    for (index, result) in ranking.results.iter().enumerate() {
        // The fused score orders the ranking, if there is one.
        let score = result.fused.map_or(result.logit, |fused| fused as f32);
        let printed = score.min(previous.next_down());
        previous = printed;
        let (query, document, rank) = (&ranking.query.id, &result.candidate.id, index + 1);
        // Writing to memory does not fail.
        let _ = writeln!(buffer, "{query} Q0 {document} {rank} {printed} {tag}");
    }
}

/// The reason why an id can't be written to a run of this kind, if there is one.
pub(super) fn objection(id: &str, kind: &str) -> Option<String> {
    let reason = problem(id)?;
    Some(format!("the id {id:?} can't be written to {kind}, because it {reason}; write JSONL"))
}

/// Checks that a tag can be the last column of a run.
///
/// # Errors
/// The reason why it can't.
pub fn check_tag(tag: &str) -> Result<String, String> {
    match problem(tag) {
        None => Ok(tag.to_owned()),
        Some(reason) => Err(format!("the tag is a column of the run, but it {reason}")),
    }
}

/// What would make readers split columns or lines elsewhere. C programs end a column at white space and a text at NUL; other
/// programs also end them at Unicode's white space and at ASCII's separators of files, groups and records; and a byte order
/// mark is lost where a file begins with it.
fn problem(column: &str) -> Option<&'static str> {
    if column.is_empty() {
        Some("is empty")
    } else if column.contains(char::is_whitespace) {
        Some("contains white space, where columns end")
    } else if column.contains(char::is_control) {
        Some("contains a control character")
    } else if column.starts_with('\u{feff}') {
        Some("begins with a byte order mark")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::examples::ranking;
    use super::*;

    fn printed(logits: &[f32]) -> Vec<f32> {
        let mut buffer = Vec::new();
        format(&ranking(logits), "rerank", &mut buffer);
        let text = String::from_utf8(buffer).unwrap();
        text.lines().map(|line| line.split(' ').nth(4).unwrap().parse().unwrap()).collect()
    }

    #[test]
    fn a_line_has_six_columns() {
        let mut buffer = Vec::new();
        format(&ranking(&[7.12039, -0.5]), "mine", &mut buffer);
        assert_eq!(String::from_utf8(buffer).unwrap(), "q1 Q0 d0 1 7.12039 mine\nq1 Q0 d1 2 -0.5 mine\n");
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
