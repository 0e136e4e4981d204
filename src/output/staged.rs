//! An output that is written beside its name and takes that when it is whole, for formats that can't be read before.

use std::io::{self, Write};
use std::path::Path;

use anyhow::{Context, Result};

use super::atomic::Temporary;
use super::file::OutputFile;

/// A file that takes its name when it is whole. The name is locked until then.
pub(super) struct Staged {
    name: OutputFile,
    file: Temporary,
}

impl Staged {
    /// Locks the name, and creates a file beside it.
    ///
    /// # Errors
    /// As [`OutputFile::open`], and if no file can be created beside it.
    pub(super) fn open(name: OutputFile) -> Result<Self> {
        let file = Temporary::beside(name.path())
            .with_context(|| format!("cannot write {}: no file can be created beside it", name.path().display()))?;
        Ok(Self { name, file })
    }

    /// The path as the user named it.
    pub(super) fn path(&self) -> &Path {
        self.name.path()
    }

    /// Writes all of these bytes.
    ///
    /// # Errors
    /// If the system can't write them.
    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)
    }

    /// Takes the name, in place of what has it.
    ///
    /// # Errors
    /// If the disk could not store the file, or another program has taken the name.
    pub(super) fn finish(self) -> io::Result<()> {
        self.name.check_name()?;
        self.file.persist(self.name.path())
    }
}
