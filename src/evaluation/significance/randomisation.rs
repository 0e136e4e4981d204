//! Fisher's paired randomisation test: if the runs do not differ, each difference could as well have the other sign.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};
use rayon::prelude::*;

/// Up to so many differences all choices of signs are counted, and none is drawn.
const MOST_EXACT: usize = 32;

/// Sums within this share of the sum of all differences count as equal: they differ by rounding.
const TOLERANCE: f64 = 1e-12;

/// How many signs are looked up at once.
const GROUP: usize = 8;

/// What the randomisation test says of the differences between two runs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RandomisationTest {
    /// The share of choices of signs that bring the mean difference at least as far from 0.
    pub p_value: f64,
    /// How many choices of signs were drawn; `None` if all there are were counted, so that the p-value is exact.
    pub samples: Option<u32>,
}

impl RandomisationTest {
    /// How many choices of signs to draw unless asked otherwise: an error of the p-value of 0.0007 at 0.05.
    pub const SAMPLES: u32 = 100_000;
}

/// Tests whether the mean difference is 0.
///
/// With up to 32 differences that are not 0 the p-value is exact. With more so many samples are drawn, from random numbers that
/// depend on the seed alone, and the p-value is (n + 1) / (samples + 1), where n samples are at least as far from 0. It is 1 if
/// all differences are 0.
pub fn randomisation_test(differences: &[f64], samples: u32, seed: u64) -> RandomisationTest {
    let differences: Vec<f64> = differences.iter().copied().filter(|&difference| difference != 0.0).collect();
    let total: f64 = differences.iter().map(|difference| difference.abs()).sum();
    let least = differences.iter().sum::<f64>().abs() - TOLERANCE * total;
    if differences.len() <= MOST_EXACT {
        return RandomisationTest { p_value: exact(&differences, least), samples: None };
    }
    let count = sampled(&differences, least, samples, seed);
    RandomisationTest { p_value: f64::from(count + 1) / (f64::from(samples) + 1.0), samples: Some(samples) }
}

/// The sums of the differences for all choices of signs: bit i of a sum's place says that difference i changes its sign.
fn signed_sums(differences: &[f64]) -> Vec<f64> {
    let mut sums = vec![0.0];
    for difference in differences {
        let changed: Vec<f64> = sums.iter().map(|sum| sum - difference).collect();
        sums.iter_mut().for_each(|sum| *sum += difference);
        sums.extend(changed);
    }
    sums
}

/// The share of choices of signs whose sum is at least so far from 0. Every sum has one part from each half of the
/// differences, so that the halves are listed and their combinations only counted.
fn exact(differences: &[f64], least: f64) -> f64 {
    let (first, second) = differences.split_at(differences.len() / 2);
    let mut sorted = signed_sums(first);
    sorted.sort_unstable_by(f64::total_cmp);
    let counts = signed_sums(second).into_par_iter().map(|sum| {
        let below = sorted.partition_point(|other| other + sum <= -least);
        let above = sorted.len() - sorted.partition_point(|other| other + sum < least);
        // Where 0 is far enough, as after differences that cancel out, sums count on both sides.
        (below + above).min(sorted.len()) as u64
    });
    counts.sum::<u64>() as f64 / (differences.len() as f64).exp2()
}

/// How many of the samples are at least so far from 0.
fn sampled(differences: &[f64], least: f64, samples: u32, seed: u64) -> u32 {
    let tables: Vec<Vec<f64>> = differences.chunks(GROUP).map(signed_sums).collect();
    let is_far = |sample: u32| {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        random.set_stream(u64::from(sample));
        let mut sum = 0.0;
        for tables in tables.chunks(size_of::<u64>()) {
            let signs = random.next_u64().to_le_bytes();
            sum += tables.iter().zip(signs).map(|(table, signs)| table[usize::from(signs) % table.len()]).sum::<f64>();
        }
        sum.abs() >= least
    };
    (0..samples).into_par_iter().filter(|&sample| is_far(sample)).count() as u32
}
