//! One algorithm for all products of a kind: whatever the number of rows, each is summed in the same order, so that no score
//! depends on the batch that its pair was in. Of those whose bits prove that on the card itself it is the fastest.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result, bail, ensure};
use cudarc::driver::{CudaStream, result, sys};

use super::cancelling::{cancelling_rows, cancelling_rows_of_e4m3};
use super::device::{Address, OutOfMemory, Product, Scales, Type};
use super::images::HOPPER;
use super::ledger::Ledger;
use super::matmul::{Algorithm, Matmul, WORKSPACE_BYTES, Workspace, alignment};
use super::switches::Without;

/// Rows of the products by which algorithms are tried: those of a large batch, if there is memory for them. The number at hand
/// is not asked, as the choice must not depend on the batch that comes first.
const ROWS: usize = 32_768;

/// The fewest rows by which they are tried where there is little memory, which then holds no larger batches either.
const FEWEST_ROWS: usize = 256;

/// Times that a product is run to be timed.
const TIMES: usize = 3;

/// How many times as fast an algorithm must be measured to be preferred to one that cuBLASLt expects to be faster, so that
/// noise does not make two runs of the program choose differently.
const MIN_SPEEDUP: f32 = 1.03;

/// Products of which all rows must have the bits that they have in the product of all rows: where they begin there, and how
/// many rows they have.
const PARTS: [(usize, usize); 6] = [(0, 1), (0, 7), (0, 64), (0, 1000), (200, 1000), (0, 8192)];

/// Rows at each end of such a product that are compared: another order of sums shows in all of them, divided sums in the last.
const END: usize = 64;

/// The number of different rows that a trial has: as many as are compared. Behind them the same rows follow again.
const CANCELLING: usize = END;

/// What an algorithm is chosen by.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Kind {
    outputs: usize,
    inputs: usize,
    value: Type,
    is_scaled: bool,
    add: bool,
    /// Bytes that the matrices' addresses are multiples of.
    alignments: [u32; 3],
}

/// Algorithms by card and kind, or why there is none for it. Cards of one name share them, so that no score depends on which of
/// them was free.
static ALGORITHMS: Mutex<Algorithms> = Mutex::new(BTreeMap::new());
type Algorithms = BTreeMap<(Arc<str>, Kind), Result<Algorithm, String>>;

/// The products of a device.
pub(super) struct Products {
    matmul: Matmul,
    stream: Arc<CudaStream>,
    ledger: Arc<Ledger>,
    /// What algorithms work in, one after the other in the order of the stream.
    workspace: Scratch,
    /// The card's name.
    name: Arc<str>,
    /// Around what is timed.
    events: [sys::CUevent; 2],
}

// SAFETY: events are handles that the driver lets every thread use; they are used under the lock.
unsafe impl Send for Products {}
// SAFETY: as above.
unsafe impl Sync for Products {}

/// Checks that a card of a capability multiplies matrices of E4M3 with a scale for each row.
///
/// # Errors
/// If it does not, with the reason and a remedy.
pub(super) fn check_scaled(
    products: Option<&Products>,
    capability: (i32, i32),
    without: Without,
    card: &str,
) -> Result<()> {
    ensure!(
        capability == HOPPER,
        "--dtype fp8 needs a GPU of compute capability 9.0 (H100, H200), whose cuBLASLt multiplies 8-bit floats with a scale for \
         each row; this is {card}: use --dtype bf16"
    );
    let lacks = if without.cublaslt { "is switched off by RERANK_GPU_WITHOUT" } else { "does not start" };
    ensure!(products.is_some(), "--dtype fp8 needs cuBLASLt, which {lacks}; use --dtype bf16");
    ensure!(
        super::matmul::version() >= OLDEST_WITH_SCALES,
        "--dtype fp8 needs cuBLASLt 12.9, and {} was found; put a newer one on LD_LIBRARY_PATH, or use --dtype bf16",
        version()
    );
    Ok(())
}

/// The oldest cuBLASLt that has a scale for each row.
const OLDEST_WITH_SCALES: usize = 120_900;

/// The library's, as `cuBLASLt 13.0.2`.
pub(super) fn version() -> String {
    let number = super::matmul::version();
    format!("cuBLASLt {}.{}.{}", number / 10_000, number / 100 % 100, number % 100)
}

