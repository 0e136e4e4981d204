//! Damaged files are errors, whatever stands in them.

use std::io::Cursor;

use crate::input::{InputOptions, open_stream};

/// Reads a file to its end; returns the number of events, or the error.
fn read(bytes: Vec<u8>) -> Result<usize, String> {
    let options = InputOptions::default();
    let events = open_stream("x", Box::new(Cursor::new(bytes)), &options).map_err(|error| format!("{error:#}"))?;
    events.map(|event| event.map_err(|error| format!("{error:#}"))).try_fold(0, |count, event| event.map(|_| count + 1))
}

#[test]
fn changed_bytes_are_errors_or_other_values_and_never_panics() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/parquet/");
    for name in
        ["pairs.snappy.parquet", "pairs.dictionary.parquet", "groups.parquet", "pairs.feather", "pairs.stream.arrow"]
    {
        let bytes = std::fs::read(format!("{folder}{name}")).unwrap();
        assert_eq!(read(bytes.clone()), Ok(3), "{name}");
        let mut refused = 0;
        // What follows the signature is changed at places that have no relation to the structure of the files.
        for place in (8..bytes.len()).step_by(23) {
            for change in [0x01, 0x80, 0xff] {
                let mut changed = bytes.clone();
                changed[place] ^= change;
                refused += usize::from(read(changed).is_err());
            }
        }
        assert!(refused > 20, "{name}: {refused}");
    }
}

#[test]
fn every_beginning_of_a_file_is_an_error_or_whole_rows() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/parquet/");
    // In Arrow files, a changed length makes the library ask for any amount of memory, at which the program ends with a message.
    for name in ["pairs.snappy.parquet", "pairs.dictionary.parquet", "groups.parquet"] {
        let bytes = std::fs::read(format!("{folder}{name}")).unwrap();
        for length in (8..bytes.len() - 8).step_by(29) {
            let read = read(bytes[..length].to_vec());
            // A stream is allowed to end without its mark, behind whole rows.
            assert!(read.is_err() || name.ends_with(".arrow"), "{name} {length}: {read:?}");
        }
    }
}
