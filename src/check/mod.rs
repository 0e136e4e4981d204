//! `rerank check` compares a model's scores with those that are known of it, in every precision, and checks what must hold of
//! any model: that its scores are numbers, and that those of a pair do not depend on its batch.

mod golden;
mod identity;
mod order;
mod report;
mod score;
mod stored;
mod table;
mod tolerance;

use anyhow::{Context, Result, bail};

pub use self::golden::{Golden, Known, Table, Texts};
pub use self::identity::ComparedAs;
use self::identity::{Identity, KnownModels, identify};
pub use self::report::Report;
use self::report::Run;
use self::score::{Logits, prompts, score};
use crate::batch::LimitsChoice;
use crate::checkpoint::{AdapterChoice, Downloads, ModelSource};
use crate::compute::Compute;
use crate::device::{DeviceChoice, Opened, check_gpu_memory};
use crate::engine::Target;
use crate::engine::cpu::{Arithmetic, Instructions};
use crate::exit::UsageError;
use crate::precision::Precision;
use crate::progress::{Progress, Reporter, Verbosity};
use crate::recipe::{Prompt, RecipeChoice};
use crate::reranker::{Reranker, RerankerOptions};

/// The configuration of a check.
#[derive(Debug)]
pub struct Check {
    /// The model.
    pub model: ModelSource,
    /// What is merged into it.
    pub adapter: AdapterChoice,
    /// The device, which must be a single one.
    pub device: DeviceChoice,
    /// The most bytes of a GPU's memory that are used.
    pub gpu_memory: Option<u64>,
    /// The processor's instructions that are used.
    pub instructions: Instructions,
    /// The precisions.
    pub dtypes: Dtypes,
    /// What the user chooses of the recipe.
    pub recipe: RecipeChoice,
    /// The known scores.
    pub table: Table,
    /// Whether these are the user's.
    pub is_own_table: bool,
    /// As which model it is compared.
    pub compared_as: ComparedAs,
    /// Threads that compute.
    pub threads: usize,
    /// How much is printed on standard error.
    pub verbosity: Verbosity,
}

/// The precisions that are checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Dtypes {
    /// All that the device has.
    All,
    /// These; none is the one that a run takes by itself.
    Chosen(Vec<Option<Precision>>),
}

impl Check {
    /// Scores the texts in every precision.
    ///
    /// # Errors
    /// If the model can't be found, loaded or run, or there is nothing to compare it with though the user wants that.
    pub fn run(&self) -> Result<Report> {
        crate::threads::start(self.threads)?;
        // These lines may be lost if standard error is closed, but the report must not be.
        let reporter = Reporter::new(Progress::None, self.verbosity);
        let file = self.is_own_table.then_some(self.table.origin.as_str());
        let known = KnownModels { names: &self.table.models(), file };
        let identity = self.identity(known)?;
        identity.note.iter().for_each(|note| reporter.note(note));
        let golden = self.golden(&identity)?;
        let device = self.open(&reporter)?;
        let reranker = Reranker::find(&RerankerOptions {
            source: self.model.clone(),
            adapter: self.adapter.clone(),
            recipe: self.recipe.clone(),
            weights: true,
            on_gpu: matches!(device, Opened::Gpu(_)),
            downloads: if self.verbosity == Verbosity::Quiet { Downloads::Silent } else { Downloads::Lines },
        })?;
        reporter.detail(&format!("model: {}", reranker.describe()));
        reranker.notes().for_each(|note| reporter.note(note));
        reranker.recipe().details.iter().for_each(|detail| reporter.detail(detail));
        reranker.recipe().notes.iter().for_each(|note| reporter.note(note));
        reranker.warnings().for_each(|warning| reporter.warning(warning));
        golden.iter().try_for_each(|golden| golden.check(reranker.recipe().activation))?;
        let prompts = prompts(reranker.recipe().prompts.as_ref(), &golden)?;
        warn_of_cuts(&golden, &prompts, &reporter);
        let compared_with = self.compared_with(&identity, &golden);
        // The scores of a user's file may be those of the same weights.
        let is_quantized = reranker.stored().is_some_and(|stored| stored.is_quantized);
        let by_order = is_quantized && compared_with.is_some() && !self.is_own_table;
        let mut run = Run::new(&self.model, &device, reranker.recipe(), compared_with);
        run.by_order = by_order;
        run.names_adapter = self.adapter.source.is_some();
        let mut report = Report::new(run, golden, reranker.recipe().activation);
        let mut done = Vec::new();
        let only = reranker.only_precision();
        for dtype in self.dtypes(&device, &reranker) {
            let compute = Compute::choose(&device, self.instructions, dtype.or(only), reranker.stored())?;
            let precision = compute.precision;
            compute.reason().iter().for_each(|reason| reporter.note(reason));
            if done.contains(&precision) {
                continue;
            }
            done.push(precision);
            compute.measurement().iter().for_each(|measurement| reporter.detail(measurement));
            let target = compute.target(&device)?;
            if report.run.weights.is_none() {
                report.run.weights = reranker.weights(&target)?;
            }
            let scored = scored(&reranker, &target, &prompts);
            report.add(precision, &target, scored.with_context(|| self.place(precision))?);
        }
        Ok(report)
    }

