//! Runs of TREC and of MS MARCO, and the files that hold their texts.

use serde_json::Value;

use crate::fixture::{Files, Run, rerank, rerank_on};

const QUERIES: &str = "7\tred planet\n8\tice\n";
const COLLECTION: &str = "D1\tsame\nD2\tsame\nD3\tsame\nD4\tred planet\n";

/// Runs a run, of this name, with these files for its texts.
fn read(run: (&str, &str), queries: (&str, &str), collection: (&str, &str), arguments: &[&str]) -> Run {
    let files = Files::new();
    let (input, queries) = (files.write(run.0, run.1), files.write(queries.0, queries.1));
    let collection = files.write(collection.0, collection.1);
    let texts = ["--model", "fake", "--input", &input, "--queries", &queries, "--collection", &collection];
    rerank(&[&texts[..], arguments].concat())
}

fn read_run(name: &str, run: &str, arguments: &[&str]) -> Run {
    read((name, run), ("queries.tsv", QUERIES), ("collection.tsv", COLLECTION), arguments)
}

/// The results as `id:original rank`.
fn ranks(ranking: &Value) -> Vec<String> {
    let results = ranking["results"].as_array().unwrap().iter();
    results.map(|result| format!("{}:{}", result["id"].as_str().unwrap(), result["original_rank"])).collect()
}

#[test]
fn ranks_that_say_nothing_come_from_the_scores() {
    let run = read_run("a.trec", "7 Q0 D1 0 7.5 x\n7 Q0 D4 0 1.5 x\n7 Q0 D3 0 9.5 x\n7 Q0 D2 0 8.5 x\n", &[]);
    assert_eq!(ranks(&run.rankings()[0]), ["D4:4", "D3:1", "D2:2", "D1:3"]);
    assert!(run.stderr.contains("the ranks of query \"7\" do not order"), "{}", run.stderr);
    let run = read_run("a.trec", "7 Q0 D1 0 1 x\n7 Q0 D3 0 1 x\n7 Q0 D2 0 1 x\n", &[]);
    assert_eq!(ranks(&run.rankings()[0]), ["D3:1", "D2:2", "D1:3"], "ties fall by id, as in trec_eval");
    let run = read_run("a.trec", "7 Q0 D1 1 1 x\n7 Q0 D2 2 2 x\n", &[]);
    assert_eq!(ranks(&run.rankings()[0]), ["D2:1", "D1:2"]);
    let run = read_run("a.trec", "7 Q0 D2 2 1 x\n7 Q0 D1 1 1 x\n", &[]);
    assert_eq!(ranks(&run.rankings()[0]), ["D1:1", "D2:2"]);
    assert!(!run.stderr.contains("do not order"), "{}", run.stderr);
}

#[test]
fn queries_of_a_run_may_be_interleaved() {
    let run = read_run("a.trec", "7 Q0 D1 1 9 x\n8 Q0 D1 1 9 x\n7 Q0 D4 2 8 x\n8 Q0 D4 2 8 x\n", &[]);
    let rankings = run.rankings();
    assert_eq!(rankings.iter().map(ranks).collect::<Vec<_>>(), [vec!["D4:2", "D1:1"], vec!["D1:1", "D4:2"]]);
    assert!(run.stderr.contains("gathered"), "{}", run.stderr);
    assert!(!read_run("a.trec", "7 Q0 D1 1 9 x\n8 Q0 D1 1 9 x\n", &[]).stderr.contains("gathered"));
}

#[test]
fn ids_that_the_input_does_not_have_are_noted_once_where_a_run_is_written() {
    let nothing = "{\"query\":\"a\",\"documents\":[\"x\",\"y\"]}\n{\"query\":\"b\",\"documents\":[\"x\"]}\n";
    let queries_only = "{\"query_id\":\"7\",\"query\":\"a\",\"documents\":[\"x\"]}\n";
    for (input, format, note) in [
        (
            nothing,
            "trec",
            Some("standard input:1: the query has no id; its number in the input, 1, is written to a TREC run"),
        ),
        (nothing, "msmarco", Some("is written to a run of MS MARCO")),
        (queries_only, "trec", Some("a candidate has no id; its position in the list, 1, is written")),
        (nothing, "jsonl", None),
        ("{\"query_id\":\"7\",\"query\":\"a\",\"id\":\"d\",\"text\":\"x\"}\n", "trec", None),
    ] {
        let run = rerank_on(input, &["--model", "fake", "--output-format", format]);
        assert_eq!(run.status, 0, "{}", run.stderr);
        assert_eq!(run.stderr.matches("has no id").count(), usize::from(note.is_some()), "{}", run.stderr);
        assert!(run.stderr.contains(note.unwrap_or_default()), "{}", run.stderr);
    }
}

#[test]
fn words_behind_the_tag_are_no_fault() {
    for (name, line) in [
        ("a.trec", "7 Q0 D1 1 2.5 my own run\n"),
        ("a", "7 Q0 D1 1 2.5 my own run\n"),
        ("a.tsv", "7\tQ0\tD1\t1\t2.5\tmy run\n"),
    ] {
        assert_eq!(ranks(&read_run(name, line, &[]).rankings()[0]), ["D1:1"], "{name}");
    }
}

