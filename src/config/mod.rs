//! Resolves the options: defaults are filled in, and contradictions are refused with a remedy. The rest of the program reads
//! the result only.

mod beir;
mod bench;
mod check;
mod distinct;
mod eval;
mod evaluation;
mod files;
mod input;
mod long;
mod merge;
mod model;
mod output;
mod plan;
mod recipe;
#[cfg(feature = "serve")]
mod serve;
mod session;
mod shard;
#[cfg(test)]
mod tests;

use std::io::IsTerminal;
use std::path::PathBuf;

use anyhow::{Result, ensure};

pub use self::bench::resolve_bench;
pub use self::check::resolve_check;
use self::distinct::{Files, check_distinct};
pub use self::eval::{resolve_eval, resolve_tuning};
pub use self::evaluation::EvaluationChoice;
use self::evaluation::resolve_evaluation;
use self::input::resolve_input;
use self::long::resolve_long;
pub use self::merge::resolve_merge;
use self::output::{
    note_on_name, others_written, resolve_errors, resolve_existing, resolve_layout, resolve_output, resolve_stats,
};
pub use self::plan::resolve_plan;
pub(crate) use self::recipe::check_least_score;
use self::recipe::{files_read, note_on_fake};
#[cfg(feature = "serve")]
pub use self::serve::resolve_serve;
pub use self::session::{SessionConfig, resolve_session};
pub use self::shard::ShardOptions;
use self::shard::resolve_shard;
use crate::batch::LimitsChoice;
use crate::checkpoint::{AdapterChoice, ModelSource};
use crate::cli::{CacheArguments, OnError, ProgressChoice, RankArguments, ScoreChoice, VerbosityArguments};
use crate::column_types::Carrying;
use crate::device::DeviceChoice;
use crate::engine::cpu::Instructions;
use crate::fusion::Fusion;
use crate::input::InputOptions;
use crate::output::{Destination, Existing, Layout, OutputFormat};
use crate::passages::Splitting;
use crate::precision::Precision;
use crate::progress::{Progress, Verbosity};
use crate::rank::Cutoff;
use crate::recipe::RecipeChoice;
use crate::store;

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

const NOTE_ON_DRY_RUN: &str = "a dry run does not look into the cache, and counts all pairs";

impl Config {
    /// Resolves the options.
    ///
    /// # Errors
    /// A sentence with the remedy for options that contradict each other or name something that isn't there.
    pub fn resolve(arguments: &RankArguments) -> Result<Self> {
        let RankArguments { input, output, model, recipe, long, evaluation, batch, cache, shard, running } = arguments;
        let (shard, note_on_shard) = resolve_shard(shard, output, evaluation, running.dry_run)?;
        let mut input_options = resolve_input(input, shard.as_ref())?;
        let (named, destination) = match &shard {
            Some(shard) => (shard.part(), None),
            None => resolve_output(output)?,
        };
        let output_path = destination.as_ref().map(|destination| destination.staged.clone()).or_else(|| named.clone());
        let layout = resolve_layout(output, named.as_deref())?;
        input_options.known_fields_only = layout.format.is_run();
        input_options.types = layout.types.clone();
        input_options.carrying = match layout.format {
            OutputFormat::Parquet => Carrying::AsColumns,
            _ if shard.is_some() => Carrying::AsJsonOfTypes,
            _ => Carrying::AsJson,
        };
        let existing = match &shard {
            Some(_) => shard::existing(output),
            None => resolve_existing(output, output_path.as_deref(), running.dry_run)?,
        };
        let stats = resolve_stats(output)?;
        let errors = resolve_errors(input)?;
        // What is ranked in parts is evaluated as a whole.
        let beir = input.beir.as_deref().filter(|_| shard.is_none());
        let evaluation = resolve_evaluation(evaluation, beir, running.dry_run)?;
        let source = ModelSource::parse(&model.model, &model.revision, model.offline)?;
        let adapter = AdapterChoice::parse(&model.adapter, &source, model.offline)?;
        let of_adapter = adapter.source.iter().flat_map(ModelSource::local_files);
        let read = [input_options.queries.clone(), input_options.collection.clone()];
        check_not_read(destination.as_ref(), &input_options)?;
        check_distinct(&Files {
            input: input_options.path.clone(),
            inputs: input_options.files.iter().map(|file| file.path.clone()).collect(),
            others: read
                .into_iter()
                .flatten()
                .chain(files_read(recipe))
                .chain(evaluation.iter().map(|evaluation| evaluation.qrels.clone()))
                .chain(source.local_files())
                .chain(of_adapter)
                .collect(),
            output: output_path.clone(),
            others_written: others_written(output_path.as_deref(), stats.as_ref(), errors.as_ref()),
            is_dry_run: running.dry_run,
        })?;
        check_hash_weights(cache, output_path.is_some())?;
        cache.cache.as_deref().map_or(Ok(()), |directory| store::check_local(directory, "--cache"))?;
        let verbosity = resolve_verbosity(&running.verbosity);
        let unread = (source == ModelSource::Fake).then(|| note_on_fake(recipe)).flatten();
        let uncounted = (running.dry_run && cache.cache.is_some()).then(|| NOTE_ON_DRY_RUN.to_owned());
        let notes = note_on_name(output.output_format, named.as_deref()).into_iter();
        let notes = notes.chain(note_on_shard).chain(unread).chain(uncounted).collect();
        // What `auto` is, is known where the model's files are; the fake model has none.
        let is_probability = match recipe.score {
            ScoreChoice::Auto => source == ModelSource::Fake,
            choice => choice == ScoreChoice::Sigmoid,
        };
        check_least_score(output.min_score, is_probability)?;
        let progress = resolve_progress(running.progress, verbosity, output_path.is_none());
        Ok(Self {
            input: input_options,
            skip_bad_records: input.on_error == OnError::Skip,
            output: output_path,
            destination,
            shard,
            existing,
            layout,
            cutoff: Cutoff { top_k: output.top_k.map(|top_k| top_k as usize), min_score: output.min_score },
            fusion: output.fuse,
            splitting: resolve_long(long)?,
            evaluation,
            stats,
            errors,
            model: ModelChoice::resolve((source, adapter, model), recipe, batch, cache, running.threads)?,
            cache: CacheChoice::resolve(cache),
            dry_run: running.dry_run,
            progress,
            verbosity,
            notes,
        })
    }
}

/// Refuses an object that is read and would be replaced.
fn check_not_read(destination: Option<&Destination>, input: &InputOptions) -> Result<()> {
    let Some(Destination { address, .. }) = destination else { return Ok(()) };
    let files = input.files.iter().map(|file| &file.path);
    let mut read = files.chain([&input.path, &input.queries, &input.collection].into_iter().flatten());
    ensure!(
        !read.any(|path| path == address),
        "{} is read and would be written over; give the output another name",
        address.display()
    );
    Ok(())
}

impl Config {
    /// The output under the name that users know: of one that goes to a store, the address.
    pub(crate) fn named_output(&self) -> Option<PathBuf> {
        let of_shard = self.shard.as_ref().and_then(|shard| Some(shard.address.as_ref()?.join(shard.shard.part())));
        let address = self.destination.as_ref().map(|destination| destination.address.clone());
        of_shard.or(address).or_else(|| self.output.clone())
    }
}

fn check_hash_weights(cache: &CacheArguments, is_output_kept: bool) -> Result<()> {
    ensure!(
        !cache.hash_weights || cache.cache.is_some() || is_output_kept,
        "--hash-weights: nothing is kept that would need it; name a cache with --cache or a file with --output, or leave it out"
    );
    Ok(())
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
