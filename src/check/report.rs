//! What a check has found, for people (as a table) and for programs (as JSON, which is also a file of known scores).

use anyhow::{Result, bail};
use serde::Serialize;

use super::golden::{Golden, Known, Texts};
use super::order::in_order;
use super::score::Logits;
use super::tolerance::{of_logit, of_value};
use crate::checkpoint::ModelSource;
use crate::device::Opened;
use crate::engine::Target;
use crate::precision::Precision;
use crate::recipe::{Activation, RecipeName, Resolved};
use crate::weights_report::WeightsReport;

/// The most pairs that a message names.
const MOST_NAMED: usize = 8;

/// The findings of a check.
#[derive(Debug, Serialize)]
pub struct Report {
    /// What was checked.
    pub(super) run: Run,
    /// Whether everything agrees; none, if nothing was compared and nothing is wrong.
    pub(super) agrees: Option<bool>,
    /// The scores, for each precision and each query.
    pub(super) entries: Vec<Entry>,
    #[serde(skip)]
    golden: Vec<Golden>,
    #[serde(skip)]
    activation: Activation,
}

/// What was checked.
#[derive(Debug, Serialize)]
pub(super) struct Run {
    version: &'static str,
    pub(super) model: String,
    pub(super) recipe: RecipeName,
    /// The weights in the first precision.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) weights: Option<WeightsReport>,
    pub(super) device: String,
    /// With what it is compared.
    pub(super) compared_with: Option<String>,
    /// Whether the order alone is compared, as the weights are quantized.
    pub(super) by_order: bool,
    /// Whether an option names an adapter, without which the model is another one.
    #[serde(skip)]
    pub(super) names_adapter: bool,
}

/// The scores of a query's documents in one precision.
#[derive(Debug, Serialize)]
pub(super) struct Entry {
    #[serde(flatten)]
    pub(super) texts: Texts,
    pub(super) dtype: &'static str,
    /// The class of kernels that computed them.
    pub(super) kernels: String,
    pub(super) logits: Vec<f32>,
    pub(super) scores: Vec<f32>,
    pub(super) alone: Alone,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) compared: Vec<Comparison>,
    /// The place of the query in the report, from 1 on.
    #[serde(skip)]
    pub(super) number: usize,
}

/// How the logits of pairs that are computed alone differ from those of a batch.
#[derive(Debug, Serialize)]
pub(super) struct Alone {
    /// The largest difference.
    pub(super) difference: f64,
    /// Whether that is in order: on the processor there is none.
    pub(super) agrees: bool,
}

/// Scores beside known ones.
#[derive(Debug, Serialize)]
pub(super) struct Comparison {
    /// What the values are.
    pub(super) values: &'static str,
    /// The precision of the known ones.
    pub(super) dtype: &'static str,
    pub(super) expected: Vec<f64>,
    pub(super) got: Vec<f32>,
    pub(super) difference: Vec<f64>,
    /// None, where the order alone is compared.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) allowed: Option<Vec<f64>>,
    pub(super) agrees: Vec<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) source: Option<String>,
}

impl Run {
    pub(super) fn new(model: &ModelSource, device: &Opened, recipe: &Resolved, compared_with: Option<String>) -> Self {
        Self {
            version: env!("CARGO_PKG_VERSION"),
            model: model.to_string(),
            recipe: recipe.name.clone(),
            weights: None,
            device: device.describe(),
            compared_with,
            by_order: false,
            names_adapter: false,
        }
    }
}

impl Report {
    pub(super) fn new(run: Run, golden: Vec<Golden>, activation: Activation) -> Self {
        Self { run, agrees: None, entries: Vec::new(), golden, activation }
    }

    /// Adds the scores in one precision.
    pub(super) fn add(&mut self, precision: Precision, target: &Target, logits: Logits) {
        for (index, (golden, (batched, alone))) in
            self.golden.iter().zip(logits.batched.into_iter().zip(logits.alone)).enumerate()
        {
            let compared = golden.nearest(precision).map(|known| self.compare(known, &batched, precision)).collect();
            self.entries.push(Entry {
                texts: golden.texts.clone(),
                dtype: precision.name(),
                kernels: target.kernel_class(),
                scores: batched.iter().map(|&logit| self.activation.score(logit)).collect(),
                alone: Alone::new(&batched, &alone, precision, target),
                logits: batched,
                compared,
                number: index + 1,
            });
        }
        let is_compared = self.entries.iter().any(|entry| !entry.compared.is_empty());
        self.agrees = match self.faults().is_empty() {
            false => Some(false),
            true => is_compared.then_some(true),
        };
    }

