use super::*;
use crate::evaluation::judged::Judgements;

fn tuning() -> Tuning {
    Tuning {
        qrels: None,
        qrels_format: None,
        runs: Vec::new(),
        run_format: None,
        measure: Measure::parse("RR").unwrap(),
        threads: 1,
        verbosity: Verbosity::Quiet,
    }
}

/// Candidates with the first stage's score, the logit and the grade.
fn candidates<'a>(id: &'a str, of: &[(f64, f32, i32)], judgements: &'a Judgements) -> JudgedCandidates<'a> {
    let evidence = |(rank, &(score, logit, _)): (i64, &(f64, f32, i32))| Evidence {
        logit,
        original_rank: rank,
        original_score: Some(score),
    };
    JudgedCandidates {
        id,
        grades: of.iter().map(|(_, _, grade)| Some(*grade)).collect(),
        evidence: (1..).zip(of).map(evidence).collect(),
        judgements,
    }
}

#[test]
fn a_fusion_that_beats_both_stages_is_found_and_its_gain_is_that_of_other_queries() {
    let judgements = Judgements::new([1, 0, 0]);
    // Each stage puts another wrong document first, and the right one second.
    let of = [(10., 0., 0), (9., 9., 1), (0., 10., 0)];
    let queries: Vec<_> =
        ["a", "b", "c", "d", "e", "f", "g"].map(|id| candidates(id, &of, &judgements)).into_iter().collect();
    let figures = tuning().tuned(&queries, &settings(true));
    assert_eq!((figures.first_stage, figures.reranker, figures.fused), (0.5, 0.5, 1.));
    assert_eq!((figures.folds, figures.chosen.len()), (5, 5));
    // The first weight of those that are equally good.
    assert_eq!((figures.best.as_str(), figures.best_value), ("alpha=0.15", 1.));
    assert_eq!(figures.over_reranker.mean, 0.5);
    assert!(!figures.to_string().contains("chance"), "{figures}");
}

#[test]
fn a_setting_that_fits_one_fold_by_chance_does_not_count_there() {
    let judgements = Judgements::new([1, 0]);
    // One query wants the first stage, and the others the reranker.
    let (mine, others) = ([(1., 0., 1), (0., 1., 0)], [(1., 0., 0), (0., 1., 1)]);
    let queries = vec![
        candidates("a", &mine, &judgements),
        candidates("b", &others, &judgements),
        candidates("c", &others, &judgements),
    ];
    let figures = tuning().tuned(&queries, &settings(true));
    assert_eq!(figures.folds, 3);
    assert!((figures.fused - (0.5 + 1. + 1.) / 3.).abs() < 1e-12, "{figures}");
    assert_eq!(figures.best, "alpha=0");
    assert!(figures.to_string().contains("chance"), "{figures}");
}
