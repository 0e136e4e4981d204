//! What a run would cost: everything is read, tokenized and planned, and nothing scored.

use std::io::Write;
use std::sync::mpsc::Receiver;

use super::prepare::Window;
use crate::progress::{HumanCount, Reporter};
use crate::stats::saved_share;
use anyhow::{Context, Result};

/// Counts that fit in little memory, however long the input is.
#[derive(Default)]
struct Cost {
    queries: u64,
    pairs: u64,
    truncated: u64,
    prompt_tokens: u64,
    computed_tokens: u64,
    batches: u64,
    /// How many prompts have so many tokens, by tokens.
    lengths: Vec<u64>,
}

/// Prints the cost of all windows to standard output, and the first prompt's tokens to those who want every detail.
pub(super) fn run(windows: &Receiver<Window>, max_length: usize, reporter: &Reporter) -> Result<()> {
    let mut cost = Cost::default();
    while let Ok(window) = windows.recv() {
        if let Some(batch) = window.batches.front().filter(|_| cost.pairs == 0) {
            let prompt = batch.pair_segments().next().map(|segment| batch.prompt(segment));
            reporter.detail(&format!("the first prompt's tokens: {:?}", prompt.unwrap_or_default()));
        }
        cost.add(&window);
    }
    match cost.print(max_length) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        printed => printed.context("cannot write to standard output"),
    }
}

impl Cost {
    fn add(&mut self, window: &Window) {
        self.queries += window.groups.len() as u64;
        self.batches += window.batches.len() as u64;
        self.computed_tokens += window.batches.iter().map(|batch| batch.token_ids.len() as u64).sum::<u64>();
        for facts in window.prompts.iter().flatten() {
            self.pairs += 1;
            self.truncated += u64::from(facts.truncated);
            self.prompt_tokens += facts.tokens as u64;
            if self.lengths.len() <= facts.tokens {
                self.lengths.resize(facts.tokens + 1, 0);
            }
            self.lengths[facts.tokens] += 1;
        }
    }

    /// The least length that `percent` of a hundred prompts do not exceed.
    fn percentile(&self, percent: u64) -> usize {
        let rank = (self.pairs * percent).div_ceil(100).max(1);
        let mut seen = 0;
        let reached = |count: &u64| {
            seen += count;
            seen >= rank
        };
        self.lengths.iter().position(reached).unwrap_or(0)
    }

    fn print(&self, max_length: usize) -> std::io::Result<()> {
        let mut output = std::io::stdout().lock();
        let percentiles: Vec<String> =
            [0, 50, 90, 95, 99, 100].iter().map(|&percent| self.percentile(percent).to_string()).collect();
        writeln!(output, "queries          {}", HumanCount(self.queries))?;
        writeln!(output, "pairs            {}", HumanCount(self.pairs))?;
        writeln!(output, "truncated        {} (longer than {max_length} tokens)", HumanCount(self.truncated))?;
        writeln!(output, "tokens per pair  min, p50, p90, p95, p99, max: {}", percentiles.join(", "))?;
        writeln!(output, "prompt tokens    {}", HumanCount(self.prompt_tokens))?;
        writeln!(
            output,
            "computed tokens  {} ({:.1}% saved by shared prefixes)",
            HumanCount(self.computed_tokens),
            saved_share(self.prompt_tokens, self.computed_tokens) * 100.
        )?;
        writeln!(output, "batches          {}", HumanCount(self.batches))?;
        output.flush()
    }
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