    fn compare(&self, known: &Known, logits: &[f32], precision: Precision) -> Comparison {
        let activation = known.activation.unwrap_or(self.activation);
        let got: Vec<f32> = logits.iter().map(|&logit| activation.score(logit)).collect();
        // A value of f32 that was written in decimals is that value again.
        let apart = |(&got, &expected): (&f32, &f64)| f64::from(got) - f64::from(expected as f32);
        let difference: Vec<f64> = got.iter().zip(&known.values).map(apart).collect();
        let allowed: Vec<f64> =
            known.values.iter().map(|&value| of_value(known, activation, value, precision)).collect();
        let is_near = |(difference, allowed): (&f64, &f64)| difference.abs() <= *allowed;
        let (allowed, agrees) = match self.run.by_order {
            true => (None, in_order(known, activation, logits)),
            false => {
                let agrees = difference.iter().zip(&allowed).map(is_near).collect();
                (Some(allowed), agrees)
            }
        };
        Comparison {
            values: match (known.activation, activation.is_probability()) {
                (None, _) => "scores",
                (_, true) => "probabilities",
                (_, false) => "logits",
            },
            dtype: known.dtype.name(),
            expected: known.values.clone(),
            agrees,
            got,
            difference,
            allowed,
            source: known.source.clone(),
        }
    }

    /// Fails if something is off.
    ///
    /// # Errors
    /// A sentence that names the pairs.
    pub fn verdict(&self) -> Result<()> {
        let faults = self.faults();
        if !faults.is_empty() {
            bail!("{}", faults.join("; "));
        }
        Ok(())
    }

    /// What is off, as sentences.
    fn faults(&self) -> Vec<String> {
        let pairs = |is_off: &dyn Fn(&Entry, usize) -> bool| -> Vec<String> {
            let of_entry = |entry: &Entry| -> Vec<String> {
                let off = (0..entry.logits.len()).filter(|&index| is_off(entry, index));
                off.map(|index| format!("{}.{} in {}", entry.number, index + 1, entry.dtype)).collect()
            };
            self.entries.iter().flat_map(of_entry).collect()
        };
        let all: usize = self.entries.iter().map(|entry| entry.logits.len()).sum();
        let unequal = pairs(&|entry, index| entry.compared.iter().any(|compared| !compared.agrees[index]));
        let infinite = pairs(&|entry, index| !entry.logits[index].is_finite());
        let mut faults = Vec::new();
        if !infinite.is_empty() {
            faults.push(format!("{} of {all} logits are not finite: {}", infinite.len(), named(&infinite)));
        }
        if !unequal.is_empty() {
            let with = self.run.compared_with.as_deref().unwrap_or_default();
            let off = if self.run.by_order { "documents are in another order" } else { "scores are off" };
            faults.push(format!(
                "{} of {all} {off}, compared with {with}: {} (if the model is another one, --as NAME or --as none; \
                 else its files, its recipe or rerank are wrong)",
                unequal.len(),
                named(&unequal)
            ));
        }
        let apart: Vec<String> = (self.entries.iter().filter(|entry| !entry.alone.agrees))
            .map(|entry| format!("{} in {} by up to {:e}", entry.number, entry.dtype, entry.alone.difference))
            .collect();
        if !apart.is_empty() {
            faults.push(format!("pairs score otherwise alone than in a batch: query {}", named(&apart)));
        }
        faults
    }
}

impl Alone {
    fn new(batched: &[f32], alone: &[f32], precision: Precision, target: &Target) -> Self {
        let pairs = || batched.iter().zip(alone);
        let difference = pairs().map(|(batched, alone)| (f64::from(*batched) - f64::from(*alone)).abs());
        // A logit that is not finite is a fault of its own.
        let is_equal = |(batched, alone): (&f32, &f32)| {
            let difference = (f64::from(*batched) - f64::from(*alone)).abs();
            batched.to_bits() == alone.to_bits()
                || !batched.is_finite()
                || matches!(target, Target::Gpu(_)) && difference <= of_logit(precision, f64::from(*batched))
        };
        Self {
            difference: difference.filter(|difference| difference.is_finite()).fold(0., f64::max),
            agrees: pairs().all(is_equal),
        }
    }
}

/// The first of these, and how many more there are.
fn named(list: &[String]) -> String {
    let more = list.len().saturating_sub(MOST_NAMED);
    let first = list.iter().take(MOST_NAMED).cloned().collect::<Vec<_>>().join(", ");
    if more > 0 { format!("{first}, and {more} more") } else { first }
}
