//! Messages on the rows of runs and qrels in columns have the number of the row, however many lines a row makes.

use std::fs::File;
use std::sync::Arc;

use arrow_array::builder::{ListBuilder, StringBuilder};
use arrow_array::{ArrayRef, Int32Array, RecordBatch};
use arrow_ipc::writer::StreamWriter;

use crate::fixture::{Files, rerank};
use crate::parquet_reported::{texts, written};

/// A column of lists of texts.
pub(crate) fn lists(rows: &[&[&str]]) -> ArrayRef {
    let mut builder = ListBuilder::new(StringBuilder::new());
    for row in rows {
        builder.append_value(row.iter().map(|text| Some(*text)));
    }
    Arc::new(builder.finish())
}

#[test]
fn a_run_of_lists_is_reported_by_its_rows() {
    let files = Files::in_memory();
    let queries = files.write("queries.tsv", "q1\tred\nq2\tblue\n");
    let collection = files.write("collection.tsv", "d1\tred\nd2\tblue\n");
    let ids = lists(&[&["d1", "d2"], &["d2", "none"]]);
    let run = written(&files, "run.parquet", [("query-id", texts(["q1", "q2"])), ("corpus-ids", ids)]);
    let arguments = ["--model", "fake", &run, "--queries", &queries, "--collection", &collection];
    rerank(&arguments).fails(1, &["run.parquet:2: query \"q2\", candidate \"none\": the collection"]);
}

#[test]
fn rows_are_evaluated_by_their_numbers() {
    let files = Files::in_memory();
    let columns = |ids: [&str; 3], values: [&str; 3]| {
        [("query_id", texts(["q1", "q1", "q1"])), ("id", texts(ids)), ("score", texts(values))]
    };
    let good = written(&files, "good.parquet", columns(["a", "b", "c"], ["1", "0", "0"]));
    let twice = written(&files, "twice.parquet", columns(["a", "b", "a"], ["1", "0", "0"]));
    let bad = written(&files, "bad.parquet", columns(["a", "b", "c"], ["1", "x", "0"]));
    let eval = |qrels: &str, run: &str| rerank(&["eval", "--qrels", qrels, run]);
    eval(&good, &good).fails(0, &[]);
    eval(&good, &twice).fails(1, &["twice.parquet:3: ", "first on row 1"]);
    eval(&good, &bad).fails(1, &["bad.parquet:2: the score \"x\""]);
    eval(&twice, &good).fails(1, &["twice.parquet:3: ", "first on row 1"]);
    eval(&bad, &good).fails(1, &["bad.parquet:2: the grade \"x\""]);
}

#[test]
fn what_stands_twice_is_named_by_its_rows() {
    let files = Files::in_memory();
    let rows = |name: &str, [ids, queries, candidates]: [[&str; 3]; 3]| {
        let columns = [("query_id", texts(ids)), ("query", texts(queries)), ("id", texts(candidates))];
        let [ids, queries, candidates] = columns;
        written(&files, name, [ids, queries, candidates, ("text", texts(["red"; 3]))])
    };
    let same = rows("same.parquet", [["a"; 3], ["red"; 3], ["1", "2", "1"]]);
    let apart = rows("apart.parquet", [["a", "b", "a"], ["red"; 3], ["1"; 3]]);
    let other = rows("other.parquet", [["a"; 3], ["red", "red", "blue"], ["1", "2", "3"]]);
    let good = rows("good.parquet", [["a"; 3], ["red"; 3], ["1", "2", "3"]]);
    for (inputs, problem) in [
        (&[&same][..], "same.parquet:3: query \"a\", candidate \"1\": this candidate id stands on row 1 already"),
        (&[&apart], "this query id comes back on row 3 after row 1;"),
        (&[&other], "the query's text on row 3 differs from that on row 1:"),
        (&[&good, &apart], "this query id comes back on row 1 after row 1 of "),
    ] {
        let inputs = inputs.iter().map(|input| input.as_str());
        let run = rerank(&["--model", "fake"].into_iter().chain(inputs).collect::<Vec<_>>());
        run.fails(1, &[problem]);
        assert!(!run.stderr.contains("on line") && !run.stderr.contains("here: line"), "{}", run.stderr);
    }
    let queries = written(&files, "queries.parquet", [("id", texts(["a", "a"])), ("text", texts(["red", "blue"]))]);
    let (run, collection) = (files.write("run.trec", "a Q0 1 1 1 x\n"), files.write("collection.tsv", "1\tred\n"));
    let arguments = ["--model", "fake", &run, "--queries", &queries, "--collection", &collection];
    rerank(&arguments).fails(1, &["queries.parquet:2: ", "has another text than on row 1"]);
}

#[test]
fn a_stream_without_the_mark_of_its_end_is_evaluated_with_a_warning() {
    let files = Files::in_memory();
    let (name, grades) = (files.name("unmarked.arrows"), Arc::new(Int32Array::from(vec![1, 0])));
    let columns = [("query_id", texts(["q1"; 2])), ("id", texts(["a", "b"])), ("score", grades as ArrayRef)];
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let mut writer = StreamWriter::try_new(File::create(&name).unwrap(), &batch.schema()).unwrap();
    writer.write(&batch).unwrap();
    writer.flush().unwrap();
    drop(writer);
    let run = rerank(&["eval", "--qrels", &name, &name]);
    run.fails(0, &[]);
    // One warning is on the qrels, and one on the run.
    assert_eq!(run.stderr.matches("unmarked.arrows: the stream ends behind 1 batch with 2 rows").count(), 2);
}
