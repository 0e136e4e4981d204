//! Truncated files are errors, wherever they end.

use std::io::Cursor;

use crate::input::{InputOptions, open_stream};

/// Reads a file to its end; returns the number of events, or the error.
fn read(bytes: Vec<u8>) -> Result<usize, String> {
    let options = InputOptions::default();
    let events = open_stream("x", Box::new(Cursor::new(bytes)), &options).map_err(|error| format!("{error:#}"))?;
    events.map(|event| event.map_err(|error| format!("{error:#}"))).try_fold(0, |count, event| event.map(|_| count + 1))
}

#[test]
fn every_beginning_of_a_file_is_an_error() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/parquet/");
    for name in ["pairs.snappy.parquet", "pairs.dictionary.parquet", "groups.parquet"] {
        let bytes = std::fs::read(format!("{folder}{name}")).unwrap();
        for length in (8..bytes.len() - 8).step_by(29) {
            let read = read(bytes[..length].to_vec());
            assert!(read.is_err(), "{name} {length}: {read:?}");
        }
    }
}
