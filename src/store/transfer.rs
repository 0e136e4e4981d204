//! Whole files that go to a store or come from it.

use std::fs::File;
use std::future::Future;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use futures_util::future::{Either, ready, select};
use futures_util::stream::{self, TryStreamExt};
use object_store::path::Path as Key;
use object_store::{MultipartUpload, ObjectStoreExt, PutMode, PutOptions, PutPayload};

use super::client::Store;
use super::object::{BEGINNING, Object, forget, known};
use super::problem::{self, Kind};
use super::{Interrupted, Uploaded, Writing, client};
use crate::stop::Stop;

/// Files of up to so many bytes are sent as one request, which can be made on the condition that nothing is there.
const MOST_AT_ONCE: u64 = 32 << 20;

/// The bytes of a part of a larger file, at least, and the most parts that every store takes.
const PART_BYTES: u64 = 8 << 20;
const MOST_PARTS: u64 = 9_000;

/// The parts that are sent at the same time: AWS advises one request for every 85 to 90 MB/s of the network.
const PARTS_AT_ONCE: u64 = 4;

/// How long an upload that is given up may take to be removed from the store.
const LONGEST_ABORT: Duration = Duration::from_secs(5);

/// How often it is looked whether the run should stop.
const POLL: Duration = Duration::from_millis(100);

/// Stores a file as an object, which appears as a whole.
///
/// # Errors
/// If the file can't be read, the store does not take it, or the run should stop.
pub fn upload(file: &Path, path: &Path, writing: Writing, stop: &Stop) -> Result<Uploaded> {
    let sent = send(file, path, writing, stop);
    forget(path);
    match sent {
        Ok(()) => Ok(Uploaded::Stored),
        Err(Failure::Local(error)) => Err(error),
        Err(Failure::Store(error)) => {
            // An answer may have been lost, and another worker may have been faster: what is there decides.
            let is_answered = problem::kind(&error) != Kind::Other;
            let there = if writing == Writing::Create { find(path).ok().flatten() } else { None };
            match there {
                Some(there) if hash(there.stream())? == hash(open(file)?)? => Ok(Uploaded::Stored),
                Some(_) if is_answered => Ok(Uploaded::Exists),
                _ => Err(anyhow!("cannot write {}: {}", path.display(), problem::reason(path, &error))),
            }
        }
    }
}

/// Copies an object into a file, which is there when it is whole.
///
/// # Errors
/// If the object can't be read, or the file can't be written.
pub fn download(object: &Object, file: &Path) -> Result<()> {
    let shown = object.path().display();
    let failed = || format!("cannot copy {shown} to {}", file.display());
    let folder = file.parent().unwrap_or(file);
    let mut copy = tempfile::Builder::new().prefix(".rerank-").tempfile_in(folder).with_context(failed)?;
    io::copy(&mut object.stream(), &mut copy).with_context(failed)?;
    copy.as_file().sync_all().with_context(failed)?;
    copy.persist(file).map_err(|error| error.error).with_context(failed)?;
    Ok(())
}

/// Opens an object, if there is one.
///
/// # Errors
/// If the store can't be asked, or has no such bucket.
pub fn find(path: &Path) -> Result<Option<Object>> {
    forget(path);
    match Object::try_open(path, BEGINNING)? {
        Ok(object) => Ok(Some(object)),
        Err(error) if problem::is_missing_key(&error) => Ok(None),
        Err(error) => Err(problem::failed("cannot look for", path, &error)),
    }
}

/// The size of an object in bytes, if there is one; no request is made for one that was listed.
///
/// # Errors
/// As [`find`].
pub fn find_size(path: &Path) -> Result<Option<u64>> {
    match known(path) {
        Some(version) => Ok(Some(version.size)),
        None => Ok(find(path)?.map(|object| object.size())),
    }
}

/// Removes an object, if it is there.
///
/// # Errors
/// If the store does not remove it.
pub fn remove(path: &Path) -> Result<()> {
    let (store, key) = client::open(path)?;
    forget(path);
    match client::wait(store.delete(&key))? {
        Err(error) if problem::kind(&error) != Kind::Missing => {
            bail!("cannot remove {}: {}", path.display(), problem::reason(path, &error))
        }
        _ => Ok(()),
    }
}

fn open(file: &Path) -> Result<File> {
    File::open(file).with_context(|| format!("cannot read {}", file.display()))
}