impl Products {
    /// On the current context; None where there is no cuBLASLt.
    pub(super) fn open(stream: &Arc<CudaStream>, name: &str, ledger: &Arc<Ledger>) -> Option<Self> {
        let matmul = Matmul::open()?;
        let workspace = Scratch::new(ledger, WORKSPACE_BYTES).ok()?;
        let event = || result::event::create(sys::CUevent_flags::CU_EVENT_DEFAULT).ok();
        let events = [event()?, event()?];
        let (stream, ledger) = (Arc::clone(stream), Arc::clone(ledger));
        Some(Self { matmul, stream, ledger, workspace, name: name.into(), events })
    }

    /// Multiplies, if there is an algorithm for that. The first product of a kind takes some milliseconds more, and memory for a
    /// while if there is some.
    ///
    /// # Errors
    /// The reason, if nothing was done.
    ///
    /// # Safety
    /// The memory of all three matrices is there, and the context is current.
    pub(super) unsafe fn multiply(&self, product: &Product) -> Result<()> {
        let Product { outputs, inputs, value, scales, add, .. } = *product;
        let is_scaled = scales.is_some();
        let alignments = [product.left, product.right, product.results].map(alignment);
        let kind = Kind { outputs, inputs, value, is_scaled, add, alignments };
        let mut algorithms = ALGORITHMS.lock().unwrap_or_else(PoisonError::into_inner);
        let chosen = match algorithms.entry((Arc::clone(&self.name), kind)) {
            Entry::Occupied(chosen) => chosen.into_mut(),
            Entry::Vacant(place) => match self.choose(product) {
                // Nothing else does such products: a smaller batch may leave memory to try algorithms in.
                Err(error) if is_scaled && error.is::<OutOfMemory>() => return Err(error),
                chosen => place.insert(chosen.map_err(|error| format!("{error:#}"))),
            },
        };
        let algorithm = match chosen {
            Ok(algorithm) => algorithm,
            Err(reason) => bail!("{reason}"),
        };
        // SAFETY: as the caller's.
        let multiplied = unsafe { self.run(product, algorithm) };
        if let Err(error) = &multiplied {
            // Not for some rows this way and for others that.
            *chosen = Err(format!("the chosen algorithm failed: {error:#}"));
        }
        multiplied
    }

    /// For which kinds of products there is no algorithm, if there are any.
    pub(super) fn lacking(&self) -> Option<String> {
        let algorithms = ALGORITHMS.lock().unwrap_or_else(PoisonError::into_inner);
        // Without an algorithm for matrices with scales there are no scores.
        let others = algorithms.iter().filter(|((name, kind), _)| *name == self.name && !kind.is_scaled);
        let lacking = others.filter(|(_, algorithm)| algorithm.is_err());
        let lacking: Vec<_> = lacking.map(|((_, kind), _)| format!("{} × {}", kind.outputs, kind.inputs)).collect();
        (!lacking.is_empty())
            .then(|| format!("cuBLASLt has no algorithm for all batches and weights of {}", lacking.join(", ")))
    }

    /// The fastest algorithm whose bits don't depend on the number of rows, for a product of which only the right matrix is
    /// there.
    ///
    /// # Errors
    /// If there is none, or no memory to try algorithms in.
    fn choose(&self, product: &Product) -> Result<Algorithm> {
        let probe = Probe::new(self, product)?;
        // Whatever memory there is for trials: some algorithms are for many rows, and named only where there are many.
        let asked = Product { rows: ROWS, ..probe.product };
        let candidates = self.matmul.candidates(&asked, self.workspace.bytes).context("the library names none")?;
        let named = candidates.len();
        let mut failure = None;
        let mut timed: Vec<(Algorithm, f32)> = Vec::new();
        for algorithm in candidates {
            match probe.time(&algorithm) {
                Ok(time) => timed.push((algorithm, time)),
                Err(error) => failure = Some(error),
            }
        }
        let ran = timed.len();
        while let Some(fastest) = fastest(&timed) {
            let (algorithm, _) = timed.remove(fastest);
            if probe.has_bits_of_its_own_rows(&algorithm).unwrap_or(false) {
                return Ok(algorithm);
            }
        }
        let failure = failure.map_or_else(String::new, |error| format!(", the last failure being {error:#}"));
        bail!(
            "of {named} that work for any number of rows, {ran} ran{failure}, and none had the same bits in every batch"
        )
    }

