//! Whether ranked results are all that their first stage had.

/// The sentence that explains that results were left out, if the first stage's ranks of a query's results have gaps. Ranks
/// begin with 0 or 1.
pub fn left_out(query: &str, ranks: &[i64]) -> Option<String> {
    let (lowest, highest) = (*ranks.iter().min()?, *ranks.iter().max()?);
    // Equal ranks leave the highest one below the number of results.
    (highest.saturating_sub(lowest.min(1)) >= ranks.len() as i64).then(|| {
        format!(
            "query {query:?} has {} results, with ranks of the first stage up to {highest}: others were left out (by --top-k, \
             --min-score or --on-error skip)",
            ranks.len()
        )
    })
}

#[cfg(test)]
mod tests {
    use super::left_out;

    #[test]
    fn ranks_with_gaps_are_a_part() {
        for whole in [&[][..], &[1], &[3, 1, 2], &[0, 1], &[1, 1, 2], &[0, 0]] {
            assert_eq!(left_out("q", whole), None, "{whole:?}");
        }
        for part in [&[2][..], &[1, 3], &[0, 2], &[1, i64::MAX]] {
            assert!(left_out("q", part).is_some(), "{part:?}");
        }
    }
}
