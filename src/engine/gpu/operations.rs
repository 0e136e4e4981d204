//! The operations, each a kernel or a product, on memory whose size is checked.

use std::ffi::c_void;
use std::ops::Range;
use std::sync::Arc;

use anyhow::{Result, ensure};

use super::attention::{AttentionKernel, LATE_FROM};
use super::device::{Address, Device, Launch, Memory, Product, Scales, Type, View};
use super::quantized::Operand;
use crate::model::Activation;

/// A device, the type of its activations, and which of its kernels may be used.
#[derive(Clone)]
pub struct Gpu {
    device: Arc<dyn Device>,
    value: Type,
    /// Kernels that the self-test has found wrong on this device.
    pub(super) wrong: Vec<AttentionKernel>,
    /// Whether the self-test has found the product of gates and ups wrong.
    pub(super) gated_is_wrong: bool,
    /// Whether linear layers multiply E4M3.
    pub(super) quantizes: bool,
    /// The position from which on queries are late, see [`super::attention::Tiling`].
    pub(super) late_from: usize,
    /// Bytes of memory that were free when it was decided what goes there.
    free_memory: Option<usize>,
    /// Tokens of the batches that are wanted.
    wanted_tokens: Option<usize>,
}

/// A matrix of weights `(outputs, inputs)`.
pub struct Weight {
    pub(super) memory: Memory,
    /// Of each output, f32, if the values are of E4M3.
    pub(super) scales: Option<Memory>,
    outputs: usize,
    pub(super) inputs: usize,
}

/// The first rows of a matrix of activations, or some of its columns.
#[derive(Clone, Copy)]
pub struct Rows<'a> {
    memory: &'a Memory,
    /// Values before the first.
    start: usize,
    /// Values from one row to the next.
    pub(super) width: usize,
    pub(super) count: usize,
}

impl<'a> Rows<'a> {
    /// `count` rows of `width` values.
    pub fn new(memory: &'a Memory, count: usize, width: usize) -> Self {
        Self { memory, start: 0, width, count }
    }

    /// Values from one row to the next.
    pub fn width(&self) -> usize {
        self.width
    }

    /// How many rows.
    pub fn count(&self) -> usize {
        self.count
    }

    /// The same rows from another column on.
    pub fn from_column(self, column: usize) -> Self {
        Self { start: self.start + column, ..self }
    }

    /// Of values of `size` bytes, of which the last `columns` of a row are used.
    pub(super) fn address(&self, size: usize, columns: usize) -> Address {
        let end = self.start + self.count.saturating_sub(1) * self.width + columns;
        assert!(self.count == 0 || end * size <= self.memory.bytes(), "rows reach beyond their memory");
        self.memory.address() + (self.start * size) as u64
    }
}

/// Rows of a block of row-wise kernels.
pub(super) const ROWS: u32 = 8;

/// Pointers to a kernel's arguments.
macro_rules! arguments {
    ($($argument:expr),*) => { &mut [$((&raw const $argument).cast_mut().cast::<std::ffi::c_void>()),*] };
}
pub(super) use arguments;

pub(super) fn int(value: usize) -> Result<i32> {
    i32::try_from(value).map_err(|_| anyhow::anyhow!("{value} is too many for a GPU's kernels"))
}

/// A warp for each of `rows` rows.
pub(super) fn by_row(rows: usize) -> Result<Launch> {
    Ok(Launch { grid: [int(rows)?.cast_unsigned().div_ceil(ROWS), 1], block: [32, ROWS], shared: 0 })
}

impl Gpu {
    /// Activations on `device` are of type `value`.
    pub fn new(device: Arc<dyn Device>, value: Type) -> Self {
        Self {
            device,
            value,
            wrong: Vec::new(),
            gated_is_wrong: false,
            quantizes: false,
            late_from: LATE_FROM,
            free_memory: None,
            wanted_tokens: None,
        }
    }

    /// The same, where the memory counts as free that is free now, whatever is allocated later: what is decided by it stays the same.
    ///
    /// # Errors
    /// If the device does not answer.
    pub fn with_memory_of_now(self) -> Result<Self> {
        Ok(Self { free_memory: Some(self.device.free_memory()?), ..self })
    }

    /// The same, for batches of so many tokens; none for as many as are worth it.
    #[must_use]
    pub fn with_wanted_tokens(self, tokens: Option<usize>) -> Self {
        Self { wanted_tokens: tokens, ..self }
    }

