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

/// Checks the lengths of an Arrow file, without reading what has them.
///
/// # Errors
/// If a record batch would be longer than the file, as a sentence without a full stop. What else is wrong is not looked for.
pub(super) fn check(file: &File, kind: Kind) -> Result<(), String> {
    let checked = match kind {
        Kind::Parquet => Ok(None),
        Kind::ArrowFile => longest_of_file(file),
        Kind::ArrowStream => longest_of_stream(file),
    };
    let size = file.metadata().map_or(u64::MAX, |file| file.len());
    match checked.ok().flatten() {
        Some(bytes) if bytes > size => {
            Err(format!("a part of it is said to have {bytes} bytes, and all of it has {size}"))
        }
        _ => Ok(()),
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

/// The most bytes that a message of a stream states, up to the first that can't be true.
fn longest_of_stream(mut file: &File) -> io::Result<Option<u64>> {
    let size = file.metadata()?.len();
    let (mut at, mut longest) = (0u64, None);
    while at < size {
        let mut head = [0; 8];
        file.seek(SeekFrom::Start(at))?;
        file.read_exact(&mut head)?;
        let [mark @ .., a, b, c, d] = head;
        let length = u32::from_le_bytes([a, b, c, d]);
        let start = at + head.len() as u64;
        if mark != CONTINUATION || length == 0 || start + u64::from(length) > size {
            break;
        }
        let mut message = vec![0; length as usize];
        file.read_exact(&mut message)?;
        let Ok(message) = root_as_message(&message) else { break };
        let body = unsigned(message.bodyLength());
        longest = longest.max(Some(body));
        at = start.saturating_add(u64::from(length)).saturating_add(body);
    }
    Ok(longest)
}

/// A length, which can't be negative: what is, is too long.
fn unsigned(length: i64) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}
