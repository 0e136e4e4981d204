//! A segment: a file of scores that is written once, sorted by key, and never changed.
//!
//! ```text
//! header  magic, number of records                                                          64 bytes
//! blocks  3,276 records of 20 bytes (key, logit), zeros behind the last, 16 bytes of hash   64 KiB each
//! ```
//!
//! A block's hash is checked when it is first read. Keys are hashes, and so evenly spread: where a key stands follows from its
//! value, to within some records.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU8, Ordering};

use anyhow::{Context, Result, ensure};
use memmap2::Mmap;
use tempfile::NamedTempFile;

use super::Key;

const MAGIC: &[u8; 16] = b"rerank scores 1\n";
const HEADER: usize = 64;
const BLOCK: usize = 1 << 16;
const HASH: usize = 16;
const KEY: usize = size_of::<Key>();
const RECORD: usize = KEY + size_of::<f32>();
const RECORDS: usize = (BLOCK - HASH) / RECORD;

/// The extension of segments' files.
pub(super) const EXTENSION: &str = "scores";

/// The extension of files that are just being written.
pub(super) const UNFINISHED: &str = "new";

const UNKNOWN: u8 = 0;
const GOOD: u8 = 1;
const BAD: u8 = 2;

/// A segment that can be read.
pub(super) struct Segment {
    path: PathBuf,
    memory: Mmap,
    count: usize,
    /// For each block, whether its hash was found to be right.
    checked: Vec<AtomicU8>,
}

impl Segment {
    /// Opens a segment.
    ///
    /// # Errors
    /// If the file can't be read, or is none.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
        // SAFETY: segments are never changed in place; rerank removes whole files only, which leaves what is mapped as it is.
        let memory = unsafe { Mmap::map(&file) }.with_context(|| format!("cannot read {}", path.display()))?;
        let count = count(&memory).with_context(|| format!("{} is no file of scores", path.display()))?;
        let checked = (0..count.div_ceil(RECORDS)).map(|_| AtomicU8::new(UNKNOWN)).collect();
        Ok(Self { path: path.to_owned(), memory, count, checked })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The number of records.
    pub(super) fn len(&self) -> usize {
        self.count
    }

    pub(super) fn bytes(&self) -> u64 {
        self.memory.len() as u64
    }

    /// The logit of a key, if it is here. A block that is damaged has none.
    pub(super) fn get(&self, key: Key) -> Option<f32> {
        let block = self.block_of(key)?;
        let records = self.records(block)?;
        let index = search(records.len(), key, |index| key_of(&records[index]))?;
        let (_, logit) = records[index].split_at(KEY);
        Some(f32::from_le_bytes(logit.try_into().ok()?)).filter(|logit| logit.is_finite())
    }

    /// All records that are not damaged, in the order of their keys.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Key, f32)> + '_ {
        let blocks = (0..self.checked.len()).filter_map(|block| self.records(block));
        blocks.flatten().map(|record| {
            let (_, logit) = record.split_at(KEY);
            (key_of(record), f32::from_le_bytes(logit.try_into().unwrap_or_default()))
        })
    }

    /// The number of blocks whose hash is wrong, as far as they were read.
    pub(super) fn damaged(&self) -> usize {
        self.checked.iter().filter(|state| state.load(Ordering::Relaxed) == BAD).count()
    }

    /// The only block that may have this key: the last whose first key is not greater.
    fn block_of(&self, key: Key) -> Option<usize> {
        let first = |block: usize| key_of(&self.raw(block)[0]);
        let blocks = self.checked.len();
        // How many blocks begin at or before the key, near where it should be: a guess, from which steps double.
        let mut low = guess(key, blocks);
        let mut step = 1;
        while low > 0 && first(low) > key {
            low = low.saturating_sub(step);
            step *= 2;
        }
        let mut high = low + 1;
        step = 1;
        while high < blocks && first(high) <= key {
            low = high;
            high = (high + step).min(blocks);
            step *= 2;
        }
        while high - low > 1 {
            let middle = low.midpoint(high);
            if first(middle) <= key { low = middle } else { high = middle }
        }
        (low < blocks).then_some(low)
    }

    /// The records of a block, whatever its hash.
    fn raw(&self, block: usize) -> &[[u8; RECORD]] {
        let bytes = &self.memory[HEADER + block * BLOCK..][..RECORDS * RECORD];
        let count = RECORDS.min(self.count - block * RECORDS);
        &bytes.as_chunks().0[..count]
    }

    /// The records of a block, if its hash is right.
    fn records(&self, block: usize) -> Option<&[[u8; RECORD]]> {
        let state = &self.checked[block];
        if state.load(Ordering::Relaxed) == UNKNOWN {
            let (content, hash) = self.memory[HEADER + block * BLOCK..][..BLOCK].split_at(BLOCK - HASH);
            let is_good = hash_of(content) == hash;
            state.store(if is_good { GOOD } else { BAD }, Ordering::Relaxed);
        }
        (state.load(Ordering::Relaxed) == GOOD).then(|| self.raw(block))
    }
}

