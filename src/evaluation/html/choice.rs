//! The queries that the page shows in detail: for each run and each measure, those that gained and that lost the most.

/// How many of the best queries, and how many of the worst, are shown of a run in a measure.
pub(super) const SHOWN: usize = 10;
/// How many queries are shown in detail at most, so that the page stays small.
const MOST: usize = 400;
/// The values of queries are rounded to this many parts of 1.
const PARTS: f64 = 1e6;

/// The values of each run in each measure for each query, as the page has them.
pub(super) type Values = Vec<Vec<Vec<f64>>>;

/// A value as the page has it: rounded, as thousands of queries have their values in it.
pub(super) fn rounded(value: f64) -> f64 {
    (value * PARTS).round() / PARTS
}

/// The places of the chosen queries, in ascending order. The page chooses by the same rules: by the difference from the baseline,
/// or by the value itself if there is none, and by the order of the queries where these are equal.
pub(super) fn choose(values: &Values, baseline: Option<usize>) -> Vec<usize> {
    let mut lists = Vec::new();
    for (run, measures) in values.iter().enumerate().filter(|(run, _)| Some(*run) != baseline) {
        for (measure, of_run) in measures.iter().enumerate() {
            let before = baseline.and_then(|baseline| values.get(baseline)?.get(measure));
            let difference = |(query, value): (usize, &f64)| {
                let before = before.and_then(|before| before.get(query)).copied().unwrap_or_default();
                (rounded(value - before), query)
            };
            let mut differences: Vec<(f64, usize)> = of_run.iter().enumerate().map(difference).collect();
            let is_shown = |difference: f64| baseline.is_none() || difference != 0.;
            differences.retain(|&(difference, _)| is_shown(difference));
            differences.sort_by(|one, other| one.0.total_cmp(&other.0).then(one.1.cmp(&other.1)));
            lists.push((run, differences));
        }
    }
    let mut chosen = Vec::new();
    for place in 0..SHOWN {
        for (_, differences) in &lists {
            let both = [differences.get(place), differences.iter().rev().nth(place)];
            for &(_, query) in both.into_iter().flatten() {
                if chosen.len() < MOST && !chosen.contains(&query) {
                    chosen.push(query);
                }
            }
        }
    }
    chosen.sort_unstable();
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_queries_that_changed_most_are_chosen() {
        let before = vec![vec![0.5; 40]];
        let after = vec![(0..40).map(|query| if query < 30 { 0.5 } else { f64::from(query) / 40. - 0.3 }).collect()];
        let chosen = choose(&vec![before, after], Some(0));
        assert_eq!(chosen, (30..40).filter(|query| *query != 32).collect::<Vec<_>>(), "0.8 − 0.3 is no change");
    }

    #[test]
    fn their_number_is_bounded() {
        let runs: Values = (0..30)
            .map(|run| {
                (0..4)
                    .map(|measure| (0..7000).map(|query| f64::from((query * (7 + run) + measure * 31) % 997)).collect())
                    .collect()
            })
            .collect();
        let chosen = choose(&runs, None);
        assert_eq!(chosen.len(), MOST);
        assert!(chosen.is_sorted());
    }
}
