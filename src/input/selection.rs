//! Which queries of an input are read: all, or those of a shard.

use crate::record::RecordName;
use crate::shard::Shard;

/// The queries that are read of an input.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Selection {
    /// All.
    #[default]
    All,
    /// Those of a shard, by their ids.
    Queries {
        /// The shard.
        shard: Shard,
        /// Whether the records of other shards are read as any other. Only then is it known in every shard which of them can't be
        /// used, and with that the numbers of the queries behind them.
        in_full: bool,
    },
    /// Those of some of several files; those of the others are not known.
    Files,
}

impl Selection {
    /// Whether a query is read.
    pub(super) fn has(self, query_id: &str) -> bool {
        match self {
            Self::Queries { shard, .. } => shard.has(query_id),
            Self::All | Self::Files => true,
        }
    }

    /// Whether records of queries of other shards are passed over as soon as their ids are known.
    pub(super) fn skims(self) -> bool {
        matches!(self, Self::Queries { in_full: false, .. })
    }

    /// Whether a record that can't be used is reported. Where such records are skipped, one shard does it for each; otherwise every
    /// run stops there that reads the record.
    pub(super) fn reports(self, name: &RecordName) -> bool {
        match (self, &name.query_id) {
            (Self::Queries { shard, in_full: true }, Some(query_id)) => shard.has(query_id),
            (Self::Queries { shard, in_full: true }, None) => shard.index == 0,
            _ => true,
        }
    }
}
