//! What this program has allocated on a card, and how much that may be.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::Result;
use cudarc::driver::result;
use cudarc::driver::sys::CUresult;

use super::cuda::explain;
use super::device::{Address, OutOfMemory};

/// The allocations of a card, for weights, batches and what algorithms are tried in. The driver and cuBLAS allocate besides.
pub(super) struct Ledger {
    /// The most bytes, if users limit them.
    pub(super) most: Option<usize>,
    allocations: Mutex<HashMap<Address, usize>>,
}

impl Ledger {
    /// Nothing is allocated yet.
    pub(super) fn new(most: Option<usize>) -> Self {
        Self { most, allocations: Mutex::default() }
    }

    /// Allocates memory. The context must be current.
    ///
    /// # Errors
    /// [`OutOfMemory`] if the card has not so much, or it may not be used.
    pub(super) fn allocate(&self, bytes: usize) -> Result<Address> {
        let mut allocations = self.lock();
        if self.left(&allocations) < bytes {
            return Err(OutOfMemory { bytes }.into());
        }
        // SAFETY: the context is current; the memory is given back by `release`.
        let address = unsafe { result::malloc_sync(bytes) }.map_err(|error| match error.0 {
            CUresult::CUDA_ERROR_OUT_OF_MEMORY => OutOfMemory { bytes }.into(),
            _ => explain(error, "the GPU gives no memory"),
        })?;
        allocations.insert(address, bytes);
        Ok(address)
    }

    /// Gives memory back. The context must be current.
    ///
    /// # Safety
    /// The address is one of `allocate`, and is not used any more.
    pub(super) unsafe fn release(&self, address: Address) {
        self.lock().remove(&address);
        // SAFETY: as the caller's. The driver waits for what still uses the memory. What fails here has failed before, and was
        // reported.
        let _ = unsafe { result::free_sync(address) };
    }

    /// The bytes that this program may still use, where so many are free on the card.
    pub(super) fn usable(&self, free: usize) -> usize {
        free.min(self.left(&self.lock()))
    }

    /// The bytes that may still be allocated.
    fn left(&self, allocations: &HashMap<Address, usize>) -> usize {
        self.most.map_or(usize::MAX, |most| most.saturating_sub(allocations.values().sum()))
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Address, usize>> {
        self.allocations.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
