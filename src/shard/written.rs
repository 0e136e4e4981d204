//! Reads a complete part once more, as the disk has it: its size, its hash, and the size of every ranking.

use std::cell::RefCell;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};

use anyhow::{Result, ensure};
use memchr::memchr;

use super::index::{Index, Located};
use crate::slices::first;

/// What a part has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Written {
    /// The bytes of the file.
    pub(super) bytes: u64,
    /// Their BLAKE3 hash, in hexadecimal digits.
    pub(super) blake3: String,
    /// The rankings, a line each.
    pub(super) rankings: u64,
    /// Where they stand in the input, and their sizes.
    pub(super) index: Index,
}

/// Reads a part. The queries of its rankings stand at these positions in the input.
///
/// # Errors
/// If it can't be read or unpacked, or does not have as many rankings as there are positions.
pub(super) fn read(file: &File, positions: &[u64]) -> Result<Written> {
    let hasher = RefCell::new(blake3::Hasher::new());
    let mut lines = BufReader::new(zstd::stream::read::Decoder::new(Hashed { file, hasher: &hasher })?);
    let (mut index, mut rankings) = (Index::default(), 0);
    while let Some(bytes) = line(&mut lines)? {
        let position = positions.get(rankings).copied();
        let position = position.ok_or_else(|| anyhow::anyhow!("it has more rankings than were written"))?;
        index.push(Located { position, bytes })?;
        rankings += 1;
    }
    ensure!(rankings == positions.len(), "it has {rankings} rankings, and {} were written", positions.len());
    drop(lines);
    let hasher = hasher.into_inner();
    Ok(Written {
        bytes: hasher.count(),
        blake3: hasher.finalize().to_hex().to_string(),
        rankings: rankings as u64,
        index,
    })
}

/// The bytes of the next line; none at the end.
fn line(reader: &mut impl BufRead) -> Result<Option<u64>> {
    let mut bytes = 0;
    loop {
        let available = reader.fill_buf()?;
        if available.is_empty() {
            ensure!(bytes == 0, "it ends within a ranking");
            return Ok(None);
        }
        let newline = memchr(b'\n', available);
        let taken = newline.map_or(available.len(), |at| at + 1);
        bytes += first(available, taken).len() as u64;
        reader.consume(taken);
        if newline.is_some() {
            return Ok(Some(bytes));
        }
    }
}

/// A file whose bytes are hashed as they are read.
struct Hashed<'a> {
    file: &'a File,
    hasher: &'a RefCell<blake3::Hasher>,
}

impl Read for Hashed<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(buffer)?;
        self.hasher.borrow_mut().update(first(buffer, read));
        Ok(read)
    }
}
