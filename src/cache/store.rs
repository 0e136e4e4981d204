//! The scores of one model: those in segments, and new ones that are not written yet.

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use ahash::AHashMap;
use anyhow::{Context, Result, anyhow, ensure};

use super::Key;
use super::folder::{self, Folder, Found};
use super::segment::{self, Segment};
use crate::progress::counted;
use crate::slices::behind;

/// New scores are written when there are so many.
const MOST_FRESH: usize = 1 << 17;
/// New scores are written after this time, so that a kill loses no more.
const EVERY: Duration = Duration::from_secs(10);

/// A model's scores, shared between the threads of a run.
pub struct ScoreCache {
    scores: Arc<Scores>,
    writer: Mutex<Option<Writer>>,
}

/// The thread that writes, and what wakes it; that is closed at the end.
struct Writer {
    wake: Sender<()>,
    thread: JoinHandle<Result<()>>,
}

struct Scores {
    folder: Folder,
    segments: RwLock<Vec<Arc<Segment>>>,
    /// How many of the segments were there when the run began. Only others are merged while it goes on, as other runs may merge these.
    found: usize,
    /// Scores that no segment has yet.
    fresh: Mutex<Fresh>,
    /// Files that can't be read as segments.
    unreadable: usize,
    /// Damaged blocks of segments that were merged.
    damaged: AtomicUsize,
}

#[derive(Default)]
struct Fresh {
    new: AHashMap<Key, f32>,
    /// Those that are just being written.
    leaving: Arc<AHashMap<Key, f32>>,
}

impl ScoreCache {
    /// Opens the scores of a model, and merges them if they stand in many segments. `warn` is called if scores can't be written, once.
    ///
    /// # Errors
    /// If the folder can't be read or written.
    pub(super) fn open(folder: Folder, warn: impl Fn(&str) + Send + 'static) -> Result<Self> {
        let Found { segments, unreadable, damaged } = folder.tidy()?;
        let found = segments.len();
        let segments = RwLock::new(segments.into_iter().map(Arc::new).collect());
        let (fresh, damaged) = (Mutex::default(), AtomicUsize::new(damaged));
        let scores = Arc::new(Scores { folder, segments, found, fresh, unreadable, damaged });
        let (wake, woken) = channel();
        let thread = thread::spawn({
            let scores = Arc::clone(&scores);
            move || scores.keep_writing(&woken, &warn)
        });
        Ok(Self { scores, writer: Mutex::new(Some(Writer { wake, thread })) })
    }

    /// The logit of a prompt, if it is known.
    pub fn get(&self, key: Key) -> Option<f32> {
        {
            let fresh = self.scores.fresh();
            if let Some(logit) = fresh.new.get(&key).or_else(|| fresh.leaving.get(&key)) {
                return Some(*logit);
            }
        }
        self.scores.segments().iter().find_map(|segment| segment.get(key))
    }

    /// Keeps a logit. One that is not finite is not kept.
    pub fn insert(&self, key: Key, logit: f32) {
        if !logit.is_finite() {
            return;
        }
        let count = {
            let mut fresh = self.scores.fresh();
            fresh.new.insert(key, logit);
            fresh.new.len()
        };
        if count == MOST_FRESH
            && let Some(writer) = &*self.writer()
        {
            // This fails only if the thread has panicked, which is reported at the end.
            let _ = writer.wake.send(());
        }
    }

    /// The number of scores in segments.
    pub fn len(&self) -> usize {
        self.scores.segments().iter().map(|segment| segment.len()).sum()
    }

    /// Whether no segment has scores.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What can't be used of the cache, in a sentence, as far as it was read.
    pub fn damage(&self) -> Option<String> {
        let Scores { folder, unreadable, damaged, .. } = &*self.scores;
        let here: usize = self.scores.segments().iter().map(|segment| segment.damaged()).sum();
        let blocks = here + damaged.load(Ordering::Relaxed);
        let unread = self.scores.segments().iter().find_map(|segment| segment.unread());
        (blocks + unreadable > 0 || unread.is_some()).then(|| {
            format!(
                "the cache in {} has {} and {}{}; what stood there is computed again",
                folder.path().display(),
                counted(blocks as u64, "damaged block", "damaged blocks"),
                counted(*unreadable as u64, "file that can't be read", "files that can't be read"),
                unread.map(|error| format!(", and could not be read everywhere ({error})")).unwrap_or_default(),
            )
        })
    }

