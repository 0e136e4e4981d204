//! Tests that write one set of groups in every format and read it back.

use std::fmt::Write as _;

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::testing::{events, groups};
use super::*;

/// Chooses one of a field's names.
type Choice = prop::sample::Index;

/// A query's text with the texts and scores of its candidates.
type QueryTexts = (String, Vec<(String, f64)>);

#[derive(Clone, Debug)]
struct Sample {
    queries: Vec<QueryTexts>,
    names: [Choice; 6],
    /// Whether the fields of an object are written in reverse.
    reversed: bool,
}

impl Sample {
    fn name(&self, index: usize, field: Field) -> &'static str {
        let aliases = field.aliases();
        aliases[self.names[index].index(aliases.len())]
    }

    fn object(&self, mut members: Vec<(&str, Value)>) -> Value {
        if self.reversed {
            members.reverse();
        }
        Value::Object(members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect::<Map<_, _>>())
    }

    fn candidate(&self, index: usize, text: &str, score: f64) -> Vec<(&'static str, Value)> {
        vec![
            (self.name(2, Field::Id), json!(format!("d{index}"))),
            (self.name(3, Field::Text), json!(text)),
            (self.name(4, Field::Score), json!(score)),
        ]
    }

    fn groups(&self) -> Vec<Value> {
        let group = |(id, (query, candidates)): (usize, &QueryTexts)| {
            let list = candidates.iter().enumerate();
            let list = list.map(|(index, (text, score))| self.object(self.candidate(index, text, *score)));
            self.object(vec![
                (self.name(0, Field::QueryId), json!(id)),
                (self.name(1, Field::Query), json!(query)),
                (self.name(5, Field::Candidates), list.collect()),
            ])
        };
        self.queries.iter().enumerate().map(group).collect()
    }

    fn pairs(&self) -> String {
        let mut lines = String::new();
        for (id, (query, candidates)) in self.queries.iter().enumerate() {
            for (index, (text, score)) in candidates.iter().enumerate() {
                let mut members = self.candidate(index, text, *score);
                members.push((self.name(0, Field::QueryId), json!(id.to_string())));
                members.push((self.name(1, Field::Query), json!(query)));
                writeln!(lines, "{}", self.object(members)).unwrap();
            }
        }
        lines
    }

    fn table(&self, delimiter: u8) -> Vec<u8> {
        let mut writer = csv::WriterBuilder::new();
        // A header in quotes shows that quotes count in TSV too.
        let style = if delimiter == b'\t' { csv::QuoteStyle::Always } else { csv::QuoteStyle::Necessary };
        let mut writer = writer.delimiter(delimiter).quote_style(style).from_writer(Vec::new());
        let header = [(0, Field::QueryId), (1, Field::Query), (2, Field::Id), (3, Field::Text), (4, Field::Score)];
        writer.write_record(header.map(|(index, field)| self.name(index, field).to_uppercase())).unwrap();
        for (id, (query, candidates)) in self.queries.iter().enumerate() {
            for (index, (text, score)) in candidates.iter().enumerate() {
                let row = [&id.to_string(), query, &format!("d{index}"), text, &score.to_string()];
                writer.write_record(row).unwrap();
            }
        }
        writer.into_inner().unwrap()
    }
}

fn sample() -> impl Strategy<Value = Sample> {
    let candidate = ("[a-z\",\t\r\n\u{e9}\u{4e2d}]{0,12}", -1e9..1e9);
    let query = ("[a-z\",\n\u{e9}]{0,6}[a-z]", prop::collection::vec(candidate, 1..4));
    (prop::collection::vec(query, 1..4), any::<[Choice; 6]>(), any::<bool>())
        .prop_map(|(queries, names, reversed)| Sample { queries, names, reversed })
}

fn described(groups: Vec<Group>) -> Vec<String> {
    groups.into_iter().map(|group| format!("{:?} {:?}", group.query, group.candidates)).collect()
}

proptest! {
    #[test]
    fn every_format_under_every_name_gives_the_same_groups(sample in sample()) {
        let values = sample.groups();
        let lines: String = values.iter().map(|value| format!("{value}\r\n")).collect();
        let expected = described(groups("x.jsonl", lines.as_bytes()));
        prop_assert_eq!(expected.len(), sample.queries.len());
        for (group, (query, candidates)) in groups("x", lines.as_bytes()).iter().zip(&sample.queries) {
            prop_assert_eq!(&group.query.text, query);
            let texts = group.candidates.iter().map(|candidate| (&candidate.text, candidate.original_score));
            prop_assert!(texts.eq(candidates.iter().map(|(text, score)| (text, Some(*score)))));
        }
        let pretty = serde_json::to_string_pretty(&values).unwrap();
        let stream: String = values.iter().map(|value| format!("{value:#}")).collect();
        for text in [pretty, stream, sample.pairs()] {
            prop_assert_eq!(&described(groups("x", text.as_bytes())), &expected);
        }
        prop_assert_eq!(&described(groups("x.csv", &sample.table(b','))), &expected);
        prop_assert_eq!(&described(groups("x.tsv", &sample.table(b'\t'))), &expected);
    }

    #[test]
    fn no_input_makes_the_reader_panic(
        name in prop::sample::select(vec!["x", "x.jsonl", "x.json", "x.csv", "x.tsv"]),
        parts in prop::collection::vec(prop::sample::select(vec![
            "{", "}", "[", "]", "\"", ",", ":", "\n", "\r", "\t", "\\", "1e999", "NaN", "\"query\":", "\"text\":", "\"candidates\":",
            "\"id\":", "query,text\n", "q", "{\"query\":\"q\",\"text\":\"t\"}", "\u{feff}", "é", "{\"query\":\"q\",\"candidates\":[",
        ]), 0..25),
    ) {
        events(name, parts.concat().as_bytes());
    }
}

#[test]
fn a_format_that_can_not_be_recognised_is_an_error_with_a_remedy() {
    assert_eq!(
        events("x.txt", b"what is this\n"),
        [
            "fatal the format of x.txt can't be recognised: use --input-format jsonl, json, csv, tsv, trec, msmarco, tevatron or scores"
        ]
    );
}

#[test]
fn a_missing_file_is_an_error_with_its_name() {
    let options = InputOptions { path: Some("no such file.jsonl".into()), ..Default::default() };
    assert!(open(&options).err().unwrap().to_string().contains("no such file.jsonl"));
}
