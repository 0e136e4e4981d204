//! The options of how the run goes.

use clap::{Args, ValueEnum};

use super::values;

/// How the run goes.
#[derive(Clone, Debug, Args)]
pub struct RunningArguments {
    /// Threads that compute [default: all cores, or RAYON_NUM_THREADS]
    #[arg(short, long, value_name = "N", value_parser = values::threads, allow_negative_numbers = true)]
    pub threads: Option<u64>,

    /// Read, tokenize and plan everything, and print what it would cost, with an estimate of the time (measured on two layers
    /// with random weights); needs no weights
    #[arg(long)]
    pub dry_run: bool,

    /// Progress on standard error; auto shows a bar on a terminal and log lines elsewhere
    #[arg(long, value_name = "HOW", value_enum, default_value_t = ProgressChoice::Auto)]
    pub progress: ProgressChoice,

    /// How much is printed
    #[command(flatten)]
    pub verbosity: VerbosityArguments,
}

/// How much is printed on standard error.
#[derive(Clone, Debug, Args)]
pub struct VerbosityArguments {
    /// Print errors only
    #[arg(short, long, conflicts_with = "verbose")]
    pub quiet: bool,

    /// Print what is chosen: files, device, precision, limits
    #[arg(short, long)]
    pub verbose: bool,
}

/// `--progress`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ProgressChoice {
    /// A bar on a terminal, log lines elsewhere.
    Auto,
    /// A bar; log lines where standard error is no terminal.
    Bar,
    /// A line every ten seconds.
    Log,
    /// No progress.
    None,
}
