//! Scores that are kept: a pair that was scored once is not scored again, and no byte of an output depends on that.

use std::fs;
use std::path::PathBuf;
#[cfg(unix)]
use std::time::Duration;

use serde_json::Value;

use crate::fixture::{Files, Run, command, rerank, rerank_by_fixed_kernels};
#[cfg(unix)]
use crate::resume::queries;

const TINY: &str = "testdata/tiny-reranker";

/// Files, and a cache in `cache`.
struct Kept(Files);

impl Kept {
    fn new() -> Self {
        Self(Files::in_memory())
    }

    fn directory(&self) -> String {
        self.0.name("cache")
    }

    /// Ranks with the cache. Returns the output, and of the figures: pairs, those from the cache, batches.
    fn rank(&self, input: &str, arguments: &[&str]) -> (String, [u64; 3]) {
        let (output, stats, directory) = (self.0.name("out.jsonl"), self.0.name("stats.json"), self.directory());
        let with = ["--cache", &directory, "--stats", &stats, "--overwrite", "--quiet", "--output", &output];
        let precision: &[&str] = if arguments.contains(&"--dtype") { &[] } else { &["--dtype", "f32"] };
        let run = rerank_by_fixed_kernels(&[&with[..], precision, &[input], arguments].concat());
        assert_eq!((run.status, run.stderr.as_str()), (0, ""));
        let stats: Value = serde_json::from_str(&self.0.read("stats.json")).unwrap();
        (self.0.read("out.jsonl"), ["pairs", "cached", "batches"].map(|name| stats[name].as_u64().unwrap()))
    }

    /// The cache's files with scores.
    fn segments(&self) -> Vec<PathBuf> {
        let folders = fs::read_dir(self.directory()).unwrap().map(|folder| folder.unwrap().path());
        let files = folders.flat_map(|folder| fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()));
        files.filter(|path| path.extension().is_some_and(|extension| extension == "scores")).collect()
    }

    fn command(&self, arguments: &[&str]) -> Run {
        rerank(&[&["cache"], arguments].concat())
    }
}

fn alone(input: &str, arguments: &[&str]) -> String {
    let run = rerank(&[&["--dtype", "f32", "--quiet", input], arguments].concat());
    assert_eq!(run.status, 0, "{}", run.stderr);
    run.stdout
}

#[test]
fn the_second_run_computes_nothing() {
    let kept = Kept::new();
    let (input, model) = ("testdata/candidates.jsonl", kept.0.copy_model(TINY, "model"));
    let expected = alone(input, &["--model", &model]);
    let (first, [pairs, cached, batches]) = kept.rank(input, &["--model", &model]);
    assert!(pairs == 16 && cached == 0 && batches > 0);
    let (second, figures) = kept.rank(input, &["--model", &model]);
    assert_eq!(figures, [16, 16, 0]);
    assert!(first == expected && second == expected);
    // The same model elsewhere is the same model.
    assert_eq!(kept.rank(input, &["--model", TINY]).1, [16, 16, 0]);
    let directory = kept.directory();
    let run = kept.command(&["stats", &directory]);
    assert!(run.stdout.contains("in f32 on") && run.stdout.contains(": 16 scores, "), "{}", run.stdout);
    // The summary has it too.
    let run = rerank(&[input, "--model", TINY, "--dtype", "f32", "--cache", &directory, "--top-k", "1"]);
    assert!(run.stderr.contains("16 pairs (0 truncated, 16 from the cache)"), "{}", run.stderr);
}

