//! The values of pytrec_eval and ir_measures for 1,000 runs, which `scripts/reference_measures.py` generates from the same
//! random numbers.

use super::*;
use crate::evaluation::judged::{Judgements, trec_order};
use crate::random::Random;

const EXPECTED: &str = include_str!("../../../testdata/evaluation/measures.txt");
/// The measures whose values come from gdeval.pl, which prints no more.
const FIVE_DIGITS: [&str; 2] = ["ERR@5", "nDCG(dcg='exp-log2')@10"];
const SEED: u64 = 0x9E37_79B9_7F4A_7C15;
/// How many of the measures each run has values of.
const VALUES: usize = 20;
const GRADES: [Option<i32>; 9] = [None, None, Some(-1), Some(0), Some(0), Some(1), Some(1), Some(2), Some(3)];

/// One query: the grades of the retrieved documents, best first, and all judgements.
type JudgedQuery = (Vec<Option<i32>>, Judgements);

/// The judged queries of the next run, in the script's order of random numbers.
fn generate(random: &mut Random) -> Vec<JudgedQuery> {
    let mut queries = Vec::new();
    for _ in 0..1 + random.below(4) {
        let mut judgements = Vec::new();
        let mut retrieved = Vec::new();
        let is_missing = random.below(6) == 0;
        for document in 0..1 + random.below(25) {
            let grade = GRADES[random.below(GRADES.len())];
            judgements.extend(grade);
            let is_retrieved = random.below(4) > 0;
            let score = random.below(6) as f64 * 0.25 - 0.5 + random.below(2) as f64 * 1e-9;
            if is_retrieved && !is_missing {
                retrieved.push((score as f32, format!("d{document}"), grade));
            }
        }
        retrieved.sort_by(|a, b| trec_order((a.0, &a.1), (b.0, &b.1)));
        if judgements.iter().any(|&grade| grade >= 0) {
            let grades = retrieved.into_iter().map(|(_, _, grade)| grade).collect();
            queries.push((grades, Judgements::new(judgements)));
        }
    }
    queries
}

#[test]
fn a_thousand_runs_have_the_values_of_the_reference_implementations() {
    let mut lines = EXPECTED.lines();
    let names = lines.next().expect("the first line names the measures").split(' ');
    let measures: Vec<Measure> = names.map(|name| Measure::parse(name).expect(name)).collect();
    let mut random = Random(SEED);
    let mut compared = 0;
    for (run, line) in lines.enumerate() {
        let queries = generate(&mut random);
        let expected: Vec<f64> = line.split(' ').map(|value| value.parse().expect(value)).collect();
        for (place, expected) in expected.iter().enumerate() {
            let measure = &measures[(run * VALUES + place) % measures.len()];
            let values =
                queries.iter().map(|(grades, judgements)| measure.evaluate(&JudgedRanking { grades, judgements }));
            let value = measure.summarize(values);
            let tolerance = if FIVE_DIGITS.contains(&measure.to_string().as_str()) { 1e-5 } else { 1e-9 };
            assert!((value - expected).abs() <= tolerance, "run {run}, {measure}: {value}, and not {expected}");
            compared += 1;
        }
    }
    assert_eq!(compared, 1000 * VALUES);
}
