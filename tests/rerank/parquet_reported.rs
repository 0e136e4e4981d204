//! What Parquet and Arrow files have that can't be read or kept is reported with the file, the row or the column, and a remedy.

use crate::fixture::{Run, rerank};

fn testdata(name: &str) -> String {
    format!("testdata/parquet/{name}")
}

fn ranked(input: &str, arguments: &[&str]) -> Run {
    rerank(&[&["--model", "fake", "--input", input], arguments].concat())
}

#[test]
fn an_encrypted_column_is_named_if_it_is_read() {
    let input = testdata("encrypted.parquet");
    ranked(&input, &[]).fails(1, &["encrypted.parquet: its column `author` is encrypted", "without encryption"]);
    let run = ranked(&input, &["--output-format", "trec"]);
    assert_eq!(run.status, 0, "{}", run.stderr);
}
