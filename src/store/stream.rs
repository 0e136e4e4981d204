//! Reads an object from its beginning to its end.

use std::collections::VecDeque;
use std::io::{self, Read};

use futures_util::StreamExt;
use futures_util::stream::BoxStream;

use super::client::wait;
use super::object::{Object, Pending};
use crate::slices::behind;

/// The bytes of a request, and how many requests are under way while one's bytes are taken.
const PART_BYTES: u64 = 8 << 20;
const PARTS_AHEAD: usize = 2;

/// The bytes of an object. Memory holds a few parts of some MiB, whatever its size. A part whose connection breaks is continued by
/// the library at its byte, and every part is of the version that was opened.
pub struct Stream {
    object: Object,
    /// Where the next part begins that is to be requested.
    next: u64,
    ahead: VecDeque<Pending>,
    /// The part at hand, of which so many bytes were taken.
    part: Vec<u8>,
    taken: usize,
    /// The one answer of a server that can't read a part of a file.
    whole: Option<BoxStream<'static, object_store::Result<bytes::Bytes>>>,
}

impl Stream {
    pub(super) fn new(object: Object) -> Self {
        Self { object, next: 0, ahead: VecDeque::new(), part: Vec::new(), taken: 0, whole: None }
    }

    /// Takes the next part; an empty one is the end.
    fn advance(&mut self) -> io::Result<()> {
        self.taken = 0;
        self.part.clear();
        if !self.object.has_ranges() {
            return self.advance_in_whole();
        }
        let size = self.object.size();
        while self.ahead.len() < PARTS_AHEAD && self.next < size {
            // The first part is what is at hand already, so that a small object takes one request.
            let bytes = if self.next == 0 { self.object.beginning().len() as u64 } else { PART_BYTES };
            let end = (self.next + bytes).min(size);
            self.ahead.push_back(self.object.begin(self.next..end)?);
            self.next = end;
        }
        if let Some(part) = self.ahead.pop_front() {
            self.part = part.wait()?;
        }
        Ok(())
    }

    fn advance_in_whole(&mut self) -> io::Result<()> {
        let object = &self.object;
        if self.whole.is_none() {
            let got = object.whole()?;
            self.whole = Some(got.into_stream());
        }
        let Some(whole) = &mut self.whole else { return Ok(()) };
        match wait(whole.next()).map_err(io::Error::other)? {
            None if self.next < object.size() => Err(io::Error::other("the connection broke off; run again")),
            None => Ok(()),
            Some(Ok(part)) => {
                self.next += part.len() as u64;
                self.part = part.into();
                Ok(())
            }
            Some(Err(error)) => {
                let problem = object.failed(&error);
                let remedy = "the server can't send the rest of a file alone: download it, and name the local file";
                Err(io::Error::other(format!("{problem}; {remedy}")))
            }
        }
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.taken == self.part.len() && !buffer.is_empty() {
            self.advance()?;
        }
        let mut rest = behind(&self.part, self.taken);
        let read = rest.read(buffer)?;
        self.taken += read;
        Ok(read)
    }
}
