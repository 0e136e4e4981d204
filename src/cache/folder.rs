//! The folders of a cache: one for each model, with its segments.

use std::borrow::Borrow;
use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, bail, ensure};

use super::segment::{self, EXTENSION, Segment, UNFINISHED};
use super::{Identity, Key, ScoreCache};

/// The file that describes a folder's model.
const DESCRIPTION: &str = "model.json";
/// A file that is not finished belongs to a program that was killed if it is older than this.
const LEFT_OVER: Duration = Duration::from_secs(3600);
/// How often a folder is read whose files vanish meanwhile.
const TRIES: usize = 20;
/// The time between two tries.
const PAUSE: Duration = Duration::from_millis(20);
/// A model with more segments than this has them merged when it is opened.
const MANY: usize = 6;

/// A model's folder.
#[derive(Clone, Debug)]
pub(super) struct Folder {
    path: PathBuf,
    identity: Identity,
}

/// A model whose scores are kept.
#[derive(Debug)]
pub(super) struct CachedModel {
    /// Its folder.
    pub(super) path: PathBuf,
    /// The model; none if its description can't be read.
    pub(super) identity: Option<Identity>,
    /// The number of scores; one that stands in two segments counts twice.
    pub(super) scores: u64,
    /// The size of the segments.
    pub(super) bytes: u64,
    /// The number of segments.
    pub(super) segments: usize,
    /// The number of files that can't be read as segments.
    pub(super) unreadable: usize,
    /// When its last segment was written.
    pub(super) written: SystemTime,
}

impl ScoreCache {
    /// Opens the scores of a model in a cache's directory, which is made if it is not there. `warn` is called once if scores can't be
    /// written later.
    ///
    /// # Errors
    /// If the directory can't be read or written.
    pub fn of_model(directory: &Path, identity: &Identity, warn: impl Fn(&str) + Send + 'static) -> Result<Self> {
        let folder = Folder { path: directory.join(identity.folder()), identity: identity.clone() };
        let unusable = || {
            let directory = directory.display();
            format!(
                "no scores can be kept in {directory}: name a directory for the cache that can be written to, or leave it out"
            )
        };
        folder.make().with_context(unusable)?;
        Self::open(folder, warn)
    }
}

/// The segments of a folder, and what of it can't be used.
#[derive(Default)]
pub(super) struct Found {
    pub(super) segments: Vec<Segment>,
    /// Files that can't be read as segments.
    pub(super) unreadable: usize,
    /// Damaged blocks that were left out when segments were merged.
    pub(super) damaged: usize,
}

impl Folder {
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Makes the folder with the description of its model, unless they are there.
    pub(super) fn make(&self) -> Result<()> {
        let made = fs::create_dir_all(&self.path).and_then(|()| {
            let description = self.path.join(DESCRIPTION);
            if description.exists() {
                return Ok(());
            }
            // Whoever is first writes it; others write the same.
            let mut file = segment::new_file(&self.path)?;
            serde_json::to_writer_pretty(&mut file, &self.identity)?;
            segment::persist(file, &description)
        });
        made.with_context(|| format!("cannot write to the cache in {}", self.path.display()))
    }

    /// The segments, the largest first. Many are merged first, unless another program does that at the moment.
    pub(super) fn tidy(&self) -> Result<Found> {
        let mut found = segments_in(&self.path)?;
        if found.segments.len() > MANY
            && let Some(_lock) = lock_if_free(&self.path)
        {
            remove_left_over(&self.path);
            // Another program may have merged them before.
            found = segments_in(&self.path)?;
            if found.segments.len() > MANY {
                found.merge_small(&self.path);
            }
        }
        found.sort();
        Ok(found)
    }
}

impl Found {
    fn sort(&mut self) {
        self.segments.sort_by_key(|segment| std::cmp::Reverse(segment.len()));
    }

    /// Merges the small segments. If that fails, as on a full disk, they stay: the run can use them as they are.
    fn merge_small(&mut self, folder: &Path) {
        self.sort();
        let small = self.segments.split_off(few_and_large(&self.segments));
        match merge_segments(folder, &small) {
            Ok(merged) => {
                self.damaged = small.iter().map(Segment::damaged).sum();
                self.segments.extend(merged);
            }
            Err(_) => self.segments.extend(small),
        }
    }
}

/// How many of the segments, which are sorted, are not worth being written again: each has more scores than twice those behind it.
fn few_and_large(segments: &[Segment]) -> usize {
    let mut behind: usize = segments.iter().map(Segment::len).sum();
    let is_large = |segment: &&Segment| {
        behind -= segment.len();
        segment.len() > 2 * behind
    };
    segments.iter().take_while(is_large).count().min(segments.len().saturating_sub(2))
}

