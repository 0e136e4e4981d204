//! Reads an output back: which queries have complete rankings in it, and where it can be continued.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};

use anyhow::{Context, Result, bail, ensure};

use super::rankings::Rankings;
use super::rows::Rows;
use super::sidecar::Beginning;
use crate::input::WRITTEN_COLUMNS;
use crate::output::{Compression, Compressor, Continuation, Layout, OutputFormat};
use crate::slices::behind;

/// Bytes per read from the disk.
const BUFFER_BYTES: usize = 64 << 10;

/// What an output has.
pub(super) struct Written {
    /// The hashes of the queries that have complete rankings, in their order.
    pub(super) queries: Vec<u64>,
    /// Where it goes on.
    pub(super) continuation: Continuation,
    /// Whether it has as many bytes as its run recorded at its end.
    pub(super) is_as_recorded: bool,
}

/// An output that is read back.
pub(super) struct Output<'a> {
    pub(super) file: &'a File,
    /// The file's name in messages.
    pub(super) name: &'a str,
    pub(super) layout: &'a Layout,
    /// The bytes that it had when its run ended, complete or not, if the run recorded that.
    pub(super) recorded: Option<u64>,
    /// What it begins with, where the run recorded that.
    pub(super) beginning: Option<&'a Beginning>,
}

impl Output<'_> {
    /// Reads the whole output, holding no more than a few bytes of each query.
    ///
    /// # Errors
    /// If it can't be read, or is not what such a run writes.
    pub(super) fn read(&self) -> Result<Written> {
        let read = || -> Result<Written> {
            let size = without_zeros(self.file)?;
            self.beginning.map_or(Ok(()), |beginning| beginning.check(self.file, size))?;
            let mut file = self.file;
            file.seek(SeekFrom::Start(0))?;
            match self.layout.compression {
                Compression::None => self.read_plain(file.take(size)),
                compression => self.read_members(file.take(size), compression),
            }
        };
        read().with_context(|| format!("cannot resume {}", self.name))
    }

    /// Whether these are all bytes of the file, and all that the run had written at its end.
    pub(super) fn is_as_recorded(&self, size: u64) -> io::Result<bool> {
        Ok(self.recorded == Some(size) && self.file.metadata()?.len() == size)
    }

    fn read_plain(&self, file: io::Take<&File>) -> Result<Written> {
        let mut reader = BufReader::with_capacity(BUFFER_BYTES, file);
        let mut found = Found::new(self.layout);
        let (size, mut end) = (reader.get_ref().limit(), 0);
        while let Some(row) = found.rows.next(&mut reader, (&mut Vec::new(), 0))? {
            if !row.is_complete {
                break;
            }
            found.add((end, end + row.bytes))?;
            end += row.bytes;
        }
        let is_as_recorded = self.is_as_recorded(size)?;
        if is_as_recorded {
            found.rankings.complete(end);
        }
        // A header is written with the first ranking.
        let kept = found.rankings.end;
        let columns = found.columns.filter(|_| kept > 0);
        let continuation = Continuation { kept, compressor: Compressor::new(Compression::None), columns };
        Ok(Written { queries: found.rankings.queries, continuation, is_as_recorded })
    }
}

/// How many complete rankings an output has, as far as its bytes show that: of a table or a run that may go on, the last one may
/// not be complete.
///
/// # Errors
/// If it can't be read, or is not what a run with this layout writes.
pub fn complete_rankings(file: &File, name: &str, layout: &Layout) -> Result<usize> {
    Ok(Output { file, name, layout, beginning: None, recorded: None }.read()?.queries.len())
}

/// What was found so far.
pub(super) struct Found<'a> {
    layout: &'a Layout,
    pub(super) rows: Rows,
    pub(super) rankings: Rankings,
    /// The columns of a table that follow ours.
    pub(super) columns: Option<Vec<String>>,
    /// The number of rows, for messages.
    count: u64,
    has_header: bool,
}

impl<'a> Found<'a> {
    pub(super) fn new(layout: &'a Layout) -> Self {
        let has_header = matches!(layout.format, OutputFormat::Csv | OutputFormat::Tsv);
        Self {
            layout,
            rows: Rows::new(layout.format, has_header),
            rankings: Rankings::new(layout.format),
            columns: None,
            count: 0,
            has_header,
        }
    }

    /// Adds the complete row at hand, which stands between these places. Returns whether a ranking was completed.
    pub(super) fn add(&mut self, (start, end): (u64, u64)) -> Result<bool> {
        self.count += 1;
        if self.has_header && self.count == 1 {
            let names = self.rows.names().unwrap_or_default();
            let text = self.layout.text.then_some("text");
            let ours: Vec<&str> = WRITTEN_COLUMNS.into_iter().chain(text).collect();
            ensure!(
                names.len() >= ours.len() && names.iter().zip(&ours).all(|(name, ours)| name == ours),
                "its header is not the one that this run writes; --overwrite starts anew"
            );
            self.columns = Some(behind(&names, ours.len()).to_vec());
            return Ok(false);
        }
        let Some(query_id) = self.rows.query_id() else {
            bail!(
                "row {} is not what this run writes: the file was changed or damaged; restore it, cut it off before that row, or \
                 start anew with --overwrite",
                self.count
            )
        };
        Ok(self.rankings.add(&query_id, start, end))
    }
}

/// The bytes of a file up to the zeros at its end. They are what some file systems leave where the power failed before the
/// content was on the disk; no output ends with many of them.
fn without_zeros(mut file: &File) -> io::Result<u64> {
    const FEW: u64 = 16;
    let size = file.metadata()?.len();
    let (mut end, mut block) = (size, Vec::with_capacity(BUFFER_BYTES));
    while end > 0 {
        let start = end.saturating_sub(BUFFER_BYTES as u64);
        file.seek(SeekFrom::Start(start))?;
        block.clear();
        file.take(end - start).read_to_end(&mut block)?;
        match block.iter().rposition(|&byte| byte != 0) {
            Some(last) => {
                end = start + last as u64 + 1;
                break;
            }
            None => end = start,
        }
    }
    Ok(if size - end < FEW { size } else { end })
}
