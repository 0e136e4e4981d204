//! Shards: many workers rank parts of one input into one directory, and the parts are merged to the bytes of a single run.
//!
//! ```text
//! input ─ queries of the shard ─► the pipeline ─► part-00017-of-00256.jsonl.zst.tmp ─► part-00017-of-00256.jsonl.zst
//!                                                                                      part-00017-of-00256.done.json
//! all parts ─ checked against their records ─► merge, in the order of the input ─► the output of a single run
//! ```
//!
//! A part has the same bytes whoever writes it, so that two workers on one shard do no harm, and a lost worker is replaced by
//! starting it again.

// What stands in files can end nothing but the record or the run that it is in: no panic.
#![cfg_attr(
    not(test),
    warn(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::string_slice,
        clippy::get_unwrap,
        clippy::panic,
        clippy::unreachable,
        clippy::todo,
        clippy::unimplemented
    )
)]

mod agreement;
mod assignment;
mod directory;
mod done;
mod environment;
mod index;
mod merge;
mod names;
mod output;
mod place;
mod positions;
mod ranges;
mod status;
mod temporary;
mod written;

use std::fmt;
use std::str::FromStr;

pub use self::assignment::files_of;
pub use self::done::{Counts, WorkerCounts};
pub use self::environment::of_environment;
pub use self::merge::{MergeOptions, Merged, merge};
pub use self::output::{DoneShard, OpenShard, ShardOutput};
pub use self::place::Place;
pub use self::positions::Positions;
pub use self::status::{InProgress, Status};

/// The most shards of a run.
pub(crate) const MOST_SHARDS: u32 = 1_000_000;

/// One of the parts into which the queries of an input are divided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    /// Its number, from 0.
    pub index: u32,
    /// How many there are.
    pub count: u32,
}

impl Shard {
    /// A shard of so many.
    ///
    /// # Errors
    /// If there is no such shard.
    pub fn new(index: u64, count: u64) -> Result<Self, String> {
        match (u32::try_from(index), u32::try_from(count)) {
            _ if count == 0 || count > u64::from(MOST_SHARDS) => {
                Err(format!("there can be 1 to {MOST_SHARDS} shards, and {count} are named"))
            }
            (Ok(index), Ok(count)) if index < count => Ok(Self { index, count }),
            _ => Err(format!("shards are counted from 0, so that the last of {count} is {}/{count}", count - 1)),
        }
    }

    /// The name of the file with its rankings.
    pub fn part(self) -> String {
        names::part(self)
    }

    /// Whether a query belongs to the shard: by the first eight bytes of the BLAKE3 hash of its id in UTF-8, read as a
    /// little-endian number, modulo the number of shards.
    pub fn has(self, query_id: &str) -> bool {
        let mut first = [0; 8];
        first.iter_mut().zip(blake3::hash(query_id.as_bytes()).as_bytes()).for_each(|(to, from)| *to = *from);
        u64::from_le_bytes(first) % u64::from(self.count) == u64::from(self.index)
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.index, self.count)
    }
}

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let numbers = text.split_once('/').and_then(|(index, count)| Some((number(index)?, number(count)?)));
        let (index, count) =
            numbers.ok_or_else(|| "a shard is a number and how many there are, as in 0/8, or auto".to_owned())?;
        Self::new(index, count)
    }
}

fn number(text: &str) -> Option<u64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_query_has_one_shard_that_never_changes() {
        for count in [1, 2, 7, 256] {
            for id in ["", "q1", "é", "a longer id, with a comma"] {
                let shards = (0..count).filter(|&index| Shard { index, count }.has(id));
                assert_eq!(shards.count(), 1);
            }
        }
        // int.from_bytes(blake3(b"q1").digest()[:8], "little") % 1000, with the package blake3 of PyPI.
        assert!(Shard { index: 361, count: 1000 }.has("q1"));
    }

    #[test]
    fn shards_are_written_as_a_number_of_how_many() {
        assert_eq!("3/8".parse(), Ok(Shard { index: 3, count: 8 }));
        assert_eq!(Shard { index: 3, count: 8 }.to_string(), "3/8");
        for wrong in ["8/8", "1/0", "-1/8", "+1/8", "1", "1/8/9", "a/b", "/", "0/1000001", "1/99999999999999999999"] {
            assert!(wrong.parse::<Shard>().is_err(), "{wrong}");
        }
    }
}
