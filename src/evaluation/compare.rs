//! Compares runs with one of them, query by query.

use super::evaluate::Evaluation;
use super::significance::{self, Outcomes, RandomisationTest, holm, randomisation_test, t_test};

/// A paired test of the hypothesis that two runs are equally good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Test {
    /// Student's t-test.
    T,
    /// The randomisation test.
    Randomisation,
}

impl Test {
    /// The test's name, as the option has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::T => "t",
            Self::Randomisation => "randomisation",
        }
    }

    /// The test's name in a sentence.
    pub fn describe(self) -> &'static str {
        match self {
            Self::T => "two-sided paired t-test",
            Self::Randomisation => "two-sided paired randomisation test",
        }
    }
}

/// How runs differ from one of them.
#[derive(Clone, Debug, PartialEq)]
pub struct Comparison {
    /// The place of the run with which the others are compared.
    pub baseline: usize,
    /// The test behind the p-values.
    pub test: Test,
    /// For each run its differences, one for each measure; none for the baseline.
    pub differences: Vec<Option<Vec<Difference>>>,
}

/// How a run differs from the baseline in one measure.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Difference {
    /// The mean of the queries' differences; above 0 where the run is better.
    pub mean: f64,
    /// The interval of the mean difference with 95% confidence (Student's t).
    pub interval: (f64, f64),
    /// The p-value, by Holm's correction over the runs that are compared in this measure.
    pub p: f64,
    /// The p-value of the test by itself.
    pub p_uncorrected: f64,
    /// The queries for which the run is better.
    pub wins: usize,
    /// The queries for which there is no difference.
    pub ties: usize,
    /// The queries for which the run is worse.
    pub losses: usize,
}

/// The confidence of the intervals.
const CONFIDENCE: f64 = 0.95;

/// Random signs are the same in every evaluation.
const SEED: u64 = 0;

/// Compares all runs with the one at `baseline`, in each of so many measures. All must have the same queries.
///
/// The p-values of one measure are corrected together, as one family: each run is compared with the baseline once.
///
/// # Panics
/// If the runs have different numbers of queries.
pub fn compare(evaluations: &[&Evaluation], measures: usize, baseline: usize, test: Test) -> Comparison {
    let mut differences: Vec<Option<Vec<Difference>>> =
        (0..evaluations.len()).map(|run| (run != baseline).then(Vec::new)).collect();
    for measure in 0..measures {
        let values: Vec<Vec<f64>> = evaluations.iter().map(|run| run.values(measure).collect()).collect();
        let Some(of_baseline) = values.get(baseline) else { continue };
        let others = values.iter().enumerate().filter(|(run, _)| *run != baseline);
        let mut found: Vec<Difference> =
            others.map(|(_, values)| Difference::of(&significance::differences(of_baseline, values), test)).collect();
        let corrected = holm(&found.iter().map(|difference| difference.p_uncorrected).collect::<Vec<_>>());
        found.iter_mut().zip(corrected).for_each(|(difference, p)| difference.p = p);
        for (run, difference) in differences.iter_mut().flatten().zip(found) {
            run.push(difference);
        }
    }
    Comparison { baseline, test, differences }
}

impl Difference {
    /// Tests the queries' differences. The p-value is not corrected yet.
    fn of(differences: &[f64], test: Test) -> Self {
        let t = t_test(differences);
        let p = match test {
            Test::T => t.p_value,
            Test::Randomisation => randomisation_test(differences, RandomisationTest::SAMPLES, SEED).p_value,
        };
        let Outcomes { wins, ties, losses } = Outcomes::count(differences);
        Self { mean: t.mean, interval: t.interval(CONFIDENCE), p, p_uncorrected: p, wins, ties, losses }
    }
}

#[cfg(test)]
mod tests {
    use super::super::evaluate::EvaluatedQuery;
    use super::*;

    fn evaluation(values: &[f64]) -> Evaluation {
        let query = |&value: &f64| EvaluatedQuery {
            id: "q".into(),
            values: [1., value].into(),
            judged: 1,
            ties: 0,
            retrieved: 1,
        };
        Evaluation { queries: values.iter().map(query).collect(), lacking: 0, unjudged: 0 }
    }

    #[test]
    fn p_values_are_corrected_over_runs_and_not_over_measures() {
        let runs = [
            &[0.1, 0.2, 0.3, 0.4, 0.5][..],
            &[0.2, 0.2, 0.3, 0.5, 0.6],
            &[0.3, 0.5, 0.5, 0.7, 0.9],
            &[0.0, 0.3, 0.2, 0.5, 0.4],
        ];
        let runs: Vec<Evaluation> = runs.into_iter().map(evaluation).collect();
        let comparison = compare(&runs.iter().collect::<Vec<_>>(), 2, 1, Test::T);
        assert!(comparison.differences[1].is_none());
        let of = |run: usize, measure: usize| comparison.differences[run].as_ref().unwrap()[measure];
        assert_eq!((of(0, 0).p, of(0, 0).ties), (1., 5));
        let uncorrected = [0, 2, 3].map(|run| of(run, 1).p_uncorrected);
        assert!(uncorrected[1] < uncorrected[0] && uncorrected[0] < uncorrected[2], "{uncorrected:?}");
        let expected = [2. * uncorrected[0], 3. * uncorrected[1], uncorrected[2].max(2. * uncorrected[0])];
        assert_eq!([0, 2, 3].map(|run| of(run, 1).p), expected);
        assert_eq!((of(0, 1).wins, of(0, 1).ties, of(0, 1).losses), (0, 2, 3));
        assert!((of(2, 1).mean - 0.22).abs() < 1e-12 && of(2, 1).interval.0 < 0.22);
    }
}
