//! An object that is read: its beginning, its size and its version are known when it is open, and every further range is of that
//! version.

use std::collections::HashMap;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Result;
use object_store::path::Path as Key;
use object_store::{GetOptions, GetRange, ObjectMeta, ObjectStoreExt};
use tokio::task::JoinHandle;

use super::client::{self, Store, runtime, wait};
use super::problem::{self, Kind};
use super::stream::Stream;
use crate::slices::first;

/// The bytes that are read when an object is opened: enough to recognise what it holds, and all of a small one.
pub(super) const BEGINNING: u64 = 64 << 10;

/// The size and the version of objects that this process has seen.
static KNOWN: Mutex<Option<HashMap<PathBuf, Version>>> = Mutex::new(None);

/// What tells an object from another one that had its name before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Version {
    /// The object's size in bytes.
    pub(super) size: u64,
    /// The name of its content, if the store has one that can be compared by.
    pub(super) etag: Option<String>,
    /// When it was changed, in seconds since 1970, if the store says so: what is left to compare by where there is no strong ETag.
    pub(super) modified: Option<i64>,
}

/// An object that is open.
#[derive(Clone)]
pub struct Object {
    store: Store,
    key: Key,
    path: Arc<Path>,
    version: Version,
    /// Its first bytes.
    beginning: Arc<[u8]>,
    /// Whether it can be read from the middle; some servers on the web can't do that.
    has_ranges: bool,
}

impl Object {
    /// Opens an object.
    ///
    /// # Errors
    /// If there is none, it can't be read, or it is another one than that which this process has seen under this name.
    pub fn open(path: &Path) -> Result<Self> {
        Self::open_with(path, BEGINNING)
    }

    /// Opens an object, of which at most so many bytes of the beginning stay in memory.
    ///
    /// # Errors
    /// As [`Object::open`].
    pub fn open_with(path: &Path, beginning: u64) -> Result<Self> {
        let opened = Self::try_open(path, beginning.min(BEGINNING))?;
        opened.map_err(|error| problem::failed("cannot read", path, &error))
    }

    /// Opens an object; the inner error is the store's own.
    ///
    /// # Errors
    /// If the address or the settings of the environment make no sense.
    pub(super) fn try_open(path: &Path, beginning: u64) -> Result<Result<Self, object_store::Error>> {
        let (store, key) = client::open(path)?;
        let known = known(path);
        let etag = known.as_ref().and_then(|version| version.strong());
        let options =
            GetOptions { range: Some(GetRange::Bounded(0..beginning)), if_match: etag, ..GetOptions::default() };
        let got = wait(async {
            let got = store.get_opts(&key, options).await?;
            let meta = got.meta.clone();
            Ok((meta, got.bytes().await?))
        })?;
        let mut has_ranges = true;
        let (version, beginning) = match got {
            Ok((meta, beginning)) => (Version::of(meta), beginning.to_vec()),
            // An object without a byte has no range.
            Err(error) if problem::kind(&error) == Kind::Range => match wait(store.head(&key))? {
                Ok(meta) => (Version::of(meta), Vec::new()),
                Err(error) => return Ok(Err(error)),
            },
            Err(error) if problem::kind(&error) == Kind::NoRanges => {
                has_ranges = false;
                match wait(store.get(&key))? {
                    Ok(got) => (Version::of(got.meta), Vec::new()),
                    Err(error) => return Ok(Err(error)),
                }
            }
            Err(error) => return Ok(Err(error)),
        };
        if known.is_some_and(|known| !known.allows(&version)) {
            let (path, source) = (path.display().to_string(), "it is another one than before".into());
            return Ok(Err(object_store::Error::Precondition { path, source }));
        }
        let is_small = beginning.len() as u64 == version.size;
        let (has_ranges, beginning) = match version.etag.is_some() || version.modified.is_some() || is_small {
            true => (has_ranges, beginning),
            // Two answers can not be compared without an ETag and a date, so the object is read in one answer.
            false => (false, Vec::new()),
        };
        remember(path, &version);
        Ok(Ok(Self { store, key, path: path.into(), version, beginning: beginning.into(), has_ranges }))
    }

    /// The size in bytes.
    pub fn size(&self) -> u64 {
        self.version.size
    }

    /// The address, for messages.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The first bytes: all of a small object, and none where the server can't read a part of a file.
    pub fn beginning(&self) -> &[u8] {
        &self.beginning
    }

    /// Whether the object can be read from the middle.
    pub fn has_ranges(&self) -> bool {
        self.has_ranges
    }

    /// Reads a range of bytes.
    ///
    /// # Errors
    /// If it can't be read, or the object was changed since it was opened.
    pub fn read(&self, range: Range<u64>) -> io::Result<Vec<u8>> {
        let range = range.start.min(self.size())..range.end.min(self.size());
        if let Some(part) = self.at_hand(&range) {
            return Ok(part);
        }
        wait(read(self.clone(), range)).map_err(io::Error::other)?
    }

