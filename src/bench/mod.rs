//! `rerank bench` measures how fast this machine reranks, how fast it could at best, and where the time goes.

mod breakdown;
mod report;
mod shape;
mod workload;

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

pub use self::report::Report;
pub use self::shape::Shape;
use self::workload::Template;
pub use self::workload::Workload;
use crate::batch::{Batch, Limits, LimitsChoice, plan};
use crate::checkpoint::{AdapterChoice, Downloads, ModelSource};
use crate::compute::{Compute, Stored};
use crate::device::{DeviceChoice, Opened};
use crate::engine::Target;
use crate::engine::cpu::{Instructions, peak};
use crate::engine::{self, Engine, Model};
use crate::engine::{Profile, Work};
use crate::exit::Exit;
use crate::precision::Precision;
use crate::progress::Reporter;
use crate::progress::{Progress, Verbosity, counted};
use crate::recipe::RecipeChoice;
use crate::reranker::{Reranker, RerankerOptions};

/// How long the matrix peak is measured, before and after every repetition.
const PEAK_TIME: Duration = Duration::from_millis(60);

/// The configuration of a bench.
#[derive(Debug)]
pub struct Bench {
    /// The workloads, one after the other.
    pub workloads: Vec<Workload>,
    /// The pairs of each workload; none for one query's candidates.
    pub pairs: Option<usize>,
    /// A model's files, or a shape with random weights.
    pub model: Measured,
    /// What is merged into the model.
    pub adapter: AdapterChoice,
    /// The device, which must be a single one.
    pub device: DeviceChoice,
    /// The most bytes of a GPU's memory that are used.
    pub gpu_memory: Option<u64>,
    /// The processor's instructions that are used.
    pub instructions: Instructions,
    /// Precision of products, `None` for the device's own choice, as in a run.
    pub precision: Option<Precision>,
    /// The limits of a batch that the user has set.
    pub limits: LimitsChoice,
    /// Threads that compute.
    pub threads: usize,
    /// How much is printed on standard error.
    pub verbosity: Verbosity,
    /// Repetitions, of which the median counts.
    pub repetitions: usize,
}

/// Where the weights come from.
#[derive(Debug)]
pub enum Measured {
    /// A model's files.
    Files(ModelSource),
    /// Random weights.
    Random(Shape),
}

/// One repetition.
struct Repetition {
    seconds: f64,
    profile: Profile,
    /// The time of all threads together, in seconds; the profile accounts for a part of it.
    profiled: f64,
    /// Operations a second that the device reaches with nothing else to do.
    peak: f64,
    /// Bytes of memory a second, read and written; 0 where it is not measured.
    bandwidth: f64,
}

impl Bench {
    /// Runs all workloads, and passes the report of each to `publish`.
    ///
    /// # Errors
    /// If the model can't be loaded or run, or `publish` fails.
    pub fn run(&self, mut publish: impl FnMut(&Report) -> Result<()>) -> Result<Exit> {
        crate::threads::start(self.threads)?;
        // These lines may be lost if standard error is closed, but the report must not be.
        let reporter = Reporter::new(Progress::None, self.verbosity);
        let devices = self.device.open(self.gpu_memory, |note| reporter.note(note))?;
        let [device] = &devices[..] else { bail!("--device: bench measures one device at a time") };
        let found = self.find(matches!(device, Opened::Gpu(_)))?;
        let compute =
            Compute::choose(device, self.instructions, self.precision.or(found.only_precision()), found.stored())?;
        compute.reason().iter().for_each(|reason| reporter.note(reason));
        compute.measurement().iter().for_each(|measurement| reporter.detail(measurement));
        let place = Place {
            target: compute.target(device)?.for_batches(self.limits),
            dtype: compute.precision.name(),
            device: device.describe(),
            instructions: device.instructions(self.instructions.level),
            threads: self.threads,
        };
        let free_before = free_memory(&place.target);
        let threads = if self.threads == 1 { "1 thread".to_owned() } else { format!("{} threads", self.threads) };
        reporter.line(&format!("{} on {} with {threads}", self.loading(), place.device));
        let loading = Instant::now();
        let Loaded { mut engine, name, template, limits } = found.load(self.limits, &place.target)?;
        let load_seconds = loading.elapsed().as_secs_f64();
        let tokens = engine.reserve(limits)?;
        engine.warnings().iter().for_each(|warning| reporter.warning(warning));
        let limits = Limits { tokens, ..limits };
        for &workload in &self.workloads {
            let groups = workload.prompts(self.pairs.unwrap_or(workload.candidates()), template);
            let prompt_tokens = groups.iter().flatten().map(|prompt| prompt.token_ids.len()).sum();
            let batches = plan(&groups, limits);
            let pairs = batches.iter().map(|batch| batch.pairs().count()).sum::<usize>();
            reporter.line(&format!(
                "{}: {}, {} after warming up",
                workload.name(),
                counted(pairs as u64, "pair", "pairs"),
                counted(self.repetitions as u64, "repetition", "repetitions"),
            ));
            let repetitions = self.repeat(engine.as_mut(), &batches, &place, |number, seconds| {
                reporter.line(&format!("{}: repetition {number} took {seconds:.2} s", workload.name()));
            })?;
            let mut work = Work::default();
            batches.iter().for_each(|batch| work.add(&engine.work(batch)));
            let mut report = Report::new(&place, workload, &repetitions, &work);
            report.model.clone_from(&name);
            report.load_seconds = load_seconds;
            report.batch_tokens = limits.tokens;
            report.prompt_tokens = prompt_tokens;
            report.gpu_memory =
                free_before.zip(free_memory(&place.target)).map(|(before, now)| before.saturating_sub(now));
            report.count(&batches);
            publish(&report)?;
        }
        Ok(Exit::Done)
    }