    /// Writes what is not written yet. Nothing is kept that comes after that.
    ///
    /// # Errors
    /// If some scores could not be written.
    pub fn finish(&self) -> Result<()> {
        let Some(Writer { wake, thread }) = self.writer().take() else { return Ok(()) };
        drop(wake);
        thread.join().map_err(|_| anyhow!("the thread that writes the cache has panicked"))?
    }

    fn writer(&self) -> MutexGuard<'_, Option<Writer>> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for ScoreCache {
    fn drop(&mut self) {
        // A run that wants to know of errors calls `finish`.
        let _ = self.finish();
    }
}

impl Scores {
    fn fresh(&self) -> MutexGuard<'_, Fresh> {
        self.fresh.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn segments(&self) -> RwLockReadGuard<'_, Vec<Arc<Segment>>> {
        self.segments.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn keep_writing(&self, woken: &Receiver<()>, warn: &impl Fn(&str)) -> Result<()> {
        let (mut lost, mut warned) = (0, false);
        loop {
            let ended = matches!(woken.recv_timeout(EVERY), Err(RecvTimeoutError::Disconnected));
            let leaving = self.leave();
            let added = self.add(&leaving);
            if added.is_err() {
                // They are dropped, as what can't be written must not fill the memory.
                lost += leaving.len();
            }
            let written = added.and_then(|path| self.take_in(path));
            self.fresh().leaving = Arc::default();
            if let Err(error) = written.and_then(|()| self.merge())
                && !std::mem::replace(&mut warned, true)
            {
                warn(&format!("{error:#}; later scores are tried again"));
            }
            if ended {
                let (scores, folder) = (counted(lost as u64, "score", "scores"), self.folder.path().display());
                ensure!(lost == 0, "{scores} could not be written to the cache in {folder}");
                return Ok(());
            }
        }
    }

    /// Takes the new scores, which can be looked up until they are written.
    fn leave(&self) -> Arc<AHashMap<Key, f32>> {
        let mut fresh = self.fresh();
        fresh.leaving = Arc::new(std::mem::take(&mut fresh.new));
        Arc::clone(&fresh.leaving)
    }

    /// Writes scores as a segment, if there are some.
    fn add(&self, scores: &AHashMap<Key, f32>) -> Result<Option<PathBuf>> {
        if scores.is_empty() {
            return Ok(None);
        }
        // Somebody may have removed the cache to begin anew.
        self.folder.make()?;
        let mut records: Vec<(Key, f32)> = scores.iter().map(|(key, logit)| (*key, *logit)).collect();
        records.sort_unstable_by_key(|(key, _)| *key);
        let directory = self.folder.path();
        segment::write(directory, records.into_iter().map(Ok))
            .with_context(|| format!("cannot write scores to {}", directory.display()))
    }

    fn take_in(&self, path: Option<PathBuf>) -> Result<()> {
        let Some(path) = path else { return Ok(()) };
        let segment = Arc::new(Segment::open(&path)?);
        self.segments.write().unwrap_or_else(PoisonError::into_inner).push(segment);
        Ok(())
    }

    fn merge(&self) -> Result<()> {
        while self.merge_last()? {}
        Ok(())
    }

    /// Merges the last two segments of this run if the older one has less than twice as many scores as the newer one: so there are few, and
    /// each score is written few times. Returns whether it did.
    fn merge_last(&self) -> Result<bool> {
        let last = {
            let segments = self.segments();
            let [.., older, newer] = behind(&segments, self.found) else { return Ok(false) };
            if older.len() >= 2 * newer.len() {
                return Ok(false);
            }
            [Arc::clone(older), Arc::clone(newer)]
        };
        let merged = folder::merge_segments(self.folder.path(), &last)?;
        self.damaged.fetch_add(last.iter().map(|segment| segment.damaged()).sum(), Ordering::Relaxed);
        let mut segments = self.segments.write().unwrap_or_else(PoisonError::into_inner);
        let kept = segments.len() - last.len();
        segments.truncate(kept);
        segments.extend(merged.map(Arc::new));
        Ok(true)
    }
}
