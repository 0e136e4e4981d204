//! Resolves the options of a ranking run.

use std::path::PathBuf;

use anyhow::{Result, ensure};

use super::distinct::{Files, check_distinct};
use super::evaluation::resolve_evaluation;
use super::files::check_no_input;
use super::input::resolve_input;
use super::long::resolve_long;
use super::output::{
    note_on_name, others_written, resolve_errors, resolve_existing, resolve_layout, resolve_output, resolve_stats,
};
use super::recipe::{check_least_score, files_read, note_on_fake};
use super::shard::{self, resolve_shard};
use super::{CacheChoice, Config, ModelChoice, ShardOptions, resolve_progress, resolve_verbosity};
use crate::checkpoint::{AdapterChoice, ModelSource};
use crate::cli::{CacheArguments, InputArguments, OnError, RankArguments, ScoreChoice};
use crate::column_types::Carrying;
use crate::input::InputOptions;
use crate::output::{Destination, Existing, Layout, OutputFormat};
use crate::rank::Cutoff;
use crate::store;

const NOTE_ON_DRY_RUN: &str = "a dry run does not look into the cache, and counts all pairs";

/// What a run writes, and where to.
struct Written {
    /// What the user named; a part, if it is a shard.
    named: Option<PathBuf>,
    /// The object to which it goes at the end.
    destination: Option<Destination>,
    /// The file that is written; none is standard output.
    path: Option<PathBuf>,
    layout: Layout,
    existing: Existing,
    stats: Option<PathBuf>,
    errors: Option<PathBuf>,
}

impl Config {
    /// Resolves the options.
    ///
    /// # Errors
    /// A sentence with the remedy for options that contradict each other or name something that isn't there.
    pub fn resolve(arguments: &RankArguments) -> Result<Self> {
        let RankArguments { input, output, model, recipe, long, evaluation, batch, cache, shard, running } = arguments;
        let (shard, note_on_shard) = resolve_shard(shard, output, evaluation, running.dry_run)?;
        let (mut input_options, notes_on_input) = resolve_input(input, shard.as_ref())?;
        let written = Written::resolve(arguments, shard.as_ref())?;
        written.form(&mut input_options, shard.is_some());
        // What is ranked in parts is evaluated as a whole.
        let beir = input.beir.as_deref().filter(|_| shard.is_none());
        let evaluation = resolve_evaluation(evaluation, beir, running.dry_run)?;
        let source = ModelSource::parse(&model.model, &model.revision, model.offline)?;
        let adapter = AdapterChoice::parse(&model.adapter, &source, model.offline)?;
        let qrels = evaluation.iter().map(|evaluation| evaluation.qrels.clone());
        let of_adapter = adapter.source.iter().flat_map(ModelSource::local_files);
        let others = files_read(recipe).chain(qrels).chain(source.local_files()).chain(of_adapter).collect();
        written.check_no_input(input)?;
        written.check_distinct(&input_options, others, running.dry_run)?;
        check_cache(cache, written.path.is_some())?;
        check_least_score(output.min_score, is_probability(recipe.score, &source))?;
        let mut notes = notes(arguments, &source, &written);
        notes.extend(notes_on_input);
        notes.extend(note_on_shard);
        let verbosity = resolve_verbosity(&running.verbosity);
        Ok(Self {
            progress: resolve_progress(running.progress, verbosity, written.path.is_none()),
            input: input_options,
            skip_bad_records: input.on_error == OnError::Skip,
            output: written.path,
            destination: written.destination,
            shard,
            existing: written.existing,
            layout: written.layout,
            cutoff: Cutoff { top_k: output.top_k.map(|top_k| top_k as usize), min_score: output.min_score },
            fusion: output.fuse,
            splitting: resolve_long(long)?,
            evaluation,
            stats: written.stats,
            errors: written.errors,
            model: ModelChoice::resolve((source, adapter, model), recipe, batch, cache, running.threads)?,
            cache: CacheChoice::resolve(cache),
            dry_run: running.dry_run,
            verbosity,
            notes,
        })
    }
}

