//! A plan, as text for people and as JSON for programs.

use std::fmt::{self, Display, Formatter};

use indicatif::HumanBytes;
use serde::Serialize;

use crate::progress::{HumanCount, counted};

/// The workers for which the whole time is printed.
const WORKERS: [u32; 4] = [1, 4, 16, 64];

/// Into how many shards an input should be divided, and what each takes.
#[derive(Clone, Debug, Serialize)]
pub struct Plan {
    /// Queries of the input.
    pub queries: f64,
    /// Pairs of the input.
    pub pairs: f64,
    /// Tokens that are computed, shared beginnings once.
    pub computed_tokens: f64,
    /// The share of the input's bytes that was read for the plan; 1 if everything was counted.
    pub share_read: f64,
    /// Pairs whose tokens were counted.
    pub sampled_pairs: u64,
    /// Bytes of the input on disk; null for a pipe.
    pub input_bytes: Option<u64>,
    /// Bytes of the texts of a run (`--queries`, `--collection`), which every worker reads; 0 without them, null for a pipe.
    pub texts_bytes: Option<u64>,
    /// Files of the input.
    pub files: usize,
    /// Where the speed comes from.
    pub speed: String,
    /// The seconds in which one worker scores everything.
    pub seconds: f64,
    /// Seconds from the start of a worker to its first batch; null if they are not known.
    pub load_seconds: Option<f64>,
    /// The number of shards.
    pub shards: u32,
    /// Pairs of a shard.
    pub shard_pairs: f64,
    /// The seconds in which a worker scores a shard, without loading.
    pub shard_seconds: f64,
    /// Bytes that a worker reads; null for a pipe.
    pub shard_bytes_read: Option<f64>,
    /// Bytes of the texts and fields of a shard's candidates, which its part has, compressed.
    pub shard_text_bytes: f64,
    /// The command line of worker I.
    pub command: String,
    /// What the user should know.
    pub notes: Vec<String>,
}

impl Plan {
    /// Seconds that so many workers need, each for one shard after the other.
    fn seconds_of(&self, workers: u32) -> f64 {
        f64::from(self.shards.div_ceil(workers)) * (self.shard_seconds + self.load_seconds.unwrap_or_default())
    }
}

impl Display for Plan {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        let count = |number: f64| HumanCount(number.round() as u64);
        let bytes = |number: f64| HumanBytes(number.round() as u64);
        let is_whole = self.share_read >= 1.;
        let about = if is_whole { "" } else { "about " };
        let read = match is_whole {
            true => "all of it was read".to_owned(),
            false => format!("extrapolated from the first {:.2}%", self.share_read * 100.),
        };
        writeln!(
            formatter,
            "input       {about}{} queries, {about}{} pairs; {read}",
            count(self.queries),
            count(self.pairs)
        )?;
        let sampled = counted(self.sampled_pairs, "pair", "pairs");
        let per_pair = self.computed_tokens / self.pairs.max(1.);
        writeln!(
            formatter,
            "tokens      about {} are computed, {per_pair:.1} a pair (of {sampled})",
            count(self.computed_tokens)
        )?;
        writeln!(formatter, "speed       {:.1} pairs/s ({})", self.pairs / self.seconds.max(1e-9), self.speed)?;
        let load = self.load_seconds.map_or_else(
            || "; loading the model is not counted (--load-seconds)".to_owned(),
            |seconds| format!(", and {} to load the model", time(seconds)),
        );
        writeln!(
            formatter,
            "shards      {} of about {} pairs, {} each{load}",
            HumanCount(self.shards.into()),
            count(self.shard_pairs),
            time(self.shard_seconds)
        )?;
        let reads = self.shard_bytes_read.map_or_else(|| "the pipe".to_owned(), |read| bytes(read).to_string());
        writeln!(
            formatter,
            "bytes       a worker reads {reads}, and writes {} of texts, compressed",
            bytes(self.shard_text_bytes)
        )?;
        let useful = WORKERS.iter().filter(|&&workers| workers == 1 || workers <= self.shards);
        let times: Vec<String> = useful
            .map(|&workers| {
                format!("{} on {}", time(self.seconds_of(workers)), counted(workers.into(), "worker", "workers"))
            })
            .collect();
        writeln!(formatter, "in all      {}", times.join(", "))?;
        writeln!(formatter, "a worker    {}", self.command)?;
        if self.shards > 1 {
            writeln!(formatter, "            where I is 0 to {}", self.shards - 1)?;
        }
        self.notes.iter().try_for_each(|note| writeln!(formatter, "note        {note}"))
    }
}

/// `3.0 minutes`
fn time(seconds: f64) -> String {
    if seconds < 60. {
        format!("{seconds:.1} s")
    } else if seconds < 7200. {
        format!("{:.1} minutes", seconds / 60.)
    } else {
        format!("{:.1} hours", seconds / 3600.)
    }
}
