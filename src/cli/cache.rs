//! The options of the cache of scores, and the command line of `rerank cache`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::values;

/// The cache of a run.
#[derive(Debug, Args)]
pub struct CacheArguments {
    /// Keep scores in this directory, and score no pair again that is there; runs may share it, on any number of machines
    #[arg(long, value_name = "DIR")]
    pub cache: Option<PathBuf>,

    /// Remove the oldest scores of the cache at the end of the run, so that it has at most this size, as 500MB or 20GB
    #[arg(long, value_name = "SIZE", value_parser = values::size, requires = "cache")]
    pub cache_limit: Option<u64>,

    /// Know the model by all bytes of its weights, and not by the first 4 KiB of each tensor; for --cache and --resume. It reads
    /// the weights once more
    #[arg(long)]
    pub hash_weights: bool,
}

/// The commands of `rerank cache`.
#[derive(Debug, Subcommand)]
pub enum CacheCommand {
    /// Print the models whose scores are there, with their numbers and sizes
    Stats {
        /// The cache's directory
        #[arg(value_name = "DIR")]
        directory: PathBuf,
    },
    /// Merge the files of each model into one, with those of other caches
    Merge {
        /// The cache's directory
        #[arg(value_name = "DIR")]
        directory: PathBuf,

        /// Directories of other caches, which are only read
        #[arg(value_name = "OTHER")]
        others: Vec<PathBuf>,
    },
    /// Remove the oldest scores
    Prune {
        /// The cache's directory
        #[arg(value_name = "DIR")]
        directory: PathBuf,

        /// The size that is left at most, as 500MB or 20GB
        #[arg(long, value_name = "SIZE", value_parser = values::size)]
        limit: u64,
    },
}