    /// The texts that are scored, with what is known of them.
    fn golden(&self, identity: &Identity) -> Result<Vec<Golden>> {
        let golden = self.table.golden(identity.name.as_deref());
        if golden.is_empty() && self.is_own_table {
            let problem = format!(
                "--golden {}: its scores are those of {}; --as NAME compares the model as one of them",
                self.table.origin,
                self.table.models().join(", ")
            );
            return Err(UsageError::new(problem).into());
        }
        if golden.is_empty() {
            return Ok(self.table.standard(self.recipe.instruction.as_deref()));
        }
        if self.recipe.instruction.is_some() {
            let problem = format!(
                "--instruction: the scores that are known ({}) belong to the model's own instruction, or to one beside them; \
                 leave the option out{}",
                self.table.origin,
                if self.is_own_table { "" } else { ", or add --as none, which compares with nothing" }
            );
            return Err(UsageError::new(problem).into());
        }
        Ok(golden)
    }

    /// With what the scores are compared.
    fn compared_with(&self, identity: &Identity, golden: &[Golden]) -> Option<String> {
        let origin = &self.table.origin;
        golden.iter().any(|golden| !golden.known.is_empty()).then(|| match &identity.name {
            Some(name) => format!("{origin} of {name}"),
            None => origin.clone(),
        })
    }

    fn open(&self, reporter: &Reporter) -> Result<Opened> {
        let for_cpu = match &self.dtypes {
            Dtypes::Chosen(dtypes) => dtypes.iter().all(|dtype| dtype.is_some_and(Precision::is_integer)),
            Dtypes::All => false,
        };
        if self.device == DeviceChoice::Auto && for_cpu {
            check_gpu_memory(self.gpu_memory, &[Opened::Cpu])?;
            return Ok(Opened::Cpu);
        }
        let mut devices = self.device.open(self.gpu_memory, |note| reporter.note(note))?;
        match (devices.pop(), devices.is_empty()) {
            (Some(device), true) => Ok(device),
            _ => bail!(UsageError::new("--device: check computes on one device at a time; name one of them")),
        }
    }

    fn dtypes(&self, device: &Opened, reranker: &Reranker) -> Vec<Option<Precision>> {
        let has = |precision: &Precision| {
            let arithmetic = Arithmetic::new(self.instructions.level, *precision);
            let target = device.target(arithmetic);
            target.and_then(|target| reranker.check_precision(&target)).is_ok()
        };
        match &self.dtypes {
            Dtypes::All => Precision::ALL.into_iter().filter(has).map(Some).collect(),
            Dtypes::Chosen(dtypes) => dtypes.clone(),
        }
    }

    /// The model as which this one counts: with an adapter, none by itself.
    fn identity(&self, known: KnownModels<'_>) -> Result<Identity> {
        if self.adapter.source.is_none() || self.compared_as != ComparedAs::Recognised || self.is_own_table {
            return identify(&self.model, &self.compared_as, known);
        }
        let note =
            "the scores that are known of the base model are not those with the adapter; --as NAME compares with them"
                .to_owned();
        Ok(Identity { name: None, note: Some(note) })
    }

    /// The place of an error. f32 needs the most memory, and may not have been asked for by name.
    fn place(&self, precision: Precision) -> String {
        match precision == Precision::F32 && self.dtypes == Dtypes::default() {
            true => "in f32, which --dtype auto may leave out".to_owned(),
            false => format!("in {}", precision.name()),
        }
    }
}

impl Default for Dtypes {
    fn default() -> Self {
        Self::Chosen(vec![Some(Precision::F32), None])
    }
}

/// Warns of documents that are cut: known scores may be those of the whole.
fn warn_of_cuts(golden: &[Golden], prompts: &[Vec<Prompt>], reporter: &Reporter) {
    for (golden, prompts) in golden.iter().zip(prompts).filter(|(golden, _)| !golden.known.is_empty()) {
        let cut = prompts.iter().filter(|prompt| prompt.truncated).count();
        if cut > 0 {
            reporter.warning(&format!(
                "{cut} of the prompts of the query {:?} are longer than the model takes, and are cut; known scores may be those \
                 of the whole, or of another part",
                golden.texts.query
            ));
        }
    }
}

/// Loads the model and scores all prompts.
fn scored(reranker: &Reranker, target: &Target, prompts: &[Vec<Prompt>]) -> Result<Logits> {
    let limits = LimitsChoice { pairs: None, tokens: None, share_prefixes: true };
    let limits = reranker.limits(limits, target)?;
    let mut engine = reranker.load(target)?;
    score(engine.as_mut(), prompts, limits)
}
