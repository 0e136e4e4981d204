//! A segment: a file of scores that is written once, sorted by key, and never changed.
//!
//! ```text
//! blocks  204 records of 20 bytes (key, logit), zeros behind the last, 16 bytes of hash   4 KiB each
//! keys    the first key of each block                                                     16 bytes each
//! footer  number of records, the hash of that and of the keys, magic                      40 bytes
//! ```
//!
//! The keys are kept in memory, 1/256 of the file, so that one block is read to find a score. Blocks are read and not mapped: other
//! machines may remove or replace files of a network's file system, and a file may come from strangers. Their hash is checked when
//! they are first read.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result, ensure};
use tempfile::NamedTempFile;

use super::Key;
use crate::slices::first;

const MAGIC: &[u8; 16] = b"rerank scores 1\n";
const BLOCK: usize = 1 << 12;
const HASH: usize = 16;
const KEY: usize = size_of::<Key>();
const RECORD: usize = KEY + size_of::<f32>();
const RECORDS: usize = (BLOCK - HASH) / RECORD;
const COUNT: usize = size_of::<u64>();
const FOOTER: usize = COUNT + HASH + MAGIC.len();

/// The extension of segments' files.
pub(super) const EXTENSION: &str = "scores";

/// The extension of files that are just being written.
pub(super) const UNFINISHED: &str = "new";

/// A segment that can be read.
pub(super) struct Segment {
    path: PathBuf,
    file: File,
    bytes: u64,
    count: usize,
    /// The first key of each block.
    firsts: Vec<Key>,
    /// For each block, whether its hash was found to be right, or wrong.
    checked: Vec<AtomicU8>,
    /// Why a block could not be read, the last time.
    unread: Mutex<Option<io::Error>>,
}

const UNKNOWN: u8 = 0;
const GOOD: u8 = 1;
const BAD: u8 = 2;

/// The bytes of a block, whose records are right.
struct Block {
    bytes: [u8; BLOCK],
    count: usize,
}

impl Segment {
    /// Opens a segment.
    ///
    /// # Errors
    /// If the file can't be read, or is none.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
        let opened = Self::of_file(path, file);
        opened.with_context(|| format!("{} can't be read as a file of scores", path.display()))
    }

    fn of_file(path: &Path, file: File) -> Result<Self> {
        let bytes = file.metadata()?.len();
        let mut footer = [0; FOOTER];
        let footer_at = bytes.checked_sub(FOOTER as u64).context("it is too short")?;
        read_at(&file, &mut footer, footer_at)?;
        let (count, rest) = footer.split_at(COUNT);
        let (hash, magic) = rest.split_at(HASH);
        ensure!(magic == MAGIC, "it does not end as one");
        let records = u64::from_le_bytes(count.try_into()?);
        // The size of the file bounds the memory that is asked for.
        let blocks = footer_at / (BLOCK + KEY) as u64;
        ensure!(
            records.div_ceil(RECORDS as u64) == blocks && footer_at == blocks * (BLOCK + KEY) as u64 && records > 0,
            "its size is wrong"
        );
        let mut keys = vec![0; usize::try_from(blocks)? * KEY];
        read_at(&file, &mut keys, blocks * BLOCK as u64)?;
        ensure!(hash_of(&[&keys, count]) == hash, "its list of keys is damaged");
        let firsts: Vec<Key> = keys.as_chunks().0.iter().map(|key| Key(*key)).collect();
        let checked = firsts.iter().map(|_| AtomicU8::new(UNKNOWN)).collect();
        let (path, count) = (path.to_owned(), usize::try_from(records)?);
        Ok(Self { path, file, bytes, count, firsts, checked, unread: Mutex::default() })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The number of records.
    pub(super) fn len(&self) -> usize {
        self.count
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The logit of a key, if it is here. A block that is damaged or can't be read has none.
    pub(super) fn get(&self, key: Key) -> Option<f32> {
        let block = self.firsts.partition_point(|first| *first <= key).checked_sub(1)?;
        let block = match self.read(block) {
            Ok(block) => block?,
            Err(error) => {
                *self.unread.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                return None;
            }
        };
        let records = block.records();
        let index = records.binary_search_by_key(&key, key_of).ok()?;
        Some(logit_of(records.get(index)?)).filter(|logit| logit.is_finite())
    }

    /// All records that are not damaged, in the order of their keys.
    pub(super) fn iter(&self) -> impl Iterator<Item = io::Result<(Key, f32)>> + '_ {
        let blocks = (0..self.firsts.len()).filter_map(|block| self.read(block).transpose());
        blocks.flat_map(|block| match block {
            Ok(block) => block.records().iter().map(|record| Ok((key_of(record), logit_of(record)))).collect(),
            Err(error) => vec![Err(error)],
        })
    }

    /// The number of blocks whose hash is wrong, as far as they were read.
    pub(super) fn damaged(&self) -> usize {
        self.checked.iter().filter(|state| state.load(Ordering::Relaxed) == BAD).count()
    }

    /// Why a block could not be read, if that has happened.
    pub(super) fn unread(&self) -> Option<String> {
        self.unread.lock().unwrap_or_else(PoisonError::into_inner).as_ref().map(io::Error::to_string)
    }

    /// Reads a block; none if its hash is wrong.
    fn read(&self, block: usize) -> io::Result<Option<Block>> {
        let count = RECORDS.min(self.count - block * RECORDS);
        let mut read = Block { bytes: [0; BLOCK], count };
        read_at(&self.file, &mut read.bytes, (block * BLOCK) as u64)?;
        let Some(state) = self.checked.get(block) else { return Ok(None) };
        if state.load(Ordering::Relaxed) == UNKNOWN {
            let (content, hash) = read.bytes.split_at(BLOCK - HASH);
            state.store(if hash_of(&[content]) == hash { GOOD } else { BAD }, Ordering::Relaxed);
        }
        Ok((state.load(Ordering::Relaxed) == GOOD).then_some(read))
    }
}

