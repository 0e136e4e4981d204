//! A dry run reports what a run would cost: everything is read, tokenized and planned, and nothing is scored.

use std::io::{self, ErrorKind, Write};
use std::sync::mpsc::{Receiver, SyncSender};

use anyhow::{Context, Result, ensure};
use indicatif::HumanDuration;
use serde::Serialize;

use super::estimate::{self, Place, Speed};
use super::faults::Faults;
use super::prepare::{Prepared, Sink};
use crate::batch::{Batch, Limits, Queue};
use crate::checkpoint::ModelSource;
use crate::config::Config;
use crate::engine::Target;
use crate::model::Architecture;
use crate::output::OutputFile;
use crate::passages::Passages;
use crate::precision::Precision;
use crate::progress::{HumanCount, Reporter, counted};
use crate::recipe::{Prompt, RecipeName, Resolved};
use crate::reranker::Reranker;
use crate::session::Unit;
use crate::standard_output;
use crate::stats::{self, saved_share};
use crate::weights_report::WeightsReport;

/// The run whose cost is reported.
pub(super) struct Planned<'a> {
    pub(super) config: &'a Config,
    pub(super) limits: Limits,
    pub(super) recipe: &'a Resolved,
    /// The model's description; none for the fake model, and if there is only a tokenizer.
    pub(super) model: Option<&'a Architecture>,
    /// The model's files.
    pub(super) reranker: &'a Reranker,
    /// The precision in which the checkpoint is stored, or bf16 if that is not known.
    pub(super) expected: Precision,
    /// What the weights are; none, where they are not here.
    pub(super) weights: Option<WeightsReport>,
    /// What the run warns of before it begins.
    pub(super) warnings: Vec<String>,
}

/// Hands on groups whose cost is to be counted.
pub(super) struct Collection(pub(super) SyncSender<(Prepared, Vec<Unit>)>);

impl Sink for Collection {
    fn take(&mut self, prepared: Prepared, units: Vec<Unit>) -> bool {
        self.0.send((prepared, units)).is_ok()
    }
}

/// The counts of a dry run, whose memory does not grow with the input's length.
#[derive(Default)]
struct Cost {
    queries: u64,
    pairs: u64,
    truncated: u64,
    split_documents: u64,
    passages: u64,
    prompt_tokens: u64,
    computed_tokens: u64,
    batches: u64,
    operations: f64,
    /// The number of prompts of each length: `lengths[n]` prompts have `n` tokens.
    lengths: Vec<u64>,
    /// The first batch.
    sample: Option<Batch>,
}

/// The cost as `--stats` writes it.
#[derive(Serialize)]
pub(super) struct Figures {
    version: &'static str,
    model: String,
    recipe: RecipeName,
    dry_run: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    weights: Option<WeightsReport>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<String>,
    queries: u64,
    pub(super) pairs: u64,
    truncated: u64,
    split_documents: u64,
    passages: u64,
    max_length: usize,
    tokens_per_pair: serde_json::Map<String, serde_json::Value>,
    prompt_tokens: u64,
    pub(super) computed_tokens: u64,
    saved_share: f64,
    batches: u64,
    /// The estimated time of scoring, without loading the model; null if it can't be estimated.
    pub(super) estimated_seconds: Option<f64>,
    /// How it was estimated, or why not.
    pub(super) estimate: String,
}

