//! The choices of a run before it begins: devices, the model's files, precision, and the limits of a batch.

use std::cell::OnceCell;
use std::sync::Arc;

use anyhow::{Result, bail};

use super::dry_run::Planned;
use crate::batch::Limits;
use crate::checkpoint::{Downloads, ModelSource};
use crate::compute::Compute;
use crate::config::{Config, check_least_score};
use crate::device::{DeviceChoice, Opened};
use crate::engine::Target;
use crate::engine::cpu::{Arithmetic, Instructions};
use crate::precision::Precision;
use crate::progress::{Progress, Reporter};
use crate::recipe::RecipeName;
use crate::reranker::{Reranker, RerankerOptions};
use crate::resume::RunFacts;
use crate::stats::Stats;

/// Everything that is chosen before the weights are loaded.
pub(super) struct Setup {
    pub(super) devices: Vec<Opened>,
    pub(super) reranker: Arc<Reranker>,
    pub(super) compute: Compute,
    /// The target on each device.
    pub(super) targets: Vec<Target>,
    /// The limits of the device that has the least memory.
    pub(super) limits: Limits,
}

impl Setup {
    /// Finds the model's files, and chooses how the devices compute.
    ///
    /// # Errors
    /// If the files are not those of a model that can be run, or the options do not fit it.
    pub(super) fn choose(
        config: &Config,
        devices: Vec<Opened>,
        (instructions, precision): (Instructions, Option<Precision>),
    ) -> Result<Self> {
        let reranker = Arc::new(Reranker::find(&reranker_options(config, &devices))?);
        check_least_score(config.cutoff.min_score, reranker.recipe().activation.is_probability())?;
        let precision = precision.or(reranker.only_precision());
        let compute = Compute::choose(&devices[0], instructions, precision, reranker.stored())?;
        let targets = devices.iter().map(|device| compute.target(device)).collect::<Result<Vec<_>>>()?;
        let limits = targets.iter().map(|target| reranker.limits(config.limits, target)).collect::<Result<Vec<_>>>()?;
        let Some(limits) = limits.into_iter().min_by_key(|limits| limits.tokens) else { bail!("there is no device") };
        Ok(Self { devices, reranker, compute, targets, limits })
    }

    /// The description of the devices, as it is printed.
    pub(super) fn device(&self) -> String {
        self.devices.iter().map(Opened::describe).collect::<Vec<_>>().join(", ")
    }

    /// What the run warns of before it begins, for its figures: the notes on options, the recipe, the tokenizer and the
    /// checkpoint.
    pub(super) fn warnings(&self, config: &Config) -> Vec<String> {
        let notes = config.notes.iter().chain(&self.reranker.recipe().notes);
        notes.chain(self.reranker.warnings()).cloned().collect()
    }

    /// Reports what was chosen.
    pub(super) fn report(&self, config: &Config, reporter: &Reporter) {
        let Self { reranker, compute, limits, .. } = self;
        reporter.detail(&format!("model: {}", reranker.describe()));
        let recipe = reranker.recipe();
        let RecipeName { name, origin, score } = &recipe.name;
        reporter.detail(&format!("recipe: {name} ({origin}); score: {score}"));
        recipe.details.iter().for_each(|detail| reporter.detail(detail));
        recipe.notes.iter().for_each(|note| reporter.note(note));
        reranker.warnings().for_each(|warning| reporter.warning(warning));
        // Without weights it is not known what `auto` is, nor with which kernels.
        let arithmetic = match config.dry_run && config.precision.is_none() {
            true => "auto".to_owned(),
            false => format!("{} on {}", compute.precision.name(), self.targets[0].kernel_class()),
        };
        reporter.detail(&format!(
            "device: {}, {arithmetic}, {}; prompts up to {} tokens; batches up to {} pairs and {} tokens",
            self.device(),
            count_of_threads(),
            reranker.recipe().max_length,
            limits.pairs,
            limits.tokens,
        ));
        compute.measurement().iter().for_each(|measurement| reporter.detail(measurement));
        compute.reason().iter().for_each(|reason| reporter.note(reason));
    }

    /// What the rankings depend on.
    pub(super) fn facts<'a>(&'a self, config: &'a Config) -> RunFacts<'a> {
        let kind = |device: &Opened| match device {
            Opened::Cpu => None,
            Opened::Gpu(device) => Some(device.describe().replace(&device.name(), "").trim().to_owned()),
        };
        let mut gpus: Vec<String> = self.devices.iter().filter_map(kind).collect();
        gpus.dedup();
        let without =
            std::env::var("RERANK_GPU_WITHOUT").ok().filter(|without| !without.is_empty() && !gpus.is_empty());
        gpus.extend(without.map(|without| format!("RERANK_GPU_WITHOUT={without}")));
        let (dtype, kernels) = (self.compute.precision.name(), self.targets[0].kernel_class());
        RunFacts {
            config,
            reranker: &self.reranker,
            dtype,
            kernels,
            gpus: gpus.join(", "),
            fingerprint: OnceCell::new(),
        }
    }

    /// The facts about the run that a dry run needs.
    pub(super) fn planned<'a>(&'a self, config: &'a Config) -> Planned<'a> {
        let Self { reranker, limits, .. } = self;
        let (model, expected) = (reranker.architecture(), reranker.expected());
        let warnings = self.warnings(config);
        Planned { config, limits: *limits, recipe: reranker.recipe(), model, expected, warnings }
    }

    /// The figures of the run that are known before it begins.
    pub(super) fn stats(&self, config: &Config) -> Stats {
        Stats {
            version: env!("CARGO_PKG_VERSION"),
            model: config.model.to_string(),
            recipe: self.reranker.recipe().name.clone(),
            device: self.device(),
            dtype: self.compute.precision.name().to_owned(),
            instructions: self.devices[0].instructions(self.compute.level()),
            kernels: self.targets[0].kernel_class(),
            threads: rayon::current_num_threads(),
            warnings: self.warnings(config),
            ..Stats::default()
        }
    }
}

/// The number of threads that compute, in words.
pub(super) fn count_of_threads() -> String {
    match rayon::current_num_threads() {
        1 => "1 thread".to_owned(),
        threads => format!("{threads} threads"),
    }
}

/// Opens the devices of the run, and checks that they can compute in the precision that the user named. A dry run needs none
/// but the CPU; the fake model and int8 run on the CPU, so `auto` opens no GPU for them.
pub(super) fn open_devices(config: &Config, reporter: &Reporter) -> Result<Vec<Opened>> {
    let unasked = config.device == DeviceChoice::Auto;
    let for_cpu = config.model == ModelSource::Fake || config.precision == Some(Precision::Int8);
    let devices = if config.dry_run || unasked && for_cpu {
        vec![Opened::Cpu]
    } else {
        config.device.open(|note| reporter.note(note))?
    };
    if let Some(precision) = config.precision {
        let arithmetic = Arithmetic::new(config.instructions.level, precision);
        devices.iter().try_for_each(|device| device.target(arithmetic).map(drop))?;
    }
    Ok(devices)
}

fn reranker_options(config: &Config, devices: &[Opened]) -> RerankerOptions {
    RerankerOptions {
        source: config.model.clone(),
        recipe: config.recipe.clone(),
        weights: !config.dry_run,
        on_gpu: devices.iter().any(|device| matches!(device, Opened::Gpu(_))),
        downloads: match config.progress {
            Progress::Bar => Downloads::Bar,
            Progress::Log => Downloads::Lines,
            Progress::None => Downloads::Silent,
        },
    }
}
