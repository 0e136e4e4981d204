//! The names of the files of a shard.

use super::Shard;

/// What a file of a shard is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// The rankings.
    Part,
    /// The record that the part is complete.
    Done,
    /// What a worker has written so far.
    Temporary,
    /// The record of the run that writes it.
    TemporaryRecord,
}

const PART: &str = ".jsonl.zst";
const DONE: &str = ".done.json";
const TEMPORARY: &str = ".tmp";
const TEMPORARY_RECORD: &str = ".tmp.run.json";

/// The name of the part of a shard.
pub(super) fn part(shard: Shard) -> String {
    format!("{}{PART}", stem(shard))
}

/// The name of the record of a complete part.
pub(super) fn done(shard: Shard) -> String {
    format!("{}{DONE}", stem(shard))
}

/// The name of a part that is being written. Several workers at once have different words in it, which begin with a dot.
pub(super) fn temporary(shard: Shard, worker: &str) -> String {
    format!("{}{worker}{TEMPORARY}", part(shard))
}

fn stem(Shard { index, count }: Shard) -> String {
    format!("part-{index:05}-of-{count:05}")
}

/// The shard to which a file belongs, and what it is; none, if it is no file of a shard.
pub(super) fn parse(name: &str) -> Option<(Shard, Kind)> {
    let (index, rest) = name.strip_prefix("part-")?.split_once("-of-")?;
    let (count, rest) = rest.split_once('.')?;
    let shard = format!("{index}/{count}").parse::<Shard>().ok()?;
    let kind = match format!(".{rest}") {
        rest if rest == PART => Kind::Part,
        rest if rest == DONE => Kind::Done,
        rest if rest.starts_with(PART) && rest.ends_with(TEMPORARY) => Kind::Temporary,
        rest if rest.starts_with(PART) && rest.ends_with(TEMPORARY_RECORD) => Kind::TemporaryRecord,
        _ => return None,
    };
    name.starts_with(&stem(shard)).then_some((shard, kind))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::resume::Sidecar;

    #[test]
    fn names_lead_back_to_their_shard() {
        for shard in [Shard { index: 17, count: 256 }, Shard { index: 123_456, count: 654_321 }] {
            assert_eq!(parse(&part(shard)), Some((shard, Kind::Part)));
            assert_eq!(parse(&done(shard)), Some((shard, Kind::Done)));
            assert_eq!(parse(&temporary(shard, "")), Some((shard, Kind::Temporary)));
            assert_eq!(parse(&temporary(shard, ".12")), Some((shard, Kind::Temporary)));
            let record = Sidecar::path(Path::new(&temporary(shard, ".4711-17")));
            assert_eq!(parse(record.to_str().unwrap()), Some((shard, Kind::TemporaryRecord)));
        }
        assert_eq!(part(Shard { index: 17, count: 256 }), "part-00017-of-00256.jsonl.zst");
        for other in [
            "part-00017-of-00256.jsonl.zst.gz",
            "part-00000-of-00256.parquet",
            "part-00001-of-00001.jsonl.zst",
            "part-0-of-8.jsonl.zst",
            "stats.json",
        ] {
            assert_eq!(parse(other), None, "{other}");
        }
    }
}
