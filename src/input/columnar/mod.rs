//! Parquet and Arrow files: their rows are read as lines of text, so that everything behind the [source](super::source) treats
//! them as it treats JSONL, a table or a run. The line of a message is the number of the row, counted from 1.
//!
//! ```text
//! Parquet, Arrow ─ batches of rows ─► one line a row ─► lines ─► json …
//! ```
//!
//! Memory holds one batch: of a Parquet file a few thousand rows, or fewer where rows are long, and the pages of the columns that
//! are needed; of an Arrow file a record batch as its writer made it.

mod batches;
mod carried;
mod cells;
mod counter;
mod data;
mod encodings;
mod entries;
mod lengths;
mod lines;
mod lists;
mod selection;
mod values;

use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use anyhow::{Context, Result, anyhow};
use arrow_schema::SchemaRef;

use self::batches::Rows;
pub use self::carried::{keep_types, keep_types_of_all};
use self::cells::Cells;
use self::counter::RowCounter;
pub use self::data::Data;
pub use self::encodings::Encodings;
use self::lengths::OpenEnd;
use self::lines::{Encode, Lines, Records};
pub use self::selection::{Selection, listed};
use super::findings::Findings;
use super::position::Position;
use super::source::{Source, read_error};
use crate::progress::counted;

/// The kinds of files that hold columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Apache Parquet.
    Parquet,
    /// Arrow's file format, which is Feather's second version.
    ArrowFile,
    /// Arrow's streaming format.
    ArrowStream,
}

impl Kind {
    /// The kind of a file that begins with these bytes.
    pub fn of(head: &[u8]) -> Option<Self> {
        match head {
            [b'P', b'A', b'R', b'1', ..] => Some(Self::Parquet),
            [b'A', b'R', b'R', b'O', b'W', b'1', ..] => Some(Self::ArrowFile),
            // Behind the mark of a continuation stands the length of the schema: at most 16 MiB, a multiple of 8.
            [0xff, 0xff, 0xff, 0xff, low, _, _, 0] if low % 8 == 0 => Some(Self::ArrowStream),
            _ => None,
        }
    }

    /// What a file of this kind is called, with its article.
    pub fn name(self) -> &'static str {
        match self {
            Self::Parquet => "a Parquet",
            Self::ArrowFile | Self::ArrowStream => "an Arrow",
        }
    }
}

/// The bytes by which a file's kind is known.
pub const HEAD_BYTES: usize = 8;

/// An open file that holds columns.
pub struct Table {
    name: Arc<str>,
    kind: Kind,
    rows: Rows,
    /// The number to which what is read of the file is added, and the file's size in its units, if several files share one.
    shared: Option<(Arc<AtomicU64>, u64)>,
}

impl Table {
    /// Opens a file of this kind, and reads its schema.
    ///
    /// # Errors
    /// If the file can't be read, or is damaged or truncated.
    pub fn open(name: &Arc<str>, data: Data, kind: Kind) -> Result<Self> {
        let rows = Rows::open(data, kind).map_err(|problem| {
            let kind = kind.name();
            anyhow!(
                "{name} begins as {kind} file and can't be read as one ({problem}): it is most likely truncated or damaged; \
                 fetch or write it again"
            )
        })?;
        Ok(Self { name: Arc::clone(name), kind, rows, shared: None })
    }

    /// The same, where what is read of the file's bytes is added to a number that several files share.
    pub fn count_in(self, read: Option<&Arc<AtomicU64>>, bytes: u64) -> Self {
        Self { shared: read.map(|read| (Arc::clone(read), bytes)), ..self }
    }

    /// What the file is called.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The names and types of the columns.
    pub fn schema(&self) -> &SchemaRef {
        self.rows.schema()
    }

    /// The file's name in messages.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// Whether a column has one of these names.
    pub fn has<S: AsRef<str>>(&self, names: &[S]) -> bool {
        cells::position(self.schema().fields(), names).is_some()
    }

    /// Rows as JSON objects, each on a line of its own. A null is left out.
    ///
    /// # Errors
    /// If the columns can't be read.
    pub fn records(self, selection: &Selection) -> Result<Source> {
        let findings = Findings::of_rows();
        let records = Records::new(Arc::clone(&self.name), selection, findings.clone());
        self.read(&selection.columns, records, findings)
    }

    /// The cells of some columns, each row on a line of its own and with tabs between cells. Each column is given by the names
    /// that it may have, the preferred one first; a column that the file does not have is empty. A row whose columns are lists
    /// makes a line of each of their values. With `header`, the names of the columns stand in the first line.
    ///
    /// # Errors
    /// If the columns can't be read, or have a type that can't be used.
    pub fn cells<S: AsRef<str>>(self, columns: &[&[S]], header: bool) -> Result<Source> {
        let findings = Findings::of_rows();
        let cells = Cells::new(self.schema(), columns, header, findings.clone())
            .map_err(|problem| anyhow!("{}: {problem}", self.name))?;
        let columns = cells.columns().to_vec();
        self.read(&columns, cells, findings)
    }

    fn read(self, columns: &[usize], encode: impl Encode + 'static, findings: Findings) -> Result<Source> {
        let Self { name, rows, shared, .. } = self;
        if let Some(OpenEnd { batches, rows }) = rows.open_end() {
            findings.note(format!(
                "{name}: the stream ends behind {} with {}, and lacks the mark of its end: unless its writer leaves the mark out, it \
                 was cut off there; fetch or write it again",
                counted(batches, "batch", "batches"),
                counted(rows, "row", "rows")
            ));
        }
        let count = rows.count();
        let own = Position { read: Arc::default(), size: count.unwrap_or_default() };
        let (read, size) = shared.clone().unwrap_or_else(|| (Arc::clone(&own.read), own.size));
        let position = count.filter(|_| shared.is_none()).map(|_| own);
        let batches = rows.read(columns).map_err(|problem| anyhow!("cannot read {name}: {problem}"))?;
        let lines = Lines::new(batches, encode, RowCounter::new(read, size, count));
        Ok(Source { name, reader: Box::new(lines), position, lines_skipped: 0, findings })
    }
}

/// The kind of a file on a disk by its first bytes, and the file at its beginning.
///
/// # Errors
/// If it can't be read.
pub fn kind_of(mut file: &File) -> io::Result<Option<Kind>> {
    let mut head = Vec::new();
    Read::take(file, HEAD_BYTES as u64).read_to_end(&mut head)?;
    file.rewind()?;
    Ok(Kind::of(&head))
}

/// Copies a stream into a temporary file without a name, as columns can't be read from a pipe.
///
/// # Errors
/// If the stream can't be read, or the disk has no room.
pub fn spool(name: &str, reader: &mut dyn Read) -> Result<File> {
    const PLACE: &str = "into a temporary file (in the directory that TMPDIR names)";
    let mut file = tempfile::tempfile().with_context(|| format!("cannot copy {name} {PLACE}"))?;
    let mut buffer = vec![0; 1 << 16];
    loop {
        let read = match reader.read(&mut buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            read => read.map_err(|error| read_error(name, error))?,
        };
        let Some(part) = buffer.get(..read).filter(|part| !part.is_empty()) else { break };
        file.write_all(part).with_context(|| format!("cannot copy {name} {PLACE}"))?;
    }
    file.rewind().with_context(|| format!("cannot read the copy of {name}"))?;
    Ok(file)
}

#[cfg(test)]
mod tests;
