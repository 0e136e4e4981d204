//! Uploads through page-locked memory by a stream of their own: the card's copying engine reads it while kernels run.

use std::ffi::c_void;
use std::sync::Arc;

use anyhow::Result;
use cudarc::driver::result::{self, event, stream};
use cudarc::driver::sys::{CUevent, CUevent_flags, CUevent_wait_flags, CUstream};
use cudarc::driver::{CudaContext, CudaStream, DriverError};

use super::cuda::explain;
use super::device::Address;
use super::uploads::{SLOTS, Uploads};

/// Pieces that are written and copied in turn.
const PIECES: usize = 4;

/// Uploads beside the kernels of a stream.
pub(super) struct PageLocked {
    context: Arc<CudaContext>,
    /// The stream of kernels.
    kernels: Arc<CudaStream>,
    /// The stream of copies, which waits for nothing but what it is asked to wait for.
    copies: CUstream,
    pieces: Vec<Piece>,
    piece_bytes: usize,
    /// The piece that was given last.
    last: usize,
    /// When the last copies were done for which kernels wait.
    delivered: CUevent,
    /// When the last kernels were done that read a slot.
    left: Vec<CUevent>,
}

/// Page-locked memory, and when it was copied last.
struct Piece {
    memory: *mut c_void,
    copied: CUevent,
}

// SAFETY: streams, events and page-locked memory are the driver's, which lets every thread use them; the memory is this value's alone.
unsafe impl Send for PageLocked {}

impl PageLocked {
    /// Allocates pieces of so many bytes.
    ///
    /// # Errors
    /// If the host has no memory for them, or the device fails.
    pub(super) fn new(context: &Arc<CudaContext>, kernels: &Arc<CudaStream>, piece_bytes: usize) -> Result<Self> {
        context.bind_to_thread().map_err(failed)?;
        let copies = stream::create(stream::StreamKind::NonBlocking).map_err(failed)?;
        // What was made before an error is given back when this is dropped.
        let mut uploads = Self {
            context: Arc::clone(context),
            kernels: Arc::clone(kernels),
            copies,
            pieces: Vec::new(),
            piece_bytes,
            last: 0,
            delivered: event()?,
            left: Vec::new(),
        };
        for _ in 0..SLOTS {
            uploads.left.push(event()?);
        }
        for _ in 0..PIECES {
            let copied = event()?;
            // SAFETY: the context is current; the memory is given back when this is dropped.
            let memory = unsafe { result::malloc_host(piece_bytes, 0) };
            let no_memory = |error| explain(error, "the host gives no page-locked memory for layers that are uploaded");
            uploads.pieces.push(Piece { memory: memory.map_err(no_memory)?, copied });
        }
        Ok(uploads)
    }

    fn bind(&self) -> Result<()> {
        self.context.bind_to_thread().map_err(failed)
    }
}

fn failed(error: DriverError) -> anyhow::Error {
    explain(error, "uploading layers to the GPU failed")
}

/// An event without a time. Until it is recorded, nothing waits for it.
fn event() -> Result<CUevent> {
    event::create(CUevent_flags::CU_EVENT_DISABLE_TIMING).map_err(failed)
}

/// Makes what follows on a stream wait for an event as it was recorded last.
///
/// # Safety
/// Both are there.
unsafe fn wait(stream: CUstream, event: CUevent) -> Result<()> {
    // SAFETY: as the caller's.
    unsafe { stream::wait_event(stream, event, CUevent_wait_flags::CU_EVENT_WAIT_DEFAULT) }.map_err(failed)
}

// SAFETY: a piece is given when the event behind its last copy has passed.
unsafe impl Uploads for PageLocked {
    fn piece(&mut self) -> Result<&mut [u8]> {
        self.bind()?;
        self.last = (self.last + 1) % PIECES;
        let Piece { memory, copied } = &self.pieces[self.last];
        // SAFETY: the event is there as long as this; one that was not recorded yet has passed.
        unsafe { event::synchronize(*copied) }.map_err(failed)?;
        // SAFETY: there are as many bytes, and no copy reads them any more. Any content is one of bytes.
        Ok(unsafe { std::slice::from_raw_parts_mut(memory.cast(), self.piece_bytes) })
    }

    unsafe fn copy(&mut self, to: Address, bytes: usize) -> Result<()> {
        self.bind()?;
        assert!(bytes <= self.piece_bytes);
        let Piece { memory, copied } = &self.pieces[self.last];
        // SAFETY: the piece stays as it is until the event has passed, and the other memory is there by the caller's word.
        unsafe {
            let piece = std::slice::from_raw_parts(memory.cast::<u8>(), bytes);
            result::memcpy_htod_async(to, piece, self.copies).and_then(|()| event::record(*copied, self.copies))
        }
        .map_err(failed)
    }

    fn enter(&mut self, slot: usize) -> Result<()> {
        self.bind()?;
        // SAFETY: stream and event are there as long as this.
        unsafe { wait(self.copies, self.left[slot]) }
    }

    fn deliver(&mut self) -> Result<()> {
        self.bind()?;
        // SAFETY: as above.
        unsafe {
            event::record(self.delivered, self.copies).map_err(failed)?;
            wait(self.kernels.cu_stream(), self.delivered)
        }
    }

    fn leave(&mut self, slot: usize) -> Result<()> {
        self.bind()?;
        // SAFETY: as above.
        unsafe { event::record(self.left[slot], self.kernels.cu_stream()) }.map_err(failed)
    }
}

impl Drop for PageLocked {
    fn drop(&mut self) {
        if self.bind().is_err() {
            return;
        }
        // SAFETY: all are there, and nothing uses them when the copies are done. What fails here leaves some memory behind.
        unsafe {
            let _ = stream::synchronize(self.copies);
            for Piece { memory, copied } in self.pieces.drain(..) {
                let _ = result::free_host(memory);
                let _ = event::destroy(copied);
            }
            for event in self.left.drain(..).chain([self.delivered]) {
                let _ = event::destroy(event);
            }
            let _ = stream::destroy(self.copies);
        }
    }
}