impl Block {
    fn records(&self) -> &[[u8; RECORD]] {
        first(self.bytes.as_chunks().0, self.count)
    }
}

#[cfg(unix)]
fn read_at(file: &File, bytes: &mut [u8], offset: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, bytes, offset)
}

#[cfg(windows)]
fn read_at(file: &File, mut bytes: &mut [u8], mut offset: u64) -> io::Result<()> {
    while !bytes.is_empty() {
        let count = std::os::windows::fs::FileExt::seek_read(file, bytes, offset)?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        bytes = &mut bytes[count..];
        offset += count as u64;
    }
    Ok(())
}

fn hash_of(parts: &[&[u8]]) -> [u8; HASH] {
    Key::of_bytes(parts).0
}

fn key_of(record: &[u8; RECORD]) -> Key {
    let mut key = [0; KEY];
    key.copy_from_slice(&record[..KEY]);
    Key(key)
}

fn logit_of(record: &[u8; RECORD]) -> f32 {
    let mut logit = [0; size_of::<f32>()];
    logit.copy_from_slice(&record[KEY..]);
    f32::from_le_bytes(logit)
}

/// The most records that a segment of so many bytes has.
pub(super) fn most_records(bytes: u64) -> usize {
    let blocks = bytes.saturating_sub(FOOTER as u64) / (BLOCK + KEY) as u64;
    usize::try_from(blocks).unwrap_or(usize::MAX).saturating_mul(RECORDS)
}

/// A file that is not finished, under a name of its own. Others may read it, if the user lets them read usual files.
pub(super) fn new_file(directory: &Path) -> io::Result<NamedTempFile> {
    let suffix = format!(".{UNFINISHED}");
    let mut builder = tempfile::Builder::new();
    builder.prefix("").suffix(&suffix).rand_bytes(16);
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    builder.tempfile_in(directory)
}

/// Writes a segment of records, which are sorted by distinct keys, under a name of its own. The file is there as a whole or not
/// at all. Returns nothing if there are no records.
///
/// # Errors
/// If a record could not be read, or the system can't write the file.
pub(super) fn write(
    directory: &Path,
    records: impl Iterator<Item = io::Result<(Key, f32)>>,
) -> io::Result<Option<PathBuf>> {
    let mut records = records.peekable();
    if records.peek().is_none() {
        return Ok(None);
    }
    let mut output = BufWriter::with_capacity(1 << 16, new_file(directory)?);
    let (mut block, mut firsts, mut count) = (Vec::with_capacity(BLOCK), Vec::new(), 0u64);
    for record in records {
        let (Key(key), logit) = record?;
        if block.is_empty() {
            firsts.extend_from_slice(&key);
        }
        block.extend_from_slice(&key);
        block.extend_from_slice(&logit.to_le_bytes());
        count += 1;
        if block.len() == RECORDS * RECORD {
            end_block(&mut block, &mut output)?;
        }
    }
    if !block.is_empty() {
        end_block(&mut block, &mut output)?;
    }
    let count = count.to_le_bytes();
    output.write_all(&firsts)?;
    output.write_all(&count)?;
    output.write_all(&hash_of(&[&firsts, &count]))?;
    output.write_all(MAGIC)?;
    let file = output.into_inner().map_err(io::IntoInnerError::into_error)?;
    let path = file.path().with_extension(EXTENSION);
    persist(file, &path)?;
    Ok(Some(path))
}