    /// Multiplies by an algorithm.
    ///
    /// # Safety
    /// The memory of all three matrices is there, and the context is current.
    unsafe fn run(&self, product: &Product, algorithm: &Algorithm) -> Result<()> {
        let workspace = Workspace { address: self.workspace.address, bytes: self.workspace.bytes };
        let stream = self.stream.cu_stream().cast();
        // SAFETY: as the caller's; the workspace is this device's own, which has one stream.
        Ok(unsafe { self.matmul.multiply(product, algorithm, workspace, stream) }?)
    }
}

/// Which of those that were timed is to be taken.
fn fastest(timed: &[(Algorithm, f32)]) -> Option<usize> {
    let mut best: Option<(usize, f32)> = None;
    for (index, &(_, time)) in timed.iter().enumerate() {
        if best.is_none_or(|(_, least)| time * MIN_SPEEDUP < least) {
            best = Some((index, time));
        }
    }
    best.map(|(index, _)| index)
}

/// A product of many rows to try algorithms on: the real results must not be added to, and may have fewer rows.
struct Probe<'a> {
    products: &'a Products,
    product: Product,
    left: Scratch,
    results: Scratch,
    /// The scales of the left matrix, if it has any.
    scales: Option<Scratch>,
}

impl<'a> Probe<'a> {
    /// For products like this one, of which the right matrix is there.
    ///
    /// # Errors
    /// If there is no memory even for few rows.
    fn new(products: &'a Products, product: &Product) -> Result<Self> {
        let mut rows = ROWS;
        let scratch = |bytes| Scratch::new(&products.ledger, bytes);
        let (left, results, scales) = loop {
            let left = scratch(rows * product.inputs * product.operand_size());
            let scales = || product.scales.map(|_| scratch(rows * size_of::<f32>())).transpose();
            match left.and_then(|left| Ok((left, scratch(rows * row_bytes(product))?, scales()?))) {
                Err(_) if rows > FEWEST_ROWS => rows /= 2,
                memory => break memory?,
            }
        };
        let of_left = scales.as_ref().map_or(0, |scales| scales.address);
        let of_product = product.scales.map(|scales| Scales { left: of_left, ..scales });
        let (left_address, address) = (left.address, results.address);
        let product = Product { rows, left: left_address, results: address, scales: of_product, ..*product };
        let probe = Self { products, product, left, results, scales };
        probe.fill_scales()?;
        probe.fill_left()?;
        probe.fill_results()?;
        Ok(probe)
    }

    /// Fills the left matrix with rows of which sums differ by their order.
    fn fill_left(&self) -> Result<()> {
        let Product { outputs, inputs, value, scales, right, .. } = self.product;
        let mut weights = vec![0u8; outputs.min(CANCELLING) * inputs * self.product.operand_size()];
        // SAFETY: the right matrix has as many rows; the bytes are there until the stream is done.
        unsafe { result::memcpy_dtoh_async(&mut weights, right, self.products.stream.cu_stream()) }?;
        self.products.stream.synchronize()?;
        let rows = match scales {
            Some(_) => cancelling_rows_of_e4m3(&weights, inputs),
            None => cancelling_rows(&weights, inputs, value),
        };
        // SAFETY: the left matrix has more rows, and what was asked of the same stream is done before.
        unsafe { result::memcpy_htod_sync(self.left.address, &rows) }?;
        self.repeat(&self.left, self.left.address, rows.len())
    }

    /// Fills the left scales with the right ones: one of a usual size is as good as another.
    fn fill_scales(&self) -> Result<()> {
        let (Some(scales), Some(Scales { right, .. })) = (&self.scales, self.product.scales) else { return Ok(()) };
        self.repeat(scales, right, self.product.outputs * size_of::<f32>())
    }

    /// Fills the results with the right matrix, or its scales, which are numbers of f32: on zeros all algorithms are faster than on
    /// values.
    fn fill_results(&self) -> Result<()> {
        let Product { outputs, inputs, value, scales, right, .. } = self.product;
        match scales {
            Some(Scales { right, .. }) => self.repeat(&self.results, right, outputs * size_of::<f32>()),
            None => self.repeat(&self.results, right, outputs * inputs * value.size()),
        }
    }