/// The number of records that the header states, if the file has as many blocks.
fn count(bytes: &[u8]) -> Result<usize> {
    let (header, blocks) = bytes.split_at_checked(HEADER).context("it is too short")?;
    let (magic, rest) = header.split_at(MAGIC.len());
    ensure!(magic == MAGIC, "it does not begin as one");
    let count = u64::from_le_bytes(rest[..8].try_into()?);
    let count = usize::try_from(count)?;
    ensure!(count > 0 && Some(blocks.len()) == count.div_ceil(RECORDS).checked_mul(BLOCK), "its size is wrong");
    Ok(count)
}

fn hash_of(content: &[u8]) -> [u8; HASH] {
    let mut hash = [0; HASH];
    hash.copy_from_slice(&blake3::hash(content).as_bytes()[..HASH]);
    hash
}

fn key_of(record: &[u8; RECORD]) -> Key {
    let mut key = [0; KEY];
    key.copy_from_slice(&record[..KEY]);
    Key(key)
}

/// Where a key stands among so many things that are evenly spread.
fn guess(key: Key, count: usize) -> usize {
    let head = u64::from_be_bytes(key.0[..8].try_into().unwrap_or_default());
    ((u128::from(head) * count as u128) >> 64) as usize
}

/// Finds a key among `count` sorted ones: by halves, which stay in one block's memory.
fn search(count: usize, key: Key, at: impl Fn(usize) -> Key) -> Option<usize> {
    let (mut low, mut high) = (0, count);
    while low < high {
        let middle = low.midpoint(high);
        match at(middle).cmp(&key) {
            std::cmp::Ordering::Equal => return Some(middle),
            std::cmp::Ordering::Less => low = middle + 1,
            std::cmp::Ordering::Greater => high = middle,
        }
    }
    None
}

/// Writes a segment of records, which are sorted by distinct keys, under a name of its own. The file is there as a whole or not
/// at all. Returns nothing if there are no records.
///
/// # Errors
/// If the system can't write it.
pub(super) fn write(directory: &Path, records: impl Iterator<Item = (Key, f32)>) -> io::Result<Option<PathBuf>> {
    let file =
        tempfile::Builder::new().prefix("").suffix(&format!(".{UNFINISHED}")).rand_bytes(16).tempfile_in(directory)?;
    let mut output = BufWriter::with_capacity(BLOCK, file);
    output.write_all(&[0; HEADER])?;
    let mut block = Vec::with_capacity(BLOCK);
    let mut count = 0u64;
    for (Key(key), logit) in records {
        block.extend_from_slice(&key);
        block.extend_from_slice(&logit.to_le_bytes());
        count += 1;
        if block.len() == RECORDS * RECORD {
            end_block(&mut block, &mut output)?;
        }
    }
    if count == 0 {
        return Ok(None);
    }
    if !block.is_empty() {
        end_block(&mut block, &mut output)?;
    }
    let file = output.into_inner().map_err(io::IntoInnerError::into_error)?;
    finish(file, count).map(Some)
}

fn end_block(block: &mut Vec<u8>, output: &mut impl Write) -> io::Result<()> {
    block.resize(BLOCK - HASH, 0);
    let hash = hash_of(block);
    output.write_all(block)?;
    output.write_all(&hash)?;
    block.clear();
    Ok(())
}

/// Writes the header, and gives the file its name.
fn finish(mut file: NamedTempFile, count: u64) -> io::Result<PathBuf> {
    use std::io::Seek;
    file.rewind()?;
    file.write_all(MAGIC)?;
    file.write_all(&count.to_le_bytes())?;
    file.as_file().sync_data()?;
    let path = file.path().with_extension(EXTENSION);
    file.persist_noclobber(&path).map_err(|error| error.error)?;
    Ok(path)
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
            let path = write(directory.path(), sorted.iter().copied()).unwrap().unwrap();
            let segment = Segment::open(&path).unwrap();
            assert_eq!((segment.len(), segment.damaged()), (count, 0));
            assert!(segment.iter().eq(sorted));
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
        let path = write(directory.path(), crowded.iter().copied()).unwrap().unwrap();
        let segment = Segment::open(&path).unwrap();
        assert!(crowded.iter().all(|(key, logit)| segment.get(*key) == Some(*logit)));
        assert_eq!(segment.get(Key([255; 16])), None);
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]
        #[test]
        fn a_damaged_file_gives_no_wrong_score(place in 0usize..(HEADER + 2 * BLOCK), bits in 1u8..=255, cut in 0usize..(HEADER + 2 * BLOCK)) {
            let directory = tempfile::tempdir().unwrap();
            let sorted = records(0..RECORDS as u64 + 9);
            let path = write(directory.path(), sorted.iter().copied()).unwrap().unwrap();
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