#[test]
fn half_of_the_pairs_of_another_run_are_spared() {
    let kept = Kept::new();
    let candidates = |from: usize, to: usize| {
        let texts: Vec<String> = (from..to).map(|index| format!(r#""a planet {index}""#)).collect();
        format!(r#"{{"query":"red planet","documents":[{}]}}"#, texts.join(","))
    };
    let one = kept.0.write("one.jsonl", candidates(0, 20));
    let other = kept.0.write("other.jsonl", candidates(10, 30));
    assert_eq!(kept.rank(&one, &["--model", TINY]).1[..2], [20, 0]);
    let (output, figures) = kept.rank(&other, &["--model", TINY]);
    assert_eq!(figures[..2], [20, 10]);
    assert_eq!(output, alone(&other, &["--model", TINY]));
}

#[test]
fn what_changes_a_logit_has_scores_of_its_own_and_what_does_not_shares_them() {
    let kept = Kept::new();
    let input = "testdata/candidates.jsonl";
    let rank = |arguments: &[&str]| kept.rank(input, &[&["--model", TINY], arguments].concat()).1[1];
    assert_eq!(rank(&[]), 0);
    for other in [&["--instruction", "Find planets"][..], &["--dtype", "bf16"], &["--dtype", "int8"]] {
        let (output, figures) = kept.rank(input, &[&["--model", TINY], other].concat());
        assert_eq!(figures[1], 0, "{other:?}");
        assert_eq!(kept.rank(input, &[&["--model", TINY], other].concat()), (output, [16, 16, 0]), "{other:?}");
    }
    for same in [&["--score", "raw"][..], &["--batch-size", "1"], &["--threads", "1"], &["--top-k", "2"]] {
        assert_eq!(rank(same), 16, "{same:?}");
    }
    // Prompts that are cut are other prompts; those that are not are the same.
    let cut = rank(&["--max-length", "120"]);
    assert!(cut <= 16, "{cut}");
    // By all bytes of its weights, it is known by another hash.
    assert_eq!([rank(&["--hash-weights"]), rank(&["--hash-weights"])], [0, 16]);
    // Another model, whose configuration is the same: a value differs that is not among the samples.
    let model = kept.0.copy_model(TINY, "model");
    let path = kept.0.path("model/model.safetensors");
    let mut bytes = fs::read(&path).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    fs::write(&path, &bytes).unwrap();
    assert_eq!(kept.rank(input, &["--model", &model, "--hash-weights"]).1[1], 0);
    bytes[last - 4096..].iter_mut().for_each(|byte| *byte ^= 1);
    fs::write(&path, &bytes).unwrap();
    assert_eq!(kept.rank(input, &["--model", &model]).1[1], 0);
}

#[test]
fn what_is_damaged_is_reported_and_computed_again() {
    let kept = Kept::new();
    let input = "testdata/candidates.jsonl";
    let expected = kept.rank(input, &["--model", TINY]).0;
    let [path] = &kept.segments()[..] else { panic!("{:?}", kept.segments()) };
    let mut bytes = fs::read(path).unwrap();
    bytes[100] ^= 1;
    fs::write(path, &bytes).unwrap();
    fs::write(path.with_file_name("foreign.scores"), "nothing of that kind").unwrap();
    let (output, directory) = (kept.0.name("other.jsonl"), kept.directory());
    let run = rerank(&[input, "--model", TINY, "--dtype", "f32", "--cache", &directory, "--output", &output]);
    assert_eq!(run.status, 0, "{}", run.stderr);
    for part in ["1 damaged block and 1 file that can't be read", "computed again", "16 pairs (0 truncated)"] {
        assert!(run.stderr.contains(part), "{}", run.stderr);
    }
    assert_eq!(kept.0.read("other.jsonl"), expected);
    // The scores are there once more, and stats reports the file that can't be read.
    assert_eq!(kept.rank(input, &["--model", TINY]).1[1], 16);
    let run = kept.command(&["stats", &directory]);
    assert!(run.stdout.contains("1 file that can't be read"), "{}", run.stdout);
}

#[test]
fn caches_are_merged_pruned_and_limited() {
    let [kept, other] = [Kept::new(), Kept::new()];
    let input = "testdata/candidates.jsonl";
    kept.rank(input, &["--model", "fake"]);
    other.rank(input, &["--model", "fake", "--instruction", "ignored by fake"]);
    let rows = "query,text\n".to_owned() + &(0..1000).map(|row| format!("red,red {row}\n")).collect::<String>();
    let rows = other.0.write("rows.csv", rows);
    other.rank(&rows, &["--model", "fake", "--group"]);
    let (directory, others) = (kept.directory(), other.directory());
    let run = kept.command(&["merge", &directory, &others]);
    assert_eq!((run.status, run.stdout), (0, format!("1,016 scores in {directory}\n")));
    assert_eq!(kept.rank(&rows, &["--model", "fake", "--group"]).1[..2], [1000, 1000]);
    let run = kept.command(&["prune", &directory, "--limit", "10kb"]);
    assert!(run.stdout.starts_with("removed "), "{}", run.stdout);
    let bytes = || kept.segments().iter().map(|path| fs::metadata(path).unwrap().len()).sum::<u64>();
    assert!((1..=10_000).contains(&bytes()), "{}", bytes());
    let (_, [_, cached, _]) = kept.rank(&rows, &["--model", "fake", "--group", "--cache-limit", "5000"]);
    assert!((1..1000).contains(&cached) && (1..=5000).contains(&bytes()), "{cached}, {}", bytes());
}

#[test]
fn a_cache_that_can_not_be_used_is_refused_before_the_weights_are_read() {
    let files = Files::new();
    let file = files.write("file", "");
    let input = "testdata/candidates.jsonl";
    let with = |directory: &str| rerank(&[input, "--model", TINY, "--cache", directory]);
    for directory in [file.clone(), format!("{file}/below")] {
        let named = format!("no scores can be kept in {directory}: name a directory for the cache");
        with(&directory).fails(1, &[&named, "or leave it out: cannot write to the cache in"]);
    }
    rerank(&[input, "--model", "fake", "--cache-limit", "5GB"]).fails(2, &["--cache"]);
    rerank(&[input, "--model", "fake", "--cache", "x", "--cache-limit", "five"]).fails(2, &["a size is expected"]);
    rerank(&[input, "--model", "fake", "--hash-weights"]).fails(2, &["--hash-weights", "--cache"]);
    for command in ["stats", "merge"] {
        rerank(&["cache", command, &files.name("missing")]).fails(1, &["cannot read the cache in", "missing"]);
    }
    let directory = files.name("cache");
    let run = rerank(&[input, "--model", "fake", "--cache", &directory, "--dry-run"]);
    assert!(run.status == 0 && run.stderr.contains("does not look into the cache"), "{}", run.stderr);
    assert!(!files.path("cache").exists());
}

/// Runs that share a cache at the same time, some of which are killed: the others and later ones get the right scores.
#[test]
#[cfg(unix)]
fn runs_at_the_same_time_and_kills_lose_nothing() {
    let files = Files::in_memory();
    let input = files.write("in.jsonl", queries(2000));
    let directory = files.name("cache");
    let arguments = |output: &str| {
        let output = files.name(output);
        ["--model", "fake", "--quiet", "--cache", &directory, "--overwrite", "--output", &output, &input]
            .map(str::to_owned)
    };
    let expected = alone(&input, &["--model", "fake"]);
    for round in 0..4 {
        let mut runs: Vec<_> = ["a", "b", "killed"]
            .map(|name| command(&arguments(name).each_ref().map(String::as_str)).spawn().unwrap())
            .into();
        std::thread::sleep(Duration::from_millis(20 * round));
        let mut killed = runs.pop().unwrap();
        killed.kill().unwrap();
        killed.wait().unwrap();
        for (mut run, name) in runs.into_iter().zip(["a", "b"]) {
            assert!(run.wait().unwrap().success());
            assert!(files.read(name) == expected, "{name} in round {round}");
        }
    }
    let run = rerank(&["cache", "merge", &directory]);
    assert_eq!(run.status, 0, "{}", run.stderr);
    let run = rerank(&[&input, "--model", "fake", "--cache", &directory, "--stats", &files.name("stats.json")]);
    assert!(run.stdout == expected);
    let stats: Value = serde_json::from_str(&files.read("stats.json")).unwrap();
    assert!(stats["cached"] == stats["pairs"] && stats["cached"].as_u64() > Some(1000), "{stats}");
}

/// A run that is broken off and resumed may use the cache, and gets the same bytes.
#[test]
fn a_resumed_run_uses_the_cache_too() {
    let files = Files::in_memory();
    let (output, directory) = (files.name("out.jsonl"), files.name("cache"));
    let arguments =
        ["testdata/candidates.jsonl", "--model", TINY, "--quiet", "--output", &output, "--cache", &directory];
    assert_eq!(rerank(&arguments).status, 0);
    let whole = files.read("out.jsonl");
    crate::resume::cut(&output, whole.len() / 2);
    let run = rerank(&[&arguments[..], &["--resume"]].concat());
    assert_eq!((run.status, run.stderr.as_str()), (0, ""));
    assert_eq!(files.read("out.jsonl"), whole);
    // Nor does it matter for resuming whether there is a cache.
    crate::resume::cut(&output, whole.len() / 2);
    assert_eq!(rerank(&[&arguments[..6], &["--resume"]].concat()).status, 0);
    assert_eq!(files.read("out.jsonl"), whole);
}
