//! Bytes from a file or standard input: decompressed, without a byte order mark.

use std::fmt;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Cursor, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use anyhow::{Context, Result, anyhow, bail};

#[cfg(feature = "parquet")]
use super::columnar::{self, Data, Encodings, Kind, Selection, Table};
use super::compression::{Compression, Damage};
use super::findings::Findings;
use super::foreign::{HEAD_BYTES, recognise};
use super::lines::{blanks, newlines};
#[cfg(feature = "parquet")]
use super::names::{Columns, Names};
use super::position::{Counted, Position};
use crate::slices::{behind, first};
use crate::store::{self, Object};

/// Bytes per read from disk.
const BUFFER_BYTES: usize = 64 * 1024;

/// The fewest bytes by which a compression or an encoding is recognised.
const SIGNATURE_BYTES: usize = 8;

/// UTF-8's byte order mark, which some editors and spreadsheets write.
pub const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// An open input: its name in messages and its decompressed bytes.
pub struct Source {
    /// The path as the user typed it, or `standard input`.
    pub name: Arc<str>,
    /// The bytes, decompressed, after the byte order mark.
    pub reader: Box<dyn BufRead + Send>,
    /// How far a file has been read; a pipe's end is not known.
    pub position: Option<Position>,
    /// Blank lines that stood in front of what the reader still holds.
    pub lines_skipped: u64,
    /// What is found in rows that become lines while they are read.
    pub findings: Findings,
}

/// What a file or a stream holds.
pub enum Opened {
    /// Text.
    Text(Source),
    /// Columns, of which those that are needed are to be chosen.
    #[cfg(feature = "parquet")]
    Columns(Table),
}

impl Opened {
    /// Opens a file, or standard input where there is no path.
    ///
    /// # Errors
    /// A missing or unreadable file, damaged compressed data, content that is neither text in UTF-8 nor columns.
    pub fn open(path: Option<&Path>) -> Result<Self> {
        Self::open_counted(path, None)
    }

    /// As [`Opened::open`]; the bytes that are read are added to a number that several files may share.
    ///
    /// # Errors
    /// As [`Opened::open`].
    pub fn open_counted(path: Option<&Path>, read: Option<&Arc<AtomicU64>>) -> Result<Self> {
        let Some(path) = path else { return Self::of_stream("standard input".into(), Box::new(io::stdin())) };
        let name: Arc<str> = path.display().to_string().into();
        if store::is_address(path) {
            return Self::open_object(name, Object::open(path)?, read);
        }
        let file = File::open(path).with_context(|| format!("cannot open {name}"))?;
        let size = file.metadata().ok().filter(|file| file.is_file()).map(|file| file.len());
        #[cfg(feature = "parquet")]
        if size.is_some()
            && let Some(kind) = columnar::kind_of(&file).map_err(|error| read_error(&name, error))?
        {
            let table = Table::open(&name, Data::File(file), kind)?;
            return Ok(Self::Columns(table.count_in(read, size.unwrap_or_default())));
        }
        let read = read.map_or_else(Arc::default, Arc::clone);
        Ok(match Self::of_stream(name, Box::new(Counted { source: file, read: Arc::clone(&read) }))? {
            Self::Text(source) => Self::Text(Source { position: size.map(|size| Position { read, size }), ..source }),
            #[cfg(feature = "parquet")]
            columns @ Self::Columns(_) => columns,
        })
    }

    /// Opens an object in a store: text is streamed, of Parquet the needed columns are read. Arrow is copied to the disk first.
    fn open_object(name: Arc<str>, object: Object, read: Option<&Arc<AtomicU64>>) -> Result<Self> {
        #[cfg(feature = "parquet")]
        if object.beginning().get(..columnar::HEAD_BYTES).and_then(Kind::of) == Some(Kind::Parquet) {
            let size = object.size();
            return Ok(Self::Columns(Table::open(&name, Data::Object(object), Kind::Parquet)?.count_in(read, size)));
        }
        let (size, read) = (object.size(), read.map_or_else(Arc::default, Arc::clone));
        Ok(match Self::of_stream(name, Box::new(Counted { source: object.stream(), read: Arc::clone(&read) }))? {
            Self::Text(source) => Self::Text(Source { position: Some(Position { read, size }), ..source }),
            #[cfg(feature = "parquet")]
            columns @ Self::Columns(_) => columns,
        })
    }

