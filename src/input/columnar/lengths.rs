//! Whether the lengths that an Arrow file states can be true. The library allocates a record batch before it reads it, and an
//! allocation that fails ends the program.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};

use arrow_ipc::reader::read_footer_length;
use arrow_ipc::{Block, root_as_footer, root_as_message};

use super::Kind;
use crate::slices::behind;

/// Bytes at the end of an Arrow file: the length of the footer and the mark.
const TRAILER_BYTES: usize = 10;

/// The mark in front of the length of a message.
const CONTINUATION: [u8; 4] = [0xff; 4];

/// What a file states, as far as it can be read.
#[derive(Default)]
pub(super) struct Stated {
    /// The most bytes of a batch; none without a batch.
    longest: Option<u64>,
    /// The rows of all batches.
    pub(super) rows: Option<u64>,
    /// How a stream ends that lacks the mark of its end.
    pub(super) open_end: Option<OpenEnd>,
}

/// The end of a stream that lacks the mark of its end: it may be cut off between two batches, or its writer leaves the mark out,
/// which the format allows.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct OpenEnd {
    /// The batches of rows in front of it.
    pub(super) batches: u64,
    /// Their rows.
    pub(super) rows: u64,
}

/// Checks the lengths of an Arrow file, without reading what has them. Returns what the file states; nothing of a Parquet file.
///
/// # Errors
/// If a record batch would be longer than the file, as a sentence without a full stop. What else is wrong is not looked for.
pub(super) fn check(file: &File, kind: Kind) -> Result<Stated, String> {
    let stated = match kind {
        Kind::Parquet => Ok(Stated::default()),
        Kind::ArrowFile => stated_in_file(file),
        Kind::ArrowStream => stated_in_stream(file),
    };
    let size = file.metadata().map_or(u64::MAX, |file| file.len());
    let stated = stated.unwrap_or_default();
    match stated.longest {
        Some(bytes) if bytes > size => {
            Err(format!("a part of it is said to have {bytes} bytes, and all of it has {size}"))
        }
        _ => Ok(stated),
    }
}

/// What the footer of a file states, and the batches to which it points; nothing, if it can't be read.
fn stated_in_file(mut file: &File) -> io::Result<Stated> {
    let mut trailer = [0; TRAILER_BYTES];
    file.seek(SeekFrom::End(-(TRAILER_BYTES as i64)))?;
    file.read_exact(&mut trailer)?;
    let Ok(length) = read_footer_length(trailer) else { return Ok(Stated::default()) };
    let size = file.seek(SeekFrom::End(0))?;
    let start = size.checked_sub((length + TRAILER_BYTES) as u64);
    let Some(start) = start else { return Ok(Stated::default()) };
    let mut footer = vec![0; length];
    file.seek(SeekFrom::Start(start))?;
    file.read_exact(&mut footer)?;
    let Ok(footer) = root_as_footer(&footer) else { return Ok(Stated::default()) };
    let bytes = |block: &Block| unsigned(block.bodyLength()).max(unsigned(block.metaDataLength().into()));
    let batches = footer.recordBatches().into_iter().flatten();
    let longest = batches.clone().chain(footer.dictionaries().into_iter().flatten()).map(bytes).max();
    // Messages that were longer than the file would be read for nothing.
    let messages = batches.clone().map(|block| unsigned(block.metaDataLength().into())).fold(0, u64::saturating_add);
    let mut rows = batches.map(|block| rows_of(file, block).unwrap_or_default());
    let rows = if messages > size { None } else { rows.try_fold(0u64, |sum, rows| sum.checked_add(rows?)) };
    Ok(Stated { longest, rows, open_end: None })
}

/// The rows that the message in front of a batch states; none, if it can't be read.
fn rows_of(mut file: &File, block: &Block) -> io::Result<Option<u64>> {
    let mut message = vec![0; usize::try_from(block.metaDataLength()).unwrap_or_default()];
    file.seek(SeekFrom::Start(unsigned(block.offset())))?;
    file.read_exact(&mut message)?;
    // Old files have no mark in front of the length.
    let prefix = if message.starts_with(&CONTINUATION) { 8 } else { 4 };
    let Ok(message) = root_as_message(behind(&message, prefix)) else { return Ok(None) };
    Ok(message.header_as_record_batch().map(|batch| unsigned(batch.length())))
}

/// What the messages of a stream state, up to the first that can't be true.
fn stated_in_stream(mut file: &File) -> io::Result<Stated> {
    let size = file.metadata()?.len();
    let (mut at, mut longest, mut read) = (0u64, None, OpenEnd::default());
    while at < size {
        let mut head = [0; 8];
        file.seek(SeekFrom::Start(at))?;
        file.read_exact(&mut head)?;
        let [mark @ .., a, b, c, d] = head;
        let length = u32::from_le_bytes([a, b, c, d]);
        let start = at + head.len() as u64;
        if mark != CONTINUATION || length == 0 || start + u64::from(length) > size {
            let is_whole = mark == CONTINUATION && length == 0;
            return Ok(Stated { longest, rows: is_whole.then_some(read.rows), open_end: None });
        }
        let mut message = vec![0; length as usize];
        file.read_exact(&mut message)?;
        let Ok(message) = root_as_message(&message) else { return Ok(Stated { longest, ..Stated::default() }) };
        let body = unsigned(message.bodyLength());
        longest = longest.max(Some(body));
        if let Some(batch) = message.header_as_record_batch() {
            read = OpenEnd { batches: read.batches + 1, rows: read.rows.saturating_add(unsigned(batch.length())) };
        }
        at = start.saturating_add(u64::from(length)).saturating_add(body);
    }
    // A body that is cut off is an error when it is read.
    let is_whole = at == size;
    Ok(Stated { longest, rows: is_whole.then_some(read.rows), open_end: is_whole.then_some(read) })
}

/// A length, which can't be negative: what is, is too long.
fn unsigned(length: i64) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}
