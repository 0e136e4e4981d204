//! Queries that the output has, and those of other shards: of their records no more is read than what identifies them.

use super::first_seen::hash;
use super::selection::Selection;

/// What is known of queries that are passed over, while the input is read.
#[derive(Clone, Copy, Debug, Default)]
pub struct Skim<'a> {
    /// The hash of the query that comes next, if the output has it.
    pub next: Option<u64>,
    /// The query whose rows are being passed over.
    pub open: Option<&'a str>,
    /// The queries that are read at all.
    pub selection: Selection,
}

impl Skim<'_> {
    /// Whether no query is passed over.
    pub fn is_off(self) -> bool {
        self.next.is_none() && self.open.is_none() && !self.selection.skims()
    }

    /// Whether a record of all candidates of this query is passed over.
    pub fn passes_group(self, query_id: &str) -> bool {
        self.next == Some(hash(query_id)) || self.selection.skims() && !self.selection.has(query_id)
    }

    /// Whether a row of this query is passed over.
    pub fn passes_row(self, query_id: &str) -> bool {
        self.open == Some(query_id) || self.passes_group(query_id)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;
    use crate::input::source::Source;
    use crate::input::testing::described;
    use crate::input::{Event, Events, InputOptions, MAX_RECORD_BYTES, Skimmed, read};

    /// The events behind so many queries that are finished, of which the first may have been read in full.
    fn behind(open: impl Fn() -> Events, queries: &[u64], reads_first: bool) -> (usize, Vec<String>) {
        let mut events = open();
        let (mut next, mut in_full, mut left) = (0, 0, Vec::new());
        let mut first = reads_first.then(|| events.next().unwrap().unwrap());
        loop {
            let read = match first.take() {
                Some(first) => Ok(Skimmed::Event(first)),
                None => match events.skim(&queries[next..]) {
                    Some(read) => read,
                    None => return (in_full, left),
                },
            };
            match read.unwrap() {
                Skimmed::Finished(_) => next += 1,
                Skimmed::Event(Event::Group(group)) if queries.get(next) == Some(&hash(&group.query.id)) => {
                    (next, in_full) = (next + 1, in_full + 1);
                }
                Skimmed::Event(event) => left.push(described(&event)),
            }
        }
    }

    fn check(name: &str, text: &str, columns: &str, most_in_full: usize) {
        let options =
            InputOptions { path: Some(name.into()), columns: columns.parse().unwrap(), ..InputOptions::default() };
        let open = || {
            let source = Source::from_reader(name.into(), Box::new(Cursor::new(text.to_owned()))).unwrap();
            read(source, &options, MAX_RECORD_BYTES).unwrap().events(&options)
        };
        let all: Vec<Event> = open().map(Result::unwrap).collect();
        let groups: Vec<usize> = (0..all.len()).filter(|&at| matches!(all[at], Event::Group(_))).collect();
        let query = |at: usize| match &all[at] {
            Event::Group(group) => hash(&group.query.id),
            other => panic!("{other:?}"),
        };
        // A run that stops at bad records has finished none behind one.
        let good = all.iter().position(|event| matches!(event, Event::Bad(_))).unwrap_or(all.len());
        let queries: Vec<u64> = groups.iter().take_while(|&&at| at < good).map(|&at| query(at)).collect();
        assert!(queries.len() > 3);
        for count in 0..=queries.len() {
            let from = count.checked_sub(1).map_or(0, |last| groups[last] + 1);
            let expected: Vec<String> = all[from..].iter().map(described).collect();
            for reads_first in [false, true] {
                let (in_full, left) = behind(open, &queries[..count], reads_first);
                assert_eq!(left, expected, "{name} behind {count} {reads_first}");
                assert!(in_full <= most_in_full + usize::from(reads_first), "{name}: {in_full} of {count} in full");
            }
        }
    }

    const GROUPS: &str = r#"{"query_id":"a","query":"x","documents":["1","2"]}
{"id":7,"query":"x","documents":[{"text":"1"}]}
{"query":{"text":"x"},"qid":"b","documents":[]}
{"query_id":"c","query":"x","documents":["1"]}
{"query_id":"d","query":"x","documents":["1"]}
{"query":"no id: its number","documents":["1"]}
{"query_id":"a","query":"comes back","documents":["1"]}
{"query_id":"6","query":"was generated","documents":["1"]}
{"query_id":"e","query":"x","documents":["1"]}
"#;

    #[test]
    fn records_behind_those_that_are_passed_over_are_read_as_ever() {
        check("x.jsonl", GROUPS, "", 1);
        check("x.json", &format!("[{}]", GROUPS.trim().replace('\n', ",")), "", 1);
        let nested = r#"{"query":{"id":"Q","text":"x"},"documents":["1"]}"#;
        let queries: String = (0..5).map(|number| nested.replace('Q', &format!("q{number}")) + "\n").collect();
        check("x.jsonl", &queries, "", 5);
    }

    #[test]
    fn rows_behind_those_that_are_passed_over_are_read_as_ever() {
        let rows = "a,1\na,2\nb,1\nc,1\nc,2\nc,3\nd,1\nb,comes back\nb,2\ne,1\ne,2\n";
        let table = format!("query_id,query,text\n{}", rows.replace(',', ",\"x\ny\","));
        check("x.csv", &table, "", 1);
        let line = |row: &str| {
            let (id, text) = row.split_once(',').unwrap();
            format!("{{\"qid\":\"{id}\",\"query\":\"x\",\"text\":\"{text}\"}}\n")
        };
        let lines: String = rows.lines().map(line).collect();
        check("x.jsonl", &lines, "", 1);
        let mixed = lines.replacen(&line("b,1"), "{\"qid\":\"b\",\"query\":\"x\",\"documents\":[\"1\"]}\n", 1);
        check("x.jsonl", &mixed, "", 1);
        // Rows without an id are known by their text.
        check("x.csv", "query,text\na,1\na,2\nb,1\nc,1\nc,2\nd,1\n", "", 4);
    }

    #[test]
    fn a_name_that_no_record_has_is_reported_behind_those_that_are_passed_over() {
        check("x.jsonl", &GROUPS[..GROUPS.find("{\"query_id\":\"a\",\"query\":\"comes").unwrap()], "title=headline", 6);
    }
}
