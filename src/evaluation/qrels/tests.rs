use std::io::Cursor;

use super::*;

fn read(text: &str) -> Result<Qrels> {
    let mut source = Source::from_reader("qrels".into(), Box::new(Cursor::new(text.to_owned()))).unwrap();
    let line = source.peek_line(100).unwrap();
    match QrelsFormat::of_content(&line, "qrels")? {
        QrelsFormat::Json => nested::read(source),
        format => super::read::read(source, format),
    }
}

#[test]
fn all_formats_hold_the_same_judgements() {
    for text in [
        "q1 0 a 2\nq2\t0\tb\t0\nq1 Q0 b -1\n",
        "query-id\tcorpus-id\tscore\nq1\ta\t2\nq2\tb\t0\nq1\tb\t-1\n",
        "q1\ta\t2.0\nq2\tb\t0\nq1\tb\t-1",
        r#"{"q1": {"a": 2, "b": -1}, "q2": {"b": 0.0}}"#,
    ] {
        let qrels = read(text).unwrap();
        let ids: Vec<&str> = qrels.queries().iter().map(|query| &*query.id).collect();
        assert_eq!(ids, ["q1", "q2"], "{text}");
        let first = qrels.query("q1").unwrap();
        assert_eq!((first.grade("a"), first.grade("b"), first.grade("c")), (Some(2), Some(-1), None));
        assert_eq!(first.judgements.grades(), [2, -1]);
        assert_eq!(qrels.query("q2").unwrap().grade("b"), Some(0));
    }
}

#[test]
fn bad_lines_are_named_with_the_remedy() {
    for (text, message) in [
        ("q1 0 a 1\nq1 0 b\n", "qrels:2: the line has 3 columns, qrels have four"),
        ("q1 0 a 1\n\nq1 0 b 1 x\n", "qrels:3: the line has 5 columns"),
        ("q1 0 a high\n", "qrels:1: the grade \"high\" is not an integer"),
        ("q1 0 a 0.5\n", "qrels:1: the grade \"0.5\""),
        ("q1 0 a 3000000000\n", "out of range"),
        (
            "q1 0 a 1\nq2 0 a 1\nq1 0 a 2\n",
            "qrels:3: query \"q1\" has a judgement of the document \"a\" twice, first on line 1 as 1",
        ),
        ("query-id\tcorpus-id\tscore\nq1\ta\n", "qrels:2: the line has 2 columns, BEIR's"),
        ("query-id\tcorpus-id\tscore\n", "qrels is empty"),
        ("q1 Q0 d 1 2.5 tag\n", "a run is named without --qrels"),
        ("q1\n", "--qrels-format"),
        (r#"{"q1": {"a": "b"}}"#, "not a JSON object of grades"),
        (r#"{"q1": {"a": 1, "a": 1}}"#, "twice"),
    ] {
        let error = read(text).unwrap_err().to_string();
        assert!(error.contains(message), "{text:?}: {error}");
    }
}
