//! What is chosen before weights are loaded: devices, the model's files, precision, and the limits of a batch; then the engines.

mod cached;
mod loading;

use std::cell::OnceCell;
use std::sync::Arc;

use anyhow::{Context, Result, bail};

pub use self::cached::finish_cache;
pub use self::loading::{Loaded, Loading};
use crate::batch::Limits;
use crate::cache::Identity;
use crate::checkpoint::{Downloads, ModelSource};
use crate::compute::Compute;
use crate::config::ModelChoice;
use crate::device::{DeviceChoice, Opened, check_gpu_memory};
use crate::engine::Target;
use crate::engine::cpu::{Arithmetic, Instructions};
use crate::precision::Precision;
use crate::progress::{Progress, Reporter};
use crate::recipe::RecipeName;
use crate::reranker::{Reranker, RerankerOptions};
use crate::weights_report::WeightsReport;

/// Everything that is chosen before the weights are loaded.
pub struct Setup {
    /// The devices.
    pub devices: Vec<Opened>,
    /// The model's files and its recipe.
    pub reranker: Arc<Reranker>,
    /// The precision, and the processor's instructions.
    pub compute: Compute,
    /// The target on each device.
    pub targets: Vec<Target>,
    /// The limits of the device that has the least memory.
    pub limits: Limits,
    source: ModelSource,
    hash_weights: bool,
    /// The hash of the model's files, once somebody has needed it: it may be of all weights.
    fingerprint: OnceCell<Option<String>>,
}

/// How the model's files are found.
#[derive(Clone, Copy, Debug)]
pub struct Finding {
    /// Whether weights are needed; to count tokens, they are not.
    pub weights: bool,
    /// How downloads are shown.
    pub downloads: Downloads,
}

impl Setup {
    /// Finds the model's files, and chooses how the devices compute: with these instructions, and in this precision, if it is given.
    ///
    /// # Errors
    /// If the files are not those of a model that can be run, or the options do not fit it.
    pub fn choose(
        choice: &ModelChoice,
        finding: Finding,
        devices: Vec<Opened>,
        (instructions, precision): (Instructions, Option<Precision>),
    ) -> Result<Self> {
        let reranker = Arc::new(Reranker::find(&RerankerOptions {
            source: choice.source.clone(),
            adapter: choice.adapter.clone(),
            recipe: choice.recipe.clone(),
            weights: finding.weights,
            on_gpu: devices.iter().any(|device| matches!(device, Opened::Gpu(_))),
            downloads: finding.downloads,
        })?);
        let Some(first) = devices.first() else { bail!("there is no device") };
        let precision = precision.or(reranker.only_precision());
        let compute = Compute::choose(first, instructions, precision, reranker.stored())?;
        let targets = devices.iter().map(|device| Ok(compute.target(device)?.for_batches(choice.limits)));
        let targets = targets.collect::<Result<Vec<_>>>()?;
        let limits = targets.iter().map(|target| reranker.limits(choice.limits, target)).collect::<Result<Vec<_>>>()?;
        let Some(limits) = limits.into_iter().min_by_key(|limits| limits.tokens) else { bail!("there is no device") };
        Ok(Self {
            devices,
            reranker,
            compute,
            targets,
            limits,
            source: choice.source.clone(),
            hash_weights: choice.hash_weights,
            fingerprint: OnceCell::new(),
        })
    }

    /// The model and the adapter that is merged into it, as they were named.
    pub fn model(&self) -> String {
        self.reranker.with_adapter(&self.source)
    }

    /// The description of the devices, as it is printed.
    pub fn device(&self) -> String {
        self.devices.iter().map(Opened::describe).collect::<Vec<_>>().join(", ")
    }

    /// The class of kernels, on which the bits of scores depend.
    pub fn kernel_class(&self) -> String {
        self.targets.first().map(Target::kernel_class).unwrap_or_default()
    }

    /// The batches that a device should have at a time. With two, a GPU that is done with one finds the next one waiting. A CPU
    /// gains nothing from that, and would only take longer to interrupt.
    pub fn batches_ahead(&self) -> usize {
        if matches!(self.targets.first(), Some(Target::Gpu(_))) { 2 } else { 1 }
    }

    /// The kinds of GPUs that compute, and what they do without; empty for the processor.
    pub fn gpus(&self) -> String {
        let kind = |device: &Opened| match device {
            Opened::Cpu => None,
            Opened::Gpu(device) => Some(device.describe().replace(&device.name(), "").trim().to_owned()),
        };
        let mut gpus: Vec<String> = self.devices.iter().filter_map(kind).collect();
        gpus.dedup();
        let without =
            std::env::var("RERANK_GPU_WITHOUT").ok().filter(|without| !without.is_empty() && !gpus.is_empty());
        gpus.extend(without.map(|without| format!("RERANK_GPU_WITHOUT={without}")));
        gpus.join(", ")
    }