    /// Begins to read a range of bytes, which is taken later.
    ///
    /// # Errors
    /// If no thread can be started.
    pub fn begin(&self, range: Range<u64>) -> io::Result<Pending> {
        let part = self.at_hand(&range);
        let object = self.clone();
        let begun = async move {
            match part {
                Some(part) => Ok(part),
                None => read(object, range).await,
            }
        };
        Ok(Pending(runtime().map_err(io::Error::other)?.spawn(begun)))
    }

    /// The whole object, read ahead a little.
    pub fn stream(&self) -> Stream {
        Stream::new(self.clone())
    }

    /// The whole object as one answer, for servers that can't read a part of a file.
    ///
    /// # Errors
    /// If it can't be read, or the object was changed since it was opened.
    pub(super) fn whole(&self) -> io::Result<object_store::GetResult> {
        let got = wait(self.store.get(&self.key)).map_err(io::Error::other)?.map_err(|error| self.failed(&error))?;
        if self.version.allows(&Version::of(got.meta.clone())) { Ok(got) } else { Err(changed()) }
    }

    fn at_hand(&self, range: &Range<u64>) -> Option<Vec<u8>> {
        let (start, end) = (usize::try_from(range.start).ok()?, usize::try_from(range.end).ok()?);
        Some(first(&self.beginning, end).get(start..).unwrap_or_default().to_vec())
            .filter(|_| end <= self.beginning.len() || start >= end)
    }

    /// An error of reading, as a sentence.
    pub(super) fn failed(&self, error: &object_store::Error) -> io::Error {
        io::Error::other(problem::reason(&self.path, error))
    }
}

/// A range of bytes that is being read.
pub struct Pending(JoinHandle<io::Result<Vec<u8>>>);

impl Pending {
    /// Waits for the bytes.
    ///
    /// # Errors
    /// As [`Object::read`].
    pub fn wait(self) -> io::Result<Vec<u8>> {
        wait(self.0).map_err(io::Error::other)?.map_err(io::Error::other)?
    }
}

/// Reads a range of bytes.
async fn read(object: Object, range: Range<u64>) -> io::Result<Vec<u8>> {
    let Object { store, key, version, .. } = &object;
    let expected = range.end - range.start;
    let options =
        GetOptions { range: Some(GetRange::Bounded(range)), if_match: version.strong(), ..GetOptions::default() };
    let got = store.get_opts(key, options).await.map_err(|error| object.failed(&error))?;
    let is_same = Version::of(got.meta.clone()) == *version;
    let bytes = got.bytes().await.map_err(|error| object.failed(&error))?;
    // A server may pass over the condition.
    if !is_same || bytes.len() as u64 != expected {
        return Err(changed());
    }
    Ok(bytes.into())
}

fn changed() -> io::Error {
    io::Error::other("it was changed while it was read; run again")
}

impl Version {
    /// The version that an answer is of.
    pub(super) fn of(meta: ObjectMeta) -> Self {
        let is_named = meta.e_tag.as_ref().is_some_and(|etag| !etag.starts_with("W/"));
        // The library puts 1970 in the place of a time that the answer does not have.
        let modified = Some(meta.last_modified.timestamp()).filter(|&seconds| seconds != 0 && !is_named);
        Self { size: meta.size, etag: meta.e_tag, modified }
    }

    /// Whether an answer may be of this version, of which a list may have said less.
    fn allows(&self, other: &Self) -> bool {
        let has_same_etag = self.etag.is_none() || self.etag == other.etag;
        let has_same_time = self.modified.is_none() || self.modified == other.modified;
        self.size == other.size && has_same_etag && has_same_time
    }

    /// The ETag for a condition. A weak one, which stands for content that is alike, fulfils none.
    fn strong(&self) -> Option<String> {
        self.etag.clone().filter(|etag| !etag.starts_with("W/"))
    }
}

/// The size of an object in bytes; no request is made for one that was listed.
///
/// # Errors
/// As [`Object::open`].
pub fn size(path: &Path) -> Result<u64> {
    known(path).map_or_else(|| Object::open(path).map(|object| object.size()), |version| Ok(version.size))
}

/// What is known of an object that was listed or opened.
pub(super) fn known(path: &Path) -> Option<Version> {
    KNOWN.lock().unwrap_or_else(PoisonError::into_inner).as_ref()?.get(path).cloned()
}

/// Remembers the version of an object.
pub(super) fn remember(path: &Path, version: &Version) {
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    known.get_or_insert_default().insert(path.to_owned(), version.clone());
}

/// Forgets the version of an object that this process writes.
pub(super) fn forget(path: &Path) {
    if let Some(known) = KNOWN.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
        known.remove(path);
    }
}