    /// Recognises the compression of a stream and skips its byte order mark. Columns are copied to the disk first.
    ///
    /// # Errors
    /// As [`Opened::open`].
    pub fn of_stream(name: Arc<str>, reader: Box<dyn Read + Send>) -> Result<Self> {
        let error = |error| read_error(&name, error);
        let mut reader: Box<dyn BufRead + Send> = Box::new(BufReader::with_capacity(BUFFER_BYTES, reader));
        let mut head = head(&mut reader).map_err(error)?;
        if let Some(compression) = Compression::of(&head) {
            let packed = Cursor::new(std::mem::take(&mut head)).chain(reader);
            reader = Box::new(compression.unpack(packed).map_err(error)?);
            head = self::head(&mut reader).map_err(error)?;
            if Compression::of(&head).is_some() {
                bail!("{name} is compressed twice: unpack it once");
            }
        }
        #[cfg(feature = "parquet")]
        if let Some(kind) = head.get(..columnar::HEAD_BYTES).and_then(Kind::of) {
            let copy = columnar::spool(&name, &mut Cursor::new(head).chain(reader))?;
            return Table::open(&name, Data::File(copy), kind).map(Self::Columns);
        }
        if let Some(what) = recognise(&head) {
            bail!("{name} {what}");
        }
        // A file that went through two editors may have two.
        let marks = head.chunks(BYTE_ORDER_MARK.len()).take_while(|&mark| mark == BYTE_ORDER_MARK).count();
        let marked = marks * BYTE_ORDER_MARK.len();
        let head = head.split_off(marked);
        let reader = Box::new(Cursor::new(head).chain(reader));
        Ok(Self::Text(Source { name, reader, position: None, lines_skipped: 0, findings: Findings::default() }))
    }

    /// The text, or the rows of the columns with known names as JSONL.
    ///
    /// # Errors
    /// If a column with a known name has a type that can't be used.
    pub fn into_text(self) -> Result<Source> {
        match self {
            Self::Text(source) => Ok(source),
            #[cfg(feature = "parquet")]
            Self::Columns(table) => {
                let selection = Selection::new(&table, &Names::new(&Columns::default()), Encodings::default(), true)?;
                table.records(&selection)
            }
        }
    }
}

impl Source {
    /// Opens a file, or standard input where there is no path. Of columns, the rows are read as JSONL, without those that have no
    /// known name. Parquet files of a directory are read as one.
    ///
    /// # Errors
    /// As [`Opened::open`].
    pub fn open(path: Option<&Path>) -> Result<Self> {
        if let Some(directory) = path.filter(|path| path.is_dir()) {
            return Self::of_directory(directory);
        }
        Opened::open(path)?.into_text()
    }

    /// Recognises the compression of a stream and skips its byte order mark.
    ///
    /// # Errors
    /// As [`Source::open`].
    pub fn from_reader(name: Arc<str>, reader: Box<dyn Read + Send>) -> Result<Self> {
        Opened::of_stream(name, reader)?.into_text()
    }

    /// Passes by the blank lines in front and gives the first line behind them, without consuming it; of a longer line
    /// its first `limit` bytes.
    ///
    /// # Errors
    /// The source can't be read.
    pub fn peek_line(&mut self, limit: usize) -> Result<Vec<u8>> {
        let peeked = self.read_first_line(limit).map_err(|error| read_error(&self.name, error))?;
        self.put_back(peeked.clone());
        Ok(peeked)
    }

    /// Has the next reader read these bytes first.
    pub fn put_back(&mut self, bytes: Vec<u8>) {
        let rest = std::mem::replace(&mut self.reader, Box::new(io::empty()));
        self.reader = Box::new(Cursor::new(bytes).chain(rest));
    }

