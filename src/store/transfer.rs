//! Whole files that go to a store or come from it.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use futures_util::future::{Either, select};
use object_store::{ObjectStoreExt, PutMode, PutOptions, PutPayload};

use super::object::{Object, forget};
use super::problem::{self, Kind};
use super::{Interrupted, Uploaded, Writing, client};
use crate::stop::Stop;

/// Files of up to so many bytes are sent as one request, which can be made on the condition that nothing is there.
const MOST_AT_ONCE: u64 = 32 << 20;

/// The bytes of a part of a larger file, at least, and the most parts that every store takes.
const PART_BYTES: u64 = 16 << 20;
const MOST_PARTS: u64 = 9_000;

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
                Some(there) if hash(there.stream())? == hash(File::open(file)?)? => Ok(Uploaded::Stored),
                Some(_) if is_answered => Ok(Uploaded::Exists),
                _ => Err(anyhow!("cannot write {}: {}", path.display(), problem::reason(path, &error))),
            }
        }
    }
}

/// Copies an object into a file.
///
/// # Errors
/// If the object can't be read, or the file can't be written.
pub fn download(object: &Object, file: &Path) -> Result<()> {
    let shown = object.path().display();
    let failed = || format!("cannot copy {shown} to {}", file.display());
    let mut copy = File::create(file).with_context(failed)?;
    io::copy(&mut object.stream(), &mut copy).with_context(failed)?;
    copy.sync_all().with_context(failed)
}

/// Opens an object, if there is one.
///
/// # Errors
/// If the store can't be asked, or has no such bucket.
pub fn find(path: &Path) -> Result<Option<Object>> {
    forget(path);
    match Object::try_open(path)? {
        Ok(object) => Ok(Some(object)),
        Err(error) if problem::is_missing_key(&error) => Ok(None),
        Err(error) => Err(problem::failed("cannot look for", path, &error)),
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
    let unread = || format!("cannot read {}", file.display());
    let mut opened = File::open(file).with_context(unread)?;
    let size = opened.metadata().with_context(unread)?.len();
    let (store, key) = client::open(path)?;
    let sending = async {
        if size <= MOST_AT_ONCE {
            let mut bytes = Vec::new();
            opened.read_to_end(&mut bytes).with_context(unread)?;
            let mode = if writing == Writing::Create { PutMode::Create } else { PutMode::Overwrite };
            store.put_opts(&key, PutPayload::from(bytes), PutOptions::from(mode)).await?;
            return Ok(());
        }
        let is_free = async || match (writing, store.head(&key).await) {
            (Writing::Replace, _) => Ok(()),
            (Writing::Create, Ok(meta)) => {
                let source = "an object of this name is there".into();
                Err(object_store::Error::AlreadyExists { path: meta.location.to_string(), source })
            }
            (Writing::Create, Err(error)) if problem::kind(&error) == Kind::Missing => Ok(()),
            (Writing::Create, Err(error)) => Err(error),
        };
        is_free().await?;
        let mut upload = store.put_multipart(&key).await?;
        let bytes_of_part = PART_BYTES.max(size.div_ceil(MOST_PARTS));
        let sent: Result<(), Failure> = async {
            for start in (0..size).step_by(bytes_of_part as usize) {
                let mut part = Vec::new();
                opened.seek(SeekFrom::Start(start)).with_context(unread)?;
                Read::take(&mut opened, bytes_of_part).read_to_end(&mut part).with_context(unread)?;
                upload.put_part(PutPayload::from(part)).await?;
            }
            // Stores can't complete a larger upload on a condition; this leaves a moment in which another worker may do so.
            is_free().await?;
            upload.complete().await?;
            Ok(())
        }
        .await;
        if sent.is_err() {
            // What was sent costs money until it is removed.
            let _ = upload.abort().await;
        }
        sent
    };
    let (sending, stopped) = (Box::pin(sending), Box::pin(stopped(stop)));
    match client::wait(select(sending, stopped))? {
        Either::Left((sent, _)) => sent,
        Either::Right(_) => {
            let problem = Interrupted(format!("the upload to {} was interrupted", path.display()));
            Err(anyhow::Error::from(problem).into())
        }
    }
}

/// Ends when the run should stop.
async fn stopped(stop: &Stop) {
    while stop.requested().is_none() {
        tokio::time::sleep(POLL).await;
    }
}