    /// Bytes of memory that are free for a model and its batches.
    ///
    /// # Errors
    /// If the device does not answer.
    pub fn free_memory(&self) -> Result<usize> {
        self.free_memory.map_or_else(|| self.device.free_memory(), Ok)
    }

    /// Tokens of the batches that are wanted, if that is known.
    pub fn wanted_tokens(&self) -> Option<usize> {
        self.wanted_tokens
    }

    /// The same, with attention's kernel for late queries used from another position on. Scores differ by rounding.
    #[must_use]
    pub fn with_late_from(self, position: usize) -> Self {
        Self { late_from: position, ..self }
    }

    /// The same device, with activations of another type.
    #[must_use]
    pub fn with_value(&self, value: Type) -> Self {
        Self { value, ..self.clone() }
    }

    /// The device.
    pub fn device(&self) -> &Arc<dyn Device> {
        &self.device
    }

    /// The type of activations.
    pub fn value(&self) -> Type {
        self.value
    }

    /// Memory for so many bytes.
    ///
    /// # Errors
    /// As [`Device::allocate`].
    pub fn memory(&self, bytes: usize) -> Result<Memory> {
        Memory::new(&self.device, bytes)
    }

    /// A vector of f32.
    ///
    /// # Errors
    /// As [`Device::allocate`].
    pub fn vector(&self, values: &[f32]) -> Result<Memory> {
        let mut memory = self.memory(size_of_val(values))?;
        memory.upload(bytemuck::cast_slice(values))?;
        Ok(memory)
    }

    /// Room for a matrix of weights of a linear layer, to be filled row by row: of E4M3, if linear layers multiply that.
    ///
    /// # Errors
    /// As [`Device::allocate`].
    pub fn weight(&self, outputs: usize, inputs: usize) -> Result<Weight> {
        let size = if self.quantizes { 1 } else { self.value.size() };
        let scales = self.quantizes.then(|| self.memory(outputs * size_of::<f32>())).transpose()?;
        Ok(Weight { memory: self.memory(outputs * inputs * size)?, scales, outputs, inputs })
    }

    /// `normed = hidden / √(mean(hidden²) + ε) · weight`; `hidden` is f32.
    ///
    /// # Errors
    /// If the device fails.
    pub fn rms_norm(&self, hidden: Rows<'_>, weight: &Memory, epsilon: f32, normed: Rows<'_>) -> Result<()> {
        let features = hidden.width;
        ensure!(features.is_multiple_of(4), "on a GPU, hidden_size must be a multiple of 4; use --device cpu");
        assert!(weight.bytes() >= features * 4 && normed.width == features && normed.count >= hidden.count);
        let (rows, width) = (int(hidden.count)?, int(features)?);
        let (from, weights, to) =
            (hidden.address(4, features), weight.address(), normed.address(self.value.size(), features));
        let arguments = arguments!(from, weights, to, rows, width, epsilon);
        // SAFETY: the memory was checked.
        unsafe { self.launch("rms_norm", by_row(hidden.count)?, arguments) }
    }

