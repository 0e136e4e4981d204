//! A part that is read ranking by ranking. Its file is open only while bytes are taken from it, so that there can be any number of
//! parts. Of an object in a store, the next bytes are on their way while those at hand are used.

use std::fmt;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use zstd::stream::read::Decoder;
use zstd::zstd_safe::find_frame_compressed_size;

use crate::slices::{behind, first};
use crate::store::{self, Object, Pending};

/// The rankings of a part.
pub(super) struct Part {
    path: PathBuf,
    /// The part, where it is an object in a store.
    object: Option<Object>,
    /// The next bytes of the object, which were requested.
    ahead: Option<Pending>,
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
    /// Opens a part that is read from its beginning, so many bytes at a time. Of an object, the first ones are read.
    ///
    /// # Errors
    /// If an object can't be read.
    pub(super) fn open(path: PathBuf, step: usize) -> Result<Self> {
        let object = if store::is_address(&path) { Some(Object::open_with(&path, step as u64)?) } else { None };
        let (packed, text, hasher) = (Vec::new(), Vec::new(), blake3::Hasher::new());
        Ok(Self { path, object, ahead: None, step, read: 0, hasher, packed, unpacked: 0, text, taken: 0 })
    }

    /// Reads so many bytes at a time from the second time on: at the first time, it is not known how many parts are read in turns.
    pub(super) fn set_step(&mut self, step: usize) {
        if self.read > 0 {
            self.step = step;
        }
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
        self.packed.drain(..self.unpacked);
        self.unpacked = 0;
        let before = self.packed.len();
        // A frame that is longer than a step is read in a few larger ones.
        let most = self.step.max(before) as u64;
        let read = match &self.object {
            Some(object) => {
                Self::fetch(object, &mut self.ahead, self.read, most).map(|bytes| self.packed.extend(bytes))
            }
            None => self.read_file(most),
        };
        read.with_context(|| Unread(format!("cannot read {}", self.path.display())))?;
        let new = behind(&self.packed, before);
        self.hasher.update(new);
        self.read += new.len() as u64;
        Ok(self.packed.len() > before)
    }

    fn read_file(&mut self, most: u64) -> io::Result<()> {
        let mut file = File::open(&self.path)?;
        file.seek(SeekFrom::Start(self.read))?;
        file.take(most).read_to_end(&mut self.packed).map(drop)
    }

    /// Takes the bytes of an object from a place on, and requests those behind them.
    fn fetch(object: &Object, ahead: &mut Option<Pending>, start: u64, most: u64) -> io::Result<Vec<u8>> {
        let bytes = match ahead.take() {
            Some(pending) => pending.wait()?,
            None if start < object.beginning().len() as u64 => object.beginning().to_vec(),
            None => object.read(start..start.saturating_add(most))?,
        };
        let end = start + bytes.len() as u64;
        if end < object.size() {
            *ahead = Some(object.begin(end..object.size().min(end.saturating_add(most)))?);
        }
        Ok(bytes)
    }
}

/// A part can't be read, which may be none of the part's own faults.
#[derive(Debug)]
pub(super) struct Unread(String);

impl fmt::Display for Unread {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}
