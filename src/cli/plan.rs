//! The command line of `rerank plan`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::{
    BatchArguments, InputArguments, LongArguments, ModelArguments, RecipeArguments, VerbosityArguments, values,
};

/// The options of `rerank plan`.
#[derive(Debug, Args)]
pub struct PlanArguments {
    /// Input
    #[command(flatten, next_help_heading = "Input")]
    pub input: InputArguments,

    /// Shards
    #[command(flatten, next_help_heading = "Shards")]
    pub shards: DivisionArguments,

    /// Model
    #[command(flatten, next_help_heading = "Model")]
    pub model: ModelArguments,

    /// Recipe
    #[command(flatten, next_help_heading = "Recipe")]
    pub recipe: RecipeArguments,

    /// Long documents
    #[command(flatten, next_help_heading = "Long documents")]
    pub long: LongArguments,

    /// Batches
    #[command(flatten, next_help_heading = "Batches")]
    pub batch: BatchArguments,

    /// How much is printed
    #[command(flatten, next_help_heading = "Running")]
    pub verbosity: VerbosityArguments,
}

/// Into how many shards the input is to be divided, and how fast a worker is.
#[derive(Debug, Args)]
pub struct DivisionArguments {
    /// How many shards there are [default: as many as take --minutes each]
    #[arg(long, value_name = "N", value_parser = values::shards, conflicts_with = "minutes")]
    pub shards: Option<u32>,

    /// How many minutes a worker scores for a shard
    #[arg(long, value_name = "MINUTES", value_parser = values::positive, default_value = "3")]
    pub minutes: f64,

    /// Pairs that a worker scores a second [default: measured on this machine, with two layers of the model and random weights]
    #[arg(long, value_name = "N", value_parser = values::positive, group = "rate")]
    pub pairs_per_second: Option<f64>,

    /// Tokens that a worker computes a second, shared beginnings once
    #[arg(long, value_name = "N", value_parser = values::positive, group = "rate")]
    pub tokens_per_second: Option<f64>,

    /// A worker's speed and time of loading, from what `rerank bench --json` printed there or a run's --stats FILE
    #[arg(long, value_name = "FILE", group = "rate")]
    pub speed: Option<PathBuf>,

    /// Seconds from the start of a worker to its first batch [default: those of --speed FILE, else not counted]
    #[arg(long, value_name = "SECONDS", value_parser = values::not_negative)]
    pub load_seconds: Option<f64>,

    /// How it is printed
    #[arg(long, value_name = "FORMAT", value_enum, ignore_case = true, default_value_t = PlanFormat::Text)]
    pub format: PlanFormat,
}

/// How a plan is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum PlanFormat {
    /// Lines for people.
    Text,
    /// A JSON object.
    Json,
}