/// Counts the cost of all groups, and prints with `--verbose` the first prompt's tokens to standard error.
pub(super) fn count(
    prepared: &Receiver<(Prepared, Vec<Unit>)>,
    planned: &Planned,
    (reporter, faults): (&Reporter, &Faults),
) -> Result<Figures> {
    let mut cost = Cost::default();
    let mut queue = Queue::default();
    for (group, units) in prepared {
        if let Some(unit) = units.first().filter(|_| cost.pairs == 0) {
            show_prompt(&group, unit.prompt(), planned.recipe, reporter)?;
        }
        cost.queries += 1;
        cost.add_documents(&group.documents);
        units.iter().for_each(|unit| cost.add_prompt(unit.prompt()));
        queue.push(0, units.into_iter().map(Unit::into_prompt).enumerate(), planned.limits);
        while queue.has_full_batch(planned.limits)
            && let Some(batch) = queue.next_batch(planned.limits)
        {
            cost.add_batch(batch, planned.model);
        }
    }
    while let Some(batch) = queue.next_batch(planned.limits) {
        cost.add_batch(batch, planned.model);
    }
    let mut figures = cost.figures(planned, place(planned));
    figures.warnings.extend(faults.take_notes());
    Ok(figures)
}

/// Prints the cost to standard output, and writes it to a file, if there is one.
pub(super) fn report(figures: &Figures, stats_file: Option<OutputFile>) -> Result<()> {
    if let Some(mut file) = stats_file {
        stats::write(figures, &mut file)?;
    }
    match print(figures) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        printed => printed.context("cannot write to standard output"),
    }
}

/// Where the run would compute.
fn place(planned: &Planned) -> Result<Place> {
    ensure!(planned.config.model.source != ModelSource::Fake, "the fake model takes next to no time");
    Place::open(planned, planned.model.context("the model's configuration is not here")?)
}

/// Prints a whole prompt, as text and as tokens: that of the first pair.
fn show_prompt(prepared: &Prepared, prompt: &Prompt, recipe: &Resolved, reporter: &Reporter) -> Result<()> {
    let group = &prepared.group;
    let Some(candidate) = group.candidates.first() else { return Ok(()) };
    let text = recipe.prompts.text(&group.query, &candidate.document())?;
    let cut = match prompt.truncated {
        true => "; the document is longer than fits, and its tokens end earlier",
        false => "",
    };
    let (query, candidate) = (&group.query.id, &candidate.id);
    reporter.detail(&format!("the prompt of query {query:?} and candidate {candidate:?}, control tokens in ⟦⟧{cut}:"));
    text.split('\n').for_each(|line| reporter.detail(line));
    reporter.detail(&format!("the prompt's tokens: {:?}", prompt.token_ids));
    Ok(())
}

impl Cost {
    fn add_documents(&mut self, documents: &[Passages]) {
        self.truncated += documents.iter().filter(|document| document.truncated).count() as u64;
        let split = documents.iter().map(|document| document.ranges.len() as u64).filter(|passages| *passages > 1);
        self.split_documents += split.clone().count() as u64;
        self.passages += split.sum::<u64>();
    }

    fn add_prompt(&mut self, prompt: &Prompt) {
        let tokens = prompt.token_ids.len();
        self.pairs += 1;
        self.prompt_tokens += tokens as u64;
        if self.lengths.len() <= tokens {
            self.lengths.resize(tokens + 1, 0);
        }
        self.lengths[tokens] += 1;
    }

    fn add_batch(&mut self, batch: Batch, model: Option<&Architecture>) {
        self.batches += 1;
        self.computed_tokens += batch.token_ids.len() as u64;
        self.operations += model.map_or(0., |model| model.operations(&batch).all_operations());
        self.sample.get_or_insert(batch);
    }

    /// The least length that `percent` percent of the prompts do not exceed.
    fn percentile(&self, percent: u64) -> usize {
        let rank = (self.pairs * percent).div_ceil(100).max(1);
        let mut seen = 0;
        let reached = |count: &u64| {
            seen += count;
            seen >= rank
        };
        self.lengths.iter().position(reached).unwrap_or(0)
    }

    /// How fast scoring would be.
    fn speed(&self, planned: &Planned, place: &Place) -> Result<Speed> {
        let model = planned.model.context("the model's configuration is not here")?;
        let sample = self.sample.as_ref().context("there is nothing to score")?;
        estimate::measure(planned.limits, model, sample, place)
    }

