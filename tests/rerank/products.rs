//! Products by cuBLASLt on an emulated GPU: one algorithm for all of a kind, and what happens where there is none.

use std::collections::BTreeSet;

use crate::cuda::{logits, run};
use crate::fixture::Files;

/// The one that is to be chosen of those that the emulated library offers, see `tests/gpu/blas.cpp`.
const CHOSEN: u64 = 13;
/// One that would be faster, and whose sums depend on the number of rows although it says otherwise.
const WAVERING: u64 = 17;
/// The rows of the products by which algorithms are timed.
const TIMED_ROWS: u64 = 32_768;
/// Rows that no batch of these tests has: products by which algorithms are tried.
const TRIED_ROWS: [u64; 4] = [64, 1000, 8192, TIMED_ROWS];

/// A line of the library's log.
struct Done {
    algorithm: u64,
    rows: u64,
    /// Outputs and inputs.
    shape: (u64, u64),
}

fn done(log: &str) -> Vec<Done> {
    let numbers = |line: &str| -> Vec<u64> { line.split(' ').map(|number| number.parse().unwrap()).collect() };
    let lines = log.lines().map(numbers);
    lines.map(|line| Done { algorithm: line[0], rows: line[1], shape: (line[2], line[3]) }).collect()
}

/// Bits of the logits of a query's pairs in batches of `size`, with an emulated GPU like this.
fn bits(dtype: &str, size: &str, gpu: &[(&str, &str)]) -> Vec<(String, u64)> {
    bits_and_warnings(dtype, size, gpu).0
}

fn bits_and_warnings(dtype: &str, size: &str, gpu: &[(&str, &str)]) -> (Vec<(String, u64)>, String) {
    let files = Files::new();
    let queries = std::fs::read_to_string("testdata/candidates.jsonl").unwrap();
    let input = files.write("query.jsonl", queries.lines().next().unwrap());
    let fixed = ["--model", "testdata/tiny-reranker", "--input", &input, "--progress", "none", "--device", "cuda"];
    // The warm-up fills a batch: on an emulated GPU a large one takes long.
    let arguments = ["--dtype", dtype, "--max-batch-tokens", "200", "--batch-size", size];
    let run = run(&[&fixed[..], &arguments].concat(), gpu);
    let mut logits = logits(&run.rankings());
    logits.sort_by(|(one, _), (other, _)| one.cmp(other));
    (logits.into_iter().map(|(id, logit)| (id, logit.to_bits())).collect(), run.stderr)
}

#[test]
fn a_score_on_a_gpu_does_not_depend_on_its_batch() {
    for dtype in ["f32", "bf16"] {
        assert_eq!(bits(dtype, "1", &[]), bits(dtype, "64", &[]), "{dtype}");
    }
    // Otherwise it would, as every number of rows is summed in another order.
    let lacking = [("EMULATED_LT", "missing")];
    assert_ne!(bits("f32", "1", &lacking), bits("f32", "64", &lacking));
}

#[test]
fn the_fastest_algorithm_whose_sums_do_not_depend_on_the_rows_does_all_products() {
    let files = Files::new();
    let log = files.name("log");
    bits("bf16", "3", &[("EMULATED_LOG", &log)]);
    let done = done(&files.read("log"));
    let algorithms = |rows: &[u64]| -> BTreeSet<u64> {
        done.iter().filter(|done| rows.contains(&done.rows)).map(|done| done.algorithm).collect()
    };
    assert_eq!(algorithms(&[TIMED_ROWS]), BTreeSet::from([12, CHOSEN, CHOSEN + 1, WAVERING]));
    // The fastest was compared first, and found to depend on the rows before the last comparison.
    assert_eq!(algorithms(&[8192]), BTreeSet::from([CHOSEN]));
    let real: Vec<&Done> = done.iter().filter(|done| !TRIED_ROWS.contains(&done.rows)).collect();
    let chosen = |done: &&&Done| done.algorithm == CHOSEN;
    let tried = |done: &&&Done| done.algorithm == WAVERING && [1, 7].contains(&done.rows);
    assert!(real.iter().all(|done| chosen(&done) || tried(&done)));
    let rows: BTreeSet<u64> = real.iter().map(|done| done.rows).collect();
    assert!(rows.len() > 3, "{rows:?}");
    let shapes =
        |done: &mut dyn Iterator<Item = &Done>| -> BTreeSet<(u64, u64)> { done.map(|done| done.shape).collect() };
    let timed = shapes(&mut done.iter().filter(|done| done.rows == TIMED_ROWS));
    assert_eq!(timed, shapes(&mut real.iter().copied()));
}

#[test]
fn with_little_memory_algorithms_are_tried_on_fewer_rows() {
    let files = Files::new();
    let log = files.name("log");
    bits("f32", "3", &[("EMULATED_LOG", &log), ("EMULATED_MEMORY", "7000000")]);
    let done = done(&files.read("log"));
    assert!(done.iter().any(|done| done.algorithm == CHOSEN) && done.iter().all(|done| done.rows < TIMED_ROWS));
}

#[test]
fn what_one_library_does_not_do_the_other_does() {
    let expected = bits("f32", "3", &[]);
    let reported = [
        ("missing", "cuda:0: cuBLASLt does not start"),
        ("none", "cuda:0: cuBLASLt has no algorithm"),
        ("refuses", "cuda:0: cuBLASLt has no algorithm"),
    ];
    for (lacking, reported) in reported {
        let files = Files::new();
        let log = files.name("log");
        let (bits, warnings) = bits_and_warnings("f32", "3", &[("EMULATED_LT", lacking), ("EMULATED_LOG", &log)]);
        assert_eq!(warnings.matches(reported).count(), 1, "{lacking}: {warnings}");
        assert!(!files.path("log").exists(), "{lacking}");
        assert_eq!(bits.len(), expected.len());
        for ((id, logit), (other, reference)) in bits.iter().zip(&expected) {
            let difference = (f64::from_bits(*logit) - f64::from_bits(*reference)).abs();
            assert!(id == other && difference < 1e-4, "{lacking}: {id} {difference}");
        }
    }
}

#[test]
fn what_fails_in_the_middle_of_a_run_is_reported_at_its_end() {
    let (bits, warnings) = bits_and_warnings("f32", "3", &[("EMULATED_LT", "later")]);
    assert_eq!(warnings.matches("cuda:0: cuBLASLt has no algorithm for all batches").count(), 1, "{warnings}");
    assert_eq!(bits.len(), bits_and_warnings("f32", "3", &[]).0.len());
}
