//! Where columns are read from: a file on the disk, or an object in a store.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek};
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use parquet::errors::{ParquetError, Result};
use parquet::file::reader::{ChunkReader, Length};

use crate::store::{Object, Pending};

/// The bytes that are read ahead of all columns of an object together, and of each at least and at most.
const BYTES_AHEAD: u64 = 64 << 20;
const LEAST_OF_COLUMN: u64 = 256 << 10;
const MOST_OF_COLUMN: u64 = 4 << 20;

/// Bytes that are taken at once to read the header of a page.
const HEADER_BYTES: usize = 256;

/// A file or an object that holds columns.
pub enum Data {
    /// A file on a disk.
    File(File),
    /// An object, of which ranges are read.
    Object(Object),
    /// An object of which columns are read ahead.
    Ahead(Arc<Ahead>),
}

impl Data {
    /// The file.
    ///
    /// # Errors
    /// If it is an object: only Parquet is read from one in place.
    pub(super) fn file(&self) -> io::Result<&File> {
        match self {
            Self::File(file) => Ok(file),
            Self::Object(_) | Self::Ahead(_) => Err(io::Error::other("it is no file on a disk")),
        }
    }

    /// The file, at its beginning: reading the schema has moved the position, which all handles of a file share.
    ///
    /// # Errors
    /// As [`Data::file`], and if the system can't.
    pub(super) fn into_file(self) -> io::Result<File> {
        let mut file = self.file()?.try_clone()?;
        file.rewind()?;
        Ok(file)
    }

    /// The same, where an object is read ahead: these are the places of the column chunks that will be read of so many columns, each
    /// from its beginning to its end.
    pub(super) fn read_ahead(self, chunks: Vec<Range<u64>>, columns: usize) -> Self {
        match self {
            Self::Object(object) => Self::Ahead(Arc::new(Ahead::new(object, chunks, columns))),
            other => other,
        }
    }
}

impl Length for Data {
    fn len(&self) -> u64 {
        match self {
            Self::File(file) => Length::len(file),
            Self::Object(object) => object.size(),
            Self::Ahead(ahead) => ahead.object.size(),
        }
    }
}

impl ChunkReader for Data {
    type T = Box<dyn Read>;

    fn get_read(&self, start: u64) -> Result<Box<dyn Read>> {
        Ok(match self {
            Self::File(file) => Box::new(file.get_read(start)?),
            Self::Object(object) => {
                let rest = object.read(start..object.size().min(start + LEAST_OF_COLUMN)).map_err(external)?;
                Box::new(io::Cursor::new(rest))
            }
            Self::Ahead(ahead) => {
                Box::new(BufReader::with_capacity(HEADER_BYTES, AheadAt { ahead: Arc::clone(ahead), at: start }))
            }
        })
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes> {
        let bytes = match self {
            Self::File(file) => return file.get_bytes(start, length),
            Self::Object(object) => object.read(start..start + length as u64).map_err(external)?.into(),
            Self::Ahead(ahead) => ahead.read(start, length as u64).map_err(external)?,
        };
        if bytes.len() != length {
            return Err(ParquetError::EOF(format!("{length} bytes are needed, and {} are there", bytes.len())));
        }
        Ok(bytes)
    }
}

fn external(error: io::Error) -> ParquetError {
    ParquetError::External(Box::new(error))
}

/// An object whose column chunks are read in larger steps than their pages, each step while the one before it is used.
pub struct Ahead {
    object: Object,
    /// The column chunks by their places, with what was read of each.
    chunks: Mutex<Vec<Chunk>>,
    /// The bytes of a step.
    step: u64,
}

struct Chunk {
    range: Range<u64>,
    /// Where the bytes at hand begin.
    start: u64,
    at_hand: Bytes,
    /// The bytes behind them, which are on their way.
    next: Option<Pending>,
}

impl Ahead {
    fn new(object: Object, mut ranges: Vec<Range<u64>>, columns: usize) -> Self {
        ranges.sort_by_key(|range| range.start);
        let chunk = |range: Range<u64>| Chunk { start: range.start, range, at_hand: Bytes::new(), next: None };
        // Of each column, what is at hand and what is on its way are held at once.
        let step = (BYTES_AHEAD / 2 / columns.max(1) as u64).clamp(LEAST_OF_COLUMN, MOST_OF_COLUMN);
        Self { object, chunks: Mutex::new(ranges.into_iter().map(chunk).collect()), step }
    }

    /// Reads a range of bytes.
    fn read(&self, start: u64, length: u64) -> io::Result<Bytes> {
        let end = start.saturating_add(length);
        let mut chunks = self.chunks.lock().unwrap_or_else(PoisonError::into_inner);
        let behind = chunks.partition_point(|chunk| chunk.range.start <= start);
        let chunk = behind.checked_sub(1).and_then(|index| chunks.get_mut(index));
        match chunk.filter(|chunk| end <= chunk.range.end) {
            Some(chunk) => chunk.read(&self.object, start..end, self.step),
            None => self.object.read(start..end).map(Bytes::from),
        }
    }
}

impl Chunk {
    fn read(&mut self, object: &Object, range: Range<u64>, step: u64) -> io::Result<Bytes> {
        loop {
            let end = self.start + self.at_hand.len() as u64;
            if self.start <= range.start && range.end <= end {
                let from = (range.start - self.start) as usize;
                return Ok(self.at_hand.slice(from..from + (range.end - range.start) as usize));
            }
            let follows = self.start <= range.start && range.start <= end;
            let (kept, next) = if follows {
                (self.at_hand.split_off((range.start - self.start) as usize), self.next.take())
            } else {
                (Bytes::new(), None)
            };
            let from = range.start + kept.len() as u64;
            let most = self.range.end;
            let read = match next {
                Some(next) => next.wait()?,
                None => object.read(from..most.min(range.end.max(from + step)))?,
            };
            if read.is_empty() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.start = range.start;
            self.at_hand = if kept.is_empty() { read.into() } else { [&*kept, &*read].concat().into() };
            let end = self.start + self.at_hand.len() as u64;
            self.next = if end < most { Some(object.begin(end..most.min(end + step))?) } else { None };
        }
    }
}

/// Reads columns from a place on.
struct AheadAt {
    ahead: Arc<Ahead>,
    at: u64,
}

impl Read for AheadAt {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.ahead.object.size().saturating_sub(self.at).min(buffer.len() as u64);
        let bytes = self.ahead.read(self.at, left)?;
        buffer.iter_mut().zip(&bytes).for_each(|(to, from)| *to = *from);
        self.at += bytes.len() as u64;
        Ok(bytes.len())
    }
}