    fn read_first_line(&mut self, limit: usize) -> io::Result<Vec<u8>> {
        let mut line = Vec::new();
        loop {
            let available = self.reader.fill_buf()?;
            let run = blanks(available);
            let (found, ended, count) = (run.len() < available.len(), available.is_empty(), run.len());
            let own = match run.iter().rposition(|&byte| byte == b'\n') {
                Some(last) => {
                    self.lines_skipped += newlines(run);
                    line.clear();
                    behind(run, last + 1)
                }
                None => run,
            };
            line.extend_from_slice(first(own, limit - line.len()));
            self.reader.consume(count);
            if found || ended {
                break;
            }
        }
        let left = (limit - line.len()) as u64;
        Read::take(&mut self.reader, left).read_until(b'\n', &mut line)?;
        Ok(line)
    }
}

/// An input without a query.
#[derive(Debug)]
pub struct Empty(pub Arc<str>);

impl fmt::Display for Empty {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} is empty: it holds no queries", self.0)
    }
}

impl std::error::Error for Empty {}

/// Whether an input could not be opened because there is no query in it.
pub fn is_empty(error: &anyhow::Error) -> bool {
    error.is::<Empty>()
}

/// A reading error as a sentence.
pub fn read_error(name: &str, error: io::Error) -> anyhow::Error {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<Damage>()) {
        Some(damage) => anyhow!("{name} {damage}"),
        None => anyhow::Error::new(error).context(format!("cannot read {name}")),
    }
}

/// Takes what is there at the start: as much as a signature needs, and no more than one further read, as the writer of a
/// pipe may wait for an answer.
fn head(reader: &mut impl BufRead) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    while head.len() < SIGNATURE_BYTES {
        let available = reader.fill_buf()?;
        let part = first(available, HEAD_BYTES - head.len());
        if part.is_empty() {
            break;
        }
        let taken = part.len();
        head.extend_from_slice(part);
        reader.consume(taken);
    }
    Ok(head)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn read(bytes: Vec<u8>) -> Result<Vec<u8>> {
        let mut source = Source::from_reader("x".into(), Box::new(Cursor::new(bytes)))?;
        let mut content = Vec::new();
        source.reader.read_to_end(&mut content).map_err(|error| read_error("x", error))?;
        Ok(content)
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn every_member_and_frame_of_compressed_data_is_read() {
        assert_eq!(read([gzip(b"\xef\xbb\xbfone "), gzip(b"two")].concat()).unwrap(), b"one two");
        let frames = [zstd::encode_all(&b"one "[..], 1).unwrap(), zstd::encode_all(&b"two"[..], 1).unwrap()].concat();
        assert_eq!(read(frames).unwrap(), b"one two");
        assert_eq!(read(b"ab".to_vec()).unwrap(), b"ab");
    }

    #[test]
    fn truncated_compressed_data_is_an_error() {
        let text = "a text that is long enough to be cut ".repeat(50);
        for mut bytes in [gzip(text.as_bytes()), zstd::encode_all(text.as_bytes(), 1).unwrap()] {
            bytes.truncate(bytes.len() - 6);
            let message = read(bytes).unwrap_err().to_string();
            assert!(message.contains("truncated"), "{message}");
        }
    }

    #[test]
    fn utf_16_is_refused_with_a_remedy() {
        assert!(read(b"\xff\xfe{\0".to_vec()).unwrap_err().to_string().contains("iconv"));
    }

    #[test]
    fn peeking_consumes_blank_lines_only() {
        let mut source = Source::from_reader("x".into(), Box::new(&b"\n \n first\nsecond"[..])).unwrap();
        assert_eq!(source.peek_line(100).unwrap(), b" first\n");
        assert_eq!(source.peek_line(3).unwrap(), b" fi");
        let mut content = String::new();
        source.reader.read_to_string(&mut content).unwrap();
        assert_eq!((content.as_str(), source.lines_skipped), (" first\nsecond", 2));
    }
}
