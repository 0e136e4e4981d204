//! Whether the lengths that an Arrow file states can be true. The library allocates a record batch before it reads it, and an
//! allocation that fails ends the program.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};

use arrow_ipc::reader::read_footer_length;
use arrow_ipc::{Block, root_as_footer, root_as_message};

use super::Kind;

/// Bytes at the end of an Arrow file: the length of the footer and the mark.
const TRAILER_BYTES: usize = 10;

/// The mark in front of the length of a message.
const CONTINUATION: [u8; 4] = [0xff; 4];

/// What a file states, as far as it can be read.
#[derive(Default)]
struct Stated {
    /// The most bytes of a batch; none without a batch.
    longest: Option<u64>,
    open_end: Option<OpenEnd>,
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

/// Checks the lengths of an Arrow file, without reading what has them. Returns how a stream ends that lacks the mark of its end.
///
/// # Errors
/// If a record batch would be longer than the file, as a sentence without a full stop. What else is wrong is not looked for.
pub(super) fn check(file: &File, kind: Kind) -> Result<Option<OpenEnd>, String> {
    let stated = match kind {
        Kind::Parquet => Ok(Stated::default()),
        Kind::ArrowFile => longest_of_file(file).map(|longest| Stated { longest, open_end: None }),
        Kind::ArrowStream => stated_in_stream(file),
    };
    let size = file.metadata().map_or(u64::MAX, |file| file.len());
    let Stated { longest, open_end } = stated.unwrap_or_default();
    match longest {
        Some(bytes) if bytes > size => {
            Err(format!("a part of it is said to have {bytes} bytes, and all of it has {size}"))
        }
        _ => Ok(open_end),
    }
}

/// The most bytes that the footer of a file states for a batch; none, if it can't be read.
fn longest_of_file(mut file: &File) -> io::Result<Option<u64>> {
    let mut trailer = [0; TRAILER_BYTES];
    file.seek(SeekFrom::End(-(TRAILER_BYTES as i64)))?;
    file.read_exact(&mut trailer)?;
    let Ok(length) = read_footer_length(trailer) else { return Ok(None) };
    let start = file.seek(SeekFrom::End(0))?.checked_sub((length + TRAILER_BYTES) as u64);
    let Some(start) = start else { return Ok(None) };
    let mut footer = vec![0; length];
    file.seek(SeekFrom::Start(start))?;
    file.read_exact(&mut footer)?;
    let Ok(footer) = root_as_footer(&footer) else { return Ok(None) };
    let bytes = |block: &Block| unsigned(block.bodyLength()).max(unsigned(block.metaDataLength().into()));
    let blocks = footer.recordBatches().into_iter().chain(footer.dictionaries()).flatten();
    Ok(blocks.map(bytes).max())
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
            return Ok(Stated { longest, open_end: None });
        }
        let mut message = vec![0; length as usize];
        file.read_exact(&mut message)?;
        let Ok(message) = root_as_message(&message) else { return Ok(Stated { longest, open_end: None }) };
        let body = unsigned(message.bodyLength());
        longest = longest.max(Some(body));
        if let Some(batch) = message.header_as_record_batch() {
            read = OpenEnd { batches: read.batches + 1, rows: read.rows.saturating_add(unsigned(batch.length())) };
        }
        at = start.saturating_add(u64::from(length)).saturating_add(body);
    }
    // A body that is cut off is an error when it is read.
    Ok(Stated { longest, open_end: (at == size).then_some(read) })
}

/// A length, which can't be negative: what is, is too long.
fn unsigned(length: i64) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}
