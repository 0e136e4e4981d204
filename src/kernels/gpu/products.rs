//! One algorithm for all products of a kind: whatever the number of rows, each is summed in the same order, so that no score
//! depends on the batch that its pair was in. Of those that qualify it is the fastest, timed on the card itself.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Result, ensure};
use cudarc::driver::{CudaStream, result, sys};

use super::device::{Address, Product, Type};
use super::matmul::{Algorithm, Matmul, alignment};

/// Rows of the products by which algorithms are chosen: those of a large batch. The number at hand is not asked, as the
/// choice must not depend on the batch that comes first.
const ROWS: usize = 8192;

/// Times that a product is run to be timed.
const TIMES: usize = 3;

/// An algorithm goes before one that is expected to be faster if it takes less than this share of its time: noise must not
/// make runs of the program choose differently.
const CLEARLY: f32 = 0.97;

/// What an algorithm is chosen by.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Kind {
    outputs: usize,
    inputs: usize,
    value: Type,
    add: bool,
    /// Bytes that the matrices' addresses are multiples of.
    alignments: [u32; 3],
}

/// Algorithms by card and kind; none if there is none for it. Cards of one name share them, so that no score depends on which of
/// them was free.
static ALGORITHMS: Mutex<Algorithms> = Mutex::new(BTreeMap::new());
type Algorithms = BTreeMap<(Arc<str>, Kind), Option<Algorithm>>;

/// The products of a device.
pub(super) struct Products {
    matmul: Matmul,
    stream: Arc<CudaStream>,
    /// Of the card.
    name: Arc<str>,
    /// Around what is timed.
    events: [sys::CUevent; 2],
}

// SAFETY: events are handles that the driver lets every thread use; they are used under the lock.
unsafe impl Send for Products {}
// SAFETY: as above.
unsafe impl Sync for Products {}

/// The library's, as `cuBLASLt 13.0.2`.
pub(super) fn version() -> String {
    let number = super::matmul::version();
    format!("cuBLASLt {}.{}.{}", number / 10_000, number / 100 % 100, number % 100)
}

impl Products {
    /// On the current context; None where there is no cuBLASLt.
    pub(super) fn open(stream: &Arc<CudaStream>, name: &str) -> Option<Self> {
        let matmul = Matmul::open()?;
        let event = || result::event::create(sys::CUevent_flags::CU_EVENT_DEFAULT).ok();
        let events = [event()?, event()?];
        Some(Self { matmul, stream: Arc::clone(stream), name: name.into(), events })
    }

    /// Multiplies, if there is an algorithm for that; false if nothing was done. The first product of a kind takes some
    /// milliseconds more, and memory for a while if there is some.
    ///
    /// # Safety
    /// The memory of all three matrices is there, and the context is current.
    pub(super) unsafe fn multiply(&self, product: &Product) -> bool {
        let Product { outputs, inputs, value, add, .. } = *product;
        let alignments = [product.left, product.right, product.results].map(alignment);
        let kind = Kind { outputs, inputs, value, add, alignments };
        let mut algorithms = ALGORITHMS.lock().unwrap_or_else(PoisonError::into_inner);
        let chosen = algorithms
            .entry((Arc::clone(&self.name), kind))
            .or_insert_with(|| self.choose(&Product { rows: ROWS, ..*product }));
        let Some(algorithm) = chosen else { return false };
        // SAFETY: as the caller's.
        let multiplied = unsafe { self.matmul.multiply(product, algorithm, self.stream.cu_stream().cast()) }.is_ok();
        if !multiplied {
            // Not for some rows this way and for others that.
            *chosen = None;
        }
        multiplied
    }