    /// Fills memory with so many bytes from an address, again and again. They may be its own first, as no more memory is needed then.
    fn repeat(&self, scratch: &Scratch, from: Address, bytes: usize) -> Result<()> {
        ensure!(bytes > 0, "the matrix is empty");
        let own = if from == scratch.address { bytes } else { 0 };
        for start in (own..scratch.bytes).step_by(bytes) {
            let part = bytes.min(scratch.bytes - start);
            let (to, stream) = (scratch.address + start as u64, self.products.stream.cu_stream());
            // SAFETY: there are as many bytes in both, and they don't overlap.
            unsafe { result::memcpy_dtod_async(to, from, part, stream) }?;
        }
        Ok(())
    }

    /// Milliseconds that the product takes some times.
    fn time(&self, algorithm: &Algorithm) -> Result<f32> {
        let (stream, [start, end]) = (self.products.stream.cu_stream(), self.products.events);
        // SAFETY: the memory of all three is there; the events were made by `open`, and last as long as this.
        unsafe {
            // Its code is loaded, and the card is busy while the others are launched.
            self.products.run(&self.product, algorithm)?;
            result::event::record(start, stream)?;
            for _ in 0..TIMES {
                self.products.run(&self.product, algorithm)?;
            }
            result::event::record(end, stream)?;
        }
        self.products.stream.synchronize()?;
        // SAFETY: as above; both have passed.
        Ok(unsafe { result::event::elapsed(start, end)? })
    }

    /// Whether the bits of a row depend neither on the number of rows beside it nor on its place among them.
    fn has_bits_of_its_own_rows(&self, algorithm: &Algorithm) -> Result<bool> {
        let parts = || PARTS.into_iter().filter(|&(start, rows)| start + rows <= self.product.rows);
        self.multiply(algorithm, (0, self.product.rows))?;
        let expected = parts().map(|part| self.ends(part)).collect::<Result<Vec<_>>>()?;
        for (part, expected) in parts().zip(expected) {
            self.multiply(algorithm, part)?;
            if self.ends(part)? != expected {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Multiplies so many rows, from one on.
    fn multiply(&self, algorithm: &Algorithm, (start, rows): (usize, usize)) -> Result<()> {
        // What results are added to must be the same each time.
        self.fill_results()?;
        let left = self.left.address + (start * self.product.inputs * self.product.operand_size()) as u64;
        let of_rows = |scales: Scales| Scales { left: scales.left + (start * size_of::<f32>()) as u64, ..scales };
        let scales = self.product.scales.map(of_rows);
        let results = self.results.address + (start * row_bytes(&self.product)) as u64;
        // SAFETY: the rows are inside of both, and the right matrix is there.
        unsafe { self.products.run(&Product { rows, left, results, scales, ..self.product }, algorithm) }
    }

    /// The bytes of the first and of the last of so many results, from one on.
    fn ends(&self, (start, rows): (usize, usize)) -> Result<[Vec<u8>; 2]> {
        let count = rows.min(END);
        let read = |first: usize| -> Result<Vec<u8>> {
            let mut bytes = vec![0; count * row_bytes(&self.product)];
            let from = self.results.address + (first * row_bytes(&self.product)) as u64;
            // SAFETY: the rows are inside of the results; the bytes are there until the stream is done.
            unsafe { result::memcpy_dtoh_async(&mut bytes, from, self.products.stream.cu_stream()) }?;
            self.products.stream.synchronize()?;
            Ok(bytes)
        };
        Ok([read(start)?, read(start + rows - count)?])
    }
}

/// Bytes of a row of results.
fn row_bytes(product: &Product) -> usize {
    product.outputs * product.result_type().size()
}

/// Memory for a while.
struct Scratch {
    ledger: Arc<Ledger>,
    address: Address,
    bytes: usize,
}

impl Scratch {
    fn new(ledger: &Arc<Ledger>, bytes: usize) -> Result<Self> {
        Ok(Self { ledger: Arc::clone(ledger), address: ledger.allocate(bytes)?, bytes })
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // SAFETY: nobody else has the address.
        unsafe { self.ledger.release(self.address) };
    }
}