    /// The hash of the model's files; none, where no weights are needed.
    ///
    /// # Errors
    /// If a file can't be read any more.
    pub fn fingerprint(&self) -> Result<Option<&str>> {
        if self.fingerprint.get().is_none() {
            let _ = self.fingerprint.set(self.reranker.fingerprint(self.hash_weights)?);
        }
        Ok(self.fingerprint.get().and_then(Option::as_deref))
    }

    /// What scores depend on besides the pairs.
    ///
    /// # Errors
    /// If the model's files can't be read any more.
    pub fn identity(&self) -> Result<Identity> {
        let (model, version) = (self.source.to_string(), env!("CARGO_PKG_VERSION").to_owned());
        // The fake model counts words, on any machine alike.
        if self.source == ModelSource::Fake {
            return Ok(Identity { model, version, ..Identity::default() });
        }
        let fingerprint = self.fingerprint()?.context("scores of a model without weights can't be kept")?;
        Ok(Identity {
            model,
            fingerprint: fingerprint.to_owned(),
            answers: self.reranker.recipe().answers.map_or_else(String::new, |answers| format!("{answers:?}")),
            version,
            gpu: self.gpus(),
            dtype: self.compute.precision.name().to_owned(),
            kernels: self.kernel_class(),
        })
    }

    /// What the weights are, and the memory that they take on one device.
    ///
    /// # Errors
    /// If a tensor is missing, or of another shape or type than described.
    pub fn weights(&self) -> Result<Option<WeightsReport>> {
        match self.targets.first() {
            Some(target) => self.reranker.weights(target),
            None => Ok(None),
        }
    }

    /// Reports what was chosen. The arithmetic is not known where weights are not looked at and `--dtype` leaves it open.
    pub fn report(&self, is_arithmetic_known: bool, reporter: &Reporter) {
        let Self { reranker, compute, limits, .. } = self;
        reporter.detail(&format!("model: {}", reranker.describe()));
        // What can't be read is an error when it is loaded.
        if let Ok(Some(weights)) = self.weights() {
            reporter.detail(&format!("weights: {weights}"));
        }
        reranker.notes().for_each(|note| reporter.note(note));
        let recipe = reranker.recipe();
        let RecipeName { name, origin, score } = &recipe.name;
        reporter.detail(&format!("recipe: {name} ({origin}); score: {score}"));
        recipe.details.iter().for_each(|detail| reporter.detail(detail));
        recipe.notes.iter().for_each(|note| reporter.note(note));
        reranker.warnings().for_each(|warning| reporter.warning(warning));
        // Without weights it is not known what `auto` is, nor with which kernels.
        let arithmetic = match is_arithmetic_known {
            false => "auto".to_owned(),
            true => format!("{} on {}", compute.precision.name(), self.kernel_class()),
        };
        reporter.detail(&format!(
            "device: {}, {arithmetic}, {}; prompts up to {} tokens; batches up to {} pairs and {} tokens",
            self.device(),
            count_of_threads(),
            reranker.recipe().max_length,
            limits.pairs,
            limits.tokens,
        ));
        if is_arithmetic_known {
            compute.measurement().iter().for_each(|measurement| reporter.detail(measurement));
            compute.reason().iter().for_each(|reason| reporter.note(reason));
        }
    }
}

/// The number of threads that compute, in words.
pub fn count_of_threads() -> String {
    match rayon::current_num_threads() {
        1 => "1 thread".to_owned(),
        threads => format!("{threads} threads"),
    }
}

/// How downloads are shown beside this progress.
pub fn downloads(progress: Progress) -> Downloads {
    match progress {
        Progress::Bar => Downloads::Bar,
        Progress::Log => Downloads::Lines,
        Progress::None => Downloads::Silent,
    }
}

/// Opens the devices, and checks that they can compute in the precision that the user named. The fake model and whole numbers run on
/// the CPU, so `auto` opens no GPU for them.
///
/// # Errors
/// If a device is not there or can't compute in that precision.
pub fn open_devices(choice: &ModelChoice, reporter: &Reporter) -> Result<Vec<Opened>> {
    let for_cpu = choice.source == ModelSource::Fake || choice.precision.is_some_and(Precision::is_integer);
    let devices = match choice.device == DeviceChoice::Auto && for_cpu {
        true => vec![Opened::Cpu],
        false => choice.device.open(choice.gpu_memory, |note| reporter.note(note))?,
    };
    check_gpu_memory(choice.gpu_memory, &devices)?;
    check_precision(choice, &devices)?;
    Ok(devices)
}

/// Checks that the devices can compute in the precision that the user named.
///
/// # Errors
/// If one can't.
pub fn check_precision(choice: &ModelChoice, devices: &[Opened]) -> Result<()> {
    let Some(precision) = choice.precision else { return Ok(()) };
    let arithmetic = Arithmetic::new(choice.instructions.level, precision);
    devices.iter().try_for_each(|device| device.target(arithmetic).map(drop))
}
