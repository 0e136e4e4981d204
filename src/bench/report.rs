//! The report of a bench, as text for people and as JSON for programs.

use std::fmt::{self, Display, Formatter};

use indicatif::HumanCount;
use serde::Serialize;

use super::breakdown::Breakdown;
use super::{Place, Repetition, Workload};
use crate::batch::Batch;
use crate::engine::{Kind, Work};
use crate::stats::peak_memory;

/// The figures of one workload. Times are those of the repetition with the median share of the peak.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    /// The name of the workload.
    pub workload: &'static str,
    /// The model's name, or the shape with random weights.
    pub model: String,
    /// The precision of products.
    pub dtype: &'static str,
    /// The device.
    pub device: String,
    /// The processor's instructions.
    pub instructions: &'static str,
    /// The class of kernels that ran.
    pub kernels: String,
    /// Threads that computed.
    pub threads: usize,
    /// The number of repetitions.
    pub repetitions: usize,
    /// The most tokens of a batch, for which there was memory.
    pub batch_tokens: usize,
    /// The time of loading the model, in seconds.
    pub load_seconds: f64,
    /// The pairs of the workload.
    pub pairs: usize,
    /// Tokens of all prompts.
    pub prompt_tokens: usize,
    /// Tokens that were computed: those of shared prefixes once.
    pub computed_tokens: usize,
    /// The time of scoring, in seconds.
    pub seconds: f64,
    /// Pairs scored a second.
    pub pairs_per_second: f64,
    /// Tokens computed a second.
    pub computed_tokens_per_second: f64,
    /// Tokens a second that shared prefixes saved.
    pub saved_tokens_per_second: f64,
    /// Operations that the computed tokens need, in linear layers and attention, in units of 10¹².
    pub tera_operations: f64,
    /// The part of these operations that attention needs.
    pub attention_tera_operations: f64,
    /// The rate in 10¹² operations a second.
    pub tera_operations_per_second: f64,
    /// The peak rate: that of all threads' matrix units in the same minute, without loads and stores; on a GPU, that of its
    /// library's product of large matrices.
    pub peak_tera_operations_per_second: f64,
    /// The peak rate of a GPU's memory in the same minute, in 10⁹ bytes read and written a second; 0 on a processor.
    pub peak_gigabytes_per_second: f64,
    /// The share of the peak rate of operations that was reached.
    pub share_of_peak: f64,
    /// The share of the peak rate in every repetition.
    pub shares_of_peak: Vec<f64>,
    /// Pairs a second in every repetition.
    pub all_pairs_per_second: Vec<f64>,
    /// Where the time went; the shares and the time of waiting add up to 1.
    pub breakdown: Breakdown,
    /// The most memory that the process has had, in bytes.
    pub peak_memory: Option<u64>,
    /// The memory that the model and a batch take on a GPU, in bytes.
    pub gpu_memory: Option<usize>,
}

impl Report {
    pub(super) fn new(place: &Place, workload: Workload, repetitions: &[Repetition], work: &Work) -> Self {
        // All repetitions do the same work: the share of the peak goes with 1 / (seconds · peak).
        let mut order: Vec<&Repetition> = repetitions.iter().collect();
        order.sort_by(|one, other| (one.seconds * one.peak).total_cmp(&(other.seconds * other.peak)));
        let repetition = order[order.len() / 2];
        let operations = work.all_operations();
        let share = |repetition: &Repetition| operations / (repetition.seconds * repetition.peak);
        Self {
            workload: workload.name(),
            dtype: place.dtype,
            device: place.device.clone(),
            instructions: place.instructions,
            kernels: place.target.kernel_class(),
            threads: place.threads,
            repetitions: repetitions.len(),
            seconds: repetition.seconds,
            tera_operations: operations / 1e12,
            attention_tera_operations: work.operations[Kind::Attention as usize] / 1e12,
            tera_operations_per_second: operations / repetition.seconds / 1e12,
            peak_tera_operations_per_second: repetition.peak / 1e12,
            peak_gigabytes_per_second: repetition.bandwidth / 1e9,
            share_of_peak: share(repetition),
            shares_of_peak: repetitions.iter().map(share).collect(),
            // `count` fills these in.
            all_pairs_per_second: repetitions.iter().map(|repetition| 1. / repetition.seconds).collect(),
            breakdown: Breakdown::new(repetition, work),
            peak_memory: peak_memory(),
            ..Self::default()
        }
    }

    /// Adds what depends on the batches alone.
    pub(super) fn count(&mut self, batches: &[Batch]) {
        self.pairs = batches.iter().map(|batch| batch.pairs().count()).sum();
        self.computed_tokens = batches.iter().map(|batch| batch.token_ids.len()).sum();
        self.pairs_per_second = self.pairs as f64 / self.seconds;
        self.computed_tokens_per_second = self.computed_tokens as f64 / self.seconds;
        self.saved_tokens_per_second = (self.prompt_tokens - self.computed_tokens) as f64 / self.seconds;
        self.all_pairs_per_second.iter_mut().for_each(|rate| *rate *= self.pairs as f64);
    }
}

impl Display for Report {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        writeln!(
            formatter,
            "{}: {} in {} on {} ({}, {} threads); {} pairs, {} tokens, of which {} are computed",
            self.workload,
            self.model,
            self.dtype,
            self.device,
            self.kernels,
            self.threads,
            HumanCount(self.pairs as u64),
            HumanCount(self.prompt_tokens as u64),
            HumanCount(self.computed_tokens as u64),
        )?;
        writeln!(
            formatter,
            "  {:.1} pairs/s, {} tokens/s computed and {} spared, in batches of up to {} tokens ({:.2} s, median of {}; loaded in {:.2} s)",
            self.pairs_per_second,
            HumanCount(self.computed_tokens_per_second as u64),
            HumanCount(self.saved_tokens_per_second as u64),
            HumanCount(self.batch_tokens as u64),
            self.seconds,
            self.repetitions,
            self.load_seconds,
        )?;
        write!(
            formatter,
            "  {:.2} TFLOP/s, {:.0}% of the {:.2} that the matrix units reach alone",
            self.tera_operations_per_second,
            self.share_of_peak * 100.,
            self.peak_tera_operations_per_second,
        )?;
        if self.peak_gigabytes_per_second > 0. {
            write!(formatter, ", beside {:.0} GB/s of memory", self.peak_gigabytes_per_second)?;
        }
        writeln!(
            formatter,
            " ({:.0}% of the work is attention)",
            self.attention_tera_operations / self.tera_operations * 100.
        )?;
        write!(formatter, "{}", self.breakdown)?;
        if let Some(bytes) = self.peak_memory {
            write!(formatter, "  peak memory: {:.2} GB", bytes as f64 / 1e9)?;
            if let Some(bytes) = self.gpu_memory {
                write!(formatter, ", and {:.2} GB on the GPU", bytes as f64 / 1e9)?;
            }
            writeln!(formatter)?;
        }
        Ok(())
    }
}
