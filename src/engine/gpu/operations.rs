//! The operations, each a kernel or a product, on memory whose size is checked.

use std::ffi::c_void;
use std::ops::Range;
use std::sync::Arc;

use anyhow::{Result, ensure};

use super::attention::{AttentionKernel, LATE_FROM};
use super::device::{Address, Device, Launch, Memory, Product, Type, View};
use crate::model::Heads;

/// A device, the type of its activations, and which of its kernels may be used.
#[derive(Clone)]
pub struct Gpu {
    device: Arc<dyn Device>,
    value: Type,
    /// Kernels that the self-test has found wrong on this device.
    pub(super) wrong: Vec<AttentionKernel>,
    /// The position from which on queries are late, see [`super::attention::Tiling`].
    pub(super) late_from: usize,
}

/// A matrix of weights `(outputs, inputs)`.
pub struct Weight {
    memory: Memory,
    outputs: usize,
    inputs: usize,
}

/// The first rows of a matrix of activations, or some of its columns.
#[derive(Clone, Copy)]
pub struct Rows<'a> {
    memory: &'a Memory,
    /// Values before the first.
    start: usize,
    /// Values from one row to the next.
    pub(super) width: usize,
    count: usize,
}

impl<'a> Rows<'a> {
    /// `count` rows of `width` values.
    pub fn new(memory: &'a Memory, count: usize, width: usize) -> Self {
        Self { memory, start: 0, width, count }
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

/// What is done to queries and keys, see `heads.cu`.
pub struct QkNormRope<'a> {
    /// RMSNorm's weight of query heads, f32.
    pub query_weight: &'a Memory,
    /// RMSNorm's weight of key heads, f32.
    pub key_weight: &'a Memory,
    /// `(positions, head_dim / 2)`, f32.
    pub cosines: &'a Memory,
    /// `(positions, head_dim / 2)`, f32.
    pub sines: &'a Memory,
    /// Of each row, u32.
    pub positions: View<'a>,
    /// RMSNorm's ε.
    pub epsilon: f32,
}

/// `Turn` of `heads.cu`.
#[repr(C)]
struct RawQkNormRope {
    query_weight: Address,
    key_weight: Address,
    cosines: Address,
    sines: Address,
    positions: Address,
    tokens: i32,
    query_heads: i32,
    key_heads: i32,
    value_heads: i32,
    head_dim: i32,
    epsilon: f32,
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
fn by_row(rows: usize) -> Result<Launch> {
    Ok(Launch { grid: [int(rows)?.cast_unsigned().div_ceil(ROWS), 1], block: [32, ROWS], shared: 0 })
}

impl Gpu {
    /// Activations on `device` are of type `value`.
    pub fn new(device: Arc<dyn Device>, value: Type) -> Self {
        Self { device, value, wrong: Vec::new(), late_from: LATE_FROM }
    }

