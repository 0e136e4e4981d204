//! `rerank plan`: into how many shards an input should be divided, and how long a worker needs for each.
//!
//! The first queries of the input are read and tokenized, and the rest is extrapolated. A shard should take a few minutes: then
//! loading the model does not count, and workers that are slow, lost or late leave little to wait for (`scripts/simulate_shards.py`).

mod report;
mod speed;
mod worker;

use std::path::Path;
use std::sync::Arc;

use anyhow::{Result, anyhow};

pub use self::report::Plan;
pub use self::speed::Speed;
pub use self::worker::command_line;
use crate::config::Config;
use crate::exit::UsageError;
use crate::input::parquet_files;
use crate::pipeline::{self, Counts, Sample};
use crate::progress::{Progress, Reporter};
use crate::shard::MOST_SHARDS;
use crate::store;

/// Loading may take this share of a worker's time before it is reported.
const LOADING_SHARE: f64 = 0.2;

/// The configuration of `rerank plan`.
#[derive(Debug)]
pub struct PlanOptions {
    /// That of a dry run.
    pub config: Config,
    /// Into what the input is divided.
    pub division: Division,
    /// The speed of a worker; none, if it is measured here.
    pub speed: Option<Speed>,
    /// Seconds from the start of a worker to its first batch, if the user knows them.
    pub load_seconds: Option<f64>,
}

/// Into what an input is divided.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Division {
    /// So many shards.
    Shards(u32),
    /// Shards that are scored in so many minutes.
    Minutes(f64),
}

impl PlanOptions {
    /// Makes the plan; `arguments` are those of the command line behind `rerank plan`.
    ///
    /// # Errors
    /// If the input or the model's files can't be read, or the speed is neither given nor can be measured.
    pub fn run(&self, arguments: &[String]) -> Result<Plan> {
        let reporter = Arc::new(Reporter::new(Progress::None, self.config.verbosity));
        let sample = pipeline::sample(&self.config, &reporter)?;
        let speed = match &self.speed {
            Some(speed) => speed.clone(),
            None => measured(&sample)?,
        };
        let Counts { queries, pairs, tokens, text_bytes } = sample.counts;
        let seconds = speed.seconds(pairs, tokens);
        let shards = match self.division {
            Division::Shards(shards) => shards,
            Division::Minutes(minutes) => (seconds / (minutes * 60.)).ceil().clamp(1., f64::from(MOST_SHARDS)) as u32,
        };
        let count = f64::from(shards);
        let load_seconds = self.load_seconds.or(speed.load_seconds);
        let input = &self.config.input;
        let files: Vec<_> = if input.files.is_empty() {
            input.path.iter().cloned().collect()
        } else {
            input.files.iter().map(|file| file.path.clone()).collect()
        };
        let sizes: Option<Vec<u64>> =
            if input.is_stored() { files.iter().map(|path| store::size_of(path).ok()).collect() } else { None };
        let input_bytes = sizes.map(|sizes| sizes.iter().sum::<u64>());
        let texts_bytes = [&input.queries, &input.collection].into_iter().flatten().map(|path| bytes_of(path)).sum();
        let divided = if input.files.is_empty() { 1. } else { count };
        let mut plan = Plan {
            queries,
            pairs,
            computed_tokens: tokens,
            share_read: sample.share,
            sampled_pairs: sample.sampled_pairs,
            input_bytes,
            texts_bytes,
            files: files.len(),
            speed: speed.source.clone(),
            seconds,
            load_seconds,
            shards,
            shard_pairs: pairs / count,
            shard_seconds: seconds / count,
            shard_bytes_read: input_bytes.zip(texts_bytes).map(|(input, texts)| input as f64 / divided + texts as f64),
            shard_text_bytes: text_bytes / count,
            command: command_line(arguments, &format!("I/{shards}")),
            notes: Vec::new(),
        };
        plan.notes = self.notes(&plan, speed.model.as_deref());
        Ok(plan)
    }

    /// What the user should know.
    fn notes(&self, plan: &Plan, measured_model: Option<&str>) -> Vec<String> {
        let mut notes = Vec::new();
        let model = self.config.model.source.to_string();
        notes.extend(
            measured_model
                .filter(|measured| *measured != model)
                .map(|measured| format!("{} was measured with {measured}, and the model is {model}", plan.speed)),
        );
        let count = f64::from(plan.shards);
        if plan.files > 1 && plan.files < plan.shards as usize {
            notes.push(format!(
                "a shard has whole files, and there are {} for {} shards: some would have none; take --shards {0}, or split the files",
                plan.files, plan.shards
            ));
        } else if count > plan.queries {
            notes.push(format!("there are more shards than queries ({:.0}): some would have none", plan.queries));
        }
        if plan.files == 1 && plan.shards > 1 {
            notes.push(
                "every worker reads the whole input, and only the ids of other shards' queries; of several files, each reads its own"
                    .to_owned(),
            );
        }
        let load_seconds = plan.load_seconds.unwrap_or_default();
        if plan.shards > 1 && load_seconds > LOADING_SHARE * (load_seconds + plan.shard_seconds) {
            notes.push(format!(
                "loading the model takes {:.0}% of a worker's time; take fewer shards",
                load_seconds / (load_seconds + plan.shard_seconds) * 100.
            ));
        }
        notes
    }
}

/// The bytes of a file, an object, or the parts of a file in a directory; none of a pipe.
fn bytes_of(path: &Path) -> Option<u64> {
    let parts = parquet_files(path).ok()?;
    if !parts.is_empty() {
        return parts.iter().map(|part| store::size_of(part).ok()).sum();
    }
    let is_stored = store::is_address(path) || path.is_file();
    store::size_of(path).ok().filter(|_| is_stored)
}

/// The speed that was measured on this machine.
fn measured(sample: &Sample) -> Result<Speed> {
    let seconds = sample.seconds.as_ref().map_err(|why| {
        anyhow!(UsageError::new(format!(
            "the speed is {why}; name it with --pairs-per-second, --tokens-per-second or --speed FILE"
        )))
    })?;
    Ok(Speed::measured(sample.counts.tokens / seconds, format!("this machine: {}", sample.measured)))
}
