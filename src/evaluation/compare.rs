//! Compares runs with one of them, query by query.

use super::evaluate::Evaluation;
use super::measures::Measure;
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
    /// For each run its differences, one for each measure, `None` for a geometric mean; none for the baseline.
    pub differences: Vec<Option<Vec<Option<Difference>>>>,
}

/// How a run differs from the baseline in one measure.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Difference {
    /// By how much the run's value is above the baseline's: the mean of the queries' differences, or their sum for a count.
    pub difference: f64,
    /// The interval of that difference with 95% confidence (Student's t).
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

/// Compares all runs with the one at `baseline`, in each measure. All must have the same queries. Geometric means are not
/// compared: they do not differ by the mean of the queries' differences, which the tests look at.
///
/// The p-values of one measure are corrected together, as one family: each run is compared with the baseline once.
///
/// # Panics
/// If the runs have different numbers of queries.
pub fn compare(evaluations: &[&Evaluation], measures: &[Measure], baseline: usize, test: Test) -> Comparison {
    let mut differences: Vec<Option<Vec<Option<Difference>>>> =
        (0..evaluations.len()).map(|run| (run != baseline).then(Vec::new)).collect();
    for (index, measure) in measures.iter().enumerate() {
        if measure.is_geometric_mean() {
            differences.iter_mut().flatten().for_each(|run| run.push(None));
            continue;
        }
        let values: Vec<Vec<f64>> = evaluations.iter().map(|run| run.values(index).collect()).collect();
        let Some(of_baseline) = values.get(baseline) else { continue };
        let others = values.iter().enumerate().filter(|(run, _)| *run != baseline);
        let of_run = |values| Difference::of(&significance::differences(of_baseline, values), measure, test);
        let mut found: Vec<Difference> = others.map(|(_, values)| of_run(values)).collect();
        let corrected = holm(&found.iter().map(|difference| difference.p_uncorrected).collect::<Vec<_>>());
        found.iter_mut().zip(corrected).for_each(|(difference, p)| difference.p = p);
        for (run, difference) in differences.iter_mut().flatten().zip(found) {
            run.push(Some(difference));
        }
    }
    Comparison { baseline, test, differences }
}

impl Difference {
    /// Tests the queries' differences. The p-value is not corrected yet.
    fn of(differences: &[f64], measure: &Measure, test: Test) -> Self {
        let t = t_test(differences);
        let p = match test {
            Test::T => t.p_value,
            Test::Randomisation => randomisation_test(differences, RandomisationTest::SAMPLES, SEED).p_value,
        };
        let Outcomes { wins, ties, losses } = Outcomes::count(differences);
        let (low, high) = t.interval(CONFIDENCE);
        let scale = if measure.is_count() { differences.len() as f64 } else { 1. };
        let interval = (scale * low, scale * high);
        Self { difference: scale * t.mean, interval, p, p_uncorrected: p, wins, ties, losses }
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

    fn measures(names: &[&str]) -> Vec<Measure> {
        names.iter().map(|name| Measure::parse(name).unwrap()).collect()
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
        let comparison = compare(&runs.iter().collect::<Vec<_>>(), &measures(&["AP", "RR"]), 1, Test::T);
        assert!(comparison.differences[1].is_none());
        let of = |run: usize, measure: usize| comparison.differences[run].as_ref().unwrap()[measure].unwrap();
        assert_eq!((of(0, 0).p, of(0, 0).ties), (1., 5));
        let uncorrected = [0, 2, 3].map(|run| of(run, 1).p_uncorrected);
        assert!(uncorrected[1] < uncorrected[0] && uncorrected[0] < uncorrected[2], "{uncorrected:?}");
        let expected = [2. * uncorrected[0], 3. * uncorrected[1], uncorrected[2].max(2. * uncorrected[0])];
        assert_eq!([0, 2, 3].map(|run| of(run, 1).p), expected);
        assert_eq!((of(0, 1).wins, of(0, 1).ties, of(0, 1).losses), (0, 2, 3));
        assert!((of(2, 1).difference - 0.22).abs() < 1e-12 && of(2, 1).interval.0 < 0.22);
    }

    #[test]
    fn counts_differ_by_their_sums_and_geometric_means_are_not_compared() {
        let runs = [evaluation(&[3., 5., 2., 4.]), evaluation(&[4., 5., 4., 6.])];
        let both: Vec<&Evaluation> = runs.iter().collect();
        let names = measures(&["gm_map", "NumRet"]);
        let comparison = compare(&both, &names, 0, Test::T);
        let differences = comparison.differences[1].as_ref().unwrap();
        assert_eq!(differences[0], None);
        let difference = differences[1].unwrap();
        let [before, after] = [0, 1].map(|run: usize| runs[run].summary(&names)[1]);
        assert_eq!(difference.difference, after - before);
        let (low, high) = difference.interval;
        assert!((low + high - 10.).abs() < 1e-9 && low > -2. && low < 0., "{low} to {high}");
    }
}