impl Written {
    fn resolve(arguments: &RankArguments, shard: Option<&ShardOptions>) -> Result<Self> {
        let RankArguments { input, output, running, .. } = arguments;
        let (named, destination) = match shard {
            Some(shard) => (shard.part(), None),
            None => resolve_output(output)?,
        };
        let path = destination.as_ref().map(|destination| destination.staged.clone()).or_else(|| named.clone());
        let layout = resolve_layout(output, named.as_deref())?;
        let existing = match shard {
            Some(_) => shard::existing(output),
            None => resolve_existing(output, path.as_deref(), running.dry_run)?,
        };
        let (stats, errors) = (resolve_stats(output)?, resolve_errors(input)?);
        Ok(Self { named, destination, path, layout, existing, stats, errors })
    }

    /// Chooses what is read of records, and in which form, so that it can be written.
    fn form(&self, input: &mut InputOptions, is_shard: bool) {
        input.known_fields_only = self.layout.format.is_run();
        input.types = self.layout.types.clone();
        input.carrying = match self.layout.format {
            OutputFormat::Parquet => Carrying::AsColumns,
            _ if is_shard => Carrying::AsJsonOfTypes,
            _ => Carrying::AsJson,
        };
    }

    /// Refuses to write what the next run would read.
    fn check_no_input(&self, input: &InputArguments) -> Result<()> {
        let named = input.files.iter().chain(&input.input).map(|path| store::public(path));
        let named = named.collect::<Result<Vec<PathBuf>>>()?;
        let others = [("--stats", &self.stats), ("--errors", &self.errors)];
        let written = [("--output", &self.named)].into_iter().chain(others);
        let mut written = written.filter_map(|(option, path)| Some((option, path.as_deref()?)));
        written.try_for_each(|written| check_no_input(written, &named))
    }

    /// Refuses to write what is read: the input, or one of the `others`.
    fn check_distinct(&self, input: &InputOptions, others: Vec<PathBuf>, is_dry_run: bool) -> Result<()> {
        check_not_read(self.destination.as_ref(), input)?;
        check_distinct(&Files {
            input: input.path.clone(),
            inputs: input.files.iter().map(|file| file.path.clone()).collect(),
            others: [input.queries.clone(), input.collection.clone()].into_iter().flatten().chain(others).collect(),
            output: self.path.clone(),
            others_written: others_written(self.path.as_deref(), self.stats.as_ref(), self.errors.as_ref()),
            is_dry_run,
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

fn check_cache(cache: &CacheArguments, is_output_kept: bool) -> Result<()> {
    ensure!(
        !cache.hash_weights || cache.cache.is_some() || is_output_kept,
        "--hash-weights: nothing is kept that would need it; name a cache with --cache or a file with --output, or leave it out"
    );
    cache.cache.as_deref().map_or(Ok(()), |directory| store::check_local(directory, "--cache"))
}

/// Whether scores are probabilities. What `auto` is, is known where the model's files are; the fake model has none.
fn is_probability(choice: ScoreChoice, source: &ModelSource) -> bool {
    match choice {
        ScoreChoice::Auto => *source == ModelSource::Fake,
        choice => choice == ScoreChoice::Sigmoid,
    }
}

/// What the user should know of how the options were understood.
fn notes(arguments: &RankArguments, source: &ModelSource, written: &Written) -> Vec<String> {
    let RankArguments { output, recipe, cache, running, .. } = arguments;
    let unread = (*source == ModelSource::Fake).then(|| note_on_fake(recipe)).flatten();
    let uncounted = (running.dry_run && cache.cache.is_some()).then(|| NOTE_ON_DRY_RUN.to_owned());
    note_on_name(output.output_format, written.named.as_deref()).into_iter().chain(unread).chain(uncounted).collect()
}
