//! The figures of a run: two lines for a person, JSON for a program.

use std::io::ErrorKind;
use std::time::Duration;

use anyhow::{Result, bail};
use serde::Serialize;

use crate::output::{self, OutputFile};
use crate::pipeline::JudgedFigures;
use crate::progress::{HumanCount, Reporter, counted};
use crate::recipe::RecipeName;
use crate::watch::GpuFigures;
use crate::weights_report::WeightsReport;

/// What a run did and how long it took.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Stats {
    /// Version of the program.
    pub version: &'static str,
    /// The model, as the user named it.
    pub model: String,
    /// The recipe that made the prompts and the scores.
    pub recipe: RecipeName,
    /// What the weights are, and the memory that they take on one device.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weights: Option<WeightsReport>,
    /// The device that computed.
    pub device: String,
    /// The precision of products.
    pub dtype: String,
    /// The processor's instructions that were used.
    pub instructions: &'static str,
    /// The class of kernels that ran: with the precision, what the bits of scores depend on.
    pub kernels: String,
    /// Threads that computed.
    pub threads: usize,
    /// Shares of the time of forward passes by kind of work, largest first: of all threads' time, or by the GPUs' own clocks.
    #[serde(skip_serializing_if = "serde_json::Map::is_empty")]
    pub time_shares: serde_json::Map<String, serde_json::Value>,
    /// The GPUs that computed, with their load where the driver's management library reports it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub gpus: Vec<GpuFigures>,
    /// What the run warned of: notes on the options, the recipe, the tokenizer and the checkpoint, what keeps devices from
    /// computing as they should, and how the input was read where that could surprise.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// Rankings written.
    pub queries: u64,
    /// Queries that the output had before, when the run was resumed; they are not among `queries`.
    pub resumed: u64,
    /// Pairs scored.
    pub pairs: u64,
    /// Of these, the pairs that were not computed, because an equal one was at the same time.
    pub duplicates: u64,
    /// Of these, the pairs whose score was in the cache.
    pub cached: u64,
    /// Pairs whose document was cut.
    pub truncated: u64,
    /// Of these, the pairs whose document was cut, and not their query alone.
    #[serde(skip)]
    pub documents_cut: u64,
    /// Pairs whose document has no text.
    pub empty: u64,
    /// Documents that were cut into several passages.
    pub split_documents: u64,
    /// The passages of these documents; each is one of the pairs.
    pub passages: u64,
    /// How good the rankings are by people's judgements, before and after.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub evaluation: Option<JudgedFigures>,
    /// Records skipped.
    pub skipped: u64,
    /// Forward passes.
    pub batches: u64,
    /// Tokens of the prompts of all computed pairs.
    pub prompt_tokens: u64,
    /// Tokens that were computed, shared prefixes once.
    pub computed_tokens: u64,
    /// The share of prompt tokens that shared prefixes saved, 0 to 1.
    pub saved_share: f64,
    /// From the program's start to its end.
    pub seconds: f64,
    /// The part of `seconds` in which the model was located, read and prepared.
    pub load_seconds: f64,
    /// The part of `seconds` from the model's readiness to the last ranking.
    pub ranking_seconds: f64,
    /// Pairs per second of ranking.
    pub pairs_per_second: f64,
    /// The most memory that the process has had, in bytes, where the system reports it.
    pub peak_memory: Option<u64>,
    /// Multiplications and additions that the model needed, per second of ranking, in units of 10¹².
    pub tera_operations_per_second: f64,
    /// The sum of these operations, of which the rate is computed; it is not written.
    #[serde(skip)]
    pub operations: f64,
    /// Computed tokens per second of ranking.
    pub tokens_per_second: f64,
    /// From the start of a query's first batch to its ranking, in seconds.
    pub query_seconds: Percentiles<f64>,
    /// Whether the run was interrupted.
    pub interrupted: bool,
}

/// Percentiles of a set of values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Percentiles<T> {
    /// The median.
    pub p50: T,
    /// The 95th percentile.
    pub p95: T,
    /// The 99th percentile.
    pub p99: T,
}

impl<T: Copy + Default + PartialOrd> Percentiles<T> {
    /// The percentiles by nearest rank; zeros if there are no values.
    pub fn of(values: &mut [T]) -> Self {
        values.sort_by(|one, other| one.partial_cmp(other).unwrap_or(std::cmp::Ordering::Equal));
        let at = |percent: usize| {
            let rank = (values.len() * percent).div_ceil(100).max(1);
            values.get(rank - 1).copied().unwrap_or_default()
        };
        Self { p50: at(50), p95: at(95), p99: at(99) }
    }
}