    /// The same, with attention's kernel for late queries used from another position on. Scores differ by rounding.
    #[must_use]
    pub fn with_late_from(self, position: usize) -> Self {
        Self { late_from: position, ..self }
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

    /// Room for a matrix of weights, to be filled row by row.
    ///
    /// # Errors
    /// As [`Device::allocate`].
    pub fn weight(&self, outputs: usize, inputs: usize) -> Result<Weight> {
        Ok(Weight { memory: self.memory(outputs * inputs * self.value.size())?, outputs, inputs })
    }

    /// `hidden (tokens, features; f32) = embedding[token_ids]`
    ///
    /// # Errors
    /// If the device fails.
    pub fn embed(&self, token_ids: View<'_>, embedding: &Weight, hidden: Rows<'_>) -> Result<()> {
        let features = embedding.inputs;
        assert!(token_ids.bytes() >= hidden.count * 4 && hidden.width == features);
        let (tokens, width) = (int(hidden.count)?, int(features)?);
        let (ids, table, rows) = (token_ids.address(), embedding.memory.address(), hidden.address(4, features));
        // SAFETY: the memory was checked; that no id is beyond the table is the caller's check of token ids.
        unsafe { self.launch("embed", by_row(hidden.count)?, arguments!(ids, table, rows, tokens, width)) }
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
    pub fn multiply(&self, input: Rows<'_>, weight: &Weight, outputs: Range<usize>, results: Rows<'_>) -> Result<()> {
        // SAFETY: the memory was checked.
        unsafe { self.device.multiply(&self.product(input, (weight, outputs), results, false)) }
    }

    /// `hidden += input · weightᵀ`; `hidden` is f32.
    ///
    /// # Errors
    /// If the device fails.
    pub fn multiply_add(&self, input: Rows<'_>, weight: &Weight, hidden: Rows<'_>) -> Result<()> {
        // SAFETY: the memory was checked.
        unsafe { self.device.multiply(&self.product(input, (weight, 0..weight.outputs), hidden, true)) }
    }

    /// As the device takes it, of memory that is there.
    pub(super) fn product(
        &self,
        input: Rows<'_>,
        (weight, outputs): (&Weight, Range<usize>),
        results: Rows<'_>,
        add: bool,
    ) -> Product {
        assert!(input.width == weight.inputs && results.width == outputs.len() && results.count >= input.count);
        assert!(outputs.end <= weight.outputs);
        let size = self.value.size();
        Product {
            rows: input.count,
            outputs: outputs.len(),
            inputs: weight.inputs,
            left: input.address(size, weight.inputs),
            right: weight.memory.address() + (outputs.start * weight.inputs * size) as u64,
            results: results.address(if add { 4 } else { size }, outputs.len()),
            value: self.value,
            add,
        }
    }

    /// Normalizes and turns the query and key heads of merged products (queries, keys, values) in place; `queries` is how
    /// many of the heads are queries, `keys` keys, and the rest of a row are left alone.
    ///
    /// # Errors
    /// If the device fails.
    pub fn normalize_and_rotate(
        &self,
        products: Rows<'_>,
        heads: Heads,
        parts: [usize; 2],
        operation: &QkNormRope<'_>,
    ) -> Result<()> {
        let [query_heads, key_heads] = parts;
        let rest = products.width / heads.head_dim - query_heads - key_heads;
        let half = heads.head_dim / 2;
        let fits = heads.head_dim <= 256 && heads.head_dim.is_multiple_of(4);
        ensure!(fits, "heads of {} features are not supported on a GPU; use --device cpu", heads.head_dim);
        assert!(
            operation.query_weight.bytes() >= heads.head_dim * 4 && operation.key_weight.bytes() >= heads.head_dim * 4
        );
        assert!(
            operation.positions.bytes() >= products.count * 4
                && operation.sines.bytes() == operation.cosines.bytes()
                && half > 0
        );
        let raw = RawQkNormRope {
            query_weight: operation.query_weight.address(),
            key_weight: operation.key_weight.address(),
            cosines: operation.cosines.address(),
            sines: operation.sines.address(),
            positions: operation.positions.address(),
            tokens: int(products.count)?,
            query_heads: int(query_heads)?,
            key_heads: int(key_heads)?,
            value_heads: int(rest)?,
            head_dim: int(heads.head_dim)?,
            epsilon: operation.epsilon,
        };
        let rows = products.address(self.value.size(), products.width);
        let (kernel, launch) = if self.has_fixed(heads.head_dim) {
            let kernel = format!("qk_norm_rope_{}_{}", self.value.name(), heads.head_dim);
            (kernel, Launch { grid: [raw.tokens.cast_unsigned(), 1], block: [128, 1], shared: 0 })
        } else {
            (format!("qk_norm_rope_{}", self.value.name()), by_row(products.count * (query_heads + key_heads))?)
        };
        // SAFETY: the memory was checked; that the tables reach to all positions is the engine's care.
        unsafe { self.device.launch(&kernel, launch, arguments!(rows, raw)) }
    }

    /// `activated = silu(gate) · up` of merged products: gates, then ups.
    ///
    /// # Errors
    /// If the device fails.
    pub fn swiglu(&self, products: Rows<'_>, activated: Rows<'_>) -> Result<()> {
        const THREADS: u32 = 128;
        let (size, features) = (self.value.size(), activated.width);
        let vector = 16 / size;
        ensure!(
            features.is_multiple_of(vector),
            "on a GPU, intermediate_size must be a multiple of {vector}; use --device cpu"
        );
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
    pub fn gather(&self, hidden: Rows<'_>, rows: View<'_>, gathered: Rows<'_>) -> Result<()> {
        let features = hidden.width;
        assert!(rows.bytes() >= gathered.count * 4 && gathered.width == features);
        let (count, width) = (int(gathered.count)?, int(features)?);
        let (from, indices, to) = (hidden.address(4, features), rows.address(), gathered.address(4, features));
        let launch = by_row(gathered.count)?;
        // SAFETY: the memory was checked; that indices name rows is the layout's care.
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

    /// Whether there are kernels for heads of just so many features: those of published models, in 16 bits.
    pub(super) fn has_fixed(&self, head_dim: usize) -> bool {
        self.value != Type::F32 && [64, 128].contains(&head_dim)
    }

    /// A kernel for this type of activations.
    pub(super) unsafe fn launch(&self, kernel: &str, launch: Launch, arguments: &mut [*mut c_void]) -> Result<()> {
        // SAFETY: as the caller's.
        unsafe { self.device.launch(&format!("{kernel}_{}", self.value.name()), launch, arguments) }
    }
}

impl Weight {
    /// Fills rows from `row` on with values of the device's type.
    ///
    /// # Errors
    /// If the device fails.
    pub fn fill(&mut self, row: usize, bytes: &[u8]) -> Result<()> {
        let row_bytes = self.memory.bytes() / self.outputs;
        self.memory.upload_at(row * row_bytes, bytes)
    }
}
