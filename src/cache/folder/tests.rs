//! What runs that share a cache rely on.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use proptest::prelude::*;

use super::*;
use crate::cache::Key;

fn identity(fingerprint: &str) -> Identity {
    let text = |text: &str| text.to_owned();
    Identity {
        model: text("a model"),
        fingerprint: text(fingerprint),
        answers: text("yes"),
        version: text("1"),
        gpu: text(""),
        dtype: text("f32"),
        kernels: text("avx2"),
    }
}

fn quiet(warning: &str) {
    panic!("{warning}")
}

fn key(seed: u64) -> Key {
    Key::of_bytes(&[&seed.to_le_bytes()])
}

fn open(directory: &Path) -> ScoreCache {
    ScoreCache::of_model(directory, &identity("1"), quiet).unwrap()
}

#[test]
fn scores_are_there_at_once_and_in_the_next_run_and_for_their_model_alone() {
    let directory = tempfile::tempdir().unwrap();
    let cache = open(directory.path());
    assert_eq!(cache.get(key(1)), None);
    cache.insert(key(1), -0.25);
    cache.insert(key(2), f32::NAN);
    assert_eq!((cache.get(key(1)), cache.get(key(2))), (Some(-0.25), None));
    cache.finish().unwrap();
    let cache = open(directory.path());
    assert_eq!((cache.get(key(1)), cache.len(), cache.damage()), (Some(-0.25), 1, None));
    let same = Identity { model: "another name".to_owned(), ..identity("1") };
    assert_eq!(ScoreCache::of_model(directory.path(), &same, quiet).unwrap().get(key(1)), Some(-0.25));
    for other in [identity("2"), Identity { dtype: "bf16".to_owned(), ..identity("1") }] {
        assert_eq!(ScoreCache::of_model(directory.path(), &other, quiet).unwrap().get(key(1)), None);
    }
    let models = list(directory.path()).unwrap();
    assert_eq!(models.iter().map(|model| model.scores).sum::<u64>(), 1);
    assert!(models.iter().any(|model| model.identity == Some(identity("1"))));
}

#[test]
fn many_runs_at_the_same_time_lose_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let runs: Vec<ScoreCache> = (0..40).map(|_| open(directory.path())).collect();
    for (run, cache) in (0u64..).zip(&runs) {
        (0..50).for_each(|pair| cache.insert(key(run * 30 + pair), (run * 30 + pair) as f32));
    }
    runs.into_iter().for_each(|cache| cache.finish().unwrap());
    assert_eq!(list(directory.path()).unwrap()[0].segments, 40);
    // The first that opens it merges what the others have left.
    let (first, second) = (open(directory.path()), open(directory.path()));
    assert_eq!(list(directory.path()).unwrap()[0].segments, 1);
    for seed in 0..39 * 30 + 50 {
        assert_eq!([first.get(key(seed)), second.get(key(seed))], [Some(seed as f32); 2]);
    }
    assert_eq!((first.len(), first.damage()), (39 * 30 + 50, None));
}

#[test]
fn caches_are_merged_and_pruned() {
    let [one, other] = [(); 2].map(|()| tempfile::tempdir().unwrap());
    for (directory, seeds) in [(&one, 0..100), (&other, 50..150)] {
        let cache = open(directory.path());
        seeds.for_each(|seed| cache.insert(key(seed), seed as f32));
        cache.finish().unwrap();
    }
    assert_eq!(merge(one.path(), &[other.path().to_owned()]).unwrap(), 150);
    let cache = open(one.path());
    assert!((0..150).all(|seed| cache.get(key(seed)) == Some(seed as f32)));
    drop(cache);
    assert_eq!(list(other.path()).unwrap()[0].scores, 100, "it was only read");
    let bytes = list(one.path()).unwrap()[0].bytes;
    assert_eq!(prune(one.path(), bytes).unwrap(), 0);
    assert!(prune(one.path(), 0).unwrap() == bytes && open(one.path()).is_empty());
}

#[test]
fn what_is_no_segment_is_left_out() {
    let directory = tempfile::tempdir().unwrap();
    let cache = open(directory.path());
    cache.insert(key(1), 1.);
    cache.finish().unwrap();
    let folder = list(directory.path()).unwrap()[0].path.clone();
    fs::write(folder.join("empty.scores"), "").unwrap();
    fs::write(folder.join("foreign.scores"), "x".repeat(100_000)).unwrap();
    fs::write(folder.join(DESCRIPTION), "{").unwrap();
    let cache = open(directory.path());
    assert_eq!(cache.get(key(1)), Some(1.));
    assert!(cache.damage().unwrap().contains("0 damaged blocks and 2 files that can't be read"));
    let models = list(directory.path()).unwrap();
    assert!(models.len() == 1 && models[0].identity.is_none() && models[0].segments == 1 && models[0].unreadable == 2);
}