impl Stats {
    /// Computes the figures that follow from the others, and the time of the whole run.
    pub fn derive(&mut self, whole: Duration) {
        let seconds = self.ranking_seconds;
        let rate = |count: f64| if seconds > 0. { count / seconds } else { 0. };
        self.pairs_per_second = rate(self.pairs as f64);
        self.tokens_per_second = rate(self.computed_tokens as f64);
        self.tera_operations_per_second = rate(self.operations) / 1e12;
        self.seconds = whole.as_secs_f64();
        self.peak_memory = peak_memory();
        self.saved_share = saved_share(self.prompt_tokens, self.computed_tokens);
    }

    /// Reports warnings that came up while the run went on. Most warnings were printed when the model was loaded.
    pub fn warn(&mut self, warnings: Vec<String>, reporter: &Reporter) {
        for warning in warnings {
            if !self.warnings.contains(&warning) {
                reporter.note(&warning);
                self.warnings.push(warning);
            }
        }
    }

    /// How many documents were cut into passages, if some were.
    fn split(&self) -> String {
        match self.split_documents {
            0 => String::new(),
            1 => format!(", 1 document in {} passages", HumanCount(self.passages)),
            split => format!(", {} documents in {} passages", HumanCount(split), HumanCount(self.passages)),
        }
    }

    /// The figures in two lines for a person; fewer where there is nothing to report, as after an error at the first record.
    pub fn summary(&self) -> Vec<String> {
        let Percentiles { p50, p95, p99 } = self.query_seconds;
        let time =
            |seconds: f64| if seconds < 1. { format!("{:.0} ms", seconds * 1e3) } else { format!("{seconds:.2} s") };
        let mut lines = Vec::new();
        if self.queries + self.resumed + self.pairs + self.skipped > 0 || self.interrupted {
            lines.push(format!(
                "{}{}{}, {} ({} truncated{}{}{}), {} skipped, in {} after {} of loading",
                if self.interrupted { "interrupted: " } else { "" },
                counted(self.queries, "query", "queries"),
                match self.resumed {
                    0 => String::new(),
                    resumed => format!(" and {} ranked before", HumanCount(resumed)),
                },
                counted(self.pairs, "pair", "pairs"),
                HumanCount(self.truncated),
                self.split(),
                if self.empty == 0 {
                    String::new()
                } else {
                    format!(", {} of empty documents", HumanCount(self.empty))
                },
                spared(self.duplicates, "equal to others") + &spared(self.cached, "from the cache"),
                HumanCount(self.skipped),
                time(self.ranking_seconds),
                time(self.load_seconds),
            ));
        }
        if self.pairs > 0 {
            lines.push(format!(
                "{:.1} pairs/s, {} tokens/s; per query p50 {}, p95 {}, p99 {}; shared prefixes saved {:.1}% of {} tokens",
                self.pairs_per_second,
                HumanCount(self.tokens_per_second as u64),
                time(p50),
                time(p95),
                time(p99),
                self.saved_share * 100.,
                HumanCount(self.prompt_tokens),
            ));
        }
        lines
    }
}

/// The number of pairs that were not computed, if there are some, and why.
fn spared(pairs: u64, why: &str) -> String {
    if pairs == 0 { String::new() } else { format!(", {} {why}", HumanCount(pairs)) }
}

/// Writes figures as JSON.
///
/// # Errors
/// If the file can't be written.
pub fn write(figures: &impl Serialize, file: &mut OutputFile) -> Result<()> {
    let text = serde_json::to_string_pretty(figures)? + "\n";
    match file.replace(text.as_bytes()) {
        // The reader of a pipe may have closed it.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        Ok(()) => Ok(()),
        Err(error) => bail!(
            "cannot write the figures to {}: {error}; what is ranked stays: {}, or name another file with --stats",
            file.path().display(),
            output::remedy(&error)
        ),
    }
}

/// The most memory that this process has had so far, in bytes, where the system reports it.
pub fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

/// The share of tokens that need not be computed; 0 where there are none.
pub fn saved_share(prompt_tokens: u64, computed_tokens: u64) -> f64 {
    if prompt_tokens == 0 { 0. } else { 1. - computed_tokens as f64 / prompt_tokens as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_occurred() {
        let mut values: Vec<u32> = (1..=200).rev().collect();
        assert_eq!(Percentiles::of(&mut values), Percentiles { p50: 100, p95: 190, p99: 198 });
        assert_eq!(Percentiles::of(&mut [7u32]), Percentiles { p50: 7, p95: 7, p99: 7 });
        assert_eq!(Percentiles::of(&mut [] as &mut [u32]), Percentiles::default());
    }
}
