//! What a ranking run makes of its setup.

use anyhow::Result;

use super::dry_run::Planned;
use crate::config::{Config, check_least_score};
use crate::device::Opened;
use crate::engine::cpu::Instructions;
use crate::exit::UsageError;
use crate::precision::Precision;
use crate::progress::Reporter;
use crate::setup::{self, Finding, Setup};
use crate::stats::Stats;

/// Opens the devices of the run. A dry run needs none but the CPU.
pub(super) fn open_devices(config: &Config, reporter: &Reporter) -> Result<Vec<Opened>> {
    if !config.dry_run {
        return setup::open_devices(&config.model, reporter);
    }
    let devices = vec![Opened::Cpu];
    setup::check_precision(&config.model, &devices)?;
    Ok(devices)
}

/// Finds the model's files, chooses how the devices compute, and reports it.
///
/// # Errors
/// If the files are not those of a model that can be run, or the options do not fit it.
pub(super) fn choose(
    config: &Config,
    devices: Vec<Opened>,
    arithmetic: (Instructions, Option<Precision>),
    reporter: &Reporter,
) -> Result<Setup> {
    let finding = Finding { weights: !config.dry_run, downloads: setup::downloads(config.progress) };
    let setup = Setup::choose(&config.model, finding, devices, arithmetic)?;
    check_least_score(config.cutoff.min_score, setup.reranker.recipe().activation.is_probability())?;
    if let Some(splitting) = config.splitting {
        splitting.check(setup.reranker.recipe().max_length).map_err(|error| UsageError::new(error.to_string()))?;
    }
    setup.report(!config.dry_run || config.model.precision.is_some(), reporter);
    Ok(setup)
}

/// What the run warns of before it begins, for its figures: the notes on options, the recipe, the tokenizer and the checkpoint.
fn warnings(setup: &Setup, config: &Config) -> Vec<String> {
    let notes = config.notes.iter().chain(&setup.reranker.recipe().notes);
    notes.chain(setup.reranker.notes()).chain(setup.reranker.warnings()).cloned().collect()
}

/// The facts about the run that a dry run needs.
pub(super) fn planned<'a>(setup: &'a Setup, config: &'a Config) -> Planned<'a> {
    let Setup { reranker, limits, .. } = setup;
    let (model, expected) = (reranker.architecture(), reranker.expected());
    let warnings = warnings(setup, config);
    let weights = setup.weights().ok().flatten();
    Planned { config, limits: *limits, recipe: reranker.recipe(), model, reranker, expected, weights, warnings }
}

/// The figures of the run that are known before it begins.
pub(super) fn stats(setup: &Setup, config: &Config) -> Stats {
    Stats {
        version: env!("CARGO_PKG_VERSION"),
        model: config.model.source.to_string(),
        recipe: setup.reranker.recipe().name.clone(),
        weights: setup.weights().ok().flatten(),
        device: setup.device(),
        dtype: setup.compute.precision.name().to_owned(),
        instructions: setup.devices[0].instructions(setup.compute.level()),
        kernels: setup.kernel_class(),
        threads: rayon::current_num_threads(),
        warnings: warnings(setup, config),
        ..Stats::default()
    }
}
