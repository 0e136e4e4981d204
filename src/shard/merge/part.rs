//! A part that is read ranking by ranking. Its file is open only while bytes are taken from it, so that there can be any number of
//! parts.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use zstd::stream::read::Decoder;
use zstd::zstd_safe::find_frame_compressed_size;

use crate::slices::{behind, first};
use crate::store::{self, Object};

/// The rankings of a part.
pub(super) struct Part {
    path: PathBuf,
    /// The part, where it is an object in a store.
    object: Option<Object>,
    /// The bytes that are read at a time.
    step: usize,
    /// How many bytes were read of the file, and their hash.
    read: u64,
    hasher: blake3::Hasher,
    /// Bytes that were read and not unpacked, behind so many that were.
    packed: Vec<u8>,
    unpacked: usize,
    /// A frame that was unpacked, of which so many bytes were taken.
    text: Vec<u8>,
    taken: usize,
}

impl Part {
    /// A part that is read from its beginning.
    pub(super) fn new(path: PathBuf, step: usize) -> Self {
        let (packed, text) = (Vec::new(), Vec::new());
        Self { path, object: None, step, read: 0, hasher: blake3::Hasher::new(), packed, unpacked: 0, text, taken: 0 }
    }

    /// Takes the next bytes.
    ///
    /// # Errors
    /// If the file can't be read, is damaged, or has no such number of bytes left.
    pub(super) fn take(&mut self, bytes: u64, into: &mut Vec<u8>) -> Result<()> {
        into.clear();
        let bytes = usize::try_from(bytes)?;
        while into.len() < bytes {
            let left = behind(&self.text, self.taken);
            let taken = first(left, bytes - into.len());
            into.extend_from_slice(taken);
            self.taken += taken.len();
            if into.len() < bytes {
                ensure!(self.unpack()?, "it ends before its last ranking");
            }
        }
        Ok(())
    }

    /// Checks that nothing is left, and that all bytes of the file are those that were written.
    ///
    /// # Errors
    /// If that is not so.
    pub(super) fn finish(&mut self, bytes: u64, blake3: &str) -> Result<()> {
        ensure!(self.taken == self.text.len() && !self.unpack()?, "it goes on behind its last ranking");
        ensure!(self.read == bytes, "it has {} bytes, and {bytes} were written", self.read);
        ensure!(self.hasher.finalize().to_hex().as_str() == blake3, "its bytes are not those that were written");
        Ok(())
    }

    /// Unpacks the next frame that has a text; false at the end.
    fn unpack(&mut self) -> Result<bool> {
        self.taken = 0;
        self.text.clear();
        while self.text.is_empty() {
            let waiting = behind(&self.packed, self.unpacked);
            match find_frame_compressed_size(waiting) {
                Ok(size) if size > 0 && size <= waiting.len() => {
                    Decoder::with_buffer(first(waiting, size))?.read_to_end(&mut self.text).context("it is damaged")?;
                    self.unpacked += size;
                }
                _ if self.fill()? => {}
                _ => {
                    ensure!(self.unpacked == self.packed.len(), "it ends within a ranking, or is damaged");
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    /// Reads more of the file; false at its end.
    fn fill(&mut self) -> Result<bool> {
        let failed = || format!("cannot read {}", self.path.display());
        self.packed.drain(..self.unpacked);
        self.unpacked = 0;
        let before = self.packed.len();
        // A frame that is longer than a step is read in a few larger ones.
        let most = self.step.max(before) as u64;
        let read = if store::is_address(&self.path) {
            let object = match self.object.take() {
                Some(object) => object,
                None => Object::open(&self.path)?,
            };
            let bytes = object.read(self.read..self.read.saturating_add(most)).with_context(failed)?;
            self.object = Some(object);
            self.packed.extend_from_slice(&bytes);
            bytes.len()
        } else {
            let mut file = File::open(&self.path).with_context(failed)?;
            file.seek(SeekFrom::Start(self.read)).with_context(failed)?;
            file.take(most).read_to_end(&mut self.packed).with_context(failed)?
        };
        self.hasher.update(behind(&self.packed, before));
        self.read += read as u64;
        Ok(read > 0)
    }
}
