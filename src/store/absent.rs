//! What stands in the place of objects in a build that has no stores: addresses were refused before anything asks for one.

use std::io::{self, Read};
use std::ops::Range;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

use super::{Listing, Uploaded, Writing};
use crate::stop::Stop;

/// An object that was listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Its address.
    pub path: PathBuf,
    /// Its size in bytes.
    pub size: u64,
}

/// An object that is open: there is none.
#[derive(Clone, Debug)]
pub enum Object {}

/// The bytes of an object.
pub struct Stream(Object);

/// A range of bytes that is being read.
pub struct Pending(Object);

impl Object {
    /// Opens no object.
    ///
    /// # Errors
    /// Always.
    pub fn open(path: &Path) -> Result<Self> {
        bail!(absent(path))
    }

    /// Opens no object.
    ///
    /// # Errors
    /// Always.
    pub fn open_with(path: &Path, _: u64) -> Result<Self> {
        bail!(absent(path))
    }

    /// The size in bytes.
    pub fn size(&self) -> u64 {
        match *self {}
    }

    /// The first bytes.
    pub fn beginning(&self) -> &[u8] {
        match *self {}
    }

    /// Whether the object can be read from the middle.
    pub fn has_ranges(&self) -> bool {
        match *self {}
    }

    /// Reads a range of bytes.
    ///
    /// # Errors
    /// There is no object to read.
    pub fn read(&self, _: Range<u64>) -> io::Result<Vec<u8>> {
        match *self {}
    }

    /// Begins to read a range of bytes.
    ///
    /// # Errors
    /// There is no object to read.
    pub fn begin(&self, _: Range<u64>) -> io::Result<Pending> {
        match *self {}
    }

    /// The whole object.
    pub fn stream(&self) -> Stream {
        match *self {}
    }
}

impl Pending {
    /// Waits for the bytes.
    ///
    /// # Errors
    /// There is no object to read.
    pub fn wait(self) -> io::Result<Vec<u8>> {
        match self.0 {}
    }
}

impl Read for Stream {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        match self.0 {}
    }
}

/// Lists no objects.
///
/// # Errors
/// Always.
pub fn list(prefix: &Path) -> Result<Listing> {
    bail!(absent(prefix))
}

/// Finds no objects.
///
/// # Errors
/// Always.
pub fn matching(pattern: &Path) -> Result<Vec<Listed>> {
    bail!(absent(pattern))
}

/// The size of no object.
///
/// # Errors
/// Always.
pub fn size(path: &Path) -> Result<u64> {
    bail!(absent(path))
}

/// Finds no object.
///
/// # Errors
/// Always.
pub fn find(path: &Path) -> Result<Option<Object>> {
    bail!(absent(path))
}

/// The size of no object.
///
/// # Errors
/// Always.
pub fn find_size(path: &Path) -> Result<Option<u64>> {
    bail!(absent(path))
}

/// Removes no object.
///
/// # Errors
/// Always.
pub fn remove(path: &Path) -> Result<()> {
    bail!(absent(path))
}

/// Copies no object.
///
/// # Errors
/// There is no object to copy.
pub fn download(object: &Object, _: &Path) -> Result<()> {
    match *object {}
}

/// Stores no file.
///
/// # Errors
/// Always.
pub fn upload(_: &Path, path: &Path, _: Writing, _: &Stop) -> Result<Uploaded> {
    bail!(absent(path))
}

fn absent(path: &Path) -> String {
    format!("{}: this build of rerank has no stores: build it with the feature `stores`", path.display())
}
