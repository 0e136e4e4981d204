//! Inputs and outputs that are objects in a store (S3, Google Cloud Storage, Azure) or files on the web.
//!
//! ```text
//! s3://bucket/in.jsonl.zst ─ ranges, of one version ─► Stream ─► input
//! output ─► a staging directory, as any other file ─ whole, at once ─► s3://bucket/ranked.jsonl
//! ```
//!
//! An address is a path for the rest of the program. A local file needs nothing of this, and a build without the feature `stores`
//! refuses addresses.

// What a server answers can end nothing but the run: no panic.
#![cfg_attr(
    not(test),
    warn(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::string_slice,
        clippy::get_unwrap,
        clippy::panic,
        clippy::unreachable,
        clippy::todo,
        clippy::unimplemented
    )
)]

#[cfg(not(feature = "stores"))]
mod absent;
mod address;
#[cfg(feature = "stores")]
mod client;
#[cfg(feature = "stores")]
mod environment;
#[cfg(feature = "stores")]
mod listing;
#[cfg(feature = "stores")]
mod object;
#[cfg(feature = "stores")]
mod prefixes;
#[cfg(feature = "stores")]
mod problem;
#[cfg(feature = "stores")]
mod service;
#[cfg(feature = "stores")]
mod stream;
#[cfg(feature = "stores")]
mod transfer;
#[cfg(feature = "stores")]
mod trouble;

use std::fmt;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow};
use rayon::iter::{IndexedParallelIterator, IntoParallelRefIterator, ParallelIterator};

pub use self::address::{
    check_local, directory, is_address, is_prefix, is_web, public, without_passwords, without_secrets, written,
};
#[cfg(feature = "stores")]
pub use self::listing::{Listed, list, matching};
#[cfg(feature = "stores")]
pub use self::object::{Object, Pending, size};
#[cfg(feature = "stores")]
pub use self::stream::Stream;
#[cfg(feature = "stores")]
pub use self::transfer::{download, find, find_size, remove, upload};

#[cfg(not(feature = "stores"))]
pub use self::absent::{
    Listed, Object, Pending, Stream, download, find, find_size, list, matching, remove, size, upload,
};

/// What is directly under a prefix, as a directory has files and directories; each by its name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listing {
    /// The objects.
    pub objects: Vec<Listed>,
    /// The addresses of deeper prefixes, which end in a slash.
    pub prefixes: Vec<PathBuf>,
}

/// What becomes of an object that exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Writing {
    /// It stays, unless it has the same bytes.
    Create,
    /// It is replaced.
    Replace,
}

/// What became of an upload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Uploaded {
    /// The object has the bytes of the file.
    Stored,
    /// There is an object with other bytes.
    Exists,
}

/// An upload was given up, as the run should stop.
#[derive(Debug)]
pub struct Interrupted(String);

impl fmt::Display for Interrupted {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl std::error::Error for Interrupted {}

/// The same error with what stays and what helps, as the end of its sentence.
pub(crate) fn with_remedy(error: &anyhow::Error, remedy: &str) -> anyhow::Error {
    let text = format!("{error:#}; {remedy}");
    if error.is::<Interrupted>() { Interrupted(text).into() } else { anyhow!(text) }
}

/// Requests that are under way at a time where many objects are asked for.
const REQUESTS: usize = 16;

/// What becomes of each of several things that are perhaps in a store: several at a time, as an answer takes a while.
///
/// # Errors
/// The first error, or that of the system, which gives no threads.
pub(crate) fn for_each<T: Sync, R: Send>(items: &[T], act: impl Fn(usize, &T) -> Result<R> + Sync) -> Result<Vec<R>> {
    let threads = rayon::ThreadPoolBuilder::new().num_threads(REQUESTS.min(items.len()).max(1)).build()?;
    threads.install(|| items.par_iter().enumerate().map(|(index, item)| act(index, item)).collect())
}

/// The size of a local file, or of an object, in bytes.
///
/// # Errors
/// If it can't be found out.
pub fn size_of(path: &Path) -> Result<u64> {
    if is_address(path) {
        return size(path);
    }
    path.metadata().map(|file| file.len()).with_context(|| format!("cannot read {}", path.display()))
}

/// The size of a local file, or of an object, in bytes; none, if there is no such file.
///
/// # Errors
/// If it can't be found out.
pub(crate) fn size_if_there(path: &Path) -> Result<Option<u64>> {
    if is_address(path) {
        return find_size(path);
    }
    match path.metadata() {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        file => file.map(|file| Some(file.len())).with_context(|| format!("cannot read {}", path.display())),
    }
}
