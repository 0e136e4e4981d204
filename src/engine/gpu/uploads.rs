//! Copies to a device beside its kernels: while it computes with what is in one slot of its memory, the other is filled.

use std::sync::Arc;

use anyhow::Result;

use super::device::{Address, Device};
use super::operations::{Gpu, Weight};

/// Slots that are filled in turn.
pub const SLOTS: usize = 2;

/// Host memory in pieces from which a device copies. While it copies one, the next ones are written.
///
/// # Safety
/// The memory that `piece` gives is read by no copy any more.
pub unsafe trait Uploads: Send {
    /// Waits until the next piece has been copied, and gives its memory, whose content is unknown.
    ///
    /// # Errors
    /// If the device fails.
    fn piece(&mut self) -> Result<&mut [u8]>;

    /// Begins to copy the first bytes of the piece that was given last.
    ///
    /// # Safety
    /// There is memory for the bytes, inside the slot that was entered last.
    ///
    /// # Errors
    /// If the device fails.
    unsafe fn copy(&mut self, to: Address, bytes: usize) -> Result<()>;

    /// Makes the copies that follow wait until the kernels are done that were launched before this slot was last left.
    ///
    /// # Errors
    /// If the device fails.
    fn enter(&mut self, slot: usize) -> Result<()>;

    /// Makes the kernels that are launched from now on wait for the copies so far.
    ///
    /// # Errors
    /// If the device fails.
    fn deliver(&mut self) -> Result<()>;

    /// States that no kernel that is launched from now on reads what is in this slot now.
    ///
    /// # Errors
    /// If the device fails.
    fn leave(&mut self, slot: usize) -> Result<()>;
}

/// Uploads of a device that does everything in the order in which it was asked for, copies too.
struct InOrder {
    device: Arc<dyn Device>,
    piece: Vec<u8>,
}

// SAFETY: an upload has read its bytes when it returns.
unsafe impl Uploads for InOrder {
    fn piece(&mut self) -> Result<&mut [u8]> {
        Ok(&mut self.piece)
    }

    unsafe fn copy(&mut self, to: Address, bytes: usize) -> Result<()> {
        // SAFETY: as the caller's.
        unsafe { self.device.upload(to, &self.piece[..bytes]) }
    }

    fn enter(&mut self, _: usize) -> Result<()> {
        Ok(())
    }

    fn deliver(&mut self) -> Result<()> {
        Ok(())
    }

    fn leave(&mut self, _: usize) -> Result<()> {
        Ok(())
    }
}

impl Gpu {
    /// Uploads in pieces of so many bytes.
    ///
    /// # Errors
    /// If the device fails, or the host has no memory for the pieces.
    pub fn uploads(&self, piece_bytes: usize) -> Result<Box<dyn Uploads>> {
        let beside = self.device().uploads(piece_bytes)?;
        let in_order = || Box::new(InOrder { device: Arc::clone(self.device()), piece: vec![0; piece_bytes] });
        Ok(beside.unwrap_or_else(|| in_order()))
    }
}

impl Weight {
    /// Begins to fill rows from `row` on with the first bytes of the piece that was given last.
    ///
    /// # Errors
    /// If the device fails.
    pub fn fill_from(&mut self, uploads: &mut dyn Uploads, row: usize, bytes: usize) -> Result<()> {
        let start = row * self.row_bytes();
        assert!(start + bytes <= self.memory.bytes());
        // SAFETY: there is room, as was just checked; nothing else has this weight.
        unsafe { uploads.copy(self.memory.address() + start as u64, bytes) }
    }
}