/// The segments in a folder. If other programs merge them at the moment, it is read again.
fn segments_in(folder: &Path) -> Result<Found> {
    for _ in 1..TRIES {
        let (found, is_whole) = read(folder)?;
        if is_whole {
            return Ok(found);
        }
        std::thread::sleep(PAUSE);
    }
    // A network's file system may list files that have gone for a while.
    Ok(read(folder)?.0)
}

/// The segments in a folder, and whether none has vanished meanwhile.
fn read(folder: &Path) -> Result<(Found, bool)> {
    let entries = fs::read_dir(folder).with_context(|| format!("cannot read the cache in {}", folder.display()))?;
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let (mut found, mut is_whole) = (Found::default(), true);
    for path in paths.filter(|path| path.extension().is_some_and(|extension| extension == EXTENSION)) {
        match Segment::open(&path) {
            Ok(segment) => found.segments.push(segment),
            Err(_) if path.symlink_metadata().is_ok() => found.unreadable += 1,
            Err(_) => is_whole = false,
        }
    }
    Ok((found, is_whole))
}

/// Merges segments into a new one and removes them. Of two scores of one key, which are equal, one is kept.
pub(super) fn merge_segments<S: Borrow<Segment>>(folder: &Path, segments: &[S]) -> Result<Option<Segment>> {
    let mut streams: Vec<_> =
        segments.iter().map(|segment| Borrow::<Segment>::borrow(segment).iter().peekable()).collect();
    let merged = std::iter::from_fn(|| {
        let mut least = None;
        for stream in &mut streams {
            match stream.peek() {
                // What can't be read now may be read later: the segments stay.
                Some(Err(_)) => return stream.next(),
                Some(Ok((key, _))) if least.is_none_or(|least| *key < least) => least = Some(*key),
                _ => {}
            }
        }
        let is_least = |record: &std::io::Result<(Key, f32)>| record.as_ref().is_ok_and(|(key, _)| Some(*key) == least);
        streams.iter_mut().filter_map(|stream| stream.next_if(is_least)).last()
    });
    let written = segment::write(folder, merged);
    let path = written.with_context(|| format!("cannot write scores to {}", folder.display()))?;
    for segment in segments {
        remove(Borrow::<Segment>::borrow(segment).path())?;
    }
    path.map(|path| Segment::open(&path)).transpose()
}

fn remove(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", path.display()))
        }
        _ => Ok(()),
    }
}

/// Removes what programs that were killed did not finish: files that nobody has written to for an hour.
fn remove_left_over(folder: &Path) {
    let is_old = |path: &Path| {
        let age = fs::metadata(path).and_then(|file| file.modified()).ok().and_then(|written| written.elapsed().ok());
        path.extension().is_some_and(|extension| extension == UNFINISHED) && age.is_some_and(|age| age > LEFT_OVER)
    };
    let paths = fs::read_dir(folder).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path()));
    // What can't be removed does no harm.
    paths.filter(|path| is_old(path)).for_each(|path| drop(fs::remove_file(path)));
}

/// Copies a file into a folder, as a whole or not at all.
fn copy(from: &Path, folder: &Path) -> Result<()> {
    let to = folder.join(from.file_name().unwrap_or_default());
    let copied = segment::new_file(folder).and_then(|mut file| {
        std::io::copy(&mut File::open(from)?, &mut file)?;
        segment::persist(file, &to)
    });
    copied.with_context(|| format!("cannot copy {} to {}", from.display(), to.display()))
}

/// The file whose lock keeps other programs from merging a folder's segments.
fn lock_file(folder: &Path) -> std::io::Result<File> {
    File::options().write(true).create(true).truncate(false).open(folder.join("lock"))
}

/// The lock of a folder, unless another program has it, or the file system has no locks.
fn lock_if_free(folder: &Path) -> Option<File> {
    lock_file(folder).ok().filter(|file| file.try_lock().is_ok())
}

/// The lock of a folder, once other programs have done their work there. A file system that has no locks is used without one.
fn lock(folder: &Path) -> Result<File> {
    let locked = lock_file(folder).and_then(|file| match file.lock() {
        Err(error) if error.kind() != ErrorKind::Unsupported => Err(error),
        _ => Ok(file),
    });
    locked.with_context(|| format!("cannot lock {}", folder.display()))
}