#[test]
fn runs_of_ms_marco_are_read_and_written() {
    let lines = "7\tD1\t1\n7\tD4\t2\n8\tD2\t1\n";
    for (name, arguments) in [("run.tsv", vec![]), ("run", vec![]), ("run.txt", vec!["--input-format", "msmarco"])] {
        let run = read_run(name, lines, &arguments);
        assert_eq!(
            run.rankings().iter().map(ranks).collect::<Vec<_>>(),
            [vec!["D4:2", "D1:1"], vec!["D2:1"]],
            "{name}"
        );
    }
    let run = read_run("run.tsv", lines, &["--output-format", "msmarco"]);
    assert_eq!((run.status, run.stdout.as_str()), (0, "7\tD4\t1\n7\tD1\t2\n8\tD2\t1\n"));
    let files = Files::new();
    let input = files.write("run.tsv", lines);
    rerank(&["--model", "fake", "--input", &input]).fails(2, &["run of MS MARCO", "--queries and --collection"]);
    read_run("run.tsv", "7\tD1\t1\n7\tD4\tsecond\n", &[])
        .fails(1, &["run.tsv:2: ", "candidate \"D4\"", "not an integer"]);
    read_run("run.tsv", "7\tD1\t1\n7\tD4\n", &[]).fails(1, &["run.tsv:2: ", "2 fields", "three"]);
}

const RUN: &str = "7 Q0 D1 1 2 x\n7 Q0 D4 2 1 x\n";

#[track_caller]
fn texts(queries: (&str, &str), collection: (&str, &str), arguments: &[&str]) -> Vec<String> {
    let run = read(("a.trec", RUN), queries, collection, arguments);
    let text =
        |result: &Value| format!("{}|{}", result["title"].as_str().unwrap_or("-"), result["text"].as_str().unwrap());
    let ranking = run.rankings().remove(0);
    assert_eq!(ranking["query"], "red planet");
    let mut texts: Vec<String> = ranking["results"].as_array().unwrap().iter().map(text).collect();
    texts.sort();
    texts
}

#[test]
fn headers_of_collections_and_queries_are_obeyed() {
    let queries = ("q.tsv", QUERIES);
    for (name, collection, expected) in [
        ("c.tsv", "id\ttitle\ttext\nD1\tT1\tone\nD4\tT4\tfour\n", ["T1|one", "T4|four"]),
        ("c.tsv", "body\turl\tdocno\nfour\tu\tD4\none\tu\tD1\n", ["-|four", "-|one"]),
        ("c.tsv", "D1\thttp://x\tT1\tone\nD4\thttp://y\t\t\"four\" is\n", ["-|\"four\" is", "T1|one"]),
        ("c.tsv", "D1\tone\tT1\nD4\tfour\t\n", ["-|four", "T1|one"]),
        ("c.csv", "id,text,title\r\nD4,\"four,\n\"\"4\"\"\",T4\r\nD1,one,\r\n", ["-|one", "T4|four,\n\"4\""]),
        ("c", "id,text\nD4,four\nD1,one\n", ["-|four", "-|one"]),
        ("c.csv", "\u{feff}\n\nsep=;\nid;text\nD4;four\nD1;one\n", ["-|four", "-|one"]),
    ] {
        assert_eq!(texts(queries, (name, collection), &[]), expected, "{collection}");
    }
    let frame = ("c.tsv", "docid\tdocno\ttext\n1\tD1\tone\n4\tD4\tfour\n");
    assert_eq!(texts(queries, frame, &[]), ["-|four", "-|one"]);
    let notes = read(("a.trec", RUN), queries, frame, &[]).stderr;
    assert_eq!(notes.matches("c.tsv:2: `docno` (D1) is used as the id").count(), 1, "{notes}");
    let collection = ("c.tsv", "D1\tone\nD4\tfour\n");
    for (name, queries) in [
        ("q.tsv", "query\tqid\nred planet\t7\n"),
        ("q.tsv", "id\ttext\tlang\n7\tred planet\ten\n"),
        ("q.csv", "qid,query\n7,\"red planet\"\n"),
        ("q.csv", "7,red planet\n"),
    ] {
        assert_eq!(texts((name, queries), collection, &[]), ["-|four", "-|one"], "{queries}");
    }
    let quoted = ("c.tsv", "D1\t\"one \"\"1\"\"\"\nD4\tfour\n");
    assert_eq!(texts(queries, quoted, &[]), ["-|\"one \"\"1\"\"\"", "-|four"]);
    assert!(read(("a.trec", RUN), queries, quoted, &[]).stderr.contains("c.tsv:1: "));
    assert_eq!(texts(queries, quoted, &["--quotes", "csv"]), ["-|four", "-|one \"1\""]);
}

#[test]
fn columns_that_are_not_understood_are_refused() {
    let fails = |queries: &str, collection: &str, parts: &[&str]| {
        read(("a.trec", RUN), ("q.tsv", queries), ("c.tsv", collection), &[]).fails(1, parts);
    };
    fails("7\tred\tplanet\n", COLLECTION, &["q.tsv:1: ", "3 columns", "remove the tab"]);
    fails("7\tred planet\n8\tice\tcold\n", COLLECTION, &["q.tsv:2: ", "3 fields"]);
    fails(QUERIES, "D1\ta\tb\tc\n", &["c.tsv:1: ", "4 columns", "Put a header in front"]);
    fails(QUERIES, "D1\ta\nD4\ta\tb\n", &["c.tsv:2: ", "3 fields"]);
    fails(QUERIES, "key\ttitle\ttext\nD1\ta\tb\n", &["c.tsv:1: ", "looks like a header", "`key`"]);
    let jsonl = "{\"_id\":\"D1\",\"text\":\"a\"}\n{\"_id\":\"D4\",\"text\":\"a\"}";
    let queries = ("q.jsonl", "{\"_id\":\"7\",\"text\":\"red planet\"}");
    read(("a.trec", RUN), queries, ("c.jsonl", jsonl), &["--quotes", "none"])
        .fails(2, &["no file that is read here is one"]);
}
