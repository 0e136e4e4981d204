//! Tests of options that are accepted, and of options that are refused.

use anyhow::Result;
use clap::Parser;

use super::*;
use crate::cli::Cli;
use crate::output::OutputFormat;

pub(super) fn resolve(arguments: &[&str]) -> Result<Config> {
    let program = ["rerank", "--input", "testdata/candidates.jsonl", "--model", "testdata/odd-reranker"];
    Config::resolve(&Cli::try_parse_from(program.iter().chain(arguments))?.rank)
}

#[test]
pub(super) fn the_output_format_follows_the_extension() {
    assert_eq!(resolve(&[]).unwrap().layout.format, OutputFormat::Jsonl);
    assert_eq!(resolve(&["-o", "a.trec"]).unwrap().layout.format, OutputFormat::Trec);
    assert_eq!(resolve(&["-o", "a.trec", "--output-format", "csv"]).unwrap().layout.format, OutputFormat::Csv);
    assert_eq!(resolve(&["-o", "-"]).unwrap().output, None);
}

#[test]
pub(super) fn usual_spellings_are_understood() {
    for (dtype, precision) in [
        ("FP32", Precision::F32),
        ("float32", Precision::F32),
        ("bfloat16", Precision::Bf16),
        ("BF16", Precision::Bf16),
        ("fp16", Precision::F16),
        ("float16", Precision::F16),
    ] {
        assert_eq!(resolve(&["--dtype", dtype]).unwrap().model.precision, Some(precision));
    }
    assert_eq!(resolve(&["--output-format", "TREC"]).unwrap().layout.format, OutputFormat::Trec);
}

#[test]
pub(super) fn an_extension_of_another_format_is_noted_unless_the_format_was_chosen() {
    for name in ["a.json", "a.JSON", "a.json.gz", "a.txt", "a.yaml"] {
        let notes = resolve(&["-o", name]).unwrap().notes;
        assert!(notes.len() == 1 && notes[0].starts_with(&format!("{name} is written as JSONL")), "{name}: {notes:?}");
    }
    for arguments in [
        &["-o", "a.json", "--output-format", "jsonl"][..],
        &["-o", "a.jsonl"],
        &["-o", "a.ndjson.zst"],
        &["-o", "a.gz"],
        &["-o", "a"],
        &["-o", "a.csv"],
        &["-o", "a.run"],
        &["-o", "/dev/null"],
        &[],
    ] {
        assert_eq!(resolve(arguments).unwrap().notes, Vec::<String>::new(), "{arguments:?}");
    }
}

#[test]
pub(super) fn invalid_and_contradictory_options_are_refused() {
    for (arguments, named) in [
        (vec!["--output", "testdata/../testdata/candidates.jsonl"], "another name"),
        (vec!["--stats", "testdata/candidates.jsonl"], "another name"),
        (vec!["--output", "a", "--stats", "a"], "same file"),
        (vec!["--output", "a", "--stats", "./a"], "same file"),
        (vec!["--output", "a", "--stats", "src/../a"], "same file"),
        (vec!["--output", "a.jsonl.gz.zst"], "compressed once"),
        (vec!["--revision", "v2"], "only models on the hub"),
        (vec!["--revision", ""], "--revision"),
        (vec!["--columns", " "], "--columns"),
        (vec!["--instruction", "@"], "behind the @"),
        (vec!["--output", "a.jsonl.xz"], ".gz or .zst"),
        (vec!["--output", "a.feather"], ".feather files are not written"),
        (vec!["--stats", "testdata/odd-reranker/config.json"], "another name"),
        (vec!["--tag", "mine"], "TREC"),
        (vec!["--top-k", "-1"], "top-k"),
        (vec!["--device", "metal"], "Metal"),
        (vec!["--device", "gpu"], "cpu"),
        (vec!["--min-score", "-1", "--score", "sigmoid"], "probabilities"),
        (vec!["--min-score", "nan"], "a number is expected"),
        (vec!["--min-score", "inf"], "a number is expected"),
        (vec!["--instruction", " "], "empty"),
        (vec!["--instruction", "@missing.txt"], "missing.txt"),
        (vec!["--queries", "missing.tsv"], "missing.tsv"),
        (vec!["--top-k", "0"], "top-k"),
        (vec!["--quiet", "--verbose"], "cannot be used with"),
    ] {
        let message = format!("{:#}", resolve(&arguments).unwrap_err());
        assert!(message.contains(named), "{arguments:?}: {message}");
    }
}
