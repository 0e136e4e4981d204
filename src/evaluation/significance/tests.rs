use super::*;

#[test]
fn holm_keeps_the_order_of_what_it_adjusts() {
    let adjusted = holm(&[0.04, 0.01, 0.03, 0.9]);
    let expected = [0.09, 0.04, 0.09, 0.9];
    assert!(adjusted.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-15), "{adjusted:?}");
    assert_eq!(holm(&[0.6, 0.7]), [1.0, 1.0]);
}

#[test]
fn rounding_neither_wins_nor_loses() {
    let outcomes = Outcomes::count(&[0.1, -1e-17, 0.0, -0.2, 0.3]);
    assert_eq!(outcomes, Outcomes { wins: 2, ties: 2, losses: 1 });
}

#[test]
fn runs_that_do_not_differ_have_the_p_value_1() {
    for differences in [&[][..], &[0.0], &[0.0; 60]] {
        let test = t_test(differences);
        assert_eq!((test.p_value, test.statistic, test.mean), (1.0, 0.0, 0.0));
        assert_eq!(randomisation_test(differences, 100, 1).p_value, 1.0);
    }
    assert_eq!(t_test(&[0.0; 3]).interval(0.95), (0.0, 0.0));
    assert_eq!(t_test(&[0.5]).interval(0.95), (f64::NEG_INFINITY, f64::INFINITY));
    let constant = t_test(&[0.25; 8]);
    assert_eq!((constant.p_value, constant.interval(0.95)), (0.0, (0.25, 0.25)));
}

/// Differences with ties, zeros and both signs.
fn mixed(count: usize) -> Vec<f64> {
    let mut random = crate::random::Random(7);
    (0..count).map(|_| (random.below(9) as f64 - 3.5) / 8.0 * (random.below(4) as f64)).collect()
}

#[test]
fn the_exact_test_counts_all_choices_of_signs() {
    let differences = [0.3, -0.1, 0.2, 0.2, 0.0, 0.4, -0.3];
    let observed: f64 = differences.iter().sum();
    let far = (0..1_u32 << differences.len()).filter(|signs| {
        let signed = differences.iter().enumerate().map(|(i, d)| if signs >> i & 1 == 1 { -d } else { *d });
        signed.sum::<f64>().abs() >= observed - 1e-9
    });
    let expected = far.count() as f64 / 128.0;
    let test = randomisation_test(&differences, 100, 1);
    assert_eq!((test.p_value, test.samples), (expected, None));
}

#[test]
fn differences_that_cancel_out_have_the_p_value_1() {
    assert_eq!(randomisation_test(&[0.5, -0.5, 0.25, -0.25], 100, 1).p_value, 1.0);
}

#[test]
fn samples_come_close_to_the_exact_value_and_depend_on_the_seed_alone() {
    let differences: Vec<f64> = mixed(60).into_iter().filter(|difference| *difference != 0.0).take(32).collect();
    let exact = randomisation_test(&differences, 0, 0).p_value;
    // A difference that changes nothing that could be seen, but makes the test draw samples.
    let more: Vec<f64> = differences.iter().copied().chain([1e-14]).collect();
    let sampled = randomisation_test(&more, 20_000, 3);
    assert_eq!(sampled.samples, Some(20_000));
    let error = (exact * (1.0 - exact) / 20_000.0).sqrt();
    assert!((sampled.p_value - exact).abs() < 4.0 * error, "{} and {exact}", sampled.p_value);
    let pool = rayon::ThreadPoolBuilder::new().num_threads(3).build().expect("threads can be started");
    assert_eq!(pool.install(|| randomisation_test(&more, 20_000, 3)), sampled);
}

/// Differences with what scipy says of them, which `scripts/reference_measures.py` writes.
#[derive(serde::Deserialize)]
struct Case {
    differences: Vec<f64>,
    statistic: f64,
    p_value: f64,
    interval: [f64; 2],
    randomisation: Option<f64>,
}

#[test]
fn the_tests_have_the_values_of_scipy() {
    let text = include_str!("../../../testdata/evaluation/significance.json");
    let cases: Vec<Case> = serde_json::from_str(text).expect("the script writes JSON");
    let is_near = |value: f64, expected: f64| (value - expected).abs() <= 1e-9 * expected.abs();
    for case in &cases {
        let test = t_test(&case.differences);
        let (low, high) = test.interval(0.95);
        assert!(is_near(test.statistic, case.statistic), "{} and {}", test.statistic, case.statistic);
        assert!(is_near(test.p_value, case.p_value), "{} and {}", test.p_value, case.p_value);
        assert!(is_near(low, case.interval[0]) && is_near(high, case.interval[1]), "{low} to {high}");
        if let Some(expected) = case.randomisation {
            let test = randomisation_test(&case.differences, 0, 0);
            assert!((test.p_value - expected).abs() < 1e-12, "{} and {expected}", test.p_value);
        }
    }
    assert_eq!(cases.iter().filter(|case| case.randomisation.is_some()).count(), 6);
}