#[test]
fn the_oldest_scores_go_first_and_of_the_last_file_a_part() {
    let directory = tempfile::tempdir().unwrap();
    for seeds in [0..30_000u64, 30_000..40_000] {
        let cache = open(directory.path());
        seeds.for_each(|seed| cache.insert(key(seed), seed as f32));
        cache.finish().unwrap();
        let folder = list(directory.path()).unwrap()[0].path.clone();
        for segment in segments_in(&folder).unwrap().segments {
            let file = File::options().append(true).open(segment.path()).unwrap();
            file.set_modified(written(segment.path()) - Duration::from_secs(100)).unwrap();
        }
    }
    let bytes = list(directory.path()).unwrap()[0].bytes;
    let left = bytes - prune(directory.path(), bytes / 2).unwrap();
    assert!((bytes * 48 / 100..=bytes / 2).contains(&left), "{left} of {bytes}");
    let cache = open(directory.path());
    let found = |seeds: std::ops::Range<u64>| seeds.filter(|seed| cache.get(key(*seed)) == Some(*seed as f32)).count();
    assert_eq!(found(30_000..40_000), 10_000);
    assert!((9_000..=10_000).contains(&found(0..30_000)), "{}", found(0..30_000));
    // What is left of it is as old as it was, and goes first the next time.
    prune(directory.path(), bytes / 4).unwrap();
    assert!(list(directory.path()).unwrap()[0].segments == 1 && open(directory.path()).get(key(30_000)).is_some());
}

#[test]
fn several_that_prune_at_once_leave_what_one_would() {
    for _ in 0..5 {
        let directory = tempfile::tempdir().unwrap();
        let cache = open(directory.path());
        (0..20_000).for_each(|seed| cache.insert(key(seed), seed as f32));
        cache.finish().unwrap();
        let bytes = list(directory.path()).unwrap()[0].bytes;
        let removed: u64 = std::thread::scope(|scope| {
            let prunes: Vec<_> = (0..4).map(|_| scope.spawn(|| prune(directory.path(), bytes / 2).unwrap())).collect();
            prunes.into_iter().map(|prune| prune.join().unwrap()).sum()
        });
        let left = list(directory.path()).unwrap()[0].bytes;
        assert!(
            (bytes * 48 / 100..=bytes / 2).contains(&left) && removed == bytes - left,
            "{left} of {bytes}, {removed}"
        );
    }
}

#[test]
fn a_cache_that_is_removed_meanwhile_is_made_anew() {
    let directory = tempfile::tempdir().unwrap();
    let cache = open(directory.path());
    fs::remove_dir_all(directory.path()).unwrap();
    cache.insert(key(1), 0.5);
    cache.finish().unwrap();
    assert_eq!(open(directory.path()).get(key(1)), Some(0.5));
    assert_eq!(list(directory.path()).unwrap()[0].identity, Some(identity("1")));
}

#[test]
fn scores_that_can_not_be_written_are_reported() {
    let directory = tempfile::tempdir().unwrap();
    let warnings = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&warnings);
    let warn = move |warning: &str| kept.lock().unwrap().push(warning.to_owned());
    let cache = ScoreCache::of_model(directory.path(), &identity("1"), warn).unwrap();
    let folder = list(directory.path()).unwrap()[0].path.clone();
    fs::remove_dir_all(&folder).unwrap();
    fs::write(&folder, "in its place").unwrap();
    cache.insert(key(1), 1.);
    let problem = cache.finish().unwrap_err().to_string();
    assert!(problem.contains("1 score could not be written"), "{problem}");
    let warnings = warnings.lock().unwrap();
    assert!(warnings.len() == 1 && warnings[0].contains("cannot write to the cache in"), "{warnings:?}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]
    #[test]
    fn runs_one_after_the_other_are_one_map(runs in proptest::collection::vec(proptest::collection::vec(0u64..400, 0..200), 0..20)) {
        let directory = tempfile::tempdir().unwrap();
        let mut known = HashMap::new();
        for seeds in &runs {
            let cache = open(directory.path());
            for &seed in seeds {
                prop_assert_eq!(cache.get(key(seed)), known.get(&seed).copied());
                cache.insert(key(seed), seed as f32);
                known.insert(seed, seed as f32);
            }
            cache.finish().unwrap();
        }
        let cache = open(directory.path());
        for seed in 0..400 {
            prop_assert_eq!(cache.get(key(seed)), known.get(&seed).copied());
        }
    }
}
