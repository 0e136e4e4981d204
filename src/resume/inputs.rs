//! The identity of a file that a run reads: its size, and what stands at its beginning and at its end.

use std::fs::File;
use std::io::{self, ErrorKind, Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::progress::HumanCount;
use crate::store::{self, Object};

/// The bytes at either end that are compared.
const COMPARED: u64 = 1 << 20;

/// The bytes at either end that are compared of each of many files, at least.
const LEAST_COMPARED: u64 = 4 << 10;

/// The digits of a hash: 128 bits.
const HEX_DIGITS: usize = 32;

/// What tells a file from another one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Identity {
    /// A file.
    File {
        /// Its size.
        bytes: u64,
        /// The hash of its beginning.
        first: String,
        /// The hash of its end.
        last: String,
        /// The size from which it has grown, if it has; a run with such an input is refused, so this is never stored.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        grown_from: Option<u64>,
    },
    /// A pipe, which can't be compared without taking its content away.
    Pipe,
}

impl Identity {
    /// The identity of a file; `None` is standard input.
    ///
    /// # Errors
    /// If it can't be read.
    pub(super) fn of(path: Option<&Path>, old: Option<&Self>) -> io::Result<Self> {
        Self::compared(path, old, COMPARED)
    }

    /// The identity of one of so many files. Of many, less is compared of each, so that a run does not begin by reading for long.
    ///
    /// # Errors
    /// If it can't be read.
    pub(super) fn of_one_of(files: usize, path: &Path, old: Option<&Self>) -> io::Result<Self> {
        Self::compared(Some(path), old, (COMPARED / files.max(1) as u64).max(LEAST_COMPARED))
    }

    fn compared(path: Option<&Path>, old: Option<&Self>, compared: u64) -> io::Result<Self> {
        if let Some(path) = path.filter(|path| store::is_address(path)) {
            let object = Object::open(path).map_err(|error| io::Error::other(format!("{error:#}")))?;
            return Self::of_content(object.size(), old, compared, |range| object.read(range));
        }
        let is_stdin = path.is_none();
        let path = path.unwrap_or(Path::new("/dev/stdin"));
        // Other systems than Linux do not open a file once more there, and what is read from it is taken away.
        let is_taken = !cfg!(target_os = "linux") && path.starts_with("/dev");
        if is_taken || !path.is_file() {
            return Ok(Self::Pipe);
        }
        let mut file = match File::open(path) {
            // It belongs to another user, who opened it.
            Err(error) if is_stdin && error.kind() == ErrorKind::PermissionDenied => return Ok(Self::Pipe),
            file => file?,
        };
        let bytes = file.metadata()?.len();
        Self::of_content(bytes, old, compared, |range| {
            file.seek(SeekFrom::Start(range.start))?;
            let mut content = Vec::new();
            Read::by_ref(&mut file).take(range.end - range.start).read_to_end(&mut content)?;
            Ok(content)
        })
    }

    /// The identity of so many bytes, of which ranges can be read.
    fn of_content(
        bytes: u64,
        old: Option<&Self>,
        compared: u64,
        mut read: impl FnMut(Range<u64>) -> io::Result<Vec<u8>>,
    ) -> io::Result<Self> {
        let (first, last) = hashes(&mut read, bytes, compared)?;
        let grown_from = match old {
            Some(Self::File { bytes: old_bytes, first, last, .. }) if *old_bytes < bytes => {
                let before = hashes(&mut read, *old_bytes, compared)?;
                (before == (first.clone(), last.clone())).then_some(*old_bytes)
            }
            _ => None,
        };
        Ok(Self::File { bytes, first, last, grown_from })
    }

    /// Reads what a record has.
    pub(super) fn of_value(value: Option<&Value>) -> Option<Self> {
        serde_json::from_value(value?.clone()).ok()
    }

    /// How another file differs from this one, as the end of a sentence that begins with the file's name.
    pub(super) fn difference(&self, new: &Self) -> Option<String> {
        let (Self::File { bytes: old, .. }, Self::File { bytes, grown_from, .. }) = (self, new) else {
            let what = |identity: &Self| match identity {
                Self::File { bytes, .. } => format!("a file of {} bytes", HumanCount(*bytes)),
                Self::Pipe => "a pipe, whose content can't be compared".to_owned(),
            };
            return (self != new).then(|| format!("was {}, and is {}", what(self), what(new)));
        };
        Some(match grown_from {
            Some(_) => format!(
                "has grown from {} bytes to {}: rank what was added in a run of its own, with another output",
                HumanCount(*old),
                HumanCount(*bytes)
            ),
            None if old == bytes => format!("has other content, in as many bytes ({})", HumanCount(*bytes)),
            None => format!("had {} bytes, and has {}", HumanCount(*old), HumanCount(*bytes)),
        })
    }
}

/// The hashes of both ends, of so many bytes each, of the first `bytes` bytes of a content.
fn hashes(
    read: &mut impl FnMut(Range<u64>) -> io::Result<Vec<u8>>,
    bytes: u64,
    compared: u64,
) -> io::Result<(String, String)> {
    let mut hash = |range: Range<u64>| -> io::Result<String> {
        Ok(blake3::hash(&read(range)?).to_hex().chars().take(HEX_DIGITS).collect())
    };
    let first = hash(0..bytes.min(compared))?;
    let last = if bytes <= compared { first.clone() } else { hash(bytes - compared..bytes)? };
    Ok((first, last))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_has_grown_is_told_from_another_one() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("in");
        let of = |old: Option<&Identity>| Identity::of(Some(&path), old).unwrap();
        for size in [0, 5, COMPARED as usize * 3] {
            std::fs::write(&path, vec![b'a'; size]).unwrap();
            let old = of(None);
            assert_eq!(of(Some(&old)), old);
            std::fs::write(&path, [vec![b'a'; size], b"more".to_vec()].concat()).unwrap();
            assert!(old.difference(&of(Some(&old))).unwrap().contains("has grown"));
            std::fs::write(&path, vec![b'b'; size + 1]).unwrap();
            assert_eq!(old.difference(&of(Some(&old))).unwrap().contains("grown"), size == 0);
        }
        assert_eq!(Identity::of(Some(Path::new("/dev/null")), None).unwrap(), Identity::Pipe);
    }
}
