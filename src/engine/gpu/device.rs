//! What the GPU engine asks of a device: memory, copies, kernels by name, and products of matrices. CUDA answers it; in tests,
//! so does an emulation of a GPU on the processor.

use std::ffi::c_void;
use std::sync::Arc;

use anyhow::Result;

use super::uploads::Uploads;

/// Types of activations and weights on the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Type {
    /// 32 bits: exact, and slow.
    F32,
    /// 16 bits with f32's range.
    Bf16,
    /// 16 bits with more digits and less range.
    F16,
}

impl Type {
    /// Bytes of a value.
    pub fn size(self) -> usize {
        if self == Self::F32 { 4 } else { 2 }
    }

    /// As kernels are named.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::Bf16 => "bf16",
            Self::F16 => "f16",
        }
    }
}

/// How many threads run a kernel, and their shared memory.
#[derive(Clone, Copy, Debug)]
pub struct Launch {
    /// Blocks.
    pub grid: [u32; 2],
    /// Threads of a block.
    pub block: [u32; 2],
    /// Bytes of dynamic shared memory.
    pub shared: u32,
}

/// What rows of operands of 8 bits are multiplied by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scales {
    /// Of each row of the left matrix, f32.
    pub left: Address,
    /// Of each row of the right matrix, f32.
    pub right: Address,
}

/// `results (rows, outputs) (+)= left (rows, inputs) · right (outputs, inputs)ᵀ`, all row by row; sums in f32.
#[derive(Clone, Copy, Debug)]
pub struct Product {
    /// Rows of the left matrix and of the results.
    pub rows: usize,
    /// Columns of the results.
    pub outputs: usize,
    /// Columns of both matrices.
    pub inputs: usize,
    /// The left matrix.
    pub left: Address,
    /// The right matrix.
    pub right: Address,
    /// The results; f32 where they are added, and else of this type.
    pub results: Address,
    /// The type of the matrices' values, if they have no scales.
    pub value: Type,
    /// Both matrices are of E4M3, one byte each, and have these scales; the results have none.
    pub scales: Option<Scales>,
    /// Whether to add to what stands in the results.
    pub add: bool,
}

impl Product {
    /// Bytes of a value of the left and of the right matrix.
    pub fn operand_size(&self) -> usize {
        if self.scales.is_some() { 1 } else { self.value.size() }
    }

    /// The type of the results.
    pub fn result_type(&self) -> Type {
        if self.add { Type::F32 } else { self.value }
    }
}

/// A matrix of 16-bit values, row by row, of which kernels copy tiles.
#[derive(Clone, Copy, Debug)]
pub struct Tiled {
    /// Its first value, aligned to 16 bytes.
    pub address: Address,
    /// How many rows.
    pub rows: usize,
    /// How many columns: a multiple of 8.
    pub columns: usize,
    /// The type of its values.
    pub value: Type,
    /// Rows of a tile, which has [`TILE_COLUMNS`].
    pub tile_rows: u32,
}

/// Columns of a tile: 128 bytes.
pub const TILE_COLUMNS: u32 = 64;

/// A [`Tiled`] matrix as kernels are given it.
#[repr(C, align(128))]
#[derive(Clone, Copy, Debug)]
pub struct TileMap(pub [u64; 16]);

/// What a device is doing right now.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Load {
    /// The share of time in which some kernel ran, 0 to 1.
    pub utilization: f64,
    /// The power that it draws.
    pub watts: f64,
    /// Bytes of memory in use, by all programs.
    pub used_memory: u64,
}

/// A place in a device's memory.
pub type Address = u64;

/// A device. Everything is done in the order in which it was asked for; only downloads wait.
///
/// # Safety
/// `allocate` gives memory that stays valid until it is released, and nothing else of the device overlaps it.
pub unsafe trait Device: Send + Sync {
    /// Its name and what it computes on.
    fn describe(&self) -> String;

    /// As users name it.
    fn name(&self) -> String {
        self.describe()
    }

    /// Its multiprocessors: how many blocks with most of the shared memory run at the same time.
    fn processors(&self) -> usize {
        1
    }

    /// Describes a matrix for kernels that copy tiles of it.
    ///
    /// # Errors
    /// If the device has no such copies, or not of this matrix.
    fn tile_map(&self, matrix: &Tiled) -> Result<TileMap> {
        anyhow::bail!("this device does not copy tiles of {} rows", matrix.tile_rows)
    }

    /// What it is doing, if it reports that.
    fn load(&self) -> Option<Load> {
        None
    }

    /// What its users should know about how it computes.
    fn warnings(&self) -> Vec<String> {
        Vec::new()
    }

    /// Bytes that are free.
    ///
    /// # Errors
    /// If the device does not answer.
    fn free_memory(&self) -> Result<usize>;

    /// The most bytes that users allow this program, if they limit it.
    fn memory_limit(&self) -> Option<usize> {
        None
    }

    /// Memory of so many bytes, aligned to 256, its content unknown.
    ///
    /// # Errors
    /// [`OutOfMemory`] if there is not enough.
    fn allocate(&self, bytes: usize) -> Result<Address>;

    /// Gives memory back.
    ///
    /// # Safety
    /// The address is one of `allocate`, and is not used any more.
    unsafe fn release(&self, address: Address);

    /// Copies to the device.
    ///
    /// # Safety
    /// There is memory for the bytes.
    ///
    /// # Errors
    /// If the device fails.
    unsafe fn upload(&self, to: Address, bytes: &[u8]) -> Result<()>;

