//! The test models of all families by the whole program on an emulated GPU, against transformers.

use super::run;
use crate::families::{arguments, input, logits, mean, off};
use crate::family::{Family, all};
use crate::fixture::{Files, Run};

/// The words of the longest documents that are scored: in f32, the emulation takes minutes for longer ones.
const WORDS: usize = 20;

/// The families with their shorter pairs: those that a GPU computes, and the others.
fn families() -> [Vec<(String, Family)>; 2] {
    let mut families = all();
    for (_, family) in &mut families {
        family.pairs.retain(|pair| pair.document.text().split(' ').count() <= WORDS);
    }
    let (refused, computed) = families.into_iter().partition(|(_, family)| family.f32_only);
    [computed, refused]
}

/// A family's model and its pairs in files.
struct Case<'a> {
    family: &'a Family,
    files: Files,
    model: String,
}

impl<'a> Case<'a> {
    fn new(family: &'a Family) -> Self {
        let files = Files::new();
        input(family, &files);
        Self { model: family.write(&files, "model"), family, files }
    }

    fn run(&self, dtype: &str, size: &str) -> Run {
        let input = self.files.name("input.jsonl");
        // The warm-up fills a batch: on an emulated GPU a large one takes long.
        let options = ["--device", "cuda", "--dtype", dtype, "--max-batch-tokens", "64", "--batch-size", size];
        run(&[&arguments(self.family, &self.model, &input)[..], &options].concat(), &[])
    }

    fn logits(&self, dtype: &str, size: &str) -> Vec<f64> {
        logits(&self.run(dtype, size), self.family.pairs.len())
    }

    /// Checks logits in 16 bits, of which transformers' own are off in bf16: so many times that are allowed.
    fn check(&self, name: &str, logits: &[f64], times: f64) {
        let pairs = &self.family.pairs;
        let theirs: Vec<_> = pairs.iter().map(|pair| (pair.bf16 - pair.f32).abs()).collect();
        let largest = pairs.iter().map(|pair| pair.f32.abs()).fold(0., f64::max);
        let (ours, bound) = (mean(&off(logits, self.family)), times * mean(&theirs) + 0.002 * largest);
        assert!(ours <= bound, "{name}: off by {ours} on average, and {bound} is allowed");
    }
}

#[test]
fn families_agree_with_transformers() {
    let [computed, refused] = families();
    for (name, family) in &computed {
        let case = Case::new(family);
        for (index, off) in off(&case.logits("f32", "64"), family).into_iter().enumerate() {
            assert!(off < 1e-4, "{name}, pair {index}: off by {off:e}");
        }
        case.check(&format!("{name} in f16"), &case.logits("f16", "64"), 0.3);
    }
    for (_, family) in &refused {
        Case::new(family).run("f32", "64").fails(1, &["can't be computed on a GPU yet; use --device cpu"]);
    }
}

#[test]
fn a_pair_of_any_family_has_the_same_bits_in_any_batch() {
    let [computed, _] = families();
    for (name, family) in &computed {
        let case = Case::new(family);
        let together = case.logits("bf16", "64");
        case.check(&format!("{name} in bf16"), &together, 1.5);
        assert_eq!(together, case.logits("bf16", "1"), "{name}, alone");
    }
}