    /// Scores the batches several times, and reports the time of each.
    fn repeat(
        &self,
        engine: &mut dyn Engine,
        batches: &[Batch],
        place: &Place,
        report: impl Fn(usize, f64),
    ) -> Result<Vec<Repetition>> {
        // The first forward pass is slower, as it touches fresh memory.
        score(engine, &batches[..1], place)?;
        let scored = |number: usize| {
            let repetition = score(engine, batches, place)?;
            report(number, repetition.seconds);
            Ok(repetition)
        };
        (1..=self.repetitions).map(scored).collect()
    }

    /// The first step, as it is reported before it begins.
    fn loading(&self) -> String {
        match &self.model {
            Measured::Random(shape) => format!("making random weights of {}", shape.name()),
            Measured::Files(source) => format!("loading {source}"),
        }
    }

    /// Finds the model's files.
    fn find(&self, on_gpu: bool) -> Result<Found> {
        let source = match &self.model {
            Measured::Random(shape) => return Ok(Found::Random(*shape)),
            Measured::Files(source) => source,
        };
        let options = RerankerOptions {
            source: source.clone(),
            adapter: self.adapter.clone(),
            recipe: RecipeChoice::default(),
            weights: true,
            on_gpu,
            downloads: Downloads::Lines,
        };
        let reranker = Reranker::find(&options)?;
        let name = reranker.with_adapter(source);
        Ok(Found::Files(Box::new(reranker), name))
    }
}

/// A model that can be loaded.
enum Found {
    /// Random weights.
    Random(Shape),
    /// Files, and the names of the model and its adapter.
    Files(Box<Reranker>, String),
}

impl Found {
    /// The precision of the weights.
    fn stored(&self) -> Option<Stored> {
        match self {
            Self::Random(_) => Some(Stored::whole(Precision::Bf16)),
            Self::Files(reranker, _) => reranker.stored(),
        }
    }

    /// The one precision in which the model can be computed, if there is but one.
    fn only_precision(&self) -> Option<Precision> {
        match self {
            Self::Random(_) => None,
            Self::Files(reranker, _) => reranker.only_precision(),
        }
    }

    fn load(self, limits: LimitsChoice, target: &Target) -> Result<Loaded> {
        match self {
            Self::Random(shape) => {
                let model = Model::random(shape.architecture()?);
                let template = Template::of(&model.architecture);
                let limits = engine::limits(limits, &model.architecture, target)?;
                let name = format!("{} (random weights)", shape.name());
                Ok(Loaded { engine: engine::load(&model, target)?, name, template, limits })
            }
            Self::Files(reranker, name) => {
                let architecture =
                    reranker.architecture().context("a model without a description can't be measured")?;
                let template = Template::of(architecture);
                let limits = reranker.limits(limits, target)?;
                Ok(Loaded { engine: reranker.load(target)?, name, template, limits })
            }
        }
    }
}

/// An engine, and what is scored with it.
struct Loaded {
    engine: Box<dyn Engine>,
    name: String,
    template: Template,
    limits: Limits,
}

/// The device that is measured, and how it computes.
struct Place {
    target: Target,
    dtype: &'static str,
    device: String,
    instructions: &'static str,
    threads: usize,
}

/// The free memory of a GPU in bytes.
fn free_memory(target: &Target) -> Option<usize> {
    match target {
        Target::Cpu(_) => None,
        Target::Gpu(gpu) => gpu.device().free_memory().ok(),
    }
}

fn score(engine: &mut dyn Engine, batches: &[Batch], place: &Place) -> Result<Repetition> {
    let ceilings = || -> Result<[f64; 2]> {
        Ok(match &place.target {
            Target::Cpu(arithmetic) => [peak(*arithmetic, PEAK_TIME), 0.],
            Target::Gpu(gpu) => gpu.ceilings().map(|ceilings| [ceilings.operations, ceilings.bytes])?,
        })
    };
    let before = ceilings()?;
    engine.begin_profile();
    let started = Instant::now();
    batches.iter().try_for_each(|batch| engine.run(batch).map(drop))?;
    let seconds = started.elapsed().as_secs_f64();
    let profile = engine.take_profile().unwrap_or_default();
    let profiled = match place.target {
        Target::Cpu(_) => seconds * place.threads as f64,
        Target::Gpu(_) => seconds,
    };
    let after = ceilings()?;
    let [peak, bandwidth] = [0, 1].map(|index| (before[index] + after[index]) / 2.);
    Ok(Repetition { seconds, profile, profiled, peak, bandwidth })
}
