//! What is typed about the output.

use std::path::PathBuf;

use clap::Args;

use crate::output::OutputFormat;

/// Where the rankings go.
#[derive(Debug, Args)]
pub struct OutputArguments {
    /// Rankings; `-` or nothing writes to standard output
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,

    /// Format of the output [default: by extension, else jsonl]
    #[arg(long, value_name = "FORMAT", value_enum)]
    pub output_format: Option<OutputFormat>,

    /// Keep the K best candidates of each query
    #[arg(short = 'k', long, value_name = "K", value_parser = clap::value_parser!(u64).range(1..))]
    pub top_k: Option<u64>,

    /// Keep candidates with at least this score, a probability from 0 to 1
    #[arg(long, value_name = "SCORE")]
    pub min_score: Option<f32>,

    /// Leave the texts out of the output
    #[arg(long)]
    pub no_text: bool,

    /// Write the run's figures as JSON to this file
    #[arg(long, value_name = "FILE", conflicts_with = "dry_run")]
    pub stats: Option<PathBuf>,
}
