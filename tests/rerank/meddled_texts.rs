//! Files of shards and of evaluation that were changed anywhere: a merge has the bytes of a single run or refuses them, and an
//! evaluation never ends in a panic.

use proptest::prelude::*;

use crate::fixture::{Files, rerank};
use crate::resume::queries;
use crate::shards::{merged, rank};

/// One change of a text.
#[derive(Clone, Debug)]
enum Change {
    /// So many bytes from here on are lost.
    Lose(usize, usize),
    /// A byte is another one.
    Replace(usize, u8),
    /// These bytes are added.
    Add(usize, &'static str),
    /// A line stands twice.
    Repeat(usize),
    /// A line is lost.
    Skip(usize),
    /// Nothing follows.
    Cut(usize),
}

const ADDED: [&str; 12] = ["0", "9", "-", ".", "e", "\"", "{", " ", "\t", "\n", "null", "\u{ff0c}"];

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        (any::<usize>(), 1usize..9).prop_map(|(at, count)| Change::Lose(at, count)),
        (any::<usize>(), any::<u8>()).prop_map(|(at, byte)| Change::Replace(at, byte)),
        (any::<usize>(), proptest::sample::select(&ADDED[..])).prop_map(|(at, added)| Change::Add(at, added)),
        any::<usize>().prop_map(Change::Repeat),
        any::<usize>().prop_map(Change::Skip),
        any::<usize>().prop_map(Change::Cut),
    ]
}

impl Change {
    fn apply(&self, text: &[u8]) -> Vec<u8> {
        let place = |at: usize| at % (text.len() + 1);
        let lines: Vec<&[u8]> = text.split_inclusive(|byte| *byte == b'\n').collect();
        let without = |from: usize, to: usize| [&text[..from], &text[to.min(text.len())..]].concat();
        match *self {
            Self::Lose(at, count) => without(place(at), place(at) + count),
            Self::Replace(at, byte) => {
                let mut changed = text.to_vec();
                changed[at % text.len()] = byte;
                changed
            }
            Self::Add(at, added) => [&text[..place(at)], added.as_bytes(), &text[place(at)..]].concat(),
            Self::Repeat(line) => {
                let line = line % lines.len();
                [&lines[..=line], &lines[line..]].concat().concat()
            }
            Self::Skip(line) => {
                let line = line % lines.len();
                [&lines[..line], &lines[line + 1..]].concat().concat()
            }
            Self::Cut(at) => text[..place(at)].to_vec(),
        }
    }
}

#[test]
fn a_merge_of_files_that_were_changed_is_the_single_run_or_is_refused() {
    let files = Files::in_memory();
    let input = files.write("in.jsonl", queries(12));
    let directory = files.name("parts");
    ["0/2", "1/2"].iter().for_each(|shard| drop(rank(&input, &directory, shard)));
    let expected = merged(&files, &directory, &[], "expected.jsonl");
    let output = files.name("merged.jsonl");
    let names = ["part-00000-of-00002.jsonl.zst", "part-00000-of-00002.done.json"];
    let texts = names.map(|name| std::fs::read(files.path(&format!("parts/{name}"))).unwrap());
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig {
        cases: 60,
        failure_persistence: None,
        ..ProptestConfig::default()
    });
    let result = runner.run(&(0usize..2, change()), |(which, change)| {
        let path = files.path(&format!("parts/{}", names[which]));
        std::fs::write(&path, change.apply(&texts[which])).unwrap();
        let merge = rerank(&["merge", &directory, "--output", &output, "--overwrite"]);
        let status = rerank(&["status", &directory]);
        std::fs::write(&path, &texts[which]).unwrap();
        prop_assert!(!status.stderr.contains("panicked") && (0..=2).contains(&status.status), "{}", status.stderr);
        if merge.status == 0 {
            prop_assert!(std::fs::read(&output).unwrap() == expected, "{change:?} of {} went through", names[which]);
        } else {
            let is_named = ["part-00000", "shards 0", "--shard 0/2"].iter().any(|name| merge.stderr.contains(name));
            prop_assert!((1..=2).contains(&merge.status) && is_named, "{change:?}: {}", merge.stderr);
        }
        Ok(())
    });
    result.unwrap();
}

/// What `rerank eval` is given: judgments, and a run in one of its formats.
fn evaluated() -> impl Strategy<Value = (&'static str, &'static str)> {
    let documents = ["red", "blue", "green", "white", "black"];
    let text = |line: &dyn Fn(usize, &str) -> String| -> &'static str {
        let lines = (0..4).flat_map(|query| documents.iter().map(move |document| (query, *document)));
        lines.map(|(query, document)| line(query, document)).collect::<String>().leak()
    };
    let ranked = (0..4).map(|query| {
        format!("{{\"query_id\":\"q{query}\",\"results\":[{{\"id\":\"red\",\"score\":0.5,\"rank\":1}},{{\"id\":\"blue\",\"score\":0.25}}]}}\n")
    });
    let header = "query-id\tcorpus-id\tscore\n";
    let beir = header.to_owned() + text(&|query, document| format!("q{query}\t{document}\t{}\n", document.len() % 3));
    proptest::sample::select(vec![
        ("qrels.txt", text(&|query, document| format!("q{query} 0 {document} {}\n", document.len() % 3))),
        ("qrels.tsv", beir.leak()),
        ("run.trec", text(&|query, document| format!("q{query} Q0 {document} {} 1.25e1 tag\n", document.len()))),
        ("run.tsv", text(&|query, document| format!("q{query}\t{document}\t{}\n", document.len()))),
        ("run.jsonl", ranked.collect::<String>().leak()),
    ])
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn an_evaluation_of_files_that_were_changed_ends_with_figures_or_a_sentence(
        (name, text) in evaluated(),
        changes in proptest::collection::vec(change(), 1..4),
    ) {
        let files = Files::in_memory();
        let qrels = files.write("good.txt", "q0 0 red 1\nq1 0 blue 2\nq2 0 green 0\n");
        let run = files.write("good.trec", "q0 Q0 red 1 2.5 tag\nq1 Q0 red 1 2.5 tag\nq1 Q0 blue 2 1.5 tag\n");
        let changed = changes.iter().fold(text.as_bytes().to_vec(), |text, change| match text.is_empty() {
            true => text,
            false => change.apply(&text),
        });
        let changed = files.write(name, changed);
        let [run, qrels] = if name.starts_with("run") { [&changed, &qrels] } else { [&run, &changed] };
        let evaluated = rerank(&["eval", run, "--qrels", qrels, "--format", "jsonl"]);
        prop_assert!(!evaluated.stderr.contains("panicked"), "{changes:?} of {name}: {}", evaluated.stderr);
        match evaluated.status {
            0 => prop_assert!(!crate::fixture::rankings(&evaluated.stdout).is_empty()),
            status => {
                prop_assert!((1..=2).contains(&status), "{changes:?} of {name}: {status}");
                prop_assert!(evaluated.stderr.contains(name) || evaluated.stderr.contains("good."), "{}", evaluated.stderr);
            }
        }
    }
}