    /// `results = input · weightᵀ` for some of the weight's outputs.
    ///
    /// # Errors
    /// If the device fails.
    pub fn multiply<'a>(
        &self,
        input: impl Into<Operand<'a>>,
        weight: &Weight,
        outputs: Range<usize>,
        results: Rows<'_>,
    ) -> Result<()> {
        // SAFETY: the memory was checked.
        unsafe { self.device.multiply(&self.product(input.into(), (weight, outputs), results, false)) }
    }

    /// `hidden += input · weightᵀ`; `hidden` is f32.
    ///
    /// # Errors
    /// If the device fails.
    pub fn multiply_add<'a>(&self, input: impl Into<Operand<'a>>, weight: &Weight, hidden: Rows<'_>) -> Result<()> {
        // SAFETY: the memory was checked.
        unsafe { self.device.multiply(&self.product(input.into(), (weight, 0..weight.outputs), hidden, true)) }
    }

    /// As the device takes it, of memory that is there.
    pub(super) fn product(
        &self,
        operand: Operand<'_>,
        (weight, outputs): (&Weight, Range<usize>),
        results: Rows<'_>,
        add: bool,
    ) -> Product {
        let Operand { rows: input, scales } = operand;
        assert!(input.width == weight.inputs && results.width == outputs.len() && results.count >= input.count);
        assert!(outputs.end <= weight.outputs);
        let scales = match (scales, &weight.scales) {
            (Some(left), Some(right)) => {
                assert!(left.bytes() >= input.count * size_of::<f32>());
                let right = right.address() + (outputs.start * size_of::<f32>()) as u64;
                assert!(right.is_multiple_of(16), "scales stand where their library reads them");
                Some(Scales { left: left.address(), right })
            }
            (None, None) => None,
            _ => panic!("of a product, both operands are quantized or none"),
        };
        let size = if scales.is_some() { 1 } else { self.value.size() };
        Product {
            rows: input.count,
            outputs: outputs.len(),
            inputs: weight.inputs,
            left: input.address(size, weight.inputs),
            right: weight.memory.address() + (outputs.start * weight.inputs * size) as u64,
            results: results.address(if add { 4 } else { self.value.size() }, outputs.len()),
            value: self.value,
            scales,
            add,
        }
    }

    /// `activated = silu(gate) · up` of merged products: gates, then ups.
    ///
    /// # Errors
    /// If the device fails.
    pub fn swiglu(&self, products: Rows<'_>, activated: Rows<'_>) -> Result<()> {
        const THREADS: u32 = 128;
        let (size, features) = (self.value.size(), activated.width);
        let vector = 16 / size;
        if !features.is_multiple_of(vector) {
            return self.activate(products, None, Some(Activation::Silu), activated);
        }
        assert!(products.width == 2 * features && activated.count >= products.count);
        let (from, to) = (products.address(size, products.width), activated.address(size, features));
        let (rows, width) = (int(products.count)?.cast_unsigned(), int(features)?);
        let parts = int(features / vector)?.cast_unsigned().div_ceil(THREADS);
        let launch = Launch { grid: [rows, parts], block: [THREADS, 1], shared: 0 };
        // SAFETY: the memory was checked.
        unsafe { self.launch("swiglu", launch, arguments!(from, to, width)) }
    }

    /// `gathered = hidden[rows]`; both are f32, and `rows` u32.
    ///
    /// # Errors
    /// If the device fails.
    ///
    /// # Safety
    /// The indices in the device's memory name rows that are there.
    pub unsafe fn gather(&self, hidden: Rows<'_>, rows: View<'_>, gathered: Rows<'_>) -> Result<()> {
        let features = hidden.width;
        assert!(rows.bytes() >= gathered.count * 4 && gathered.width == features);
        let (count, width) = (int(gathered.count)?, int(features)?);
        let (from, indices, to) = (hidden.address(4, features), rows.address(), gathered.address(4, features));
        let launch = by_row(gathered.count)?;
        // SAFETY: the memory was checked, and the indices name rows by the caller's word.
        unsafe { self.device.launch("gather_rows", launch, arguments!(from, indices, to, count, width)) }
    }

    /// `logits = norm(hidden) · head`; all are f32.
    ///
    /// # Errors
    /// If the device fails.
    pub fn score(&self, hidden: Rows<'_>, norm: (&Memory, f32), head: &Memory, logits: &Memory) -> Result<()> {
        let (features, epsilon) = (hidden.width, norm.1);
        assert!(norm.0.bytes() >= features * 4 && head.bytes() >= features * 4 && logits.bytes() >= hidden.count * 4);
        let (rows, width) = (int(hidden.count)?, int(features)?);
        let (from, weight, row, to) = (hidden.address(4, features), norm.0.address(), head.address(), logits.address());
        let arguments = arguments!(from, weight, row, to, rows, width, epsilon);
        // SAFETY: the memory was checked.
        unsafe { self.device.launch("score_rows", by_row(hidden.count)?, arguments) }
    }

    /// A kernel for this type of activations.
    pub(super) unsafe fn launch(&self, kernel: &str, launch: Launch, arguments: &mut [*mut c_void]) -> Result<()> {
        // SAFETY: as the caller's.
        unsafe { self.device.launch(&format!("{kernel}_{}", self.value.name()), launch, arguments) }
    }
}

impl Weight {
    /// Features that come out.
    pub fn outputs(&self) -> usize {
        self.outputs
    }

    /// Features that go in.
    pub fn inputs(&self) -> usize {
        self.inputs
    }

    /// Whether its values are of E4M3, with a scale for each output.
    pub fn is_quantized(&self) -> bool {
        self.scales.is_some()
    }

    /// Bytes of a row.
    pub fn row_bytes(&self) -> usize {
        self.memory.bytes() / self.outputs
    }

    /// Fills rows from `row` on with values of the device's type.
    ///
    /// # Errors
    /// If the device fails.
    pub fn fill(&mut self, row: usize, bytes: &[u8]) -> Result<()> {
        self.memory.upload_at(row * self.row_bytes(), bytes)
    }
}
