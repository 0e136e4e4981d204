//! The objects under a prefix, as a directory has files.

use std::path::{Path, PathBuf};

use anyhow::{Result, anyhow, bail, ensure};
use futures_util::TryStreamExt;
use object_store::path::Path as Key;
use object_store::{ObjectMeta, ObjectStore};

use super::object::{Version, remember};
use super::{Listing, address, client, problem};
use crate::exit::UsageError;

/// An object that was listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Its address.
    pub path: PathBuf,
    /// Its size in bytes.
    pub size: u64,
}

/// What is directly under a prefix: its objects, and the names of deeper prefixes.
///
/// # Errors
/// If the store can't be listed.
pub fn list(prefix: &Path) -> Result<Listing> {
    if address::is_web(prefix) {
        bail!(UsageError::new(format!("{}: files on the web can't be listed; name one of them", prefix.display())));
    }
    let (store, key) = client::open(prefix)?;
    let listed = client::wait(store.list_with_delimiter(Some(&key)))?.map_err(|error| failed(prefix, &error))?;
    let mut prefixes: Vec<PathBuf> =
        listed.common_prefixes.iter().map(|deeper| under(prefix, &format!("{deeper}/"))).collect();
    prefixes.sort();
    Ok(Listing { objects: found(prefix, listed.objects, |found| *found != key), prefixes })
}

/// The objects whose names match a pattern, by their names. A `*` stands for any characters but a slash and a dot at the beginning,
/// as in names of files.
///
/// # Errors
/// If the store can't be listed, or the pattern makes no sense.
pub fn matching(pattern: &Path) -> Result<Vec<Listed>> {
    let shown = pattern.display();
    if address::is_web(pattern) {
        bail!(UsageError::new(format!("{shown}: files on the web can't be listed; name one of them")));
    }
    let (_, text) = address::parts(pattern);
    let glob = glob::Pattern::new(text).map_err(|error| anyhow!("{shown} is no object and no pattern: {error}"))?;
    let plain = text.find(['*', '?', '[']).and_then(|at| text.get(..at)).unwrap_or(text);
    let folder = plain.rsplit_once('/').map_or("", |(folder, _)| folder);
    ensure!(!address::parts(pattern).0.contains(['*', '?', '[']), "{shown}: a bucket has a name, and no pattern");
    let prefix = Key::parse(folder).map_err(|_| anyhow!("{shown} has an empty part between two slashes"))?;
    let (store, _) = client::open(&under(pattern, folder))?;
    // What is in deeper prefixes is not asked for if nothing there matches.
    let is_flat = !text.get(folder.len()..).unwrap_or_default().trim_start_matches('/').contains('/');
    let all = client::wait(async {
        match is_flat {
            true => store.list_with_delimiter(Some(&prefix)).await.map(|listed| listed.objects),
            false => store.list(Some(&prefix)).try_collect().await,
        }
    })?;
    let all: Vec<ObjectMeta> = all.map_err(|error| failed(pattern, &error))?;
    let options = glob::MatchOptions {
        require_literal_separator: true,
        require_literal_leading_dot: true,
        ..glob::MatchOptions::new()
    };
    let exact = all.iter().any(|object| object.location.as_ref() == text);
    let fits = |key: &Key| if exact { key.as_ref() == text } else { glob.matches_with(key.as_ref(), options) };
    let found = found(pattern, all, fits);
    if found.is_empty() {
        bail!(UsageError::new(format!("there is no object {shown}, and none that this pattern matches")));
    }
    Ok(found)
}

/// The address of what has this key in the bucket of another address.
fn under(other: &Path, key: &str) -> PathBuf {
    let (bucket, _) = address::parts(other);
    PathBuf::from(format!("{bucket}/{key}"))
}

fn found(place: &Path, objects: Vec<ObjectMeta>, fits: impl Fn(&Key) -> bool) -> Vec<Listed> {
    let mut found: Vec<Listed> = Vec::new();
    for ObjectMeta { location, size, .. } in objects {
        if fits(&location) {
            let path = under(place, location.as_ref());
            // Azure's lists write an ETag in another way than its answers.
            remember(&path, &Version { size, etag: None, modified: None });
            found.push(Listed { path, size });
        }
    }
    found.sort_by(|one, other| one.path.cmp(&other.path));
    found
}

fn failed(path: &Path, error: &object_store::Error) -> anyhow::Error {
    problem::failed("cannot list", path, error)
}
