//! Resolves the options of shards.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail, ensure};

use super::output::resolve_destination;
use crate::cli::{EvaluationArguments, OutputArguments, ShardArguments, ShardChoice};
use crate::output::{Destination, Existing, OutputFormat};
use crate::shard::{Shard, of_environment};
use crate::store;

/// The shard that a worker ranks.
#[derive(Clone, Debug)]
pub struct ShardOptions {
    /// The shard.
    pub shard: Shard,
    /// Where all shards are written; none in a dry run without an output. Shards that go to a store are written to its staging
    /// directory.
    pub directory: Option<PathBuf>,
    /// The prefix in a store to which they go.
    pub address: Option<PathBuf>,
}

/// The shard that is ranked, if the input is divided, and what users should know of it.
///
/// # Errors
/// If there is no such shard, or options contradict it.
pub(super) fn resolve_shard(
    arguments: &ShardArguments,
    output: &OutputArguments,
    evaluation: &EvaluationArguments,
    is_dry_run: bool,
) -> Result<(Option<ShardOptions>, Option<String>)> {
    let (shard, note) = match (arguments.shard, arguments.shards) {
        (None, _) => return Ok((None, None)),
        (Some(ShardChoice::Named(_)), Some(_)) => {
            bail!("--shards is for --shard auto: a shard that is named has the number of all in it; leave --shards out")
        }
        (Some(ShardChoice::Named(shard)), None) => (shard, None),
        (Some(ShardChoice::Auto), count) => {
            let (shard, note) = of_environment(count, |name| std::env::var(name).ok())?;
            (shard, Some(note))
        }
    };
    let directory = output.output.as_deref().filter(|path| !super::output::is_stdout(path));
    let directory = directory.map(|path| store::directory(path, "--output")).transpose()?;
    let destination = resolve_destination(output, directory.as_deref())?;
    ensure!(
        directory.is_some() || is_dry_run,
        "--shard writes files into a directory, and no standard output: name it with --output"
    );
    if let Some(directory) = directory.as_deref().filter(|_| destination.is_none()) {
        check_directory(directory)?;
    }
    if let Some(format) = output.output_format.filter(|format| *format != OutputFormat::Jsonl) {
        bail!(
            "--output-format {}: shards are written as JSONL, and `rerank merge` writes other formats; leave it out",
            format.name()
        );
    }
    ensure!(
        evaluation.qrels.is_none() && evaluation.measures.is_empty(),
        "--qrels and --measures: a shard has only some of the queries; leave them out, merge the shards, and use rerank eval"
    );
    let (address, directory) = match destination {
        Some(Destination { address, staged }) => (Some(address), Some(staged)),
        None => (None, directory),
    };
    Ok((Some(ShardOptions { shard, directory, address }), note))
}

fn check_directory(directory: &Path) -> Result<()> {
    ensure!(
        !directory.exists() || directory.is_dir(),
        "--shard writes into a directory, and --output {} is a file; name another one",
        directory.display()
    );
    Ok(())
}

/// What becomes of a part that a worker has begun: it goes on, unless it is to be replaced.
pub(super) fn existing(output: &OutputArguments) -> Existing {
    if output.overwrite { Existing::Overwrite } else { Existing::Resume }
}

impl ShardOptions {
    /// The part that is written, if there is a directory.
    pub(super) fn part(&self) -> Option<PathBuf> {
        Some(self.directory.as_deref()?.join(self.shard.part()))
    }
}
