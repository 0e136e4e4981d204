//! Large buffers on huge pages: with pages of 4 KiB, products spend half of their time on address translation.

use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};

use bytemuck::Pod;
use memmap2::MmapMut;

use crate::out_of_memory;

const HUGE_PAGE: usize = 2 << 20;
/// From this size on, a buffer gets huge pages of its own.
const LARGE: usize = 128 << 10;

/// Zeros at first, aligned to a page (of 2 MiB, where it is large). Fresh pages cost nothing until they are touched.
pub struct Buffer<T> {
    memory: Option<MmapMut>,
    offset: usize,
    length: usize,
    element: PhantomData<T>,
}

impl<T: Pod> Buffer<T> {
    /// `length` zeros.
    ///
    /// Ends the program where the system has no memory left.
    pub fn new(length: usize) -> Self {
        let bytes = length.saturating_mul(size_of::<T>());
        if bytes == 0 {
            return Self { memory: None, offset: 0, length: 0, element: PhantomData };
        }
        let whole_pages = || bytes.checked_next_multiple_of(HUGE_PAGE)?.checked_add(HUGE_PAGE);
        let room = if bytes < LARGE { Some(bytes) } else { whole_pages() };
        let memory = room.and_then(|room| MmapMut::map_anon(room).ok()).unwrap_or_else(|| out_of_memory::exit(bytes));
        let mut offset = 0;
        if bytes >= LARGE {
            offset = memory.as_ptr().align_offset(HUGE_PAGE);
            // Only speed depends on it.
            #[cfg(target_os = "linux")]
            let _ = memory.advise_range(memmap2::Advice::HugePage, offset, bytes.next_multiple_of(HUGE_PAGE));
        }
        Self { memory: Some(memory), offset, length, element: PhantomData }
    }

    /// Makes room for `length` elements. What stood there is lost if there was not enough.
    pub fn reserve(&mut self, length: usize) {
        if self.length < length {
            // The old memory goes first.
            *self = Self::new(0);
            *self = Self::new(length);
        }
    }
}

impl<T: Pod> Default for Buffer<T> {
    fn default() -> Self {
        Self::new(0)
    }
}

impl<T: Pod> Deref for Buffer<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        let Some(memory) = &self.memory else { return &[] };
        bytemuck::cast_slice(&memory[self.offset..self.offset + self.length * size_of::<T>()])
    }
}

impl<T: Pod> DerefMut for Buffer<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        let Some(memory) = &mut self.memory else { return &mut [] };
        bytemuck::cast_slice_mut(&mut memory[self.offset..self.offset + self.length * size_of::<T>()])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_are_zero_aligned_and_grow() {
        let mut buffer = Buffer::<f32>::default();
        assert!(buffer.is_empty());
        for length in [1, 1000, 600_000, 3] {
            buffer.reserve(length);
            assert!(buffer.len() >= length && buffer.iter().all(|&value| value == 0.));
            let alignment = if length * 4 < LARGE { 4096 } else { HUGE_PAGE };
            assert_eq!(buffer.as_ptr().align_offset(alignment), 0);
        }
        buffer[599_999] = 1.;
        buffer.reserve(600_000);
        assert_eq!(buffer[599_999], 1.);
    }
}
