//! Reads a file's numbers and texts one after the other. A length is compared with the rest of the file before anything is
//! allocated by it.

use anyhow::{Context, Result, ensure};

/// The longest text of a file: chat templates have some dozens of KiB.
const LONGEST_TEXT: u64 = 16 << 20;

/// A place in a file.
pub(super) struct Cursor<'a> {
    bytes: &'a [u8],
    position: usize,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, position: 0 }
    }

    /// Bytes that were read.
    pub(super) fn position(&self) -> usize {
        self.position
    }

    /// Bytes that follow.
    pub(super) fn rest(&self) -> usize {
        self.bytes.len() - self.position
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8]> {
        let end = self.position.checked_add(length);
        let taken = end.and_then(|end| self.bytes.get(self.position..end));
        let taken = taken
            .with_context(|| format!("the file ends there, after {} bytes; download it again", self.bytes.len()))?;
        self.position += length;
        Ok(taken)
    }

    /// Bytes of a fixed number, such as those of a number.
    pub(super) fn array<const SIZE: usize>(&mut self) -> Result<[u8; SIZE]> {
        let mut array = [0; SIZE];
        array.copy_from_slice(self.take(SIZE)?);
        Ok(array)
    }

    pub(super) fn u32(&mut self) -> Result<u32> {
        self.array().map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self) -> Result<u64> {
        self.array().map(u64::from_le_bytes)
    }

    /// A number of things of which each takes `least` bytes or more.
    pub(super) fn count(&mut self, what: &str, least: usize) -> Result<usize> {
        let count = self.u64()?;
        let most = self.rest() / least;
        let fitting = usize::try_from(count).ok().filter(|count| *count <= most);
        fitting.with_context(|| {
            format!(
                "it announces {count} {what}, and the {} bytes that follow have room for {most} at most; the file is cut off \
                 or damaged; download it again",
                self.rest()
            )
        })
    }

    /// A text, with its length before it.
    pub(super) fn text(&mut self) -> Result<&'a str> {
        let length = self.u64()?;
        let rest = self.rest();
        ensure!(
            length <= rest as u64,
            "a text of {length} bytes is announced, and {rest} follow; the file is cut off or damaged; download it again"
        );
        ensure!(length <= LONGEST_TEXT, "a text has {length} bytes, which no text of a model has");
        std::str::from_utf8(self.take(length as usize)?).context("a text is not in UTF-8")
    }
}
