//! Outputs that are cut at any byte are continued to the bytes of an unbroken run.

use std::path::{Path, PathBuf};

use proptest::prelude::*;
use serde_json::Map;
use serde_json::value::RawValue;

use super::read_back::Output;
use super::settings::Settings;
use super::*;
use crate::column_types::ColumnTypes;
use crate::input::hash;
use crate::output::{BrokenOff, Compression, Layout, MEMBER_BYTES, OutputFormat};
use crate::record::{Candidate, Query, Ranked, Ranking};

const FORMATS: [OutputFormat; 5] =
    [OutputFormat::Jsonl, OutputFormat::Trec, OutputFormat::Msmarco, OutputFormat::Csv, OutputFormat::Tsv];
const COMPRESSIONS: [Compression; 3] = [Compression::None, Compression::Gzip, Compression::Zstandard];

/// A ranking of so many candidates, each with a text of so many bytes.
fn ranking(number: usize, candidates: usize, bytes: usize) -> Ranking {
    let id = |text: &str| format!("{text}{number}");
    // A text that is hard to compress, and has what is quoted in tables.
    let text = |index: usize| -> String {
        let byte = |at: usize| char::from(b' ' + (hash(&format!("{number} {index} {at}")) % 95) as u8);
        format!("\"{index}\",\n{}", (0..bytes).map(byte).collect::<String>())
    };
    let result = |index: usize| Ranked {
        candidate: Candidate {
            id: format!("d{index}"),
            text: text(index),
            original_rank: index as i64 + 1,
            fields: vec![(id("field")[..5 + number % 2].to_owned(), RawValue::from_string("1".into()).unwrap())],
            ..Candidate::default()
        },
        logit: -(index as f32),
        score: 0.5,
        truncated: false,
        fused: None,
    };
    let query = Query { id: id("q"), text: "a\tb \"c\"".into(), ..Query::default() };
    Ranking { query, results: (0..candidates).map(result).collect() }
}

fn layout(format: OutputFormat, compression: Compression) -> Layout {
    Layout { format, compression, text: true, tag: "tag".to_owned(), types: ColumnTypes::default() }
}

/// Writes the rankings that the output does not have, as a run that is resumed does. Returns whether there were any.
fn resume(path: &Path, layout: &Layout, rankings: &[Ranking]) -> bool {
    let mut writer = Writer::open(Some(path), layout, Existing::Resume).unwrap();
    let mut from = 0;
    let complete = Sidecar::read(path).unwrap().and_then(|sidecar| sidecar.complete);
    writer.record(Sidecar::new(Settings::default(), Map::new(), None));
    let size = writer.file().unwrap().size().unwrap();
    if size > 0 {
        let file = writer.file().unwrap().reader().unwrap();
        let recorded = complete.map(|complete| complete.bytes);
        let written = Output { file: &file, name: "output", layout, recorded, beginning: None }.read().unwrap();
        for query in &written.queries {
            let is_next = |ranking: &Ranking| hash(&ranking.query.id) == *query;
            from += rankings[from..].iter().position(is_next).unwrap() + 1;
        }
        writer.resume(written.continuation, written.queries.len() as u64, written.is_as_recorded);
    }
    let left = &rankings[from..];
    left.iter().for_each(|ranking| writer.write(ranking).unwrap());
    writer.finish(0).unwrap();
    left.iter().any(|ranking| !ranking.results.is_empty())
}

/// A directory in memory, where the system has one: waiting for a disk takes most of the time otherwise.
fn directory() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { tempfile::tempdir_in(memory).unwrap() } else { tempfile::tempdir().unwrap() }
}

/// A directory with the output of an unbroken run.
struct Unbroken {
    directory: tempfile::TempDir,
    layout: Layout,
    rankings: Vec<Ranking>,
    bytes: Vec<u8>,
}

impl Unbroken {
    fn new(format: OutputFormat, compression: Compression, rankings: Vec<Ranking>) -> Self {
        let mut unbroken =
            Self { directory: directory(), layout: layout(format, compression), rankings, bytes: Vec::new() };
        resume(&unbroken.path(), &unbroken.layout, &unbroken.rankings);
        unbroken.bytes = std::fs::read(unbroken.path()).unwrap();
        unbroken
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("output")
    }

    /// Cuts the output off, and lets zeros follow.
    fn cut(&self, bytes: usize, zeros: usize) {
        let mut content = std::fs::read(self.path()).unwrap();
        content.truncate(bytes);
        content.resize(content.len() + zeros, 0);
        std::fs::write(self.path(), content).unwrap();
    }

    #[track_caller]
    fn assert_resumed(&self, case: &str) {
        resume(&self.path(), &self.layout, &self.rankings);
        let now = std::fs::read(self.path()).unwrap();
        assert!(now == self.bytes, "{:?} {case}: {} of {} bytes", self.layout, now.len(), self.bytes.len());
    }
}

