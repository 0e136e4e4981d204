//! The command line, as clap parses it. The help of the options is the manual; the module `config` resolves what they mean.

mod bench;
mod cache;
mod check;
mod eval;
mod evaluation;
mod generate;
mod help;
mod input;
mod long;
mod model;
mod output;
mod plan;
mod recipe;
mod running;
#[cfg(feature = "serve")]
mod serve;
mod shard;
mod values;

use clap::{Args, Parser, Subcommand};

pub use self::bench::BenchArguments;
pub use self::cache::{CacheArguments, CacheCommand};
pub use self::check::{CheckArguments, CheckDtype, CheckFormat};
pub use self::eval::{EvalArguments, TestChoice};
pub use self::evaluation::EvaluationArguments;
pub(crate) use self::generate::COMMANDS;
pub use self::generate::{completions, man_page};
pub use self::input::{InputArguments, OnError};
pub use self::long::{LongArguments, LongChoice};
pub use self::model::{BatchArguments, DtypeChoice, ModelArguments};
pub use self::output::OutputArguments;
pub use self::plan::{DivisionArguments, PlanArguments, PlanFormat};
pub use self::recipe::{RecipeArguments, ScoreChoice};
pub use self::running::{ProgressChoice, RunningArguments, VerbosityArguments};
#[cfg(feature = "serve")]
pub use self::serve::{
    AddressArguments, LimitArguments, LogFormat, MetricsAlias, ServeArguments, ServeRunningArguments,
};
pub use self::shard::{MergeArguments, ShardArguments, ShardChoice, StatusArguments, StatusFormat};

/// Rank candidates for queries with a reranking model.
///
/// Reads queries with their candidates, scores every pair, and writes each query's candidates best first, one line a
/// query, in the order of the input. Only data goes to standard output; messages and progress go to standard error.
#[derive(Debug, Parser)]
#[command(name = "rerank", version, after_help = help::after_help(), args_conflicts_with_subcommands = true)]
#[command(override_usage = "rerank [OPTIONS] [FILE]...\n       rerank <COMMAND>")]
pub struct Cli {
    /// A command other than ranking.
    #[command(subcommand)]
    pub command: Option<Command>,

    /// The options of ranking.
    #[command(flatten)]
    pub rank: RankArguments,
}

/// Commands other than ranking.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Compare a model's scores with those that are published, and check that they can be relied on
    Check(CheckArguments),
    /// Measure how good rankings are by judgements (qrels), with trec_eval's numbers, and compare runs
    Eval(EvalArguments),
    /// Answer requests for scores over HTTP, in the dialects of Cohere, Jina, vLLM, text-embeddings-inference and others
    #[cfg(feature = "serve")]
    Serve(Box<ServeArguments>),
    /// Show into how many shards to divide an input, and how long each takes, before a run with --shard
    Plan(Box<PlanArguments>),
    /// Show which shards of a run with --shard are done (exit status 1 unless all are)
    Status(StatusArguments),
    /// Merge the shards of a run to the output of a single run
    Merge(MergeArguments),
    /// Show, merge and prune caches of scores
    #[command(subcommand)]
    Cache(CacheCommand),
    /// Print a completion script for a shell
    Completions {
        /// The shell to complete for
        shell: clap_complete::Shell,
    },
    /// Print the man page of the program or of a command (roff; `rerank man | man -l -`)
    Man {
        /// The command
        #[arg(value_parser = clap::builder::PossibleValuesParser::new(generate::COMMANDS))]
        command: Option<String>,
    },
    /// Measure how fast this machine reranks, how fast it could at best, and where the time goes
    Bench(BenchArguments),
}

/// The options of ranking.
#[derive(Debug, Args)]
pub struct RankArguments {
    /// Input
    #[command(flatten, next_help_heading = "Input")]
    pub input: InputArguments,

    /// Output
    #[command(flatten, next_help_heading = "Output")]
    pub output: OutputArguments,

    /// Model
    #[command(flatten, next_help_heading = "Model")]
    pub model: ModelArguments,

    /// Recipe
    #[command(flatten, next_help_heading = "Recipe")]
    pub recipe: RecipeArguments,

    /// Long documents
    #[command(flatten, next_help_heading = "Long documents")]
    pub long: LongArguments,

    /// Evaluation
    #[command(flatten, next_help_heading = "Evaluation")]
    pub evaluation: EvaluationArguments,

    /// Batches
    #[command(flatten, next_help_heading = "Batches")]
    pub batch: BatchArguments,

    /// Cache
    #[command(flatten, next_help_heading = "Cache")]
    pub cache: CacheArguments,

    /// Shards
    #[command(flatten, next_help_heading = "Many machines")]
    pub shard: ShardArguments,

    /// Running
    #[command(flatten, next_help_heading = "Running")]
    pub running: RunningArguments,
}
