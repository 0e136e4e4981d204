//! How far a file has been read, for the estimate of the time that is left.

use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// How far a file has been read: shared with the thread that reads it.
#[derive(Clone, Debug)]
pub struct Position {
    pub(super) read: Arc<AtomicU64>,
    pub(super) size: u64,
}

impl Position {
    /// The share of the file's bytes, before decompression, that has been read: 0 to 1.
    pub fn share(&self) -> f64 {
        if self.size == 0 { 1. } else { (self.read.load(Ordering::Relaxed) as f64 / self.size as f64).min(1.) }
    }
}

/// A file or an object that counts the bytes read from it.
pub(super) struct Counted<R> {
    pub(super) source: R,
    pub(super) read: Arc<AtomicU64>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.source.read(buffer)?;
        self.read.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}
