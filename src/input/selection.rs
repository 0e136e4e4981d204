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

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;
    use crate::input::source::Source;
    use crate::input::testing::described;
    use crate::input::{Event, InputOptions, MAX_RECORD_BYTES, read};

    /// The groups of a selection with their positions, and its bad records.
    fn events(name: &str, text: &str, selection: Selection) -> (Vec<(u64, String)>, Vec<String>) {
        let options = InputOptions { path: Some(name.into()), selection, ..InputOptions::default() };
        let source = Source::from_reader(name.into(), Box::new(Cursor::new(text.to_owned()))).unwrap();
        let (mut groups, mut bad) = (Vec::new(), Vec::new());
        for event in read(source, &options, MAX_RECORD_BYTES).unwrap().events(&options) {
            let event = event.unwrap();
            match &event {
                Event::Group(group) => groups.push((group.query.position, described(&event))),
                Event::Bad(_) => bad.push(described(&event)),
                Event::Note(_) => {}
            }
        }
        (groups, bad)
    }

    /// Checks that all shards together have the events of the whole input, each once.
    fn check(name: &str, text: &str) {
        let (groups, mut bad) = events(name, text, Selection::All);
        bad.sort();
        assert!(groups.windows(2).all(|pair| pair[0].0 < pair[1].0), "{groups:?}");
        for (count, in_full) in [(1, false), (2, false), (3, false), (5, false), (2, true), (3, true)] {
            if !in_full && !bad.is_empty() {
                continue;
            }
            let selection = |index| Selection::Queries { shard: Shard { index, count }, in_full };
            let (mut of_shards, mut bad_of_shards) = (Vec::new(), Vec::new());
            for index in 0..count {
                let (groups, bad) = events(name, text, selection(index));
                of_shards.extend(groups);
                bad_of_shards.extend(bad);
            }
            of_shards.sort();
            bad_of_shards.sort();
            assert_eq!(
                (of_shards, bad_of_shards),
                (groups.clone(), bad.clone()),
                "{name} in {count} shards, {in_full}"
            );
        }
    }

    #[test]
    fn every_query_is_in_one_shard_whatever_is_passed_over() {
        let groups: String = (0..20)
            .map(|number| match number % 5 {
                0 => format!("{{\"query\":\"no id {number}\",\"documents\":[\"x\"]}}\n"),
                1 => format!("{{\"query\":{{\"id\":\"n{number}\",\"text\":\"x\"}},\"documents\":[\"x\"]}}\n"),
                _ => format!("{{\"query_id\":\"q{number}\",\"query\":\"x\",\"documents\":[\"x\",\"y\"]}}\n"),
            })
            .collect();
        check("x.jsonl", &groups);
        check("x.json", &format!("[{}]", groups.trim().replace('\n', ",")));
        let rows: String = (0..30).map(|row| format!("q{},\"a\nquery {0}\",text {row}\n", row / 3)).collect();
        check("x.csv", &format!("query_id,query,text\n{rows}"));
        let unnamed: String = (0..30).map(|row| format!("query {},text {row}\n", row / 3)).collect();
        check("x.csv", &format!("query,text\n{unnamed}"));
        // Of some rows the id is known only when they are read in full.
        let row = |row: usize| match row % 3 {
            0 => format!("{{\"query\":{{\"id\":\"q{}\",\"text\":\"x\"}},\"text\":\"{row}\"}}\n", row / 4),
            _ => format!("{{\"qid\":\"q{}\",\"query\":\"x\",\"text\":\"{row}\"}}\n", row / 4),
        };
        check("x.jsonl", &(0..40).map(row).collect::<String>());
    }

    #[test]
    fn every_record_that_can_not_be_used_is_reported_by_one_shard() {
        let lines = r#"{"query_id":"a","query":"x","documents":["1",{"id":"d"}]}
not JSON
{"qid":"b","query":"x","text":"1"}
{"qid":"b","query":7,"text":"2"}
{"qid":"c","query":"x","text":["1"]}
{"qid":"c","query":"x","text":"2"}
{"query":"no id","text":"2"}
{"query_id":"a","query":"comes back","documents":["1"]}
{"query_id":"e","query":" ","documents":["1"]}
{"query":"no id","documents":["1"]}
{"qid":"8","query":"was generated","text":"2"}
"#;
        check("x.jsonl", lines);
        check("x.csv", "query_id,query,text\na,x,1\nb,x\nb,x,1\na,x,1\nc, ,1\nd,x,1\n");
    }
}
