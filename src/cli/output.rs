//! The options of the output.

use std::path::PathBuf;
use std::str::FromStr;

use clap::Args;

use super::values;
use crate::fusion::Fusion;
use crate::output::{OutputFormat, check_tag};

/// Where the rankings go.
#[derive(Debug, Args)]
pub struct OutputArguments {
    /// Rankings; `-` or nothing writes to standard output (names that end in .gz or .zst are compressed). With --shard, a directory.
    /// Also an object: s3://BUCKET/KEY, gs://, az:// (with --shard, a prefix that ends in /)
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,

    /// The local directory into which an output in a store is written first; it is stored when it is complete
    /// [default: rerank/staging in the user's cache directory]
    #[arg(long, value_name = "DIRECTORY", requires = "output")]
    pub staging: Option<PathBuf>,

    /// Go on with the run that wrote the output: its rankings are read back and kept, and the file becomes what a run has that was
    /// never broken off. Begins anew where there is no output, so that a job script can always give it. Refused if the model, the
    /// options or the input are others (OUTPUT.run.json has what they were)
    #[arg(long, conflicts_with = "overwrite")]
    pub resume: bool,

    /// Replace an output that exists; else it is refused, unless it is empty
    #[arg(long)]
    pub overwrite: bool,

    /// Format of the output [default: by extension, else jsonl]
    #[arg(long, value_name = "FORMAT", value_enum, ignore_case = true)]
    pub output_format: Option<OutputFormat>,

    /// Name of the run, the last column of TREC output [default: rerank]
    #[arg(long, value_name = "TAG", value_parser = check_tag)]
    pub tag: Option<String>,

    /// Rank by the first stage and the reranker together: rrf (reciprocal rank fusion; rrf=60 names its constant), or alpha=0.3, the
    /// first stage's weight in a sum of its score and the logit, both from 0 to 1 over the query's candidates (alpha=0.3,z-score:
    /// by mean and deviation). Results have the sum as `fused`
    #[arg(long, value_name = "HOW", value_parser = Fusion::from_str)]
    pub fuse: Option<Fusion>,

    /// Keep the K best candidates of each query
    #[arg(short = 'k', long, value_name = "K", value_parser = values::top_k, allow_negative_numbers = true)]
    pub top_k: Option<u64>,

    /// Keep candidates with at least this score, as it is printed: a probability from 0 to 1, or with --score raw a logit
    #[arg(long, value_name = "SCORE", value_parser = values::score, allow_hyphen_values = true)]
    pub min_score: Option<f32>,

    /// Leave the texts out of the output
    #[arg(long)]
    pub no_text: bool,

    /// Write the run's figures, or a dry run's, as JSON to this file, which is replaced
    #[arg(long, value_name = "FILE")]
    pub stats: Option<PathBuf>,
}
