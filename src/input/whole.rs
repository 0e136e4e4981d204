//! What the whole of an input has, also where only some of its queries are ranked: how workers that each read all of it know
//! that they read the same.

use std::hash::Hasher;
use std::io::{self, BufRead, Read};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use twox_hash::XxHash3_64;

use super::Selection;
use crate::slices::behind;

/// What a worker has read of an input, which is all of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WholeInput {
    /// The queries, those included that could not be used.
    pub queries: u64,
    /// The bytes of the text, decompressed; of a file of columns, those of the lines that its rows become.
    pub bytes: u64,
    /// Their XXH3 hash of 64 bits, in hexadecimal digits. It tells inputs apart that differ by accident.
    pub xxh3: String,
}

impl WholeInput {
    /// How the input of another worker differs from this one, as the end of a sentence that begins with that worker; none, if it
    /// is the same.
    pub fn difference(&self, other: &Self) -> Option<String> {
        if self == other {
            return None;
        }
        let counts = [(self.queries, other.queries, "queries"), (self.bytes, other.bytes, "bytes")];
        let differing = counts.into_iter().find(|(one, two, _)| one != two);
        Some(match differing {
            Some((one, two, what)) => format!("read {two} {what} of the input, and not {one}"),
            None => "read other content of the input, in as many bytes".to_owned(),
        })
    }
}

/// The bytes, the hash and the queries of an input. The reader adds to them, and the writer of a part asks for them when the input is
/// at its end. They are counted only where several workers read the same input and each ranks some of its queries, as a merge
/// compares what the workers read.
#[derive(Clone, Default)]
pub struct Whole(Option<Arc<Mutex<State>>>);

#[derive(Default)]
struct State {
    hasher: XxHash3_64,
    bytes: u64,
    input: Option<WholeInput>,
}

impl Whole {
    /// That of an input whose queries are selected so.
    pub(super) fn of(selection: Selection) -> Self {
        Self(matches!(selection, Selection::Queries { .. }).then(Arc::default))
    }

    /// What the input has, if that is kept and it was read to its end.
    pub fn input(&self) -> Option<WholeInput> {
        lock(self.0.as_ref()?).input.clone()
    }

    /// A reader whose bytes are counted and hashed, if that is kept.
    pub(super) fn reader(&self, reader: Box<dyn BufRead + Send>) -> Box<dyn BufRead + Send> {
        match &self.0 {
            Some(state) => Box::new(Hashed { reader, ahead: 0, state: Arc::clone(state) }),
            None => reader,
        }
    }

    /// Notes that the input was read to its end, and has so many queries.
    pub(super) fn complete(&self, queries: u64) {
        let Some(state) = &self.0 else { return };
        let mut state = lock(state);
        let (bytes, xxh3) = (state.bytes, format!("{:016x}", state.hasher.finish()));
        state.input = Some(WholeInput { queries, bytes, xxh3 });
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A reader whose bytes are hashed a buffer at a time: record by record would cost more.
struct Hashed {
    reader: Box<dyn BufRead + Send>,
    /// Bytes that are hashed and not consumed.
    ahead: usize,
    state: Arc<Mutex<State>>,
}

impl BufRead for Hashed {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        let available = self.reader.fill_buf()?;
        if available.len() > self.ahead {
            let new = behind(available, self.ahead);
            let mut state = lock(&self.state);
            state.bytes += new.len() as u64;
            state.hasher.write(new);
            self.ahead = available.len();
        }
        Ok(available)
    }

    fn consume(&mut self, bytes: usize) {
        self.ahead = self.ahead.saturating_sub(bytes);
        self.reader.consume(bytes);
    }
}

impl Read for Hashed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.fill_buf()?.read(buffer)?;
        self.consume(read);
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufReader, Cursor};

    use super::*;
    use crate::shard::Shard;

    fn whole(text: &[u8], capacity: usize, step: usize) -> WholeInput {
        let whole = Whole::of(Selection::Queries { shard: Shard { index: 0, count: 1 }, in_full: false });
        let mut reader = whole.reader(Box::new(BufReader::with_capacity(capacity, Cursor::new(text.to_vec()))));
        loop {
            let taken = reader.fill_buf().unwrap().len().min(step);
            if taken == 0 {
                break;
            }
            reader.consume(taken);
            // Other readers take bytes away without looking at them.
            let _ = reader.read(&mut vec![0; step]).unwrap();
        }
        assert_eq!(whole.input(), None);
        whole.complete(1);
        whole.input().unwrap()
    }

    #[test]
    fn the_hash_is_that_of_all_bytes_whatever_is_read_at_a_time() {
        let text: Vec<u8> = (0..2000u32).map(|number| (number * 7 % 251) as u8).collect();
        let expected = format!("{:016x}", XxHash3_64::oneshot(&text));
        for (capacity, step) in [(1, 1), (7, 3), (64, 64), (1000, 13), (5000, 5000)] {
            let whole = whole(&text, capacity, step);
            assert_eq!((whole.bytes, whole.xxh3), (2000, expected.clone()), "{capacity} {step}");
        }
    }

    #[test]
    fn a_difference_names_what_is_most_telling() {
        let input = |queries, bytes, hash: &str| WholeInput { queries, bytes, xxh3: hash.to_owned() };
        let one = input(43, 900, "a");
        assert_eq!(one.difference(&one), None);
        for (other, part) in [
            (input(20, 400, "b"), "read 20 queries of the input, and not 43"),
            (input(43, 901, "b"), "read 901 bytes of the input, and not 900"),
            (input(43, 900, "b"), "other content of the input"),
        ] {
            assert!(one.difference(&other).unwrap().contains(part), "{part}");
        }
    }
}