    fn figures(&self, planned: &Planned, place: Result<Place>) -> Figures {
        // The run was planned on the processor.
        let gpu = place.as_ref().ok().map(|place| &place.target).filter(|target| matches!(target, Target::Gpu(_)));
        let on_gpu = gpu.and_then(|target| planned.reranker.weights(target).ok().flatten());
        let weights = on_gpu.or_else(|| planned.weights.clone());
        let (estimated_seconds, mut estimate) = match place.and_then(|place| self.speed(planned, &place)) {
            Ok(speed) => (Some(self.operations / speed.operations_per_second), speed.source),
            Err(error) => (None, format!("not estimated: {error:#}")),
        };
        if estimated_seconds.is_some() && weights.as_ref().is_some_and(WeightsReport::is_streamed) {
            estimate += "; the uploads of layers are not counted";
        }
        let percentile = |(name, percent): (&str, u64)| (name.to_owned(), self.percentile(percent).into());
        let names = [("min", 0), ("p50", 50), ("p90", 90), ("p95", 95), ("p99", 99), ("max", 100)];
        Figures {
            version: env!("CARGO_PKG_VERSION"),
            model: planned.config.model.source.to_string(),
            recipe: planned.recipe.name.clone(),
            dry_run: true,
            weights,
            warnings: planned.warnings.clone(),
            queries: self.queries,
            pairs: self.pairs,
            truncated: self.truncated,
            split_documents: self.split_documents,
            passages: self.passages,
            max_length: planned.recipe.max_length,
            tokens_per_pair: names.into_iter().map(percentile).collect(),
            prompt_tokens: self.prompt_tokens,
            computed_tokens: self.computed_tokens,
            saved_share: saved_share(self.prompt_tokens, self.computed_tokens),
            batches: self.batches,
            estimated_seconds,
            estimate,
        }
    }
}

fn print(figures: &Figures) -> io::Result<()> {
    let mut output = standard_output::lock()?;
    let lengths: Vec<String> = figures.tokens_per_pair.values().map(ToString::to_string).collect();
    if let Some(weights) = &figures.weights {
        writeln!(output, "weights          {weights}")?;
    }
    writeln!(output, "queries          {}", HumanCount(figures.queries))?;
    let split = match figures.split_documents {
        0 => String::new(),
        split => format!(
            " ({} in {} passages)",
            counted(split, "long document", "long documents"),
            HumanCount(figures.passages)
        ),
    };
    writeln!(output, "pairs            {}{split}", HumanCount(figures.pairs))?;
    writeln!(output, "truncated        {} (longer than {} tokens)", HumanCount(figures.truncated), figures.max_length)?;
    writeln!(output, "tokens per pair  min, p50, p90, p95, p99, max: {}", lengths.join(", "))?;
    writeln!(output, "prompt tokens    {}", HumanCount(figures.prompt_tokens))?;
    let saved = figures.saved_share * 100.;
    writeln!(
        output,
        "computed tokens  {} ({saved:.1}% saved by shared prefixes)",
        HumanCount(figures.computed_tokens)
    )?;
    writeln!(output, "batches          {}", HumanCount(figures.batches))?;
    match figures.estimated_seconds {
        Some(seconds) => writeln!(output, "time             {} ({})", duration(seconds), figures.estimate)?,
        None => writeln!(output, "time             {}", figures.estimate)?,
    }
    output.flush()
}

/// `about 5 minutes`
fn duration(seconds: f64) -> String {
    if seconds < 1. {
        return "less than a second".to_owned();
    }
    // A `Duration` can't be infinite, so the time is capped at about a million years.
    format!("about {}", HumanDuration(std::time::Duration::from_secs_f64(seconds.min(3e13))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_of_counted_lengths() {
        let mut cost = Cost { pairs: 200, lengths: vec![0; 201], ..Cost::default() };
        cost.lengths[1..].fill(1);
        assert_eq!([0, 50, 95, 99, 100].map(|percent| cost.percentile(percent)), [1, 100, 190, 198, 200]);
        assert_eq!(Cost::default().percentile(50), 0);
    }
}
