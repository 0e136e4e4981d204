//! Resolves the options: defaults are filled in, and contradictions are refused with a remedy. The rest of the program reads
//! the result only.

mod aside;
mod beir;
mod bench;
mod check;
mod distinct;
mod eval;
mod evaluation;
mod expand;
mod files;
mod input;
mod long;
mod merge;
mod model;
mod output;
mod plan;
mod rank;
mod recipe;
#[cfg(feature = "serve")]
mod serve;
mod session;
mod shard;
#[cfg(test)]
mod tests;

use std::io::IsTerminal;
use std::path::PathBuf;

pub use self::bench::resolve_bench;
pub use self::check::resolve_check;
pub use self::eval::{resolve_eval, resolve_tuning};
pub use self::evaluation::EvaluationChoice;
pub use self::merge::resolve_merge;
pub use self::plan::resolve_plan;
pub(crate) use self::recipe::check_least_score;
#[cfg(feature = "serve")]
pub use self::serve::resolve_serve;
pub use self::session::{SessionConfig, resolve_session};
pub use self::shard::ShardOptions;
use crate::batch::LimitsChoice;
use crate::checkpoint::{AdapterChoice, ModelSource};
use crate::cli::{ProgressChoice, VerbosityArguments};
use crate::device::DeviceChoice;
use crate::engine::cpu::Instructions;
use crate::fusion::Fusion;
use crate::input::InputOptions;
use crate::output::{Destination, Existing, Layout};
use crate::passages::Splitting;
use crate::precision::Precision;
use crate::progress::{Progress, Verbosity};
use crate::rank::Cutoff;
use crate::recipe::RecipeChoice;

/// The configuration of a ranking run.
#[derive(Debug)]
pub struct Config {
    /// Where the candidates come from.
    pub input: InputOptions,
    /// Whether a record that can't be used is skipped; else the run stops there.
    pub skip_bad_records: bool,
    /// Where the rankings go; `None` is standard output. Of a shard, it is the file that has them at the end.
    pub output: Option<PathBuf>,
    /// The object to which an output goes that is in a store; `output` is the file that is written first.
    pub destination: Option<Destination>,
    /// The part of the input that is ranked, if it is divided.
    pub shard: Option<ShardOptions>,
    /// What becomes of an output that exists.
    pub existing: Existing,
    /// What the lines look like.
    pub layout: Layout,
    /// Which candidates are kept.
    pub cutoff: Cutoff,
    /// How the first stage's ranking counts, too, if it does.
    pub fusion: Option<Fusion>,
    /// How long documents are cut into passages; none, if they are cut to the maximum length.
    pub splitting: Option<Splitting>,
    /// By what the rankings are evaluated, if they are.
    pub evaluation: Option<EvaluationChoice>,
    /// Where the run's figures go.
    pub stats: Option<PathBuf>,
    /// Where records go that can't be used.
    pub errors: Option<PathBuf>,
    /// The model, and how it computes.
    pub model: ModelChoice,
    /// Where scores are kept.
    pub cache: Option<CacheChoice>,
    /// Whether only the cost of the run is reported.
    pub dry_run: bool,
    /// How progress is shown.
    pub progress: Progress,
    /// How much is printed on standard error.
    pub verbosity: Verbosity,
    /// What the user should know of how the options were understood.
    pub notes: Vec<String>,
}

/// The model, and how it computes.
#[derive(Clone, Debug)]
pub struct ModelChoice {
    /// Where the model is.
    pub source: ModelSource,
    /// What is merged into it.
    pub adapter: AdapterChoice,
    /// The device, or the devices.
    pub device: DeviceChoice,
    /// The most bytes of each GPU's memory that are used.
    pub gpu_memory: Option<u64>,
    /// The processor's instructions that are used.
    pub instructions: Instructions,
    /// Precision of products, `None` for the device's own choice.
    pub precision: Option<Precision>,
    /// What the user chooses of the recipe.
    pub recipe: RecipeChoice,
    /// What a batch may hold.
    pub limits: LimitsChoice,
    /// Whether the model's fingerprint is of all bytes of its weights.
    pub hash_weights: bool,
    /// Threads that compute.
    pub threads: usize,
}

/// The cache of a run.
#[derive(Clone, Debug)]
pub struct CacheChoice {
    /// Its directory.
    pub directory: PathBuf,
    /// The most bytes that it has when the run has ended.
    pub limit: Option<u64>,
}

impl Config {
    /// The output under the name that users know: of one that goes to a store, the address.
    pub(crate) fn named_output(&self) -> Option<PathBuf> {
        let of_shard = self.shard.as_ref().and_then(|shard| Some(shard.address.as_ref()?.join(shard.shard.part())));
        let address = self.destination.as_ref().map(|destination| destination.address.clone());
        of_shard.or(address).or_else(|| self.output.clone())
    }
}

fn resolve_verbosity(arguments: &VerbosityArguments) -> Verbosity {
    match (arguments.quiet, arguments.verbose) {
        (true, _) => Verbosity::Quiet,
        (_, true) => Verbosity::Verbose,
        _ => Verbosity::Normal,
    }
}

fn resolve_progress(choice: ProgressChoice, verbosity: Verbosity, to_stdout: bool) -> Progress {
    let terminal = std::io::stderr().is_terminal();
    // Rankings printed on the same terminal would scroll the bar up and leave copies of it behind.
    let crowded = to_stdout && std::io::stdout().is_terminal();
    match choice {
        ProgressChoice::None => Progress::None,
        ProgressChoice::Auto if verbosity == Verbosity::Quiet => Progress::None,
        ProgressChoice::Auto if terminal && !crowded => Progress::Bar,
        ProgressChoice::Bar if terminal => Progress::Bar,
        ProgressChoice::Auto | ProgressChoice::Bar | ProgressChoice::Log => Progress::Log,
    }
}