#[test]
fn a_small_output_is_continued_from_every_byte() {
    for (format, compression) in
        FORMATS.iter().flat_map(|format| COMPRESSIONS.map(|compression| (*format, compression)))
    {
        let sizes = [0, 2, 1, 0, 3, 1, 0];
        let rankings = sizes.iter().enumerate().map(|(number, &size)| ranking(number, size, 3)).collect();
        let unbroken = Unbroken::new(format, compression, rankings);
        for bytes in 0..=unbroken.bytes.len() {
            for zeros in [0, 100] {
                unbroken.cut(bytes, zeros);
                unbroken.assert_resumed(&format!("at {bytes} with {zeros} zeros"));
            }
        }
        assert!(!resume(&unbroken.path(), &unbroken.layout, &unbroken.rankings), "{format:?}: nothing was left");
    }
}

#[test]
fn a_complete_output_is_not_touched_until_more_comes() {
    for (format, compression) in
        FORMATS.iter().flat_map(|format| COMPRESSIONS.map(|compression| (*format, compression)))
    {
        for first in [vec![], vec![ranking(0, 0, 3)], vec![ranking(0, 2, 3), ranking(1, 1, 20)]] {
            let mut unbroken = Unbroken::new(format, compression, first);
            let before = unbroken.path().metadata().unwrap().modified().unwrap();
            assert!(!resume(&unbroken.path(), &unbroken.layout, &unbroken.rankings));
            // An empty file is written once more.
            let after = unbroken.path().metadata().unwrap().modified().unwrap();
            assert!(after == before || unbroken.bytes.is_empty());
            unbroken.rankings.push(ranking(5, 1, 3));
            unbroken.bytes = Unbroken::new(format, compression, unbroken.rankings.clone()).bytes;
            unbroken.assert_resumed("with a query more");
        }
    }
}

#[test]
fn what_is_no_output_of_the_run_is_not_overwritten() {
    let rankings: Vec<Ranking> = (0..4).map(|number| ranking(number, 2, 9)).collect();
    let big: Vec<Ranking> = (0..2).map(|number| ranking(number, 1, MEMBER_BYTES)).collect();
    for (format, compression, rankings, from) in [
        (OutputFormat::Jsonl, Compression::None, &rankings, "{\"query_id\""),
        (OutputFormat::Trec, Compression::None, &rankings, "q1 Q0"),
        (OutputFormat::Csv, Compression::None, &rankings, "original_rank"),
        (OutputFormat::Jsonl, Compression::Gzip, &big, "\u{1f}"),
    ] {
        let unbroken = Unbroken::new(format, compression, rankings.clone());
        let mut bytes = unbroken.bytes.clone();
        let at = bytes.windows(from.len()).position(|part| part == from.as_bytes()).unwrap();
        let at = if compression == Compression::Gzip { at + 2000 } else { at };
        bytes[at + 1] ^= 0x55;
        bytes[at + 2] = b'\n';
        std::fs::write(unbroken.path(), &bytes).unwrap();
        let writer = Writer::open(Some(&unbroken.path()), &unbroken.layout, Existing::Resume).unwrap();
        let file = writer.file().unwrap().reader().unwrap();
        let read =
            Output { file: &file, name: "output", layout: &unbroken.layout, recorded: None, beginning: None }.read();
        let message = format!("{:#}", read.err().unwrap());
        assert!(message.starts_with("cannot resume output: ") && message.contains("--overwrite"), "{message}");
        assert_eq!(std::fs::read(unbroken.path()).unwrap(), bytes);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn an_output_is_continued_after_any_number_of_cuts(
        format in proptest::sample::select(&FORMATS[..]),
        compression in proptest::sample::select(&COMPRESSIONS[..]),
        sizes in proptest::collection::vec((0usize..4, prop_oneof![8 => 0usize..3000, 1 => 30_000usize..40_000]), 1..40),
        cuts in proptest::collection::vec(0f64..1., 1..4),
    ) {
        let rankings = sizes.iter().enumerate().map(|(number, &(count, bytes))| ranking(number, count, bytes)).collect();
        let unbroken = Unbroken::new(format, compression, rankings);
        for cut in &cuts {
            // A run that was broken off had written the bytes of the unbroken one.
            std::fs::write(unbroken.path(), &unbroken.bytes).unwrap();
            unbroken.cut((unbroken.bytes.len() as f64 * cut) as usize, 0);
            // It was resumed, and broken off once more, in the same place or later.
            let kept = unbroken.rankings.len() * 2 / 3;
            let before = std::fs::metadata(unbroken.path()).unwrap().len();
            let mut writer = Writer::open(Some(&unbroken.path()), &unbroken.layout, Existing::Resume).unwrap();
            writer.record(Sidecar::new(Settings::default(), Map::new(), None));
            if before > 0 {
                let file = writer.file().unwrap().reader().unwrap();
                let written = Output { file: &file, name: "output", layout: &unbroken.layout, recorded: None, beginning: None }.read().unwrap();
                let done = written.queries.len() as u64;
                let last = written.queries.last().copied();
                writer.resume(written.continuation, done, false);
                let at = unbroken.rankings.iter().position(|ranking| Some(hash(&ranking.query.id)) == last);
                let from = at.map_or(0, |at| at + 1);
                for ranking in unbroken.rankings.iter().take(kept).skip(from) {
                    writer.write(ranking).unwrap();
                }
                writer.close(BrokenOff::default()).unwrap();
            } else {
                drop(writer);
            }
            unbroken.assert_resumed(&format!("after {cuts:?}"));
        }
    }
}
