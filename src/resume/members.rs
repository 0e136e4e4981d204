//! Reads a compressed output back, member by member (gzip) or frame by frame (Zstandard). Each ends with a ranking, and only the
//! last one may go on: it is compressed again, ranking by ranking, so that what follows has the bytes of an unbroken run.

use std::cell::Cell;
use std::fs::File;
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Seek, SeekFrom};

use anyhow::{Context, Result, bail, ensure};
use flate2::bufread::GzDecoder;

use super::read_back::{Found, Output, Written};
use crate::output::{Compression, Compressor, Continuation, MEMBER_BYTES};

/// A member that was read.
struct Member {
    /// Where it begins in the file.
    start: u64,
    /// Whether it was read to its end.
    is_ended: bool,
    /// The bytes that it holds.
    bytes: u64,
    /// The first of these, up to the most that a member which goes on can have.
    text: Vec<u8>,
    /// Where its rankings end in the text.
    ends: Vec<usize>,
    /// The number of rankings before it.
    before: usize,
}

impl Output<'_> {
    pub(super) fn read_members(&self, file: io::Take<&File>, compression: Compression) -> Result<Written> {
        let size = file.limit();
        let position = Cell::new(0);
        let mut reader = Counted { reader: BufReader::new(file), position: &position };
        let mut found = Found::new(self.layout);
        let (mut last, mut columns_before) = (None, None);
        while position.get() < size {
            if let Some(Member { bytes, start, .. }) = last {
                ensure!(
                    bytes >= MEMBER_BYTES as u64,
                    "its part at byte {start} ends earlier than one that this run writes: the file was changed; start anew with \
                     --overwrite"
                );
                columns_before.clone_from(&found.columns);
            }
            let member = read_member(&mut reader, &mut found, compression)?;
            let is_ended = member.is_ended;
            last = Some(member);
            if !is_ended {
                break;
            }
        }
        let written = self.continued(found, (last, columns_before), (position.get(), compression))?;
        Ok(Written { is_as_recorded: self.is_as_recorded(size)?, ..written })
    }

    /// Continues behind the last member, or in it.
    fn continued(
        &self,
        mut found: Found,
        (last, columns_before): (Option<Member>, Option<Vec<String>>),
        (end, compression): (u64, Compression),
    ) -> Result<Written> {
        let mut continuation = Continuation { kept: end, compressor: Compressor::new(compression), columns: None };
        match last {
            Some(member) if !member.is_ended || member.bytes < MEMBER_BYTES as u64 => {
                let mut compressor = Compressor::new(compression);
                let packed = member.pack(&mut compressor)?;
                let is_same = self.has(&packed, member.start)?;
                found.rankings.queries.truncate(member.before + if is_same { member.ends.len() } else { 0 });
                if is_same {
                    continuation.compressor = compressor;
                    continuation.kept = member.start + packed.len() as u64;
                } else {
                    continuation.kept = member.start;
                }
                continuation.columns = if is_same { found.columns } else { columns_before };
            }
            _ => continuation.columns = found.columns,
        }
        // A header is written with the first ranking.
        continuation.columns = continuation.columns.filter(|_| !found.rankings.queries.is_empty());
        Ok(Written { queries: found.rankings.queries, continuation, is_as_recorded: false })
    }

    /// Whether the file has these bytes here.
    fn has(&self, bytes: &[u8], start: u64) -> io::Result<bool> {
        let mut file = self.file;
        file.seek(SeekFrom::Start(start))?;
        let mut there = Vec::new();
        file.take(bytes.len() as u64).read_to_end(&mut there)?;
        Ok(there == bytes)
    }
}

impl Member {
    /// Compresses the rankings again.
    fn pack(&self, compressor: &mut Compressor) -> io::Result<Vec<u8>> {
        let (mut packed, mut start) = (Vec::new(), 0);
        for &end in &self.ends {
            let mut bytes = self.text.get(start..end).unwrap_or_default().to_vec();
            compressor.compress(&mut bytes)?;
            packed.append(&mut bytes);
            start = end;
        }
        Ok(packed)
    }
}

/// Reads the next member, and adds its rankings to those that were found.
fn read_member(
    reader: &mut Counted<'_, impl BufRead>,
    found: &mut Found<'_>,
    compression: Compression,
) -> Result<Member> {
    let start = reader.position.get();
    let mut member = Member {
        start,
        is_ended: false,
        bytes: 0,
        text: Vec::new(),
        ends: Vec::new(),
        before: found.rankings.queries.len(),
    };
    let decoder: Box<dyn Read + '_> = match compression {
        Compression::Zstandard => Box::new(zstd::stream::read::Decoder::with_buffer(reader)?.single_frame()),
        _ => Box::new(GzDecoder::new(reader)),
    };
    let mut content = BufReader::new(decoder);
    found.rankings.end = 0;
    loop {
        let row = match found.rows.next(&mut content, (&mut member.text, MEMBER_BYTES)) {
            Ok(Some(row)) if row.is_complete => row,
            Ok(None) => break,
            Ok(Some(_)) => bail!(
                "it ends within a row at byte {start} and goes on: the file was changed; start anew with --overwrite"
            ),
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => {
                found.rankings.forget_open();
                // What has as many bytes as a whole member ends one, and this one was not ended.
                found.rankings.queries.truncate(member.before + member.ends.len());
                return Ok(member);
            }
            Err(error) if error.raw_os_error().is_some() => return Err(error.into()),
            Err(error) => {
                return Err(error).with_context(|| {
                    format!("it is damaged behind byte {start}; restore it, cut it off there, or start anew with --overwrite")
                });
            }
        };
        let end = member.bytes + row.bytes;
        let completed = found.add((member.bytes, end))?;
        member.bytes = end;
        member.note_end(completed, found.rankings.end);
    }
    let completed = found.rankings.complete(member.bytes);
    member.note_end(completed, member.bytes);
    member.is_ended = true;
    Ok(member)
}

impl Member {
    /// Notes where a ranking ends, if the member can go on behind it.
    fn note_end(&mut self, completed: bool, end: u64) {
        if completed && end < MEMBER_BYTES as u64 {
            self.ends.push(end as usize);
        }
    }
}

/// A reader, and the place in the file that it has reached.
struct Counted<'a, R> {
    reader: R,
    position: &'a Cell<u64>,
}

impl<R: BufRead> Read for Counted<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.reader.read(buffer)?;
        self.position.set(self.position.get() + read as u64);
        Ok(read)
    }
}

impl<R: BufRead> BufRead for Counted<'_, R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.reader.fill_buf()
    }

    fn consume(&mut self, bytes: usize) {
        self.position.set(self.position.get() + bytes as u64);
        self.reader.consume(bytes);
    }
}
