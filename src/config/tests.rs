//! Options that are understood, and options that are refused.

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
pub(super) fn what_makes_no_sense_is_refused() {
    for (arguments, named) in [
        (vec!["--output", "testdata/../testdata/candidates.jsonl"], "another name"),
        (vec!["--stats", "testdata/candidates.jsonl"], "another name"),
        (vec!["--output", "a", "--stats", "a"], "same file"),
        (vec!["--output", "a.jsonl.xz"], ".gz or .zst"),
        (vec!["--output", "a.parquet"], ".parquet files are not written"),
        (vec!["--stats", "testdata/odd-reranker/config.json"], "another name"),
        (vec!["--tag", "mine"], "TREC"),
        (vec!["--min-score", "-1"], "probability"),
        (vec!["--top-k", "-1"], "top-k"),
        (vec!["--device", "metal"], "Metal"),
        (vec!["--device", "gpu"], "cpu"),
        (vec!["--min-score", "1.5"], "probability"),
        (vec!["--min-score", "nan"], "probability"),
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