    /// Waits for everything that was asked, and copies from the device.
    ///
    /// # Safety
    /// There are as many bytes of memory.
    ///
    /// # Errors
    /// If the device fails, now or in something that was asked before.
    unsafe fn download(&self, from: Address, bytes: &mut [u8]) -> Result<()>;

    /// Uploads in pieces of so many bytes that are copied while kernels run; none if the device does one thing after the other.
    ///
    /// # Errors
    /// If the device fails, or the host has no memory for the pieces.
    fn uploads(&self, _piece_bytes: usize) -> Result<Option<Box<dyn Uploads>>> {
        Ok(None)
    }

    /// Copies on the device.
    ///
    /// # Safety
    /// There are as many bytes of memory at both addresses, and none are the same.
    ///
    /// # Errors
    /// If the device fails.
    unsafe fn copy(&self, from: Address, to: Address, bytes: usize) -> Result<()>;

    /// Waits for everything that was asked.
    ///
    /// # Errors
    /// If something of it failed.
    fn finish(&self) -> Result<()>;

    /// Notes, as the `index`th mark, when everything is done that was asked so far.
    ///
    /// # Errors
    /// If the device fails.
    fn mark(&self, index: usize) -> Result<()>;

    /// Seconds between two marks that have passed.
    ///
    /// # Errors
    /// If there are no such marks, or the device fails.
    fn between(&self, first: usize, second: usize) -> Result<f64>;

    /// Checks that it multiplies matrices of E4M3 with a scale for each row.
    ///
    /// # Errors
    /// If it does not, with the reason and a remedy.
    fn check_scaled(&self) -> Result<()>;

    /// Whether there is a kernel of this name.
    fn has(&self, kernel: &str) -> bool;

    /// Runs a kernel on arguments, each of which is pointed to.
    ///
    /// # Safety
    /// The arguments are those that the kernel takes, and the memory they name is there.
    ///
    /// # Errors
    /// If there is no such kernel, or the device fails.
    unsafe fn launch(&self, kernel: &str, launch: Launch, arguments: &mut [*mut c_void]) -> Result<()>;

    /// Multiplies matrices, each sum in an order that does not depend on the number of rows, unless [`Device::warnings`] say
    /// otherwise.
    ///
    /// # Safety
    /// The memory of all three is there.
    ///
    /// # Errors
    /// If the device fails.
    unsafe fn multiply(&self, product: &Product) -> Result<()>;

    /// Multiplies matrices in whatever way is the fastest for so many rows.
    ///
    /// # Safety
    /// The memory of all three is there.
    ///
    /// # Errors
    /// If the device fails.
    unsafe fn multiply_freely(&self, product: &Product) -> Result<()> {
        // SAFETY: as the caller's.
        unsafe { self.multiply(product) }
    }
}

/// There is not enough memory on a device.
#[derive(Debug)]
pub struct OutOfMemory {
    /// What was asked for; 0 if that is not known.
    pub bytes: usize,
}

impl std::fmt::Display for OutOfMemory {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.bytes {
            0 => write!(formatter, "the GPU's memory is full"),
            bytes => write!(formatter, "the GPU does not have {} of memory left", indicatif::HumanBytes(bytes as u64)),
        }
    }
}

impl std::error::Error for OutOfMemory {}

/// Memory on a device, given back when it is dropped.
pub struct Memory {
    device: Arc<dyn Device>,
    address: Address,
    bytes: usize,
}

impl Memory {
    /// So many bytes, their content unknown.
    ///
    /// # Errors
    /// As [`Device::allocate`].
    pub fn new(device: &Arc<dyn Device>, bytes: usize) -> Result<Self> {
        let bytes = bytes.max(1);
        Ok(Self { device: Arc::clone(device), address: device.allocate(bytes)?, bytes })
    }

    /// Where it is.
    pub fn address(&self) -> Address {
        self.address
    }

    /// How much it is.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Copies to its beginning.
    ///
    /// # Errors
    /// If the device fails.
    pub fn upload(&mut self, bytes: &[u8]) -> Result<()> {
        self.upload_at(0, bytes)
    }

    /// Copies to `start` bytes behind its beginning.
    ///
    /// # Errors
    /// If the device fails.
    pub fn upload_at(&mut self, start: usize, bytes: &[u8]) -> Result<()> {
        assert!(start + bytes.len() <= self.bytes);
        // SAFETY: there is room, as was just checked.
        unsafe { self.device.upload(self.address + start as u64, bytes) }
    }

    /// Waits, and copies from its beginning.
    ///
    /// # Errors
    /// If the device fails.
    pub fn download(&self, bytes: &mut [u8]) -> Result<()> {
        assert!(bytes.len() <= self.bytes);
        // SAFETY: there are as many, as was just checked.
        unsafe { self.device.download(self.address, bytes) }
    }
}

/// A part of a memory.
#[derive(Clone, Copy)]
pub struct View<'a> {
    memory: &'a Memory,
    start: usize,
    bytes: usize,
}

impl Memory {
    /// Some of its bytes.
    pub fn view(&self, bytes: std::ops::Range<usize>) -> View<'_> {
        assert!(bytes.start <= bytes.end && bytes.end <= self.bytes);
        View { memory: self, start: bytes.start, bytes: bytes.len() }
    }
}

impl View<'_> {
    /// Its first bytes.
    #[must_use]
    pub fn first(self, bytes: usize) -> Self {
        assert!(bytes <= self.bytes);
        Self { bytes, ..self }
    }

    /// Where it is.
    pub fn address(&self) -> Address {
        self.memory.address + self.start as u64
    }

    /// How much it is.
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: nobody else has the address.
        unsafe { self.device.release(self.address) }
    }
}
