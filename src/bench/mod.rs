//! `rerank bench`: how fast this machine reranks, of how much it could, and where the time goes.

mod report;
mod shape;
mod workload;

use std::time::{Duration, Instant};

use anyhow::Result;

pub use self::report::Report;
pub use self::shape::Shape;
pub(crate) use self::workload::Random;
use self::workload::Template;
pub use self::workload::Workload;
use crate::batch::{Batch, Limits, plan};
use crate::exit::Exit;
use crate::kernels::{Arithmetic, Profile, peak};
use crate::model::{Downloads, ModelSource};
use crate::score::{Reranker, RerankerOptions, Scorer};

/// How long the matrix peak is measured, before and after every repetition.
const PEAK_TIME: Duration = Duration::from_millis(60);

/// What is measured.
#[derive(Debug)]
pub struct Bench {
    /// The workloads, one after the other.
    pub workloads: Vec<Workload>,
    /// Pairs of each, or one query's candidates.
    pub pairs: Option<usize>,
    /// A model's files, or a shape with random weights.
    pub model: Model,
    /// How products are computed.
    pub arithmetic: Arithmetic,
    /// What a batch may hold.
    pub limits: Limits,
    /// Threads that compute.
    pub threads: usize,
    /// Repetitions, of which the median counts.
    pub repetitions: usize,
}

/// Where the weights come from.
#[derive(Debug)]
pub enum Model {
    /// A model's files.
    Files(ModelSource),
    /// Random weights.
    Random(Shape),
}

/// One repetition.
struct Turn {
    seconds: f64,
    profile: Profile,
    peak: f64,
}

impl Bench {
    /// Runs everything and hands each workload's report to `tell`.
    ///
    /// # Errors
    /// If the model can't be loaded or run, or a report not be told.
    pub fn run(&self, mut tell: impl FnMut(&Report) -> Result<()>) -> Result<Exit> {
        // Fails only where the pool is up already.
        let _ = rayon::ThreadPoolBuilder::new().num_threads(self.threads).build_global();
        let loading = Instant::now();
        let (mut scorer, name, template) = self.load()?;
        let load_seconds = loading.elapsed().as_secs_f64();
        for &workload in &self.workloads {
            let groups = workload.prompts(self.pairs.unwrap_or(workload.candidates()), template);
            let prompt_tokens = groups.iter().flatten().map(|prompt| prompt.token_ids.len()).sum();
            let share_prefixes = self.limits.share_prefixes && template.shares;
            let batches = plan(&groups, Limits { share_prefixes, ..self.limits });
            // The first turn touches fresh memory.
            self.turn(scorer.as_mut(), &batches[..1])?;
            let turns =
                (0..self.repetitions).map(|_| self.turn(scorer.as_mut(), &batches)).collect::<Result<Vec<_>>>()?;
            let mut report = Report::new(self, workload, &turns);
            report.model.clone_from(&name);
            report.load_seconds = load_seconds;
            report.prompt_tokens = prompt_tokens;
            report.count(scorer.as_ref(), &batches);
            tell(&report)?;
        }
        Ok(Exit::Done)
    }

    fn load(&self) -> Result<(Box<dyn Scorer>, String, Template)> {
        match &self.model {
            Model::Random(shape) => {
                let scorer = shape.scorer(self.arithmetic)?;
                let name = clap::ValueEnum::to_possible_value(shape)
                    .map_or_else(String::new, |value| value.get_name().to_owned());
                Ok((scorer, format!("{name} (random weights)"), shape.template()))
            }
            Model::Files(source) => {
                let options = RerankerOptions {
                    source: source.clone(),
                    max_length: None,
                    instruction: None,
                    weights: true,
                    downloads: Downloads::Lines,
                };
                let reranker = Reranker::find(&options)?;
                let template = Template::decoder(reranker.vocabulary());
                Ok((reranker.load(self.arithmetic)?, source.to_string(), template))
            }
        }
    }

    fn turn(&self, scorer: &mut dyn Scorer, batches: &[Batch]) -> Result<Turn> {
        let before = peak(self.arithmetic, PEAK_TIME);
        scorer.take_profile();
        let started = Instant::now();
        for batch in batches {
            scorer.score(batch)?;
        }
        let seconds = started.elapsed().as_secs_f64();
        let profile = scorer.take_profile().unwrap_or_default();
        Ok(Turn { seconds, profile, peak: (before + peak(self.arithmetic, PEAK_TIME)) / 2. })
    }
}
