//! Resolves the options of `rerank plan`.

use anyhow::{Context, Result};
use clap::Parser;

use super::Config;
use crate::cli::{Cli, DivisionArguments, PlanArguments, RankArguments};
use crate::plan::{Division, PlanOptions, Speed};
use crate::store;

/// Resolves the options.
///
/// # Errors
/// A sentence with the remedy for options that contradict each other or name something that isn't there.
pub fn resolve_plan(arguments: &PlanArguments) -> Result<PlanOptions> {
    let PlanArguments { input, shards, model, recipe, long, batch, verbosity } = arguments;
    // All other options have the defaults of a dry run without progress.
    let mut rank = Cli::try_parse_from(["rerank", "--dry-run", "--progress", "none"])?.rank;
    rank.running.verbosity = verbosity.clone();
    let rank = RankArguments {
        input: input.clone(),
        model: model.clone(),
        recipe: recipe.clone(),
        long: long.clone(),
        batch: batch.clone(),
        ..rank
    };
    let DivisionArguments { shards, minutes, pairs_per_second, tokens_per_second, speed, load_seconds, format: _ } =
        shards;
    speed.as_deref().map_or(Ok(()), |file| store::check_local(file, "--speed"))?;
    let speed = match (pairs_per_second, tokens_per_second, speed) {
        (Some(rate), ..) => Some(Speed::of_pairs(*rate)),
        (None, Some(rate), _) => Some(Speed::of_tokens(*rate)),
        (None, None, Some(file)) => Some(Speed::read(file).with_context(|| format!("--speed {}", file.display()))?),
        (None, None, None) => None,
    };
    Ok(PlanOptions {
        config: Config::resolve(&rank)?,
        division: shards.map_or(Division::Minutes(*minutes), Division::Shards),
        speed,
        load_seconds: *load_seconds,
    })
}