    /// For which kinds of products there is no algorithm, if there are any.
    pub(super) fn lacking(&self) -> Option<String> {
        let algorithms = ALGORITHMS.lock().unwrap_or_else(PoisonError::into_inner);
        let lacking = algorithms.iter().filter(|((name, _), algorithm)| *name == self.name && algorithm.is_none());
        let lacking: Vec<_> = lacking.map(|((_, kind), _)| format!("{} × {}", kind.outputs, kind.inputs)).collect();
        (!lacking.is_empty())
            .then(|| format!("cuBLASLt has no algorithm for all batches and weights of {}", lacking.join(", ")))
    }

    /// For a product of which only the right matrix is there.
    fn choose(&self, product: &Product) -> Option<Algorithm> {
        let candidates = self.matmul.candidates(product).ok()?;
        let first = candidates.first().copied();
        if candidates.len() < 2 {
            return first;
        }
        self.fastest(product, &candidates).ok().or(first)
    }

    /// # Errors
    /// If there is no memory to try them in, or none of them works.
    fn fastest(&self, product: &Product, candidates: &[Algorithm]) -> Result<Algorithm> {
        // The real results must not be added to, and may have fewer rows.
        let left = Scratch::new(ROWS * product.inputs * product.value.size())?;
        let size = if product.add { Type::F32 } else { product.value }.size();
        let results = Scratch::new(ROWS * product.outputs * size)?;
        // Results too, as some products add to them.
        for scratch in [&left, &results] {
            self.fill(scratch, product.right, product.outputs * product.inputs * product.value.size())?;
        }
        let product = Product { left: left.address, results: results.address, ..*product };
        // Until the clocks have settled.
        for _ in 0..TIMES {
            // SAFETY: the memory of all three is there; what fails is found below.
            let _ = unsafe { self.matmul.multiply(&product, &candidates[0], self.stream.cu_stream().cast()) };
        }
        let mut best = None;
        for algorithm in candidates {
            // SAFETY: as above.
            let Ok(time) = (unsafe { self.time(&product, algorithm) }) else { continue };
            if best.is_none_or(|(_, least)| time < least * CLEARLY) {
                best = Some((*algorithm, time));
            }
        }
        best.map(|(algorithm, _)| algorithm).ok_or_else(|| anyhow::anyhow!("no algorithm works"))
    }

    /// Fills memory with a matrix, again and again: on zeros all algorithms are faster than on values.
    fn fill(&self, scratch: &Scratch, matrix: Address, bytes: usize) -> Result<()> {
        ensure!(bytes > 0, "the matrix is empty");
        for start in (0..scratch.bytes).step_by(bytes) {
            let part = bytes.min(scratch.bytes - start);
            // SAFETY: there are as many bytes in both.
            unsafe {
                result::memcpy_dtod_async(scratch.address + start as u64, matrix, part, self.stream.cu_stream())?;
            }
        }
        Ok(())
    }

    /// Milliseconds that a product takes some times by an algorithm.
    ///
    /// # Safety
    /// The memory of all three matrices is there.
    unsafe fn time(&self, product: &Product, algorithm: &Algorithm) -> Result<f32> {
        let (stream, [start, end]) = (self.stream.cu_stream(), self.events);
        // SAFETY: as the caller's; the events were made here, and last as long as this.
        unsafe {
            // Its code is loaded, and the card is busy while the others are launched.
            self.matmul.multiply(product, algorithm, stream.cast())?;
            result::event::record(start, stream)?;
            for _ in 0..TIMES {
                self.matmul.multiply(product, algorithm, stream.cast())?;
            }
            result::event::record(end, stream)?;
        }
        self.stream.synchronize()?;
        // SAFETY: as above; both have passed.
        Ok(unsafe { result::event::elapsed(start, end)? })
    }
}

/// Memory for a while.
struct Scratch {
    address: Address,
    bytes: usize,
}

impl Scratch {
    fn new(bytes: usize) -> Result<Self> {
        // SAFETY: the context is current; the memory is given back when this is dropped.
        Ok(Self { address: unsafe { result::malloc_sync(bytes) }?, bytes })
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // SAFETY: nobody else has the address; the driver waits for what still uses it.
        let _ = unsafe { result::free_sync(self.address) };
    }
}