/// The models whose scores are in a cache, those that were written last first.
///
/// # Errors
/// If the directory can't be read.
pub(super) fn list(directory: &Path) -> Result<Vec<CachedModel>> {
    let entries =
        fs::read_dir(directory).with_context(|| format!("cannot read the cache in {}", directory.display()))?;
    let mut models = Vec::new();
    for path in entries.filter_map(|entry| Some(entry.ok()?.path())).filter(|path| path.join(DESCRIPTION).exists()) {
        let Found { segments, unreadable, .. } = segments_in(&path)?;
        let last = segments.iter().map(|segment| written(segment.path())).max();
        models.push(CachedModel {
            identity: fs::read(path.join(DESCRIPTION)).ok().and_then(|text| serde_json::from_slice(&text).ok()),
            scores: segments.iter().map(|segment| segment.len() as u64).sum(),
            bytes: segments.iter().map(Segment::bytes).sum(),
            segments: segments.len(),
            unreadable,
            written: last.unwrap_or(SystemTime::UNIX_EPOCH),
            path,
        });
    }
    models.sort_by_key(|model| std::cmp::Reverse(model.written));
    Ok(models)
}

/// Merges the segments of each model, those of other caches' directories included, which are only read. Returns the number of
/// scores.
///
/// # Errors
/// If a directory can't be read or written.
pub(super) fn merge(directory: &Path, others: &[PathBuf]) -> Result<u64> {
    for other in others {
        let models = list(other)?;
        ensure!(!models.is_empty(), "{} has no scores", other.display());
        for model in models {
            add(&model.path, directory)?;
        }
    }
    let mut scores = 0;
    for model in list(directory)? {
        let _lock = lock(&model.path)?;
        let segments = segments_in(&model.path)?.segments;
        let merged =
            if segments.len() > 1 { merge_segments(&model.path, &segments)? } else { segments.into_iter().next() };
        scores += merged.map_or(0, |segment| segment.len() as u64);
    }
    Ok(scores)
}

/// Adds a model's segments to a cache.
fn add(model: &Path, cache: &Path) -> Result<()> {
    let folder = cache.join(model.file_name().unwrap_or_default());
    fs::create_dir_all(&folder).with_context(|| format!("cannot write to {}", folder.display()))?;
    copy(&model.join(DESCRIPTION), &folder)?;
    for _ in 1..TRIES {
        let segments = segments_in(model)?.segments;
        let mut copies = segments.iter().map(|segment| (segment.path(), copy(segment.path(), &folder)));
        match copies.find(|(_, copied)| copied.is_err()) {
            // A program that uses that cache has merged the file away: what it has become is added instead.
            Some((path, Err(_))) if path.symlink_metadata().is_err() => std::thread::sleep(PAUSE),
            Some((_, copied)) => return copied,
            None => return Ok(()),
        }
    }
    bail!("{} is merged again and again by other programs; try again later", model.display())
}

/// Removes the oldest scores of all models until so many bytes are left at most. Returns the number of bytes that were removed.
///
/// # Errors
/// If the directory can't be read or written, or a file can't be removed.
pub fn prune(directory: &Path, limit: u64) -> Result<u64> {
    let mut folders: Vec<PathBuf> = list(directory)?.into_iter().map(|model| model.path).collect();
    // Whoever takes several locks takes them in this order, so that no two wait for each other.
    folders.sort();
    let _locks = folders.iter().map(|folder| lock(folder)).collect::<Result<Vec<_>>>()?;
    let mut segments = Vec::new();
    for folder in folders {
        remove_left_over(&folder);
        let found = segments_in(&folder)?.segments;
        segments.extend(found.into_iter().map(|segment| (written(segment.path()), folder.clone(), segment)));
    }
    segments.sort_by_key(|(written, ..)| std::cmp::Reverse(*written));
    let (mut kept, mut removed) = (0u64, 0u64);
    for (written, folder, segment) in segments {
        let room = limit.saturating_sub(kept);
        let left = if segment.bytes() <= room { segment.bytes() } else { shrink(&folder, &segment, (room, written))? };
        kept += left;
        removed += segment.bytes() - left;
    }
    Ok(removed)
}

/// Replaces a segment by one of at most so many bytes, as old as it was. Returns its size.
fn shrink(folder: &Path, segment: &Segment, (room, written): (u64, SystemTime)) -> Result<u64> {
    // Keys are hashes: which scores stay has nothing to do with what they are.
    let records = segment.iter().take(segment::most_records(room));
    let path = segment::write(folder, records);
    let path = path.with_context(|| format!("cannot write scores to {}", folder.display()))?;
    let bytes = path.map_or(Ok(0), |path| {
        let file = File::options().write(true).open(path)?;
        file.set_modified(written)?;
        Ok::<_, std::io::Error>(file.metadata()?.len())
    });
    remove(segment.path())?;
    bytes.with_context(|| format!("cannot write scores to {}", folder.display()))
}

/// When a file was written.
fn written(path: &Path) -> SystemTime {
    fs::metadata(path).and_then(|file| file.modified()).unwrap_or(SystemTime::UNIX_EPOCH)
}

#[cfg(test)]
mod tests;
