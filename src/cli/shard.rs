//! The options of shards, and the command lines of `rerank status` and `rerank merge`.

use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, ValueEnum};

use super::values;
use crate::output::{OutputFormat, check_tag};
use crate::shard::Shard;

/// Which part of the input this worker ranks.
#[derive(Clone, Debug, Args)]
pub struct ShardArguments {
    /// Rank shard I of N, counted from 0, into the directory --output: of one input the queries whose ids have the BLAKE3 hash for
    /// it (its first 8 bytes, little-endian, modulo N), of several files whole files. `auto` takes both numbers from Slurm, Kubernetes,
    /// SkyPilot, AWS Batch, Google Batch or RANK and WORLD_SIZE. A worker that is started again goes on where it was broken off, and
    /// ends at once if its shard is done; `rerank merge` makes one output of all
    #[arg(long, value_name = "I/N", allow_hyphen_values = true)]
    pub shard: Option<ShardChoice>,

    /// How many shards there are, for --shard auto where the scheduler does not name the number (Kubernetes, AWS Batch)
    #[arg(long, value_name = "N", value_parser = values::count, requires = "shard")]
    pub shards: Option<u64>,
}

/// `--shard`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShardChoice {
    /// As the environment has it.
    Auto,
    /// This one.
    Named(Shard),
}

impl FromStr for ShardChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.eq_ignore_ascii_case("auto") { Ok(Self::Auto) } else { text.parse().map(Self::Named) }
    }
}

/// The options of `rerank status`.
#[derive(Debug, Args)]
pub struct StatusArguments {
    /// The directory to which workers with --shard write, or the prefix in a store
    #[arg(value_name = "DIR")]
    pub directory: PathBuf,

    /// How it is printed
    #[arg(long, value_name = "FORMAT", value_enum, ignore_case = true, default_value_t = StatusFormat::Text)]
    pub format: StatusFormat,
}

/// How the state of shards is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum StatusFormat {
    /// Lines for people.
    Text,
    /// A JSON object.
    Json,
}

/// The options of `rerank merge`.
#[derive(Debug, Args)]
pub struct MergeArguments {
    /// The directory to which workers with --shard wrote, or the prefix in a store
    #[arg(value_name = "DIR")]
    pub directory: PathBuf,

    /// The file to write, with the rankings in the order of the input (names that end in .gz or .zst are compressed)
    #[arg(short, long, value_name = "FILE")]
    pub output: PathBuf,

    /// Format of the output [default: by extension, else jsonl]
    #[arg(long, value_name = "FORMAT", value_enum, ignore_case = true)]
    pub output_format: Option<OutputFormat>,

    /// Name of the run, the last column of TREC output [default: rerank]
    #[arg(long, value_name = "TAG", value_parser = check_tag)]
    pub tag: Option<String>,

    /// Replace an output that exists
    #[arg(long)]
    pub overwrite: bool,

    /// Print errors only
    #[arg(short, long)]
    pub quiet: bool,
}