/// The BLAKE3 hash of what a reader has.
fn hash(reader: impl Read) -> Result<blake3::Hash> {
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(reader)?;
    Ok(hasher.finalize())
}

enum Failure {
    Local(anyhow::Error),
    Store(object_store::Error),
}

impl From<object_store::Error> for Failure {
    fn from(error: object_store::Error) -> Self {
        Self::Store(error)
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::Local(error)
    }
}

fn send(file: &Path, path: &Path, writing: Writing, stop: &Stop) -> Result<(), Failure> {
    let opened = open(file)?;
    let size = opened.metadata().with_context(|| format!("cannot read {}", file.display()))?.len();
    let (store, key) = client::open(path)?;
    let sending = Sending { file: opened, size, store, key, writing };
    client::wait(async {
        let interrupted = || {
            let problem = Interrupted(format!("the upload to {} was interrupted", path.display()));
            Failure::Local(problem.into())
        };
        if size <= MOST_AT_ONCE {
            return until_stopped(stop, sending.at_once()).await.unwrap_or_else(|| Err(interrupted()));
        }
        sending.check_free().await?;
        let mut upload = sending.store.put_multipart(&sending.key).await?;
        let sent = until_stopped(stop, sending.in_parts(&mut *upload)).await.unwrap_or_else(|| Err(interrupted()));
        if sent.is_err() {
            // What was sent costs money until it is removed.
            let _ = tokio::time::timeout(LONGEST_ABORT, upload.abort()).await;
        }
        sent
    })?
}

/// A file that is being sent.
struct Sending {
    file: File,
    size: u64,
    store: Store,
    key: Key,
    writing: Writing,
}

impl Sending {
    /// Sends the file in one request.
    async fn at_once(&self) -> Result<(), Failure> {
        let mode = if self.writing == Writing::Create { PutMode::Create } else { PutMode::Overwrite };
        let bytes = PutPayload::from(self.read(0, self.size)?);
        self.store.put_opts(&self.key, bytes, PutOptions::from(mode)).await?;
        Ok(())
    }

    /// Sends the file in parts, and completes the object.
    async fn in_parts(&self, upload: &mut dyn MultipartUpload) -> Result<(), Failure> {
        let bytes_of_part = PART_BYTES.max(self.size.div_ceil(MOST_PARTS));
        let starts = stream::iter((0..self.size).step_by(bytes_of_part as usize).map(Ok::<_, Failure>));
        // A part is read right before its request is made.
        let requests = starts.map_ok(|start| {
            let request = self.read(start, bytes_of_part).map(|bytes| upload.put_part(PutPayload::from(bytes)));
            async move { Ok(request?.await?) }
        });
        // Larger parts, of which huge files have some, take no more memory.
        let at_once = (PARTS_AT_ONCE * PART_BYTES / bytes_of_part).max(1);
        requests.try_buffer_unordered(at_once as usize).try_for_each(|()| ready(Ok(()))).await?;
        // Stores can't complete a larger upload on a condition; this leaves a moment in which another worker may do so.
        self.check_free().await?;
        upload.complete().await?;
        Ok(())
    }

    fn read(&self, start: u64, count: u64) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let mut file = &self.file;
        file.seek(SeekFrom::Start(start))
            .and_then(|_| file.take(count).read_to_end(&mut bytes))
            .with_context(|| format!("the file that goes to {} can't be read", self.key))?;
        Ok(bytes)
    }

    /// Refuses a name that an object has, unless that is to be replaced.
    async fn check_free(&self) -> object_store::Result<()> {
        if self.writing == Writing::Replace {
            return Ok(());
        }
        match self.store.head(&self.key).await {
            Ok(meta) => {
                let source = "an object of this name is there".into();
                Err(object_store::Error::AlreadyExists { path: meta.location.to_string(), source })
            }
            Err(error) if problem::kind(&error) == Kind::Missing => Ok(()),
            Err(error) => Err(error),
        }
    }
}

/// What a task results in; none, if the run should stop before.
async fn until_stopped<T>(stop: &Stop, task: impl Future<Output = T>) -> Option<T> {
    match select(Box::pin(task), Box::pin(stopped(stop))).await {
        Either::Left((result, _)) => Some(result),
        Either::Right(_) => None,
    }
}

/// Ends when the run should stop.
async fn stopped(stop: &Stop) {
    while stop.requested().is_none() {
        tokio::time::sleep(POLL).await;
    }
}
