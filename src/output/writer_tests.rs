//! Outputs that are written from the beginning.

use super::super::examples::ranking;
use super::super::{Compression, OutputFormat};
use super::*;
use crate::column_types::ColumnTypes;

fn open(path: &Path) -> Writer {
    let tag = "rerank".to_owned();
    let (format, compression, types) = (OutputFormat::Trec, Compression::None, ColumnTypes::default());
    let layout = Layout { format, compression, text: true, tag, types };
    Writer::open(Some(path), &layout, Existing::Overwrite).unwrap()
}

#[test]
fn a_run_that_never_began_changes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let (old, new) = (directory.path().join("old"), directory.path().join("new"));
    std::fs::write(&old, "yesterday's rankings, longer than today's first\n").unwrap();
    drop(open(&old));
    drop(open(&new));
    assert!(std::fs::read_to_string(&old).unwrap().starts_with("yesterday"));
    assert!(!new.exists());

    let mut writer = open(&old);
    writer.write(&ranking(&[1.])).unwrap();
    drop(writer);
    assert_eq!(std::fs::read_to_string(&old).unwrap(), "q1 Q0 d0 1 1 rerank\n");
}

#[test]
fn an_empty_result_empties_the_file() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("old");
    std::fs::write(&path, "old").unwrap();
    open(&path).finish(0).unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), b"");
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_reported() {
    let mut writer = open(Path::new("/dev/full"));
    let message = format!("{:#}", writer.write(&ranking(&[1.])).unwrap_err());
    assert!(message.contains("/dev/full") && message.contains("No space left"), "{message}");
}