/// Gives a file its name, and waits until both are on the disk: what it replaces may be removed then.
pub(super) fn persist(file: NamedTempFile, path: &Path) -> io::Result<()> {
    file.as_file().sync_data()?;
    file.persist(path).map_err(|error| error.error)?;
    // Not every system can wait for a folder.
    #[cfg(unix)]
    let _ = path.parent().map(|folder| File::open(folder).and_then(|folder| folder.sync_all()));
    Ok(())
}

fn end_block(block: &mut Vec<u8>, output: &mut impl Write) -> io::Result<()> {
    block.resize(BLOCK - HASH, 0);
    let hash = hash_of(&[block]);
    output.write_all(block)?;
    output.write_all(&hash)?;
    block.clear();
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Keys as hashes are, from a seed.
    pub(crate) fn key(seed: u64) -> Key {
        Key::of_bytes(&[&seed.to_le_bytes()])
    }

    fn records(seeds: impl Iterator<Item = u64>) -> Vec<(Key, f32)> {
        let mut records: Vec<(Key, f32)> = seeds.map(|seed| (key(seed), seed as f32)).collect();
        records.sort_by_key(|(key, _)| *key);
        records
    }

    #[test]
    fn what_is_written_is_found_and_nothing_else() {
        let directory = tempfile::tempdir().unwrap();
        for count in [1, 2, RECORDS, RECORDS + 1, 5 * RECORDS + 7] {
            let sorted = records(0..count as u64);
            let path = write(directory.path(), sorted.iter().copied().map(Ok)).unwrap().unwrap();
            let segment = Segment::open(&path).unwrap();
            assert_eq!((segment.len(), segment.damaged()), (count, 0));
            assert!(segment.iter().map(Result::unwrap).eq(sorted));
            for seed in 0..count as u64 {
                assert_eq!(segment.get(key(seed)), Some(seed as f32));
                assert_eq!(segment.get(key(seed + (1 << 40))), None);
            }
        }
        assert!(write(directory.path(), std::iter::empty()).unwrap().is_none());
        let names: Vec<_> = std::fs::read_dir(directory.path()).unwrap().map(|file| file.unwrap().path()).collect();
        assert!(names.len() == 5 && names.iter().all(|path| path.extension().unwrap() == EXTENSION), "{names:?}");
    }

    #[test]
    fn keys_that_are_not_spread_evenly_are_found_too() {
        let directory = tempfile::tempdir().unwrap();
        let crowded: Vec<(Key, f32)> =
            (0..3 * RECORDS as u128).map(|low| (Key(low.to_be_bytes()), low as f32)).collect();
        let path = write(directory.path(), crowded.iter().copied().map(Ok)).unwrap().unwrap();
        let segment = Segment::open(&path).unwrap();
        assert!(crowded.iter().all(|(key, logit)| segment.get(*key) == Some(*logit)));
        assert_eq!(segment.get(Key([255; 16])), None);
    }

    const TWO_BLOCKS: usize = 2 * (BLOCK + KEY) + FOOTER;

    proptest! {
        #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]
        #[test]
        fn a_damaged_file_gives_no_wrong_score(place in 0..TWO_BLOCKS, bits in 1u8..=255, cut in 0..TWO_BLOCKS) {
            let directory = tempfile::tempdir().unwrap();
            let sorted = records(0..RECORDS as u64 + 9);
            let path = write(directory.path(), sorted.iter().copied().map(Ok)).unwrap().unwrap();
            let mut bytes = std::fs::read(&path).unwrap();
            let whole = bytes.clone();
            bytes[place] ^= bits;
            std::fs::write(&path, &bytes).unwrap();
            if let Ok(segment) = Segment::open(&path) {
                for (key, logit) in &sorted {
                    prop_assert!(segment.get(*key).is_none_or(|found| found == *logit));
                }
            }
            std::fs::write(&path, &whole[..cut]).unwrap();
            prop_assert!(Segment::open(&path).is_err());
        }
    }
}
